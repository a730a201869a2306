"""Points of a body as sparse weighted means of its vertices, learnt by least squares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

Array = npt.NDArray[np.float64]

#: Largest number of vertices that may carry a point before non-negativity thins them out.
CANDIDATES = 160
#: Expected size of weights of either sign, and of the error, an axis, that they leave: their ratio damps them.
_WEIGHT, _ERROR_M = 0.1, 0.003


@dataclass(frozen=True)
class SparseMean:
    """A point as a weighted mean of vertices: indices, weights that sum to one, RMS error (m) where learnt."""

    vertices: npt.NDArray[np.int64]
    weights: Array
    rms: float


def farthest_points(points: Array, count: int) -> npt.NDArray[np.int64]:
    """Indices of `count` points spread as evenly as may be, starting with the one nearest to the middle."""
    chosen = [int(np.linalg.norm(points - points.mean(0), axis=1).argmin())]
    distance = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < min(count, len(points)):
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.array(chosen)


def learn_mean(
    bodies: Array, targets: Array, candidates: npt.NDArray[np.int64], whitening: Array | None = None
) -> SparseMean:
    """Least-squares non-negative weights of vertices for a point, summing to one (Lawson and Hanson 1974).

    Parameters
    ----------
    bodies : (N, V, 3) vertices. targets : (N, 3) the point on each. candidates : vertices that may be used.
    whitening : (N, 3, 3) applied to each error before it is squared; None to count all directions alike.
    """
    picked = bodies[:, candidates]
    offset = (picked - targets[:, None]).transpose(0, 2, 1)
    system = (offset if whitening is None else whitening @ offset).reshape(-1, len(candidates))
    # As positions relative to the target are to vanish, a heavy row holds the sum at one.
    heavy = 1e3
    system = np.vstack([system, np.full((1, len(candidates)), heavy)])
    weights, _ = nnls(system, np.append(np.zeros(len(system) - 1), heavy))
    weights[weights < 1e-3 * weights.max()] = 0
    weights /= weights.sum()
    used = np.nonzero(weights)[0]
    return SparseMean(candidates[used], weights[used], _rms(picked[:, used], weights[used], targets))


def learn_signed_mean(bodies: Array, targets: Array, candidates: npt.NDArray[np.int64]) -> SparseMean:
    """Least-squares weights of either sign for a point, summing to one, no larger than it takes.

    By ridge regression (Hoerl and Kennard 1970).

    A joint lies deep in the body, and how deep goes with what the body is like elsewhere, so that no mean of the skin
    around it is there on children and adults alike.

    Parameters
    ----------
    bodies : (N, V, 3) vertices. targets : (N, 3) the point on each. candidates : vertices that are used.
    """
    picked = bodies[:, candidates]
    offset = (picked - targets[:, None]).transpose(0, 2, 1).reshape(-1, len(candidates))
    damped = offset.T @ offset + (_ERROR_M / _WEIGHT) ** 2 * np.eye(len(candidates))
    weights = np.asarray(np.linalg.solve(damped, np.ones(len(candidates))), dtype=np.float64)
    weights /= weights.sum()
    return SparseMean(candidates, weights, _rms(picked, weights, targets))


def _rms(picked: Array, weights: Array, targets: Array) -> float:
    """Root mean square distance of the means (N,) of vertices (N, W, 3) from targets (N, 3)."""
    error = np.einsum("nvx,v->nx", picked, weights) - targets
    return float(np.sqrt((error**2).sum(-1).mean()))


def near(mean: Array, allowed: npt.NDArray[np.bool_], point: Array, radius: float) -> npt.NDArray[np.int64]:
    """Up to `CANDIDATES` well-spread vertices around a point of the mean body."""
    distance = np.linalg.norm(mean - point, axis=1)
    inside = np.nonzero(allowed & (distance < max(radius, np.sort(distance[allowed])[40])))[0]
    return inside[farthest_points(mean[inside], CANDIDATES)]


def single(mean: Array, allowed: npt.NDArray[np.bool_], point: Array) -> SparseMean:
    """The one vertex nearest to a point of the mean body."""
    nearest = int(np.where(allowed, np.linalg.norm(mean - point, axis=1), np.inf).argmin())
    return SparseMean(np.array([nearest]), np.ones(1), 0.0)


def midpoint(a: SparseMean, b: SparseMean) -> SparseMean:
    return SparseMean(
        np.concatenate([a.vertices, b.vertices]), np.concatenate([a.weights, b.weights]) / 2, max(a.rms, b.rms)
    )
