"""Did a person stand still? The same body, free to be elsewhere in each part of the clip.

A person who moves while the camera moves still triangulates to something: a static fit absorbs part of a movement
in depth. So the clip is cut into windows, and one body with its pose and shape is fitted anew with a displacement of
its own in each window. Its size in the image then tells its depth, and what the windows disagree by is the movement.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcbench.fitting.energy import PersonEnergy, pull_back, reprojection
from mcbench.fitting.solver import DenseSystem, minimise
from mcbench.fitting.state import BodyState

Array = npt.NDArray[np.float64]

_DISPLACEMENT_SD = 0.5  # m: weak prior that ties the windows together where a window says little
_MIN_PER_WINDOW = 4
_MAX_WINDOWS = 5


@dataclass(frozen=True)
class Movement:
    """How far a person moved within a clip.

    Attributes
    ----------
    distance : m, the largest between two windows.
    deviation : m, its standard deviation.
    displacement : (W, 3) m, each window's, their mean taken off.
    frames : (W, 2) first and last source frame of each window.
    """

    distance: float
    deviation: float
    displacement: Array
    frames: npt.NDArray[np.int64]


@dataclass(frozen=True)
class _MovingState:
    body: BodyState
    displacement: Array  # (W, 3)


@dataclass(frozen=True)
class _MovingProblem:
    """A person in metres whose body is displaced in each window."""

    energy: PersonEnergy
    windows: tuple[PersonEnergy, ...]

    def linearise(self, state: _MovingState) -> DenseSystem:
        body = state.body
        reduced = self.energy.body.evaluate(body.betas, body.rotations, body.transl)
        known = np.isfinite(reduced.points).all(-1)
        points = np.where(known[:, None], reduced.points, 0.0)
        d_body = np.where(known[:, None, None], reduced.d_points, 0.0)
        n, count = body.size, len(self.windows)
        value, gradient, hessian = 0.0, np.zeros(n + 3 * count), np.zeros((n + 3 * count, n + 3 * count))
        value, gradient[:n], hessian[:n, :n] = self.energy.priors.linearise(body)
        d_window = np.where(known[:, None, None], np.eye(3), 0.0)
        d_both = np.concatenate([d_body, d_window], axis=-1)
        for i, (window, shift) in enumerate(zip(self.windows, state.displacement, strict=True)):
            normals = reprojection(points + shift, window.observations, window.kernel)
            own_gradient, own_hessian = pull_back(normals, d_both)
            index = np.r_[0:n, n + 3 * i : n + 3 * i + 3]
            value += normals.value + 0.5 * float(shift @ shift) / _DISPLACEMENT_SD**2
            gradient[index] += own_gradient
            hessian[np.ix_(index, index)] += own_hessian
            gradient[index[n:]] += shift / _DISPLACEMENT_SD**2
            hessian[index[n:], index[n:]] += 1 / _DISPLACEMENT_SD**2
        return DenseSystem(value, gradient, hessian)

    def retract(self, state: _MovingState, step: Array) -> _MovingState:
        n = state.body.size
        return _MovingState(state.body.retract(step[:n]), state.displacement + step[n:].reshape(-1, 3))


def measure_movement(
    energy: PersonEnergy, state: BodyState, noise: float, *, max_iterations: int = 40
) -> Movement | None:
    """Movement of a person fitted as still; None where too few detections make two windows.

    Parameters
    ----------
    energy, state : the fit, in metres.
    noise : variance factor of the data, see `uncertainty.noise_factor`.
    """
    observations = energy.observations
    count = min(_MAX_WINDOWS, len(observations) // _MIN_PER_WINDOW)
    if count < 2:
        return None
    order = np.argsort(observations.frame, kind="stable")
    parts = [np.sort(part) for part in np.array_split(order, count)]
    windows = tuple(
        PersonEnergy(
            energy.body,
            observations.select(np.isin(np.arange(len(observations)), part)),
            energy.priors,
            energy.kernel,
        )
        for part in parts
    )
    problem = _MovingProblem(energy, windows)
    solution = minimise(problem, _MovingState(state, np.zeros((count, 3))), max_iterations=max_iterations)
    covariance = np.linalg.inv(problem.linearise(solution.state).hessian)[state.size :, state.size :] * max(noise, 1.0)
    place = solution.state.displacement - solution.state.displacement.mean(0)
    i, j = max(
        ((i, j) for i in range(count) for j in range(i + 1, count)),
        key=lambda pair: float(np.linalg.norm(place[pair[0]] - place[pair[1]])),
    )
    difference = place[i] - place[j]
    distance = float(np.linalg.norm(difference))
    pick = np.zeros(3 * count)
    direction = difference / max(distance, 1e-12)
    pick[3 * i : 3 * i + 3], pick[3 * j : 3 * j + 3] = direction, -direction
    frames = np.array([[observations.frame[p].min(), observations.frame[p].max()] for p in parts], dtype=np.int64)
    return Movement(distance, float(np.sqrt(pick @ covariance @ pick)), place, frames)
