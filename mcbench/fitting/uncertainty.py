"""Error bars: covariances from the normal matrix at the solution."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mcbench.fitting.energy import PersonEnergy, PersonProblem, evaluate, project
from mcbench.fitting.observations import PersonObservations
from mcbench.fitting.state import PersonState

Array = npt.NDArray[np.float64]

_MEDIAN_CHI2_2 = 2 * np.log(2)  # median of chi squared with two degrees of freedom
#: Readings doubted no more than this tell the noise, if they are this share of all.
_SURE, _SURE_SHARE = 2.5, 0.25
#: How many times larger the variance of what outlines say is than were their readings independent as weighted: set on
#: rendered people, so that 90 % of the joints lie in the ellipsoids of 90 %.
_OUTLINES_ALIKE = 5.0
_NOISE_RANGE = (1 / 16, 25.0)


def noise_factor(energy: PersonEnergy, state: PersonState) -> float:
    """Variance of the residuals over the one expected, by their median: robust to a minority of outliers."""
    return noise_factor_at(energy.points(state), energy.observations)


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


def joints_covariance(energy: PersonEnergy, state: PersonState) -> Array:
    """Covariance (J, 3, 3) of the joints relative to joint 0, m^2 (joint 0: its absolute one).

    The inverse of the normal matrix of all unknowns, so the offsets of the keypoints, which more views do not average
    out, are allowed for; for the outlines with the middle part of the sandwich estimator (Huber, "The behavior of
    maximum likelihood estimates under nonstandard conditions", 1967). The scene's scale is taken as known: its own
    error bar is the scene's.

    Parameters
    ----------
    energy, state : the solution, in metres, with the noise found in the residuals; each view is discounted for
        errors that neighbouring views share (`observations.view_weights`).
    """
    covariance = PersonProblem(energy).linearise(state).covariance()
    if energy.contours is not None:
        # the outlines' errors are more alike than the weights that serve the fit best say
        outline = energy.contours.linearise(state.body, 1.0).hessian[:-1, :-1]
        covariance = covariance + (_OUTLINES_ALIKE - 1) * covariance @ outline @ covariance
    d_joints = evaluate(energy.body, state.body).d_joints
    relative = d_joints - d_joints[:1]
    relative[0] = d_joints[0]
    return np.einsum("jam,mn,jbn->jab", relative, covariance, relative)
