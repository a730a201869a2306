"""RTMW, the whole-body model of the RTMPose family, through the package `rtmlib` (extra `rtmpose`).

Jiang et al., "RTMPose: Real-Time Multi-Person Pose Estimation", 2023, and "RTMW", 2024. rtmlib fetches the weights
itself when they are first used, from their publisher, so this detector needs a network once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version

import numpy as np

from mcbench.errors import InputError
from mcbench.experts.base import PersonDetection
from mcbench.experts.duplicates import distinct
from mcbench.experts.ssd import box_iou
from mcbench.joints import COCO_WHOLEBODY133

MODE = "balanced"
#: A prior's box is searched unless a detected box overlaps it by this.
SAME_BOX = 0.5
_BODY = slice(0, 17)
_INSTALL = "pip install 'mcbench[rtmpose]'"


class RTMPoseDetector:
    """YOLOX boxes and RTMW keypoints; see `mcbench.experts.base.Detector`. No 3D and no masks.

    Raises
    ------
    InputError : rtmlib is not installed (reason `missing_detector`) or its weights cannot be had (`missing_weights`).
    """

    name = "rtmpose"
    version = f"rtmw-{MODE}/1"
    keypoint_set = COCO_WHOLEBODY133.name

    def __init__(self) -> None:
        try:
            from rtmlib import Wholebody
        except ImportError as error:
            raise InputError(
                f"the detector rtmpose needs rtmlib: {error}", hint=_INSTALL, reason="missing_detector"
            ) from error
        try:
            model = Wholebody(mode=MODE, backend="onnxruntime", device="cpu")
        except Exception as error:  # rtmlib lets through whatever its download and onnxruntime raise
            raise InputError(
                f"the weights of RTMW cannot be had: {type(error).__name__}: {error}",
                hint="they are fetched from download.openmmlab.com or huggingface.co, which must be reachable once",
                reason="missing_weights",
            ) from error
        self._boxes, self._pose = model.det_model, model.pose_model

    @staticmethod
    def resources() -> Mapping[str, str]:
        try:
            return {"rtmlib": installed_version("rtmlib"), "mode": MODE}
        except PackageNotFoundError as error:
            raise InputError("the detector rtmpose needs rtmlib", hint=_INSTALL, reason="missing_detector") from error

    def detect(
        self, image: np.ndarray, priors: Sequence[np.ndarray] = (), search: bool = True
    ) -> list[PersonDetection]:
        bgr = np.ascontiguousarray(image[..., ::-1])
        boxes = np.asarray(self._boxes(bgr) if search else [], float).reshape(-1, 4)
        for box in (_box_round(prior) for prior in priors):
            if box is not None and not (box_iou(box[None], boxes) > SAME_BOX).any():
                boxes = np.concatenate([boxes, box[None]])
        if not len(boxes):  # rtmlib would take the whole image for a person
            return []
        keypoints, scores = self._pose(bgr, bboxes=boxes)
        people = [_person(*row) for row in zip(boxes, keypoints, scores, strict=True)]
        return distinct(people, self.keypoint_set)


def _box_round(keypoints: np.ndarray) -> np.ndarray | None:
    """Box of the known keypoints (K, 2), a tenth wider on every side; None where none is known."""
    known = keypoints[np.isfinite(keypoints).all(1)]
    if not len(known):
        return None
    low, high = known.min(0), known.max(0)
    return np.concatenate([low - 0.1 * (high - low), high + 0.1 * (high - low)])


def _person(box: np.ndarray, keypoints: np.ndarray, scores: np.ndarray) -> PersonDetection:
    score = np.clip(np.asarray(scores, float), 0.0, 1.0)
    points = np.asarray(keypoints, float) + 0.5  # rtmlib counts pixels from their centres
    return PersonDetection(
        score=float(score[_BODY].mean()),
        box=box,
        keypoints=np.where(score[:, None] > 0, points, np.nan),
        keypoint_score=score,
        keypoints3d=np.full((len(score), 3), np.nan),
        mask=np.zeros((0, 0), np.uint8),
    )
