"""Errors of 3D pose and shape: MPJPE, PA-MPJPE, PVE, PA-PVE, with every choice of alignment explicit.

All functions take batches of N bodies and return one number a body, metres. A batch may have any size (0, 1, 2
and 3 included). Predictions are finite; what is missing is the caller's to count as missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from mcbench.cameras.alignment import Similarity, umeyama

Array = npt.NDArray[np.float64]
#: What Procrustes alignment of vertices looks at: the joints (EMDB, AGORA) or the vertices themselves.
AlignBy = Literal["joints", "vertices"]


def centred_on(points: npt.ArrayLike, joints: npt.ArrayLike, root: Sequence[int]) -> Array:
    """Points (N, M, 3) relative to the mean of the root joints of `joints` (N, J, 3)."""
    origin = np.asarray(joints, dtype=np.float64)[:, list(root)].mean(axis=1, keepdims=True)
    return np.asarray(points, dtype=np.float64) - origin


def procrustes_onto(source: npt.ArrayLike, target: npt.ArrayLike, moved: npt.ArrayLike | None = None) -> Array:
    """Map `moved` (N, M, 3) by the similarities that best take `source` (N, J, 3) to `target` (N, J, 3).

    A source without shape (all points coincident or on a line: an all-zero prediction, say) determines no
    similarity; it is scored as a single point at the target's mean, so that it costs something and never a NaN.

    Parameters
    ----------
    moved : what is mapped; `source` itself when None.
    """
    source, target = np.asarray(source, dtype=np.float64), np.asarray(target, dtype=np.float64)
    moved = source if moved is None else np.asarray(moved, dtype=np.float64)
    out = np.empty_like(moved)
    for i, (src, dst, points) in enumerate(zip(source, target, moved, strict=True)):
        try:
            best = umeyama(src, dst)
        except ValueError:
            best = Similarity(0.0, np.eye(3), dst.mean(axis=0))
        out[i] = best.apply(points)
    return out


def mean_distance(predicted: npt.ArrayLike, true: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> Array:
    """Mean distance (N,) between points (N, M, 3), weighted by `weights` (M,) or (N, M) if given.

    A body whose weights are all zero has no measured error: NaN.
    """
    distance = np.linalg.norm(np.asarray(predicted, dtype=np.float64) - np.asarray(true, dtype=np.float64), axis=-1)
    if weights is None:
        return distance.mean(axis=-1)
    weight = np.broadcast_to(np.asarray(weights, dtype=np.float64), distance.shape)
    total = weight.sum(axis=-1)
    # a point of weight zero must not count even where it is unknown
    summed = np.where(weight > 0, distance * weight, 0.0).sum(axis=-1)
    return np.divide(summed, total, out=np.full(total.shape, np.nan), where=total > 0)


def mpjpe(
    predicted: npt.ArrayLike, true: npt.ArrayLike, root: Sequence[int] = (0,), joints: Sequence[int] | None = None
) -> Array:
    """Mean per-joint position error (N,), both skeletons (N, J, 3) moved so that their roots coincide.

    Parameters
    ----------
    root : the joints whose mean is the root: (0,) as 3DPW does, the hips (1, 2) as EMDB and AGORA do.
    joints : the joints scored; all when None.
    """
    scored = slice(None) if joints is None else list(joints)
    return mean_distance(centred_on(predicted, predicted, root)[:, scored], centred_on(true, true, root)[:, scored])


def pa_mpjpe(predicted: npt.ArrayLike, true: npt.ArrayLike, joints: Sequence[int] | None = None) -> Array:
    """MPJPE (N,) after the best similarity of each skeleton (N, J, 3), found on the scored joints."""
    scored = slice(None) if joints is None else list(joints)
    predicted = np.asarray(predicted, dtype=np.float64)[:, scored]
    true = np.asarray(true, dtype=np.float64)[:, scored]
    return mean_distance(procrustes_onto(predicted, true), true)


def pve(
    predicted: npt.ArrayLike,
    true: npt.ArrayLike,
    predicted_joints: npt.ArrayLike,
    true_joints: npt.ArrayLike,
    root: Sequence[int] = (0,),
    weights: npt.ArrayLike | None = None,
) -> Array:
    """Per-vertex error (N,) of vertices (N, V, 3) with the roots of the joints (N, J, 3) made to coincide."""
    return mean_distance(
        centred_on(predicted, predicted_joints, root), centred_on(true, true_joints, root), weights=weights
    )


def pa_pve(
    predicted: npt.ArrayLike,
    true: npt.ArrayLike,
    predicted_joints: npt.ArrayLike,
    true_joints: npt.ArrayLike,
    align_by: AlignBy = "joints",
    weights: npt.ArrayLike | None = None,
) -> Array:
    """Per-vertex error (N,) after the best similarity, found on the joints or on the vertices themselves."""
    source, target = (predicted_joints, true_joints) if align_by == "joints" else (predicted, true)
    return mean_distance(procrustes_onto(source, target, predicted), true, weights=weights)
