"""The reader: BlazePose's keypoints of people whose places are known, by `mcbench.reader`'s network.

It came from rendered people, so what it says of real ones is to be believed where it agrees with networks that learnt
from real ones (`mcbench.pipelines.second_opinion`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from mcbench.experts.agreement import score_of
from mcbench.experts.base import MASK_SIZE, Opinion, Peaks, PersonDetection
from mcbench.joints import BLAZEPOSE33, READER19, mapping
from mcbench.reader.heatmaps import HeatReading
from mcbench.reader.network import load_reader
from mcbench.reader.shipped import shipped_reader
from mcbench.reader.squares import Square, as_input, people_maps

#: Scores, rising, and how often a limb joint read with such a score is right, no farther than 0.04 of stature from the
#: truth: of hard rendered scenes (seed 841) after 1000 steps of training; 2400 make it righter by 0.02 to 0.1.
_RIGHT = (
    (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
    (0.12, 0.4, 0.45, 0.5, 0.62, 0.76, 0.85, 0.965, 0.985),
)
#: A keypoint counts as known from this score on, and as seen, for the box round a person.
_KNOWN, _SEEN = 0.02, 0.3
_FROM_BLAZEPOSE, _KEYPOINTS = np.array(mapping(BLAZEPOSE33.name, READER19.name)).T
_INDEX = _FROM_BLAZEPOSE[np.argsort(_KEYPOINTS)]


class PersonReader:
    """Reads the people who are about where they are expected.

    Raises
    ------
    InputError : the network's file is not there or damaged.
    """

    def __init__(self) -> None:
        self._network = load_reader(shipped_reader())

    def __call__(self, image: np.ndarray, places: Sequence[np.ndarray]) -> list[Opinion]:
        """What is seen at each place of the person who is expected there; nobody where nothing is known of the place.

        Parameters
        ----------
        image : (height, width, 3) uint8. places : `blazepose33` (33, 2) px each, NaN where unknown, of all who are
            expected in it, as each is read with regard to the others.
        """
        own = [np.asarray(place, np.float64)[_INDEX] for place in places]
        squares = [Square.round_place(place) for place in own]
        read = [n for n, square in enumerate(squares) if square is not None]
        answers = [Opinion([], Peaks(np.zeros(0, np.int64), np.zeros((0, 2)), np.zeros(0))) for _ in places]
        if not read:
            return answers
        pictures, maps = [], []
        for n in read:
            square = squares[n]
            assert square is not None
            others = [square.of_image(other) for m, other in enumerate(own) if m != n and squares[m] is not None]
            pictures.append(as_input(square.picture(image)))
            maps.append(people_maps(square.of_image(own[n]), others))
        with torch.inference_mode():
            said = self._network(torch.from_numpy(np.stack(pictures)), torch.from_numpy(np.stack(maps)))
            distributions = torch.softmax(said, dim=-1).numpy()
        for n, distribution in zip(read, distributions, strict=True):
            square = squares[n]
            assert square is not None
            reading = HeatReading.of(distribution)
            size = np.array(image.shape[1::-1], np.float64)
            person = _person(square.to_image(reading.points), reading.score, size)
            peaks = Peaks(_INDEX[reading.keypoint], square.to_image(reading.pixels), reading.value)
            answers[n] = Opinion([person], peaks)
        return answers


def _person(points: np.ndarray, score: np.ndarray, size: np.ndarray) -> PersonDetection:
    """A person of points (19, 2) px read with scores (19,), in an image of `size` (2,) px."""
    count = len(BLAZEPOSE33)
    keypoints, keypoint_score = np.full((count, 2), np.nan), np.zeros(count)
    keypoint_score[_INDEX] = score_of(np.interp(score, *_RIGHT))
    keypoints[_INDEX] = np.where(score[:, None] >= _KNOWN, points, np.nan)
    keypoint_score[~np.isfinite(keypoints).all(axis=1)] = 0.0
    seen = points[score >= _SEEN] if (score >= _SEEN).any() else points
    box = np.clip(np.concatenate([seen.min(axis=0), seen.max(axis=0)]), 0.0, np.tile(size, 2))
    unknown, empty = np.full((count, 3), np.nan), np.zeros((MASK_SIZE, MASK_SIZE), np.uint8)
    return PersonDetection(float(np.sort(score)[-8:].mean()), box, keypoints, keypoint_score, unknown, empty)
