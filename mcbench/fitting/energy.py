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

from mcbench.body.reduced import ReducedBody
from mcbench.cameras.camera import transform
from mcbench.fitting.contour_energy import ContourTerm
from mcbench.fitting.observations import PersonObservations
from mcbench.fitting.priors import Priors
from mcbench.fitting.robust import geman_mcclure
from mcbench.fitting.solver import ArrowSystem, DenseSystem, OffsetSystem
from mcbench.fitting.state import BodyState, PersonState

Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_NEAR = 1e-3  # points nearer to the image plane than this (world units) count as not seen: the bound of the kernel

#: The entries of a symmetric 3 x 3 matrix.
_UPPER = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))


@dataclass(frozen=True)
class PointNormals:
    """Quadratic model of the reprojection energy over points (K, 3): value, gradient (..., 3), hessian (..., 3, 3)."""

    value: float
    gradient: Array
    hessian: Array


def reprojection(points: Array, observations: PersonObservations, kernel: float) -> PointNormals:
    """Geman-McClure reprojection energy of points (K, 3) in the views' world, `kernel` in standard deviations."""
    read = observations.readings
    x, y, z = transform(observations.cam_from_world, points)[read.row, read.keypoint].T
    valid = z > _NEAR
    depth = np.where(valid, z, 1.0)
    x, y = x / depth, y / depth
    across, down = read.focal * read.inverse_sigma
    off_x, off_y = (read.focal * (x, y) + read.principal - read.pixels) * read.inverse_sigma  # in standard deviations
    rho, robust = geman_mcclure(off_x**2 + off_y**2, kernel)
    value = 0.5 * float(read.weight @ np.where(valid, rho, kernel**2))
    weight = np.where(valid, robust, 0.0) * read.weight
    by_x = (read.axes[0] - x * read.axes[2]) * (across / depth)  # (3, N): rows of the Jacobian
    by_y = (read.axes[1] - y * read.axes[2]) * (down / depth)
    weighted_x, weighted_y = by_x * weight, by_y * weight
    terms = np.empty((9, len(weight)))
    terms[:3] = weighted_x * off_x + weighted_y * off_y
    for entry, (i, j) in enumerate(_UPPER, start=3):
        terms[entry] = weighted_x[i] * by_x[j] + weighted_y[i] * by_y[j]
    normals = np.zeros((9, len(points)))
    if len(weight):
        normals[:, read.keypoint[read.first]] = np.add.reduceat(terms, read.first, axis=1)
    hessian = np.empty((len(points), 3, 3))
    for entry, (i, j) in enumerate(_UPPER, start=3):
        hessian[:, i, j] = hessian[:, j, i] = normals[entry]
    return PointNormals(value, normals[:3].T.copy(), hessian)


def reprojection_terms(points: Array, observations: PersonObservations, kernel: float) -> PointNormals:
    """`reprojection` a view: gradient (M, K, 3), hessian (M, K, 3, 3); points (K, 3), or (M, K, 3) in each view."""
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
    active : the unknowns of the body that are sought, rising, translation last; None: all. The others stay.
    n_telling : so many of the first keypoints tell how large errors are, for all; None: all of them.
    """

    body: ReducedBody
    observations: PersonObservations
    priors: Priors
    kernel: float
    offset_sd: Array
    contours: ContourTerm | None = None
    active: IntArray | None = None
    n_telling: int | None = None

    def grown(self, factor: float) -> PersonEnergy:
        """The same in a world larger by `factor`."""
        contours = None if self.contours is None else self.contours.grown(factor)
        return replace(self, observations=self.observations.grown(factor), contours=contours)

    def points(self, state: PersonState) -> Array:
        """Keypoints (K, 3) as the detector sees them, m."""
        body = state.body
        reduced = self.body.evaluate(body.betas, body.rotations, body.transl, False, body.expression)
        return np.nan_to_num(reduced.points) + state.offsets

    def n_active(self, body: BodyState) -> int:
        """How many unknowns of the body are sought."""
        return body.size if self.active is None else len(self.active)

    def spread(self, step: Array, body: BodyState) -> Array:
        """A step (…) of the active unknowns of the body as one of all, (n,)."""
        if self.active is None:
            return step
        spread = np.zeros(body.size)
        spread[self.active] = step
        return spread

    def retract(self, state: PersonState, step: Array) -> PersonState:
        """The state reached by a step of the active unknowns of the body and the offsets."""
        n = self.n_active(state.body)
        return state.retract(np.concatenate([self.spread(step[:n], state.body), step[n:]]))

    def linearise(self, state: PersonState, log_scale: float, with_scale: bool) -> OffsetSystem:
        """The quadratic model over the body's active unknowns, the log-scale if asked for, and then the offsets."""
        body, active = state.body, self.active
        shrink = np.exp(-log_scale)
        points, by_body = self.body.with_jacobian(body.betas, body.rotations, np.zeros(3), body.expression, active)
        points *= shrink
        normals = reprojection(points + state.offsets + state.body.transl, self.observations, self.kernel)
        n, last = body.size, int(with_scale)
        by_body *= shrink
        by_body[..., -3:] = np.eye(3)  # transl is in the views' world
        jacobian = np.concatenate([by_body, -points[..., None]], axis=-1) if with_scale else by_body
        gradient, hessian = np.zeros(n + last), np.zeros((n + last, n + last))
        value, gradient[:n], hessian[:n, :n] = self.priors.linearise(body)
        if self.contours is not None:
            outline = self.contours.linearise(body, shrink, active)
            value += outline.value
            gradient += outline.gradient[: n + last]
            hessian += outline.hessian[: n + last, : n + last]
        if active is not None:
            chosen = active if not with_scale else np.append(active, n)
            gradient, hessian = gradient[chosen], hessian[np.ix_(chosen, chosen)]
        precision = self.offset_sd**-2.0
        value += normals.value + 0.5 * float(precision @ (state.offsets**2).sum(1))
        return OffsetSystem(
            value,
            DenseSystem(0.0, gradient, hessian),
            jacobian,
            normals.gradient,
            normals.hessian,
            state.offsets,
            precision,
        )


@dataclass(frozen=True)
class PersonProblem:
    """One person at a known scale."""

    energy: PersonEnergy
    log_scale: float = 0.0

    def linearise(self, state: PersonState) -> OffsetSystem:
        return self.energy.linearise(state, self.log_scale, with_scale=False)

    def retract(self, state: PersonState, step: Array) -> PersonState:
        return self.energy.retract(state, step)


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
        people = zip(self.energies, state.people, strict=True)
        return ArrowSystem([e.linearise(p, state.log_scale, with_scale=True) for e, p in people], 1)

    def retract(self, state: SceneState, step: Array) -> SceneState:
        people, start = [], 0
        for energy, person in zip(self.energies, state.people, strict=True):
            size = energy.n_active(person.body) + person.offsets.size
            people.append(energy.retract(person, step[start : start + size]))
            start += size
        return SceneState(tuple(people), state.log_scale + float(step[-1]))
