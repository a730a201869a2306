"""The square of an image in which a person whose place is known is read, and what the network gets of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mcbench.dope.augmentation import warped
from mcbench.fitting.expected import BONES
from mcbench.joints import READER19
from mcbench.reader.network import SIDE

Array = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]

#: Side of the square over the longer extent of the keypoints that are expected, which is no less than this, px.
MARGIN, _LEAST = 1.3, 8.0
#: Shares of the square's values that become black and white, where they are no closer to each other than this: rooms
#: are dark, people stand in the shade; but a grey wall is grey.
_BLACK, _WHITE, _CONTRAST = 2.0, 98.0, 12.0
#: Width of a drawn bone, as a share of the skeleton's extent, and at most, px.
_BONE, _WIDEST = 0.05, 20
#: Farther outside the square a bone's end is not drawn, in sides.
_OUTSIDE = 4
_BONES = [(READER19.index(a), READER19.index(b)) for a, b in BONES]


@dataclass(frozen=True)
class Square:
    """Pixels of a square from those of an image, x -> linear x + shift, centres of pixels at +0.5 in both.

    Attributes
    ----------
    linear : (2, 2). shift : (2,).
    """

    linear: Array
    shift: Array

    @staticmethod
    def round_place(place: Array) -> Square | None:
        """The square round the points `place` (K, 2) px, NaN where unknown; None where all are."""
        known = place[np.isfinite(place).all(axis=1)]
        if not len(known):
            return None
        low, high = known.min(axis=0), known.max(axis=0)
        scale = SIDE / (MARGIN * max(_LEAST, float((high - low).max())))
        return Square(scale * np.eye(2), SIDE / 2 - scale * (low + high) / 2)

    @property
    def scale(self) -> float:
        return float(np.sqrt(abs(np.linalg.det(self.linear))))

    def of_image(self, points: Array) -> Array:
        """Points (..., 2) px of the image, in the square."""
        return np.asarray(points @ self.linear.T + self.shift)

    def to_image(self, points: Array) -> Array:
        """Points (..., 2) px of the square, in the image."""
        return np.asarray((points - self.shift) @ np.linalg.inv(self.linear).T)

    def picture(self, image: Image) -> Image:
        """What an image (height, width, 3) shows in the square (SIDE, SIDE, 3), grey where there is none."""
        return warped(image, self.linear, self.shift, SIDE)


def as_input(picture: Image) -> npt.NDArray[np.float32]:
    """The picture (SIDE, SIDE, 3) with its contrast stretched, (3, SIDE, SIDE) of about [0, 1]."""
    values = picture.astype(np.float32)
    black, white = np.percentile(picture[::4, ::4], [_BLACK, _WHITE])
    stretched = (values - np.float32(black)) / np.float32(max(white - black, _CONTRAST))
    return np.ascontiguousarray(np.clip(stretched, -0.3, 1.3).transpose(2, 0, 1))


def people_maps(own: Array, others: Sequence[Array]) -> npt.NDArray[np.float32]:
    """Skeletons drawn in a square: of the person who is to be read (19, 2) px, and of others, (2, SIDE, SIDE).

    NaN where a keypoint is unknown.
    """
    maps = np.zeros((2, SIDE, SIDE), np.float32)
    for channel, skeletons in enumerate(([own], others)):
        for points in skeletons:
            known = np.isfinite(points).all(axis=1) & (np.abs(np.nan_to_num(points)) < _OUTSIDE * SIDE).all(axis=1)
            if not known.any():
                continue
            width = int(np.clip(round(_BONE * float(np.ptp(points[known], axis=0).max())), 2, _WIDEST))
            for a, b in _BONES:
                if known[a] and known[b]:
                    ends = [(int(x), int(y)) for x, y in points[[a, b]]]
                    cv2.line(maps[channel], ends[0], ends[1], 1.0, width)
    return maps
