"""MoveNet MultiPose: the poses of the people in a whole image, by one look of a quick network.

"Next-Generation Pose Detection with MoveNet and TensorFlow.js" (Votel, Li), 2021: a bottom-up network after CenterNet,
which reads a person by the middle of the body and is therefore less led astray by whoever stands before them. What it
expects (RGB):

========================== ======================================= ========= ======================================
model                      input                                   values    region
========================== ======================================= ========= ======================================
movenet_multipose_lightning any size, sides multiples of 32         0 to 255  the image at the top left, then black
========================== ======================================= ========= ======================================

It gives six people at most. For each there are 17 keypoints (y, x, score) in COCO's order, then the box (ymin, xmin,
ymax, xmax) and the person's score; the places are shares of the input's sides.

Inside, a heatmap a keypoint tells how likely it is in every cell of 4 px, whosever it is, and an offset (y, x) where in
the cell. The poses take one place of each heatmap, the likeliest one near where the middle of the body lets expect it;
what else it shows counts where several views show it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from scipy.ndimage import maximum_filter

from mcbench.experts.base import Peaks
from mcbench.experts.duplicates import SAME, limb_joints, pose_distance
from mcbench.experts.litert import LiteRtModel
from mcbench.experts.weights import weight_path
from mcbench.joints import COCO17

MULTIPOSE = "movenet_multipose_lightning.tflite"
#: People that the network gives at most.
MOST = 6
#: Longer sides at which an image is read, px: what each finds the other often does not.
LONG_SIDES = (512, 672)
#: A person counts from this score on.
MIN_SCORE = 0.1
_STRIDE = 32
_HEATMAPS, _OFFSETS = (
    "Sigmoid_1",
    "kpt_offset_0/conv2d_9/BiasAdd;kpt_regress_0/conv2d_8/Conv2D;kpt_offset_0/conv2d_9/Conv2D;conv2d_9/bias1",
)
#: What a heatmap shows counts from this value on, and so many places of it at most.
LEAST_HEAT, _MOST_PEAKS = 0.08, 6
#: Small people and those of a crowd are found in overlapping square tiles: their side as a share of the image's shorter
#: one, and the size at which they are read, px. On rendered crowds 0.6 of it at 256 px finds as much as twice the work.
TILE, TILE_SIDE = 0.6, 256
#: Side of the square in which a person whose place is known is read, over the longer extent of their keypoints.
AROUND = 1.4


@dataclass(frozen=True)
class Pose:
    """A person as MultiPose sees them, in px of the image.

    Attributes
    ----------
    score : in [0, 1].
    keypoints : (17, 2), in the order of `coco17`, guessed where they are not seen.
    keypoint_score : (17,) in [0, 1].
    box : (4,) x0, y0, x1, y1.
    """

    score: float
    keypoints: np.ndarray
    keypoint_score: np.ndarray
    box: np.ndarray

    def moved(self, by: np.ndarray) -> Pose:
        """The pose moved by (2,) px."""
        return replace(self, keypoints=self.keypoints + by, box=self.box + np.tile(by, 2))


@dataclass(frozen=True)
class Letterbox:
    """How an image lies at the top left of an input.

    Attributes
    ----------
    shape : (height, width) px of the input.
    inside : (height, width) px of the image in it.
    scale : (2,) px of the input for one of the image, along x and y.
    """

    shape: tuple[int, int]
    inside: tuple[int, int]
    scale: np.ndarray

    @staticmethod
    def of(width: int, height: int, long_side: int) -> Letterbox:
        """For an image whose longer side becomes `long_side`, a multiple of 32; the other is filled up to one."""
        factor = long_side / max(width, height)
        inside = (max(1, round(factor * height)), max(1, round(factor * width)))
        rows, columns = (-(-side // _STRIDE) * _STRIDE for side in inside)
        return Letterbox((rows, columns), inside, np.array([inside[1] / width, inside[0] / height]))

    def fill(self, image: np.ndarray) -> np.ndarray:
        """The input (*shape, 3) uint8 of an image (height, width, 3) uint8."""
        smaller = self.inside[0] < image.shape[0]
        resized = cv2.resize(image, self.inside[::-1], interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
        filled = np.zeros((*self.shape, 3), np.uint8)
        filled[: self.inside[0], : self.inside[1]] = resized
        return filled

    def to_image(self, shares: np.ndarray) -> np.ndarray:
        """Places (..., 2) as shares of the input's height and width, (y, x), in px of the image, (x, y)."""
        return shares[..., ::-1] * self.shape[::-1] / self.scale


class MultiPose:
    """Finds people and reads their poses.

    Raises
    ------
    InputError : the weights are not in the cache.
    """

    def __init__(self) -> None:
        self._model = LiteRtModel(weight_path(MULTIPOSE), (_HEATMAPS, _OFFSETS))

    def __call__(self, image: np.ndarray) -> list[Pose]:
        """The people in an image (height, width, 3) uint8, each once, by falling score."""
        return distinct_poses([pose for long_side in LONG_SIDES for pose in self.read(image, long_side)])

    def in_tiles(self, image: np.ndarray) -> list[Pose]:
        """The people seen in tiles of an image (height, width, 3) uint8, each once, by falling score.

        More people than in the whole image, and more poses that are nobody's: parts of people cut by a tile's edge.
        """
        height, width = image.shape[:2]
        side = max(1, round(TILE * min(height, width)))
        return distinct_poses(
            [
                pose.moved(np.array([left, top], np.float64))
                for top in tile_starts(height, side)
                for left in tile_starts(width, side)
                for pose in self.read(image[top : top + side, left : left + side], TILE_SIDE)
            ]
        )

    def around(self, image: np.ndarray, place: np.ndarray) -> tuple[list[Pose], Peaks]:
        """The people seen in a square round the points `place` (K, 2) px, NaN where unknown, and all that the heatmaps
        show there, keypoints in the order of `coco17`."""
        low, high = np.nanmin(place, axis=0), np.nanmax(place, axis=0)
        side = math.ceil(AROUND * max(1.0, float((high - low).max())))
        left, top = (int(corner) for corner in np.round((low + high - side) / 2))
        square = image[max(0, top) : max(0, top + side), max(0, left) : max(0, left + side)]
        if square.size == 0:
            return [], Peaks(np.zeros(0, np.int64), np.zeros((0, 2)), np.zeros(0))
        margins = max(0, -top), max(0, top + side - image.shape[0]), max(0, -left), max(0, left + side - image.shape[1])
        square = cv2.copyMakeBorder(square, *margins, cv2.BORDER_CONSTANT)
        corner = np.array([left, top], np.float64)
        letterbox = Letterbox.of(side, side, TILE_SIDE)
        people, heat, offset = self._model(letterbox.fill(square))
        peaks = _peaks(heat, offset, letterbox)
        return [p.moved(corner) for p in _poses(people, letterbox)], replace(peaks, pixels=peaks.pixels + corner)

    def read(self, image: np.ndarray, long_side: int) -> list[Pose]:
        """The people seen when the image's longer side is made `long_side` px, a multiple of 32."""
        height, width = image.shape[:2]
        letterbox = Letterbox.of(width, height, long_side)
        people, *_ = self._model(letterbox.fill(image))
        return _poses(people, letterbox)


def tile_starts(length: int, side: int) -> list[int]:
    """Where the fewest tiles of `side` px begin that cover `length` px and overlap by half at least."""
    count = 1 + max(0, math.ceil((length - side) / (side / 2) - 1e-6))
    return [round(start) for start in np.linspace(0, max(0, length - side), count)]


def distinct_poses(poses: Sequence[Pose]) -> list[Pose]:
    """The best pose of everyone, by falling score."""
    kept: list[Pose] = []
    for pose in sorted(poses, key=lambda pose: -pose.score):
        if not any(same_pose(pose, other) for other in kept):
            kept.append(pose)
    return kept


def same_pose(a: Pose, b: Pose) -> bool:
    """Whether two poses in one image are one person's."""
    return pose_distance(*(limb_joints(pose.keypoints, COCO17.name) for pose in (a, b))) < SAME


def _poses(people: np.ndarray, letterbox: Letterbox) -> list[Pose]:
    return [_pose(row.astype(np.float64), letterbox) for row in people if row[-1] >= MIN_SCORE]


def _peaks(heat: np.ndarray, offset: np.ndarray, letterbox: Letterbox) -> Peaks:
    """Of heatmaps (H, W, 17) and offsets (H, W, 34), the largest peaks of each."""
    highest = (heat >= LEAST_HEAT) & (heat == maximum_filter(heat, size=(3, 3, 1)))
    row, column, keypoint = np.nonzero(highest)
    value = heat[row, column, keypoint].astype(np.float64)
    order = np.lexsort((-value, keypoint))
    rank = np.arange(len(order)) - np.searchsorted(keypoint[order], keypoint[order])
    chosen = order[rank < _MOST_PEAKS]
    row, column, keypoint = row[chosen], column[chosen], keypoint[chosen]
    cells = np.stack([row + offset[row, column, 2 * keypoint], column + offset[row, column, 2 * keypoint + 1]], axis=-1)
    return Peaks(keypoint, letterbox.to_image(cells / heat.shape[:2]), value[chosen])


def _pose(row: np.ndarray, letterbox: Letterbox) -> Pose:
    points = row[: 3 * len(COCO17)].reshape(-1, 3)
    corners = letterbox.to_image(row[3 * len(COCO17) : -1].reshape(2, 2))
    return Pose(float(row[-1]), letterbox.to_image(points[:, :2]), points[:, 2], corners.ravel())
