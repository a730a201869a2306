"""Square, rotated crops of an image, and the way back from a crop to the image."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mcbench.fitting.scene_images import evenly_bright

#: Side of the smallest tile that is searched, px.
MIN_TILE = 32


@dataclass(frozen=True)
class Roi:
    """A square region of an image.

    Attributes
    ----------
    center : (2,) px of the image, centres of pixels at +0.5.
    size : side, px.
    angle : radians by which the square is turned, from the image's x axis towards its y axis.
    """

    center: np.ndarray
    size: float
    angle: float = 0.0

    @property
    def rotation(self) -> np.ndarray:
        """(2, 2) turns a direction in the crop into one in the image."""
        c, s = np.cos(self.angle), np.sin(self.angle)
        return np.array([[c, -s], [s, c]])

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 2) of the crop, whose side is 1, in px of the image."""
        return (points - 0.5) * self.size @ self.rotation.T + self.center

    def to_crop(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 2) px of the image in the crop, whose side is 1."""
        return (points - self.center) @ self.rotation / self.size + 0.5

    @staticmethod
    def from_axis(center: np.ndarray, top: np.ndarray, margin: float) -> Roi:
        """The region round the circle at `center` through `top`, turned so that `top` is up, widened by `margin`."""
        up = np.asarray(top) - center
        return Roi(np.asarray(center), 2.0 * float(np.hypot(*up)) * margin, float(np.arctan2(up[0], -up[1])))


#: Images whose mean (of 255) is less are brightened: networks were trained on pictures that people keep.
DIM = 80.0


class Pyramid:
    """An image with halved copies, so that small crops of large regions are not aliased; a dim one brightened.

    Parameters
    ----------
    image : (height, width, 3) uint8.
    """

    def __init__(self, image: np.ndarray) -> None:
        self._levels = [evenly_bright(image) if image.mean() < DIM else image]

    @property
    def whole(self) -> np.ndarray:
        """The image itself, or brightened (height, width, 3) uint8."""
        return self._levels[0]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the image, px."""
        height, width = self._levels[0].shape[:2]
        return width, height

    def crop(self, roi: Roi, side: int) -> np.ndarray:
        """The region as (side, side, 3) uint8, bilinear; black outside the image."""
        level = max(0, int(np.floor(np.log2(max(roi.size / side, 1.0)))))
        image = self._level(level)
        scale = np.array(image.shape[1::-1]) / self.size
        # Pixel index i has its centre at i + 0.5, in the crop as in the image.
        linear = scale[:, None] * roi.rotation * roi.size / side
        offset = scale * roi.to_image(np.full(2, 0.5 / side)) - 0.5
        image_from_crop = np.column_stack([linear, offset])
        return cv2.warpAffine(image, image_from_crop, (side, side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)

    def _level(self, level: int) -> np.ndarray:
        while len(self._levels) <= level:
            last = self._levels[-1]
            half = (max(1, last.shape[1] // 2), max(1, last.shape[0] // 2))
            self._levels.append(cv2.resize(last, half, interpolation=cv2.INTER_AREA))
        return self._levels[level]


def search_regions(width: int, height: int) -> list[Roi]:
    """The squares in which a detector searches an image: the whole image, and tiles that overlap by half, unless they
    would be too small to show anything."""
    short, long = min(width, height), max(width, height)
    middle = np.array([width / 2, height / 2])
    regions = [Roi(middle, float(long)), Roi(middle, 1.3 * long)]
    for side in (side for side in (short, short * 0.6) if side >= MIN_TILE):
        for y in _centers(height, side):
            regions += [Roi(np.array([x, y]), side) for x in _centers(width, side)]
    return regions


def _centers(length: float, side: float) -> np.ndarray:
    """Centres of the fewest segments of length `side` that cover `length` and overlap by half at least."""
    count = 1 + int(np.ceil((length - side) / (side / 2) - 1e-6)) if length > side else 1
    return np.linspace(side / 2, length - side / 2, count) if count > 1 else np.array([length / 2])
