"""`detections.npz`: people found in the frames of a scene, in `docs/formats.md` as mcbench-detections/1."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcbench.dataset.files import read_record, write_record

FORMAT = "mcbench-detections/1"


@dataclass(frozen=True)
class Detections:
    """All detections of a scene, flat, ordered by frame, then by falling score.

    Attributes
    ----------
    keypoint_set : registered name of the joint set of `keypoints` ("holistic143", "coco17", "body25", …).
    detector : who found them, with version.
    frame : (N,) int64, index of the source frame.
    score : (N,) in [0, 1].
    box : (N, 4) x0, y0, x1, y1, px of the original image.
    keypoints : (N, K, 2) px of the original image (distorted as the image is); NaN where unknown.
    keypoint_score : (N, K) in [0, 1]; 0 where unknown.
    keypoints3d : (N, K, 3) metres, relative to the detector's root, camera axes; NaN where unknown. Of "holistic143" a
        hand is relative to its wrist, a face to the middle of its eyes.
    mask : (N, M, M) uint8 foreground probability times 255 on the box's grid (M = 0 where there is none).
    """

    keypoint_set: str
    detector: str
    frame: np.ndarray
    score: np.ndarray
    box: np.ndarray
    keypoints: np.ndarray
    keypoint_score: np.ndarray
    keypoints3d: np.ndarray
    mask: np.ndarray

    def __len__(self) -> int:
        return len(self.frame)

    def save(self, path: Path) -> None:
        write_record(path, self, FORMAT)

    @classmethod
    def load(cls, path: Path) -> Detections:
        return read_record(path, cls, FORMAT)
