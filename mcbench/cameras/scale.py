"""How large things are in an image."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def image_scale(pose2d: Array, pose3d: Array, confidence: Array, surest: int | None = None) -> float:
    """Pixels a metre of something whose joints are known in the image (J, 2) and in space (J, 3), camera axes.

    Parameters
    ----------
    confidence : (J,) joints of none do not count.
    surest : take only so many joints, the surest ones; None for all.

    Returns
    -------
    The ratio of how far the joints spread; NaN where fewer than two are known.
    """
    known = np.isfinite(pose2d).all(axis=1) & np.isfinite(pose3d).all(axis=1)
    best = np.flatnonzero(known & (confidence > 0))
    best = best[np.argsort(-confidence[best], kind="stable")][:surest]
    if len(best) < 2:
        return float("nan")
    in_image, in_space = pose2d[best], pose3d[best, :2]
    return float(np.sqrt(in_image.var(axis=0).sum() / max(in_space.var(axis=0).sum(), 1e-12)))
