"""The energy of a fit: robust reprojection errors over all views, and priors.

People stand still, so a body is evaluated once an iteration, whatever the number of views: each keypoint's
reprojection errors are first summed up into 3 x 3 normal equations of its place, then pulled back to the body's
unknowns through the Jacobian of the reduced body. What a detector takes for a hip differs from person to person; such
an offset of a keypoint, the same in all views, is an unknown with a prior of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.linalg import block_diag

from mcbench.body.reduced import ReducedBody
from mcbench.cameras.camera import transform
from mcbench.fitting.contour_energy import ContourTerm
from mcbench.fitting.observations import PersonObservations
from mcbench.fitting.priors import Priors
from mcbench.fitting.robust import geman_mcclure
from mcbench.fitting.solver import ArrowSystem, DenseSystem
from mcbench.fitting.state import BodyState, PersonState

Array = npt.NDArray[np.float64]

_NEAR = 1e-3  # points nearer to the image plane than this (world units) count as not seen: the bound of the kernel


@dataclass(frozen=True)
class Evaluated:
    """A body's keypoints (K, 3) and joints (24, 3) with their derivatives (…, 3, n); zeros for unknown keypoints."""

    points: Array
    joints: Array
    d_points: Array
    d_joints: Array


def evaluate(body: ReducedBody, state: BodyState) -> Evaluated:
    """The body in a state. Keypoints that it does not have are never observed: zeros in their place do no harm."""
    reduced = body.evaluate(state.betas, state.rotations, state.transl)
    assert reduced.d_points is not None and reduced.d_joints is not None
    return Evaluated(np.nan_to_num(reduced.points), reduced.joints, np.nan_to_num(reduced.d_points), reduced.d_joints)


@dataclass(frozen=True)
class PointNormals:
    """Quadratic model of the reprojection energy over points (K, 3): value, gradient (..., 3), hessian (..., 3, 3)."""

    value: float
    gradient: Array
    hessian: Array


def reprojection(points: Array, observations: PersonObservations, kernel: float) -> PointNormals:
    """Geman-McClure reprojection energy of points (K, 3) in the views' world, `kernel` in standard deviations."""
    terms = reprojection_terms(points, observations, kernel)
    return PointNormals(terms.value, terms.gradient.sum(0), terms.hessian.sum(0))


def reprojection_terms(points: Array, observations: PersonObservations, kernel: float) -> PointNormals:
    """The same for each view apart: gradient (M, K, 3), hessian (M, K, 3, 3); points (K, 3), or (M, K, 3) a view."""
    residual, jacobian, valid = project(points, observations)
    scaled = 1.0 / observations.sigma[..., None]
    squared = ((residual * scaled) ** 2).sum(-1)
    rho, robust = geman_mcclure(squared, kernel)
    rho = np.where(valid, rho, kernel**2)
    weight = np.where(valid, robust, 0.0) * observations.weight
    value = 0.5 * float((observations.weight * rho).sum())
    weighted = jacobian * (weight[..., None] * scaled**2)[..., None]
    gradient = np.einsum("mkai,mka->mki", weighted, residual)
    hessian = np.swapaxes(weighted, -1, -2) @ jacobian
    return PointNormals(value, gradient, hessian)


def project(points: Array, observations: PersonObservations) -> tuple[Array, Array, npt.NDArray[np.bool_]]:
    """Reprojection errors of points (K, 3), or (M, K, 3) a view.

    Returns
    -------
    residual : (M, K, 2) px.
    jacobian : (M, K, 2, 3) its derivative by the points.
    valid : (M, K) whether the point lies in front of the camera.
    """
    cam = transform(observations.cam_from_world, points)  # (M, K, 3)
    valid = cam[..., 2] > _NEAR
    depth = np.where(valid, cam[..., 2], 1.0)
    focal = np.stack([observations.K[:, 0, 0], observations.K[:, 1, 1]], -1)[:, None]
    normalised = cam[..., :2] / depth[..., None]
    predicted = normalised * focal + observations.K[:, None, :2, 2]
    by_cam = np.zeros((*cam.shape[:2], 2, 3))
    by_cam[..., 0, 0] = by_cam[..., 1, 1] = 1.0
    by_cam[..., 2] = -normalised
    by_cam *= (focal / depth[..., None])[..., None]
    jacobian = by_cam @ observations.cam_from_world[:, None, :, :3]
    return predicted - observations.pixels, jacobian, valid


def pull_back(normals: PointNormals, d_points: Array) -> tuple[Array, Array]:
    """Gradient (n,) and Gauss-Newton matrix (n, n) of unknowns that move the points by `d_points` (K, 3, n)."""
    flat = d_points.reshape(-1, d_points.shape[-1])
    weighted = np.einsum("kij,kjn->kin", normals.hessian, d_points).reshape(flat.shape)
    return normals.gradient.reshape(-1) @ flat, flat.T @ weighted


@dataclass(frozen=True)
class PersonEnergy:
    """Energy of one person whose body, in metres, is shrunk into the views' world by exp(-log_scale).

    Translation and offsets stay in the views' world: were offsets shrunk, their prior would pay for small people.

    Attributes
    ----------
    body : the body reduced to the detector's keypoints.
    observations : what the views say.
    priors : on shape and pose.
    kernel : Geman-McClure's scale, in standard deviations.
    offset_sd : (K,) standard deviation, an axis, of the offsets of the keypoints, units of the views' world.
    contours : where images show the body's outline; None before anybody has looked.
    """

    body: ReducedBody
    observations: PersonObservations
    priors: Priors
    kernel: float
    offset_sd: Array
    contours: ContourTerm | None = None

    def grown(self, factor: float) -> PersonEnergy:
        """The same in a world larger by `factor`."""
        contours = None if self.contours is None else self.contours.grown(factor)
        return replace(self, observations=self.observations.grown(factor), contours=contours)

    def points(self, state: PersonState) -> Array:
        """Keypoints (K, 3) as the detector sees them, m."""
        body = state.body
        reduced = self.body.evaluate(body.betas, body.rotations, body.transl, jacobian=False)
        return np.nan_to_num(reduced.points) + state.offsets

    def linearise_with_scale(self, state: PersonState, log_scale: float) -> DenseSystem:
        """The quadratic model over the state's unknowns and, last, the log-scale."""
        at_origin = evaluate(self.body, replace(state.body, transl=np.zeros(3)))
        shrink = np.exp(-log_scale)
        points = at_origin.points * shrink
        normals = reprojection(points + state.offsets + state.body.transl, self.observations, self.kernel)

        n, m = state.body.size, state.offsets.size
        offset, last = slice(n, n + m), n + m
        by_body = at_origin.d_points * shrink  # (K, 3, n)
        by_body[..., n - 3 :] = np.eye(3)  # transl is in the views' world
        outer = np.concatenate([by_body, -points[..., None]], axis=-1)
        rest = np.r_[:n, last]
        gradient, hessian = np.zeros(n + m + 1), np.zeros((n + m + 1, n + m + 1))
        gradient[rest], hessian[np.ix_(rest, rest)] = pull_back(normals, outer)
        # an offset moves its own keypoint alone
        gradient[offset] = normals.gradient.ravel()
        coupling = (normals.hessian @ outer).reshape(m, -1)
        hessian[offset, rest], hessian[rest, offset] = coupling, coupling.T
        hessian[offset, offset] = block_diag(*normals.hessian)

        prior_value, prior_gradient, prior_hessian = self.priors.linearise(state.body)
        gradient[:n] += prior_gradient
        hessian[:n, :n] += prior_hessian
        precision = np.repeat(self.offset_sd, 3) ** -2.0
        gradient[offset] += precision * state.offsets.ravel()
        hessian[range(n, last), range(n, last)] += precision
        value = normals.value + prior_value + 0.5 * float(precision @ state.offsets.ravel() ** 2)
        if self.contours is not None:
            outline = self.contours.linearise(state.body, shrink)
            value += outline.value
            gradient[rest] += outline.gradient
            hessian[np.ix_(rest, rest)] += outline.hessian
        return DenseSystem(value, gradient, hessian)


@dataclass(frozen=True)
class PersonProblem:
    """One person at a known scale."""

    energy: PersonEnergy
    log_scale: float = 0.0

    def linearise(self, state: PersonState) -> DenseSystem:
        system = self.energy.linearise_with_scale(state, self.log_scale)
        return DenseSystem(system.value, system.gradient[:-1], system.hessian[:-1, :-1])

    def retract(self, state: PersonState, step: Array) -> PersonState:
        return state.retract(step)


@dataclass(frozen=True)
class SceneState:
    """All people of a scene and its log-scale: log of metres a unit of the views' world."""

    people: tuple[PersonState, ...]
    log_scale: float


@dataclass(frozen=True)
class SceneProblem:
    """People who see each other only through the scale of the scene."""

    energies: Sequence[PersonEnergy]

    def linearise(self, state: SceneState) -> ArrowSystem:
        systems = [e.linearise_with_scale(p, state.log_scale) for e, p in zip(self.energies, state.people, strict=True)]
        shared = DenseSystem(
            0.0,
            np.array([sum(s.gradient[-1] for s in systems)]),
            np.array([[sum(s.hessian[-1, -1] for s in systems)]]),
        )
        return ArrowSystem(
            sum(s.value for s in systems),
            [DenseSystem(s.value, s.gradient[:-1], s.hessian[:-1, :-1]) for s in systems],
            [s.hessian[:-1, -1:] for s in systems],
            shared,
        )

    def retract(self, state: SceneState, step: Array) -> SceneState:
        people, start = [], 0
        for person in state.people:
            people.append(person.retract(step[start : start + person.size]))
            start += person.size
        return SceneState(tuple(people), state.log_scale + float(step[-1]))
