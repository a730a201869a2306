"""The BlazePose networks: candidates in a region, and 33 landmarks of the person in a region.

Bazarevsky et al., "BlazePose: On-device Real-time Body Pose Tracking", 2020, and Grishchenko et al., "BlazePose GHUM
Holistic", 2022 (metric 3D). What each network expects (all read RGB):

=================== ======== ============= ==================================================================
model               input    values        region
=================== ======== ============= ==================================================================
pose_detection      224x224  [-1, 1]       upright, padded with black to a square
pose_landmark_full  256x256  [0, 1]        the circle round the hips that holds the body, widened, head up
pose_landmark_heavy the same, three times the work; on rendered people, who have truth, its mean error is 28 % less
=================== ======== ============= ==================================================================
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mcbench.experts.crops import Pyramid, Roi
from mcbench.experts.finders import SsdDetector
from mcbench.experts.litert import LiteRtModel
from mcbench.experts.weights import weight_path

DETECTION = "pose_detection.tflite"
LANDMARK_FULL, LANDMARK_HEAVY = "pose_landmark_full.tflite", "pose_landmark_heavy.tflite"
KEYPOINTS = 33
_STRIDES = (8, 16, 32, 32, 32)
# Of the detector's four points, the middle of the hips and a point above it on the circle round the body.
_HIPS, _CIRCLE = 0, 1
# The same two, among the 39 landmarks.
_AUX_HIPS, _AUX_CIRCLE = 33, 34
#: Side of the landmarks' region over the diameter of the body's circle, as in the published graph.
MARGIN = 1.25
_HEATMAP_RADIUS = 4  # cells round a landmark that refine it: 9x9 as in the published graph
_HEATMAP_MIN = 0.5


class PoseDetection(SsdDetector):
    """Candidates for people: the box is the head's, the points are hips, circle and two of the torso."""

    def __init__(self) -> None:
        super().__init__(DETECTION, _STRIDES, signed=True)


def candidate_roi(keypoints: np.ndarray) -> Roi:
    """Region for the landmarks from the four points of a candidate (4, 2) px."""
    return Roi.from_axis(keypoints[_HIPS], keypoints[_CIRCLE], MARGIN)


@dataclass(frozen=True)
class Landmarks:
    """What the landmark network says of a region.

    Attributes
    ----------
    presence : probability that the region shows a person.
    points : (33, 2) px of the image.
    score : (33,) probability that the point is in the region and seen.
    points3d : (33, 3) metres relative to the middle of the hips, camera axes.
    mask : (256, 256) probability of being the person, on the region.
    roi : the region.
    hips, circle : (2,) px, the middle of the hips, and the point above it on the circle that holds the body.
    """

    presence: float
    points: np.ndarray
    score: np.ndarray
    points3d: np.ndarray
    mask: np.ndarray
    roi: Roi
    hips: np.ndarray
    circle: np.ndarray

    @property
    def radius(self) -> float:
        """Radius of the body's circle, px."""
        return float(np.linalg.norm(self.circle - self.hips))

    def region(self, margin: float = MARGIN) -> Roi:
        """Region for another look."""
        return Roi.from_axis(self.hips, self.circle, margin)

    def mask_at(self, points: np.ndarray) -> np.ndarray:
        """The mask, bilinear, at points (..., 2) px of the image -> (...,); 0 outside the region."""
        at = (self.roi.to_crop(points) * self.mask.shape[0] - 0.5).astype(np.float32)
        flat = at.reshape(1, -1, 2)
        return cv2.remap(self.mask, flat[..., 0], flat[..., 1], cv2.INTER_LINEAR).reshape(at.shape[:-1])


class PoseLandmark:
    """Landmarks of the person in the middle of a region, by the weights `name`."""

    def __init__(self, name: str) -> None:
        self._model = LiteRtModel(weight_path(name))

    def __call__(self, image: Pyramid, roi: Roi) -> Landmarks:
        crop = image.crop(roi, self._model.size) / 255.0
        flat, presence, mask, heatmap, world = self._model(crop)
        landmarks = flat.reshape(-1, 5).astype(np.float64)
        points = _refine(landmarks[:, :2] / self._model.size, heatmap)
        seen, inside = _sigmoid(landmarks[:KEYPOINTS, 3]), _sigmoid(landmarks[:KEYPOINTS, 4])
        points3d = world.reshape(-1, 3).astype(np.float64)[:KEYPOINTS]
        points3d[:, :2] = points3d[:, :2] @ roi.rotation.T  # the network's axes are the crop's
        in_image = roi.to_image(points)
        return Landmarks(
            presence=float(presence[0]),
            points=in_image[:KEYPOINTS],
            score=seen * inside,
            points3d=points3d,
            mask=_sigmoid(mask[..., 0]),
            roi=roi,
            hips=in_image[_AUX_HIPS],
            circle=in_image[_AUX_CIRCLE],
        )


def _refine(points: np.ndarray, heatmap: np.ndarray) -> np.ndarray:
    """Points (N, 2) of the unit square moved to the centre of mass of their heat nearby, where there is heat.

    heatmap : (rows, columns, N) logits.
    """
    rows, columns, _ = heatmap.shape
    refined = points.copy()
    for n, (x, y) in enumerate(points):
        column, row = int(x * columns), int(y * rows)
        if not (0 <= column < columns and 0 <= row < rows):
            continue
        top, left = max(0, row - _HEATMAP_RADIUS), max(0, column - _HEATMAP_RADIUS)
        heat = _sigmoid(
            heatmap[top : row + _HEATMAP_RADIUS + 1, left : column + _HEATMAP_RADIUS + 1, n].astype(np.float64)
        )
        if heat.max() < _HEATMAP_MIN:
            continue
        ys, xs = np.indices(heat.shape)
        refined[n] = ((xs * heat).sum() / heat.sum() + left) / columns, ((ys * heat).sum() / heat.sum() + top) / rows
    return refined


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-np.clip(x, -60.0, 60.0)))
