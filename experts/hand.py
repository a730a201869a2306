"""Hands: 21 keypoints of the hand in a region, and regions from a body, from a hand known before, or from palms found.

Zhang et al., "MediaPipe Hands: On-device Real-time Hand Tracking", 2020. What each network expects (RGB, values in
[0, 1]):

=================== ======= =======================================================================
model               input   region
=================== ======= =======================================================================
palm_detection_full 192x192 upright, padded with black to a square
hand_landmark_full  224x224 the hand with a margin, its fingers up
=================== ======= =======================================================================
"""

from __future__ import annotations

import numpy as np

from mcbench.cameras.scale import image_scale
from mcbench.experts.base import PersonDetection
from mcbench.experts.crops import Pyramid, Roi
from mcbench.experts.finders import PartFinder, SsdDetector
from mcbench.experts.litert import LiteRtModel
from mcbench.experts.parts import Part, PartLandmark
from mcbench.experts.weights import weight_path
from mcbench.joints import BLAZEPOSE33, HAND21

PALM, LANDMARK = "palm_detection_full.tflite", "hand_landmark_full.tflite"
#: What finds and reads hands.
HAND_MODELS = (PALM, LANDMARK)
_STRIDES = (8, 16, 16, 16)
_MIN_PALM = 0.4
# Of the palm detector's seven points, the wrist and the base of the middle finger.
_PALM_WRIST, _PALM_MIDDLE = 0, 2
#: Side of the region over that of the palm's box, and by how much of the box it lies nearer to the fingers.
_PALM_MARGIN, _PALM_SHIFT = 2.6, 0.5
_WRIST = HAND21.index("wrist")
_BASES = [HAND21.index(f"{finger}_1") for finger in ("index", "middle", "ring")]
#: Without the outer joints of the fingers a region does not jump when they bend.
_INNER = [i for i, name in enumerate(HAND21.joints) if not name.endswith(("_3", "_4")) or name == "thumb_3"]
#: The same two numbers for the box of those points.
_MARGIN, _SHIFT = 2.1, 0.15
#: Side of the region (m) at a body's hand, and where its middle lies beyond the wrist, in lengths of the palm.
_BODY_SIDE, _BODY_CENTRE = 0.24, 1.2
#: The surest keypoints of a body, so many, tell its size in the image.
_SURE_KEYPOINTS = 16


class HandLandmark(PartLandmark):
    """Reads the hand in a region; keypoints `hand21`.

    Raises
    ------
    InputError : the weights are not in the cache.
    """

    def __init__(self) -> None:
        self._model = LiteRtModel(weight_path(LANDMARK))

    def look(self, image: Pyramid, region: Roi) -> Part:
        size = self._model.size
        flat, presence, handedness, world = self._model(image.crop(region, size) / 255.0)
        points = region.to_image(flat.reshape(-1, 3)[:, :2].astype(np.float64) / size)
        points3d = world.reshape(-1, 3).astype(np.float64)
        points3d = points3d - points3d[_WRIST]
        points3d[:, :2] = points3d[:, :2] @ region.rotation.T  # the network's axes are the crop's
        # Published as the handedness in a mirror's image, it is that of the hand in a photo.
        return Part.of(image, float(presence[0]), points, points3d, float(handedness[0]))

    @staticmethod
    def region(keypoints: np.ndarray) -> Roi:
        up = keypoints[_BASES].mean(axis=0) - keypoints[_WRIST]
        turned = Roi(np.zeros(2), 1.0, float(np.arctan2(up[0], -up[1])))
        inner = keypoints[_INNER] @ turned.rotation
        low, high = inner.min(axis=0), inner.max(axis=0)
        center = (low + high) / 2 - np.array([0.0, _SHIFT * (high - low)[1]])
        return Roi(turned.rotation @ center, _MARGIN * float((high - low).max()), turned.angle)


class HandFinder(PartFinder):
    """Finds hands anywhere, those that are large enough for the palm detector."""

    def __init__(self, landmark: HandLandmark) -> None:
        super().__init__(landmark, [SsdDetector(PALM, _STRIDES, signed=False)], _MIN_PALM, palm_region)


def body_hand_region(body: PersonDetection, side: str) -> Roi | None:
    """Region for the `side` ("left", "right") hand of a body of `blazepose33`; None where its hand is not known.

    A hand that points at the camera is short in the image, so the body tells the size.
    """
    wrist, index, pinky = body.keypoints[[BLAZEPOSE33.index(f"{side}_{name}") for name in ("wrist", "index", "pinky")]]
    up = (2 * index + pinky) / 3 - wrist
    size = _BODY_SIDE * px_per_metre(body)
    if not np.isfinite([*up, size]).all() or size < 1.0:
        return None
    return Roi(wrist + _BODY_CENTRE * up, size, float(np.arctan2(up[0], -up[1])))


def px_per_metre(body: PersonDetection) -> float:
    """How large a body is in the image, by its keypoints in the image and in space; NaN where too few are known."""
    return image_scale(body.keypoints, body.keypoints3d, body.keypoint_score, _SURE_KEYPOINTS)


def palm_region(box: np.ndarray, keypoints: np.ndarray) -> Roi:
    """Region for the hand of a palm: its box (4,) px and its seven points (7, 2) px."""
    up = keypoints[_PALM_MIDDLE] - keypoints[_PALM_WRIST]
    up = up / max(float(np.linalg.norm(up)), 1e-6)
    side = float((box[2:] - box[:2]).max())
    center = (box[:2] + box[2:]) / 2 + _PALM_SHIFT * side * up
    return Roi(center, _PALM_MARGIN * side, float(np.arctan2(up[0], -up[1])))
