"""Summaries with intervals: quantiles, Wilson's interval of a share, bootstrap over groups."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

Array = npt.NDArray[np.float64]


def median_and_p90(values: npt.ArrayLike) -> dict[str, float] | None:
    """`{median, p90}` of the finite values, None where there are none."""
    finite = _finite(values)
    if not finite.size:
        return None
    return {"median": float(np.median(finite)), "p90": float(np.quantile(finite, 0.9))}


def median(values: npt.ArrayLike) -> float | None:
    """Median of the finite values, None where there are none."""
    finite = _finite(values)
    return float(np.median(finite)) if finite.size else None


def share(part: int, whole: int) -> float | None:
    """part / whole, None where the whole is nothing."""
    return part / whole if whole else None


def wilson_interval(part: int, whole: int, confidence: float = 0.9) -> tuple[float, float] | None:
    """Wilson's score interval of a share (E. B. Wilson, JASA 22, 1927), None where the whole is nothing."""
    if not whole:
        return None
    z = float(norm.ppf(0.5 + confidence / 2))
    p = part / whole
    centre = (p + z * z / (2 * whole)) / (1 + z * z / whole)
    half = z * np.sqrt(p * (1 - p) / whole + z * z / (4 * whole * whole)) / (1 + z * z / whole)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def bootstrap_interval(
    groups: npt.ArrayLike,
    statistic: Callable[[npt.NDArray[np.int64]], float],
    *,
    confidence: float = 0.9,
    samples: int = 1000,
    seed: int = 0,
) -> tuple[float, float] | None:
    """Percentile bootstrap interval of a statistic over items that come in groups.

    Whole groups are drawn with replacement: the images of one person are no independent evidence.

    Parameters
    ----------
    groups : (N,) the group of each item.
    statistic : from indices of items (with repeats) to a number; NaN where it is undefined.

    Returns
    -------
    (low, high), or None with fewer than two groups or where the statistic is undefined.
    """
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    count = int(group.max(initial=-1)) + 1
    if count < 2:
        return None
    members = [np.flatnonzero(group == g) for g in range(count)]
    rng = np.random.default_rng(seed)
    drawn = [statistic(np.concatenate([members[g] for g in rng.integers(count, size=count)])) for _ in range(samples)]
    finite = _finite(drawn)
    if not finite.size:
        return None
    low, high = np.quantile(finite, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return float(low), float(high)


def _finite(values: npt.ArrayLike) -> Array:
    array = np.asarray(values, dtype=np.float64).ravel()
    return array[np.isfinite(array)]
