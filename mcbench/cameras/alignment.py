"""Least-squares alignment of point sets: rigid or with scale, one pair of sets or many at once.

The closed form is Umeyama's (PAMI 1991): the rotation from the singular value decomposition of the
cross-covariance with its sign corrected so that it never reflects, the scale as the trace of the
corrected singular values over the variance of the source.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcbench.cameras.camera import Array

#: Singular values of the cross-covariance below this share of the two sets' spread count as zero.
_RANK_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Similarity:
    """The map x -> scale * R @ x + t.

    Attributes
    ----------
    scale : positive.
    R : (3, 3) rotation.
    t : (3,) translation, units of the target.
    """

    scale: float
    R: Array
    t: Array

    @classmethod
    def identity(cls) -> Similarity:
        return cls(1.0, np.eye(3), np.zeros(3))

    def apply(self, points: npt.ArrayLike) -> Array:
        """Map points (..., 3)."""
        return self.scale * np.asarray(points, dtype=np.float64) @ self.R.T + self.t

    def inverse(self) -> Similarity:
        return Similarity(1.0 / self.scale, self.R.T, -self.R.T @ self.t / self.scale)

    def compose(self, first: Similarity) -> Similarity:
        """The map that applies `first`, then this one."""
        return Similarity(self.scale * first.scale, self.R @ first.R, self.apply(first.t))

    def apply_to_camera(self, cam_from_world: npt.ArrayLike) -> Array:
        """Poses (..., 3, 4) in the source's world to poses in the target's world, which see the same pixels.

        The camera's own frame takes the target's units: depths are multiplied by `scale`.
        """
        pose = np.asarray(cam_from_world, dtype=np.float64)
        rotation = pose[..., :3] @ self.R.T
        translation = self.scale * pose[..., 3] - rotation @ self.t
        return np.concatenate([rotation, translation[..., None]], axis=-1)


def umeyama(
    src: npt.ArrayLike, dst: npt.ArrayLike, with_scale: bool = True, weights: npt.ArrayLike | None = None
) -> Similarity:
    """The similarity that maps `src` (N, 3) onto `dst` (N, 3) with the least weighted sum of squares.

    Parameters
    ----------
    with_scale : False for a rigid motion.
    weights : (N,) not negative; None for equal ones.

    Raises
    ------
    ValueError : shapes differ, values are not finite, or the points do not determine a rotation
        (fewer than three, coincident or collinear in either set).
    """
    source, target = np.asarray(src, dtype=np.float64), np.asarray(dst, dtype=np.float64)
    if source.ndim != 2 or source.shape[1] != 3 or source.shape != target.shape:
        raise ValueError(f"expected two sets of points (N, 3), got {source.shape} and {target.shape}")
    scale, rotation, translation, determined = _solve(source, target, with_scale, weights)
    if not determined:
        raise ValueError(
            "the points do not determine a rotation: fewer than three, coincident, collinear or not finite"
        )
    return Similarity(float(scale), rotation, translation)


def procrustes(
    src: npt.ArrayLike, dst: npt.ArrayLike, with_scale: bool = True, weights: npt.ArrayLike | None = None
) -> Array:
    """`src` (..., N, 3) after the best similarity (or rigid motion) onto `dst`, each member of the batch on its own.

    Members whose points do not determine a rotation (see `umeyama`) are NaN.

    Parameters
    ----------
    weights : (..., N) not negative, or None.
    """
    source, target = np.broadcast_arrays(np.asarray(src, dtype=np.float64), np.asarray(dst, dtype=np.float64))
    if source.ndim < 2 or source.shape[-1] != 3:
        raise ValueError(f"expected sets of points (..., N, 3), got {source.shape}")
    scale, rotation, translation, determined = _solve(source, target, with_scale, weights)
    moved = scale[..., None, None] * source @ np.swapaxes(rotation, -1, -2) + translation[..., None, :]
    return np.where(determined[..., None, None], moved, np.nan)


def _solve(
    src: Array, dst: Array, with_scale: bool, weights: npt.ArrayLike | None
) -> tuple[Array, Array, Array, npt.NDArray[np.bool_]]:
    """Scale (...), R (..., 3, 3), t (..., 3) and whether the points determine them (...)."""
    w = np.ones(src.shape[:-1]) if weights is None else np.asarray(weights, dtype=np.float64)
    w = np.broadcast_to(w, src.shape[:-1])
    if (w < 0).any():
        raise ValueError("weights must not be negative")
    finite = np.isfinite(src).all(axis=(-1, -2)) & np.isfinite(dst).all(axis=(-1, -2)) & np.isfinite(w).all(axis=-1)
    total = w.sum(axis=-1)
    usable = finite & (total > 0)
    safe = usable[..., None, None]
    src, dst = np.where(safe, src, 0.0), np.where(safe, dst, 0.0)
    w = np.where(usable[..., None], w, 1.0)
    w = w / np.maximum(w.sum(axis=-1, keepdims=True), np.finfo(float).tiny)
    mean_src = np.einsum("...n,...ni->...i", w, src)
    mean_dst = np.einsum("...n,...ni->...i", w, dst)
    a, b = src - mean_src[..., None, :], dst - mean_dst[..., None, :]
    variance_src = np.einsum("...n,...ni,...ni->...", w, a, a)
    variance_dst = np.einsum("...n,...ni,...ni->...", w, b, b)

    covariance = np.einsum("...n,...ni,...nj->...ij", w, b, a)
    u, singular, vt = np.linalg.svd(covariance)
    sign = np.ones_like(singular)
    sign[..., -1] = np.where(np.linalg.det(u) * np.linalg.det(vt) < 0, -1.0, 1.0)
    rotation = (u * sign[..., None, :]) @ vt

    # Two directions of spread fix a rotation: the third follows from its handedness.
    spread = np.sqrt(variance_src * variance_dst)
    determined = usable & (spread > 0) & (singular[..., 1] > _RANK_TOLERANCE * spread)
    ratio = (singular * sign).sum(axis=-1) / np.where(determined, variance_src, 1.0)
    scale = ratio if with_scale else np.ones_like(ratio)
    determined = determined & (scale > 0)
    translation = mean_dst - scale[..., None] * np.einsum("...ij,...j->...i", rotation, mean_src)
    return scale, rotation, translation, determined
