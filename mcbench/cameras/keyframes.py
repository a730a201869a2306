"""Motion of a clip, measured cheaply on small frames, and the keyframes it asks for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mcbench.cameras.features import working_image
from mcbench.cameras.klt import corners, follow_both_ways

#: Longer side of the frames on which motion is measured, px. All lengths here are in px of such a frame.
FLOW_SIZE = 480
_MAX_CORNERS = 400
#: A new anchor is taken when fewer than this share of its corners are still tracked.
_MIN_SURVIVORS = 0.5
#: Every so many frames the first frame's corners are looked for again.
_REVISIT_EVERY = 5


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
    start : (N, 2) corners of the first frame; revisited : (R, N, 2) the same corners looked for directly in every
        fifth frame after it, NaN where not found: a camera that stands finds them, whatever happened in between.
    """

    n_frames: int
    size: tuple[int, int]
    step: npt.NDArray[np.float64]
    segments: list[Segment]
    start: npt.NDArray[np.float32]
    revisited: npt.NDArray[np.float32]


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


def measure_motion(images: Iterable[npt.NDArray[np.uint8]]) -> Motion:
    """Follow corners (Shi and Tomasi; pyramidal Lucas-Kanade) through frames that are all of one size.

    Parameters
    ----------
    images : frames in order, RGB or grey, uint8.
    """
    previous: npt.NDArray[np.uint8] | None = None
    first: npt.NDArray[np.uint8] | None = None
    start = np.zeros((0, 2), dtype=np.float32)
    steps: list[float] = []
    segments: list[Segment] = []
    revisited: list[npt.NDArray[np.float32]] = []
    run = _Run(0, start)
    for index, image in enumerate(images):
        small = working_image(image, FLOW_SIZE)
        if first is None or previous is None:
            first, start = small, corners(small, _MAX_CORNERS)
            run = _Run(index, start)
            steps.append(0.0)
        else:
            last = run.tracks[-1] if run.tracks else run.start
            now = follow_both_ways(previous, small, last)
            alive = np.isfinite(now[:, 0])
            moved = np.linalg.norm(now[alive] - last[alive], axis=1)
            steps.append(float(np.median(moved)) if alive.sum() >= max(8, 0.1 * len(run.start)) else np.nan)
            run.frames.append(index)
            run.tracks.append(now)
            if alive.sum() < max(1, _MIN_SURVIVORS * len(run.start)):
                segments.append(run.segment())
                run = _Run(index, corners(small, _MAX_CORNERS))
            if index % _REVISIT_EVERY == 0:
                revisited.append(follow_both_ways(first, small, start))
        previous = small
    if run.frames:
        segments.append(run.segment())
    size = (0, 0) if previous is None else (previous.shape[1], previous.shape[0])
    revisits = np.array(revisited, dtype=np.float32).reshape(len(revisited), len(start), 2)
    return Motion(len(steps), size, np.array(steps), segments, start, revisits)


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
