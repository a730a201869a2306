"""Did a person stand still? The same body, free to travel in the course of the clip.

A person who moves while the camera moves still triangulates to something: a static fit takes a part of a movement
for depth and size. So one body with its pose and shape is fitted anew, displaced along a path that is piecewise
linear in time. Its size in the image then tells its depth, and the path's extent is the movement.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mcbench.fitting.energy import PersonEnergy, PointNormals, pull_back, reprojection_terms
from mcbench.fitting.solver import DenseSystem, minimise
from mcbench.fitting.state import PersonState
from mcbench.fitting.uncertainty import noise_factor_at

Array = npt.NDArray[np.float64]

_DISPLACEMENT_SD = 0.5  # m: weak prior that ties the path together where the views say little
_MIN_PER_KNOT = 4  # detections
_MAX_KNOTS = 5
_WIDE_KERNEL = 15.0
# Variance factor of the data at most: larger ones come from a body that does not fit, whose energy the kernel bounds.
_MAX_NOISE = 2.5
_SURE = 3.0  # standard deviations


@dataclass(frozen=True)
class Movement:
    """How far a person moved within a clip.

    Attributes
    ----------
    distance : m, the largest between two knots of the path that agrees best with the detections.
    deviation : m, its standard deviation.
    displacement : (W, 3) m, the path's knots, their mean taken off.
    frames : (W,) source frame of each knot.
    gain : log-likelihood ratio of moving against standing still, from the data alone: the priors must not speak
        here, as someone whose size is unusual would fit them better as an average person who travels with the camera.
    """

    distance: float
    deviation: float
    displacement: Array
    frames: npt.NDArray[np.int64]
    gain: float

    @property
    def estimate(self) -> float:
        """What the person is best said to have moved, m: `distance` times `shrinkage`."""
        return self.distance * self.shrinkage

    @property
    def shrinkage(self) -> float:
        """The share of the path, in [0, 1], that is more than noise.

        The best path of someone who stands still is never none: where views tell little, towards the camera above
        all, it may be long. The positive-part estimator of James and Stein (1961) takes off what its freedoms gain
        by noise.
        """
        return max(0.0, 1.0 - self._freedoms / max(2 * self.gain, 1e-12))

    @property
    def _freedoms(self) -> int:
        return 3 * (len(self.displacement) - 1)

    @property
    def at_least(self) -> float:
        """What the person moved at least, m: the distance less three of the standard deviations that `gain` implies.

        Were the energy quadratic along the movement, its gain would be (distance / deviation)^2 / 2. Unlike
        `deviation`, which holds at the solution, this sees the whole way from standing still. A path that follows
        nothing but noise gains half a unit for each of its freedoms (Wilks 1938), which is taken off first.
        """
        return self.distance * max(0.0, 1 - _SURE / np.sqrt(max(2 * self.gain - self._freedoms, 1e-12)))


@dataclass(frozen=True)
class _MovingState:
    person: PersonState
    knots: Array  # (W, 3)


@dataclass(frozen=True)
class _MovingProblem:
    """A person in metres who is displaced along a path; `blend` (M, W) are the knots' shares in each detection."""

    energy: PersonEnergy
    blend: Array

    def points(self, state: _MovingState) -> Array:
        """Keypoints (M, K, 3) in each of the detections."""
        return self.energy.points(state.person) + (self.blend @ state.knots)[:, None]

    def data_value(self, state: _MovingState) -> float:
        """The part of the energy that comes from the detections."""
        return reprojection_terms(self.points(state), self.energy.observations, self.energy.kernel).value

    def noise(self, state: _MovingState) -> float:
        """Variance factor of the data once the movement is allowed for: what it explains is no noise."""
        return noise_factor_at(self.points(state), self.energy.observations)

    def linearise(self, state: _MovingState) -> DenseSystem:
        """Over the body and the knots; the offsets of the keypoints stay as the still fit has them."""
        body = state.person.body
        where = body.betas, body.rotations, body.transl, body.expression
        points, d_points = self.energy.body.with_jacobian(*where, self.energy.active)
        points = points + state.person.offsets + (self.blend @ state.knots)[:, None]
        terms = reprojection_terms(points, self.energy.observations, self.energy.kernel)
        gradient, hessian = terms.gradient, terms.hessian
        n, count = self.energy.n_active(body), len(state.knots)
        summed = PointNormals(terms.value, gradient.sum(0), hessian.sum(0))
        value, g, h = self.energy.priors.linearise(body)
        if (active := self.energy.active) is not None:
            g, h = g[active], h[np.ix_(active, active)]
        body_gradient, body_hessian = pull_back(summed, d_points)
        by_knot = np.einsum("mw,mkij->wkij", self.blend, hessian)
        coupling = np.einsum("wkij,kjn->win", by_knot, d_points).reshape(3 * count, n)
        knots_hessian = np.einsum("mv,mw,mij->viwj", self.blend, self.blend, hessian.sum(1)).reshape(
            3 * count, 3 * count
        )
        stiffness = 1 / _DISPLACEMENT_SD**2
        knots_gradient = (self.blend.T @ gradient.sum(1)).ravel() + stiffness * state.knots.ravel()
        return DenseSystem(
            value + terms.value + 0.5 * stiffness * float((state.knots**2).sum()),
            np.concatenate([g + body_gradient, knots_gradient]),
            np.block([[h + body_hessian, coupling.T], [coupling, knots_hessian + stiffness * np.eye(3 * count)]]),
        )

    def retract(self, state: _MovingState, step: Array) -> _MovingState:
        body = state.person.body
        n = self.energy.n_active(body)
        person = replace(state.person, body=body.retract(self.energy.spread(step[:n], body)))
        return _MovingState(person, state.knots + step[n:].reshape(-1, 3))


def measure_movement(
    energy: PersonEnergy, state: PersonState, noise: float, *, max_iterations: int = 40
) -> Movement | None:
    """Movement of a person fitted as still; None where too few detections make two knots.

    Parameters
    ----------
    energy, state : the fit, in metres; the energy has the keypoint model's own noise.
    noise : variance factor of the data, see `uncertainty.noise_factor`.
    """
    frames = energy.observations.frame
    count = min(_MAX_KNOTS, len(frames) // _MIN_PER_KNOT)
    if count < 2:
        return None
    knots = np.round(np.quantile(np.unique(frames), np.linspace(0, 1, count))).astype(np.int64)
    problem = _MovingProblem(energy, np.stack([np.interp(frames, knots, row) for row in np.eye(count)], axis=1))
    start = _MovingState(state, np.zeros((count, 3)))
    # keypoints of a mover are outliers of the still fit: a wide kernel lets them pull the path to where they are
    rough = minimise(
        replace(problem, energy=replace(energy, kernel=_WIDE_KERNEL)), start, max_iterations=max_iterations
    )
    solution = min(
        (minimise(problem, s, max_iterations=max_iterations) for s in (start, rough.state)), key=lambda s: s.value
    )
    place = solution.state.knots - solution.state.knots.mean(0)
    i, j = max(
        ((i, j) for i in range(count) for j in range(i + 1, count)),
        key=lambda pair: float(np.linalg.norm(place[pair[0]] - place[pair[1]])),
    )
    difference = place[i] - place[j]
    distance = float(np.linalg.norm(difference))
    noise = float(np.clip(min(noise, problem.noise(solution.state)), 1.0, _MAX_NOISE))
    hessian = problem.linearise(solution.state).hessian
    n = energy.n_active(state.body)
    covariance = np.linalg.inv(hessian)[n:, n:] * noise
    pick = np.zeros(3 * count)
    direction = difference / max(distance, 1e-12)
    pick[3 * i : 3 * i + 3], pick[3 * j : 3 * j + 3] = direction, -direction
    gain = (problem.data_value(start) - problem.data_value(solution.state)) / noise
    return Movement(distance, float(np.sqrt(pick @ covariance @ pick)), place, knots, gain)
