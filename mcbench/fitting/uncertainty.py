"""Error bars: covariances from the normal matrix at the solution."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mcbench.body.formats import smpl24_joints
from mcbench.body.reduced import ReducedBody
from mcbench.fitting.energy import PersonEnergy, PersonProblem, project
from mcbench.fitting.observations import PersonObservations
from mcbench.fitting.state import BodyState, PersonState

Array = npt.NDArray[np.float64]

_MEDIAN_CHI2_2 = 2 * np.log(2)  # median of chi squared with two degrees of freedom
#: Readings doubted no more than this tell the noise, if they are this share of all.
_SURE, _SURE_SHARE = 2.5, 0.25
#: How many times larger the variance of what outlines say is than were their readings independent as weighted: set on
#: rendered people, so that 90 % of the joints lie in the ellipsoids of 90 %.
_OUTLINES_ALIKE = 3.0
_CONTRADICTS = 3.0
_NOISE_RANGE = (1 / 16, 25.0)


def noise_factor(energy: PersonEnergy, state: PersonState) -> float:
    """Variance of the residuals over the one expected, by their median: robust to a minority of outliers."""
    points, observations = energy.points(state), energy.observations
    if energy.n_telling is not None:
        points, observations = points[: energy.n_telling], observations.keypoints(np.arange(energy.n_telling))
    return noise_factor_at(points, observations)


def noise_factor_at(points: Array, observations: PersonObservations) -> float:
    """The same for keypoints in the world, (K, 3) or, where they move, (M, K, 3) in each of the M detections."""
    residual, _, valid = project(points, observations)
    squared = ((residual / observations.sigma[..., None]) ** 2).sum(-1)
    used = valid & (observations.weight > 0)
    sure = used & (observations.doubt <= _SURE)
    if sure.sum() >= _SURE_SHARE * used.sum():
        used = sure  # doubts are rough: what is expected to be off tells little of what the rest is off
    if not used.any():
        return _NOISE_RANGE[1]
    return float(np.clip(np.median(squared[used]) / _MEDIAN_CHI2_2, *_NOISE_RANGE))


def contradicted_share(points: Array, observations: PersonObservations) -> float:
    """Share of the readings that are off by more than `_CONTRADICTS` of their standard deviations; points (K, 3)."""
    residual, _, valid = project(points, observations)
    squared = ((residual / observations.sigma[..., None]) ** 2).sum(-1)
    used = observations.weight > 0
    off = used & (~valid | (squared > _CONTRADICTS**2))
    return float(off.sum() / max(int(used.sum()), 1))


def body_covariance(energy: PersonEnergy, state: PersonState) -> Array:
    """Covariance (n, n) of the unknowns of the body.

    The inverse of the normal matrix of all unknowns, so the offsets of the keypoints, which more views do not average
    out, are allowed for; for the outlines with the middle part of the sandwich estimator (Huber, "The behavior of
    maximum likelihood estimates under nonstandard conditions", 1967). The scene's scale is taken as known: its own
    error bar is the scene's.

    Parameters
    ----------
    energy, state : the solution, in metres, with the noise found in the residuals; each view is discounted for
        errors that neighbouring views share (`observations.view_weights`).
    """
    active = np.arange(state.body.size) if energy.active is None else energy.active
    covariance = np.zeros((state.body.size, state.body.size))  # what is not sought is taken as known
    covariance[np.ix_(active, active)] = PersonProblem(energy).linearise(state).covariance()
    if energy.contours is None:
        return covariance
    # the outlines' errors are more alike than the weights that serve the fit best say
    outline = energy.contours.linearise(state.body, 1.0).hessian[:-1, :-1]
    return np.asarray(covariance + (_OUTLINES_ALIKE - 1) * covariance @ outline @ covariance)


def joints_covariance(body: ReducedBody, state: BodyState, covariance: Array) -> Array:
    """Covariance (24, 3, 3) of the joints of `smpl24` relative to joint 0, m^2 (joint 0: its absolute one).

    covariance : (n, n) of the unknowns of the state.
    """
    posed = body.evaluate(state.betas, state.rotations, state.transl, expression=state.expression)
    assert posed.d_joints is not None
    d_joints = np.moveaxis(smpl24_joints(np.moveaxis(posed.d_joints, -1, 0)), 0, -1)
    relative = d_joints - d_joints[:1]
    relative[0] = d_joints[0]
    return point_covariance(relative, covariance)


def point_covariance(jacobian: Array, covariance: Array) -> Array:
    """Covariance (K, 3, 3) of points that unknowns of covariance (n, n) move by `jacobian` (K, 3, n)."""
    return np.asarray((jacobian @ covariance) @ np.swapaxes(jacobian, 1, 2))
