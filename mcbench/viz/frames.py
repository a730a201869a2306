"""Which frames of a scene to show: few, spread over the clip, with as many people in view as can be."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def choose_frames(score: npt.ArrayLike, count: int) -> list[int]:
    """Indices, rising, of at most `count` frames: the best of each of `count` equal stretches.

    Parameters
    ----------
    score : (F,) how much each frame shows. Of equal ones, that nearest the middle of the stretch is taken; stretches
        that show nothing (0) give none, unless nothing is shown anywhere.
    """
    values = np.asarray(score, dtype=np.float64)
    chosen = []
    for stretch in np.array_split(np.arange(len(values)), max(0, min(count, len(values))) or 1):
        if not len(stretch) or not count:
            continue
        off_middle = np.abs(stretch - stretch.mean())
        chosen.append(int(stretch[np.lexsort((off_middle, -values[stretch]))[0]]))
    return [i for i in chosen if values[i] > 0] or chosen
