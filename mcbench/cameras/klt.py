"""Following points from one image to another: pyramidal Lucas-Kanade (Bouguet 2000), as OpenCV has it."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float32]

_LEVELS = 3
_STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 0.01)


def corners(grey: Grey, count: int) -> Points:
    """Up to `count` corners (N, 2) worth following (Shi and Tomasi), spread over a grey image (h, w).

    Points here have the centre of the first pixel at 0, as OpenCV counts.
    """
    distance = max(3.0, 0.5 * np.sqrt(grey.size / count))
    found = cv2.goodFeaturesToTrack(grey, count, 0.005, distance)
    return np.zeros((0, 2), np.float32) if found is None else found.reshape(-1, 2).astype(np.float32)


def follow(
    before: Grey,
    after: Grey,
    points: Points,
    guess: Points | None = None,
    *,
    window: int = 15,
    levels: int = _LEVELS,
) -> tuple[Points, npt.NDArray[np.float32]]:
    """Points (N, 2) of one image in another.

    Parameters
    ----------
    points : (N, 2), NaN for unknown ones.
    guess : (N, 2) where to start looking; the points themselves when None.
    window : side of the patches compared, px.
    levels : how often images are halved; the more, the farther from the guess a point may be.

    Returns
    -------
    there : (N, 2), NaN for points that were unknown, not found or left the image.
    difference : (N,) mean absolute difference of the patches, grey levels; NaN where `there` is.
    """
    there = np.full_like(points, np.nan)
    difference = np.full(len(points), np.nan, dtype=np.float32)
    start = points if guess is None else guess
    rows = np.flatnonzero(np.isfinite(points[:, 0]) & np.isfinite(start[:, 0]))
    if len(rows):
        found, status, error = cv2.calcOpticalFlowPyrLK(
            before,
            after,
            points[rows],
            start[rows].copy(),
            winSize=(window, window),
            maxLevel=levels,
            criteria=_STOP,
            flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
        )
        good = status.ravel() == 1
        good &= (found >= 0).all(axis=1) & (found < [after.shape[1], after.shape[0]]).all(axis=1)
        there[rows[good]] = found[good]
        difference[rows[good]] = error.ravel()[good]
    return there, difference


def follow_both_ways(before: Grey, after: Grey, points: Points, *, tolerance_px: float = 1.0) -> Points:
    """Points (N, 2) of one image in another, NaN where following them back does not return to where they were."""
    there, _ = follow(before, after, points)
    back, _ = follow(after, before, there, np.where(np.isfinite(there), points, np.nan).astype(np.float32))
    off = np.linalg.norm(back - points, axis=1)
    there[~(off < tolerance_px)] = np.nan
    return there
