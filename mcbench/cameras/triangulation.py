"""Points from their projections in several views, robust against wrong ones.

Each point starts at the best of many two-view hypotheses (the midpoint of the rays' common
perpendicular; Hartley & Sturm, CVIU 1997, discuss its bias, which the next step removes) under the
Geman-McClure cost in pixels, and is refined by iteratively reweighted Gauss-Newton steps on that cost.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcbench.cameras.camera import Array

BoolArray = npt.NDArray[np.bool_]

#: Views of a point from which two-view hypotheses are drawn: 12 give 66 pairs.
_HYPOTHESIS_VIEWS = 12
_ITERATIONS = 12
#: An observation counts as an inlier up to this multiple of its sigma.
_INLIER_SIGMAS = 2.0
#: A least-squares step longer than this share of the distance to the cameras is shortened to it.
_MAX_STEP = 0.3
#: Observations of a point at most that tell which hypothesis is best.
_COMPARING_VIEWS = 100
#: Of so many rays, the angle between every two is looked at.
_ALL_PAIRS = 100
#: The directions from a cube's middle to its faces, edges and corners, one of each two opposite ones: (13, 3).
_DIRECTIONS = np.array([d for d in itertools.product((-1.0, 0.0, 1.0), repeat=3) if d > (0.0, 0.0, 0.0)])


@dataclass(frozen=True)
class Triangulation:
    """K points and how well they are known.

    Attributes
    ----------
    points : (K, 3) world; NaN where fewer than two inliers or too small an angle determine a point.
    rms_px : (K,) root mean square distance between the inliers and the projected point, px.
    inliers : (M, K) observations that agree with the point.
    covariance : (K, 3, 3) of the point, world units squared, for independent noise of the inliers' own
        root mean square an axis; NaN where the point is.
    angle : (K,) largest angle between two inliers' rays, radians; NaN where the point is.
    """

    points: Array
    rms_px: Array
    inliers: BoolArray
    covariance: Array
    angle: Array


def triangulate(
    projection: npt.ArrayLike,
    pixels: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    sigma_px: npt.ArrayLike = 5.0,
    min_angle: float = np.deg2rad(1.0),
    start: npt.ArrayLike | None = None,
) -> Triangulation:
    """Triangulate K points, each seen in up to M views.

    Parameters
    ----------
    projection : (M, 3, 4) K [R | t] of each observation's view; a view may occur several times.
    pixels : (M, K, 2) undistorted; NaN where not seen.
    weights : (M, K) in [0, 1], confidence of each observation; None for ones.
    sigma_px : scalar, (M,) or (M, K): scale of the Geman-McClure cost r^2 / (r^2 + sigma^2), px.
    min_angle : radians; points whose inliers' rays span less are NaN.
    start : (K, 3) known good points to refine without drawing hypotheses (NaN: draw them).

    Points behind a camera cost as much as an observation infinitely far away, and are no inliers.
    """
    P = np.asarray(projection, dtype=np.float64)
    xy = np.asarray(pixels, dtype=np.float64)
    if P.ndim != 3 or P.shape[1:] != (3, 4) or xy.ndim != 3 or xy.shape[0] != P.shape[0] or xy.shape[2] != 2:
        raise ValueError(f"expected projections (M, 3, 4) and pixels (M, K, 2), got {P.shape} and {xy.shape}")
    m, k = xy.shape[:2]
    seen = _finite(xy)
    w = np.ones((m, k)) if weights is None else np.array(np.broadcast_to(np.asarray(weights, np.float64), (m, k)))
    w[~seen | ~np.isfinite(w)] = 0.0
    sigma = np.asarray(sigma_px, dtype=np.float64)
    sigma = np.broadcast_to(sigma[:, None] if sigma.ndim == 1 else sigma, (m, k))
    xy = np.where(seen[..., None], xy, 0.0)

    centers, directions = rays(P, xy)
    points = np.full((k, 3), np.nan) if start is None else np.array(start, dtype=np.float64)
    todo = ~_finite(points)
    if todo.any():
        points[todo] = _hypotheses(P, xy[:, todo], w[:, todo], sigma[:, todo], centers, directions[:, todo])
    points = _refine(P, xy, w, sigma, centers, points)
    return _judge(P, xy, w, sigma, centers, points, min_angle)


def reprojection(projection: npt.ArrayLike, points: npt.ArrayLike) -> Array:
    """Points (K, 3) in each of M views (M, 3, 4): undistorted pixels (M, K, 2), NaN behind the camera."""
    xy, depth = _project(np.asarray(projection, dtype=np.float64), np.asarray(points, dtype=np.float64))
    return np.where(depth[..., None] > 0, xy, np.nan)


def _finite(vectors: Array) -> BoolArray:
    return np.asarray(np.isfinite(vectors).all(axis=-1))


def _project(P: Array, points: Array) -> tuple[Array, Array]:
    """Pixels (M, ..., 2) and depths (M, ...) of points (..., 3); pixels mean nothing where depth is not positive."""
    image = np.tensordot(P[:, :, :3], points, axes=(2, points.ndim - 1))  # (M, 3, ...)
    image = np.moveaxis(image, 1, -1) + P[:, :, 3].reshape(len(P), *([1] * (points.ndim - 1)), 3)
    return _divided(image)


def _divided(image: Array) -> tuple[Array, Array]:
    """Pixels (..., 2) and depths (...) of homogeneous ones (..., 3)."""
    depth = image[..., 2]
    return image[..., :2] / np.where(depth > 0, depth, 1.0)[..., None], depth


def rays(P: Array, xy: Array) -> tuple[Array, Array]:
    """Centres (M, 3) and directions (M, K, 3), of unit depth, of undistorted pixels (M, K, 2) in views P (M, 3, 4)."""
    inverse = np.linalg.inv(P[:, :, :3])
    centers = -np.einsum("mij,mj->mi", inverse, P[:, :, 3])
    homogeneous = np.concatenate([xy, np.ones((*xy.shape[:2], 1))], axis=-1)
    return centers, np.einsum("mij,mkj->mki", inverse, homogeneous)


def _hypotheses(P: Array, xy: Array, w: Array, sigma: Array, centers: Array, directions: Array) -> Array:
    """The best two-view point of each keypoint (K, 3), NaN where no pair meets in front of both cameras."""
    m, k = w.shape
    count = min(m, _HYPOTHESIS_VIEWS)
    first, second = np.triu_indices(count, 1)
    if k == 0 or len(first) == 0:
        return np.full((k, 3), np.nan)
    chosen = np.stack([_spread(w[:, j], count) for j in range(k)], axis=1)  # (count, K)
    usable = np.take_along_axis(w, chosen, axis=0) > 0
    c = centers[chosen]  # (count, K, 3)
    d = np.take_along_axis(directions, chosen[..., None], axis=0)
    candidates = midpoints(c[first], d[first], c[second], d[second])  # (pairs, K, 3)
    candidates[~(usable[first] & usable[second])] = np.nan

    known = _finite(candidates)
    placed = np.where(known[..., None], candidates, 0.0)
    if m > _COMPARING_VIEWS:
        judges = np.stack([_spread(w[:, j], _COMPARING_VIEWS) for j in range(k)], axis=1)  # (judges, K)
        xy = np.take_along_axis(xy, judges[..., None], axis=0)
        w, sigma = np.take_along_axis(w, judges, axis=0), np.take_along_axis(sigma, judges, axis=0)
        homogeneous = np.einsum("mkij,pkj->mpki", P[judges][..., :3], placed) + P[judges][:, None, ..., 3]
        image, depth = _divided(homogeneous)
    else:
        image, depth = _project(P, placed)  # (M, pairs, K, 2)
    squared = ((image - xy[:, None]) ** 2).sum(axis=-1) / sigma[:, None] ** 2
    cost = np.where(depth > 0, squared / (1.0 + squared), 1.0)
    total = np.where(known, np.einsum("mpk,mk->pk", cost, w), np.inf)
    best = np.argmin(total, axis=0)
    return candidates[best, np.arange(k)]


def _spread(weights: Array, count: int) -> npt.NDArray[np.int64]:
    """`count` observations, those of positive weight evenly spaced; filled up with others where there are too few."""
    positive = np.flatnonzero(weights > 0)
    if len(positive) >= count:
        return positive[np.linspace(0, len(positive) - 1, count).round().astype(np.int64)]
    return np.concatenate([positive, np.flatnonzero(weights <= 0)])[:count]


def midpoints(c1: Array, d1: Array, c2: Array, d2: Array) -> Array:
    """Midpoints (..., 3) of the common perpendiculars of rays c + s d, s > 0; NaN for parallel or diverging rays.

    Parameters
    ----------
    c1, c2 : (..., 3) origins.
    d1, d2 : (..., 3) directions of any length.
    """
    base = c2 - c1
    a, b, c = (d1 * d1).sum(-1), (d1 * d2).sum(-1), (d2 * d2).sum(-1)
    e, f = (d1 * base).sum(-1), (d2 * base).sum(-1)
    determinant = a * c - b * b
    valid = determinant > 1e-12 * a * c
    determinant = np.where(valid, determinant, 1.0)
    s1 = (c * e - b * f) / determinant
    s2 = (b * e - a * f) / determinant
    middle = 0.5 * (c1 + s1[..., None] * d1 + c2 + s2[..., None] * d2)
    return np.where((valid & (s1 > 0) & (s2 > 0))[..., None], middle, np.nan)


def two_view_points(projection: Array, pixels: Array, min_angle: float) -> Array:
    """Where the rays of each two of M observations meet, (M (M - 1) / 2, 3) in the order of `np.triu_indices(M, 1)`.

    NaN where they diverge or meet at less than `min_angle`, radians.

    Parameters
    ----------
    projection : (M, 3, 4) K [R | t] of each observation's view. pixels : (M, 2) undistorted.
    """
    first, second = np.triu_indices(len(pixels), 1)
    centers, directions = rays(projection, pixels[:, None])
    lines = directions[:, 0] / np.linalg.norm(directions[:, 0], axis=1, keepdims=True)
    wide = (lines[first] * lines[second]).sum(1) < np.cos(min_angle)
    points = midpoints(centers[first], lines[first], centers[second], lines[second])
    return np.where(wide[:, None], points, np.nan)


def _residuals(P: Array, xy: Array, points: Array) -> tuple[Array, Array, Array]:
    """Residuals (M, K, 2), their derivatives (M, K, 2, 3) and depths (M, K)."""
    image, depth = _project(P, points)
    safe = np.where(depth > 0, depth, 1.0)
    jacobian = (P[:, None, :2, :3] - image[..., None] * P[:, None, 2:, :3]) / safe[..., None, None]
    return image - xy, jacobian, depth


def _refine(P: Array, xy: Array, w: Array, sigma: Array, centers: Array, points: Array) -> Array:
    """Gauss-Newton on the Geman-McClure cost, all points at once; a point keeps its best iterate."""
    known = _finite(points)
    x = np.where(known[:, None], points, 0.0)
    reach = np.linalg.norm(x[None] - centers[:, None], axis=-1).min(axis=0, initial=np.inf)
    best, best_cost = x.copy(), np.full(len(x), np.inf)
    for _ in range(_ITERATIONS):
        residual, jacobian, depth = _residuals(P, xy, x)
        squared = (residual**2).sum(axis=-1) / sigma**2
        cost = (w * np.where(depth > 0, squared / (1 + squared), 1.0)).sum(axis=0)
        better = cost < best_cost
        best[better], best_cost[better] = x[better], cost[better]
        robust = np.where(depth > 0, w / (sigma * (1 + squared)) ** 2, 0.0)
        normal = np.einsum("mk,mkia,mkib->kab", robust, jacobian, jacobian)
        gradient = np.einsum("mk,mkia,mki->ka", robust, jacobian, residual)
        # Relative damping keeps the step finite along a direction that the rays leave open.
        normal += (1e-9 * np.trace(normal, axis1=1, axis2=2) + 1e-30)[:, None, None] * np.eye(3)
        step = -np.linalg.solve(normal, gradient[..., None])[..., 0]
        length = np.linalg.norm(step, axis=-1)
        x = x + step * np.minimum(1.0, _MAX_STEP * reach / np.maximum(length, 1e-300))[:, None]
        if (length[known] <= 1e-9 * reach[known]).all():
            break
    return np.where(known[:, None], best, np.nan)


def _judge(
    P: Array, xy: Array, w: Array, sigma: Array, centers: Array, points: Array, min_angle: float
) -> Triangulation:
    known = _finite(points)
    x = np.where(known[:, None], points, 0.0)
    residual, jacobian, depth = _residuals(P, xy, x)
    squared = (residual**2).sum(axis=-1)
    inliers = known & (depth > 0) & (w > 0) & (squared <= (_INLIER_SIGMAS * sigma) ** 2)

    rays = x[None] - centers[:, None]
    rays /= np.maximum(np.linalg.norm(rays, axis=-1, keepdims=True), 1e-300)
    angle = _widest(rays, inliers)
    known &= (inliers.sum(axis=0) >= 2) & (angle >= min_angle)

    count = np.maximum(inliers.sum(axis=0), 1)
    rms = np.sqrt(np.where(inliers, squared, 0.0).sum(axis=0) / count)
    use = np.where(inliers, w, 0.0)
    normal = np.einsum("mk,mkia,mkib->kab", use, jacobian, jacobian)
    scale = np.trace(normal, axis1=1, axis2=2)
    regular = known & (np.linalg.eigvalsh(normal)[:, 0] > 1e-14 * scale)
    covariance = np.full((len(x), 3, 3), np.nan)
    covariance[regular] = np.linalg.inv(normal[regular]) * (0.5 * rms[regular] ** 2)[:, None, None]
    return Triangulation(
        np.where(known[:, None], x, np.nan),
        np.where(known, rms, np.nan),
        inliers & known,
        covariance,
        np.where(known, angle, np.nan),
    )


def _widest(rays: Array, inliers: BoolArray) -> Array:
    """Largest angle (K,) between two inliers' unit rays (M, K, 3); 0 with fewer than two.

    Of more than `_ALL_PAIRS` rays, between those that lie outermost in one of 13 directions: the chord of the angle is
    nine tenths of the largest at least, as no direction is more than 28 degrees off one of them.
    """
    columns, inlying = np.where(inliers.T[..., None], np.swapaxes(rays, 0, 1), 0.0), inliers.T  # (K, M, 3), (K, M)
    if len(rays) > _ALL_PAIRS:
        along = np.where(inlying[..., None], columns @ _DIRECTIONS.T, np.nan)
        known = inlying.any(axis=1)
        outermost = np.zeros((len(columns), 2 * len(_DIRECTIONS)), dtype=np.int64)
        outermost[known] = np.concatenate([np.nanargmin(along[known], axis=1), np.nanargmax(along[known], axis=1)], 1)
        columns = np.take_along_axis(columns, outermost[..., None], axis=1)
        inlying = np.take_along_axis(inlying, outermost, axis=1)
    cosine = columns @ np.swapaxes(columns, 1, 2)
    both = inlying[:, :, None] & inlying[:, None, :]
    return np.arccos(np.clip(np.where(both, cosine, 1.0).min(axis=(1, 2), initial=1.0), -1.0, 1.0))
