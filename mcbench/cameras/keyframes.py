"""Motion of a clip, measured cheaply on small frames, and the keyframes it asks for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from mcbench.cameras.features import working_image

#: Longer side of the frames on which motion is measured, px. All lengths here are in px of such a frame.
FLOW_SIZE = 480
_MAX_CORNERS = 400
_LK = {
    "winSize": (15, 15),
    "maxLevel": 3,
    "criteria": (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 0.03),
}
#: A new anchor is taken when fewer than this share of its corners are still tracked.
_MIN_SURVIVORS = 0.5
_FORWARD_BACKWARD_PX = 1.0


@dataclass(frozen=True)
class Segment:
    """Corners followed from an anchor frame through the frames after it.

    Attributes
    ----------
    anchor : index of the anchor frame.
    start : (N, 2) corners in the anchor frame, px of the small frame.
    frames : indices of the frames followed, `anchor` excluded.
    tracks : (F, N, 2) the corners in these frames, NaN once lost.
    """

    anchor: int
    start: npt.NDArray[np.float32]
    frames: npt.NDArray[np.int64]
    tracks: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Motion:
    """What the corners of a clip do.

    Attributes
    ----------
    n_frames : frames seen.
    size : (width, height) of the small frames, px.
    step : (n_frames,) median corner displacement from the frame before, px; 0 for the first frame,
        NaN where hardly a corner could be followed (a cut).
    segments : overlapping runs of tracks, one an anchor.
    """

    n_frames: int
    size: tuple[int, int]
    step: npt.NDArray[np.float64]
    segments: list[Segment]


@dataclass
class _Run:
    """A segment that is still growing."""

    anchor: int
    start: npt.NDArray[np.float32]
    frames: list[int] = field(default_factory=list)
    tracks: list[npt.NDArray[np.float32]] = field(default_factory=list)

    def segment(self) -> Segment:
        shape = (len(self.frames), len(self.start), 2)
        return Segment(
            self.anchor,
            self.start,
            np.array(self.frames, dtype=np.int64),
            np.array(self.tracks, dtype=np.float32).reshape(shape),
        )


def corners(grey: npt.NDArray[np.uint8], count: int = _MAX_CORNERS) -> npt.NDArray[np.float32]:
    """Up to `count` corners (N, 2) worth following, spread over a grey image (h, w)."""
    distance = max(3.0, 0.5 * np.sqrt(grey.size / count))
    found = cv2.goodFeaturesToTrack(grey, count, 0.005, distance)
    return np.zeros((0, 2), np.float32) if found is None else found.reshape(-1, 2).astype(np.float32)


def follow(
    before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8], points: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Points (N, 2) of one grey frame in the next, NaN where tracking there and back does not return to the point."""
    out = np.full_like(points, np.nan)
    known = np.flatnonzero(np.isfinite(points[:, 0]))
    if not len(known):
        return out
    there, ok, _ = cv2.calcOpticalFlowPyrLK(before, after, points[known], None, **_LK)
    back, ok_back, _ = cv2.calcOpticalFlowPyrLK(after, before, there, None, **_LK)
    good = (ok.ravel() == 1) & (ok_back.ravel() == 1)
    good &= np.linalg.norm(back - points[known], axis=1) < _FORWARD_BACKWARD_PX
    good &= (there >= 0).all(axis=1) & (there < [after.shape[1], after.shape[0]]).all(axis=1)
    out[known[good]] = there[good]
    return out


def measure_motion(images: Iterable[npt.NDArray[np.uint8]]) -> Motion:
    """Follow corners (Shi and Tomasi; pyramidal Lucas-Kanade) through frames that are all of one size.

    Parameters
    ----------
    images : frames in order, RGB or grey, uint8.
    """
    previous: npt.NDArray[np.uint8] | None = None
    steps: list[float] = []
    segments: list[Segment] = []
    run: _Run | None = None
    for index, image in enumerate(images):
        small = working_image(image, FLOW_SIZE)
        if previous is None or run is None:
            steps.append(0.0)
            run = _Run(index, corners(small))
        else:
            last = run.tracks[-1] if run.tracks else run.start
            now = follow(previous, small, last)
            alive = np.isfinite(now[:, 0])
            moved = np.linalg.norm(now[alive] - last[alive], axis=1)
            steps.append(float(np.median(moved)) if alive.sum() >= max(8, 0.1 * len(run.start)) else np.nan)
            run.frames.append(index)
            run.tracks.append(now)
            if alive.sum() < _MIN_SURVIVORS * len(run.start) or len(run.start) == 0:
                segments.append(run.segment())
                run = _Run(index, corners(small))
        previous = small
    if run is not None and run.frames:
        segments.append(run.segment())
    size = (0, 0) if previous is None else (previous.shape[1], previous.shape[0])
    return Motion(len(steps), size, np.array(steps), segments)


def select_keyframes(motion: Motion, *, min_keyframes: int, max_keyframes: int, step_share: float = 0.03) -> list[int]:
    """Keyframes at even steps of image motion, with the first and the last frame and both sides of every cut.

    Parameters
    ----------
    min_keyframes, max_keyframes : the fewest and the most wanted; steps shrink or grow until they suffice.
    step_share : wanted motion between keyframes, as a share of the longer side of the frame.

    Returns
    -------
    Rising indices of frames.
    """
    if motion.n_frames <= 2:
        return list(range(motion.n_frames))
    cuts = np.flatnonzero(~np.isfinite(motion.step))
    path = np.cumsum(np.nan_to_num(motion.step, nan=0.0))
    forced = {0, motion.n_frames - 1, *cuts.tolist(), *(cuts - 1).tolist()}
    step = min(step_share * max(motion.size), path[-1] / max(1, min_keyframes - 1))
    while True:  # ends: as steps grow, only the forced ones are left
        chosen = {int(np.searchsorted(path, s)) for s in np.arange(0.0, path[-1], step)} if step > 0 else set()
        keyframes = sorted(chosen | forced)
        if len(keyframes) <= max(max_keyframes, len(forced)):
            return keyframes
        step *= 1.1
