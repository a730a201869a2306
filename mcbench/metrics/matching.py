"""One-to-one matching of people: Hungarian assignment on a cost, with a gate."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

Array = npt.NDArray[np.float64]


def match(cost: npt.ArrayLike, gate: float) -> list[tuple[int, int]]:
    """The one-to-one pairs (row, column) of least total cost among the assignments with most pairs within the gate.

    Parameters
    ----------
    cost : (A, B); NaN where a pair is impossible.
    gate : the largest cost of a pair.

    Returns
    -------
    Pairs sorted by row.
    """
    cost = np.asarray(cost, dtype=np.float64)
    if 0 in cost.shape:
        return []
    allowed = np.nan_to_num(cost, nan=np.inf) <= gate
    if not allowed.any():
        return []
    # a forbidden pair costs more than all allowed ones together, so that one more allowed pair always pays
    spread = float(cost[allowed].max() - min(0.0, cost[allowed].min()))
    forbidden = (spread + 1.0) * (min(cost.shape) + 1)
    rows, columns = linear_sum_assignment(np.where(allowed, cost, forbidden))
    return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if allowed[r, c]]


def mean_joint_distance(a: npt.ArrayLike, b: npt.ArrayLike, used: npt.ArrayLike | None = None) -> Array:
    """Mean distance (A, B) between skeletons a (A, J, 3) and b (B, J, 3).

    Parameters
    ----------
    used : (B, J) bool, the joints of b that count; all when None. NaN where none counts.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    distance = np.linalg.norm(a[:, None] - b[None], axis=-1)
    mask = np.ones(b.shape[:2], dtype=bool) if used is None else np.asarray(used, dtype=bool)
    count = mask.sum(axis=1)
    total = np.where(mask[None], distance, 0.0).sum(axis=-1)
    return np.divide(total, count[None], out=np.full(total.shape, np.nan), where=count[None] > 0)


def box_iou(a: npt.ArrayLike, b: npt.ArrayLike) -> Array:
    """Intersection over union (A, B) of boxes (A, 4) and (B, 4), x0 y0 x1 y1; 0 for empty or unknown boxes."""
    a = np.asarray(a, dtype=np.float64).reshape(-1, 4)[:, None]
    b = np.asarray(b, dtype=np.float64).reshape(-1, 4)[None]
    side = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0.0, None)
    overlap = side.prod(axis=-1)
    union = _area(a) + _area(b) - overlap
    return np.nan_to_num(np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0))


def _area(box: Array) -> Array:
    return np.clip(box[..., 2:] - box[..., :2], 0.0, None).prod(axis=-1)
