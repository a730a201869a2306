"""The reprojection error that is reported: of every detection assigned, nothing left out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mcbench.cameras.camera import Array, transform
from mcbench.dataset.cameras_file import SceneCameras
from mcbench.dataset.detections import Detections
from mcbench.joints import mapping

#: Keypoints with a lower score do not count in the reported error.
MIN_SCORE = 0.3


def keypoint_errors(
    keypoints: Array,
    rows: npt.ArrayLike,
    detections: Detections,
    cameras: SceneCameras,
    min_score: float = MIN_SCORE,
) -> Array:
    """Errors (M, 17) px of the original image between a body's COCO keypoints (17, 3) and the detections `rows` (M,).

    NaN where the detector has no such keypoint, scores it below `min_score`, or the frame has no camera; infinite
    where the body's keypoint lies behind the camera.
    """
    pairs = mapping(detections.keypoint_set, "coco17")
    theirs, ours = [a for a, _ in pairs], [b for _, b in pairs]
    rows = np.asarray(rows, dtype=np.int64)
    errors = np.full((len(rows), 17), np.nan)
    frames = {frame.index: frame for frame in cameras.posed}
    for i, row in enumerate(rows):
        frame = frames.get(int(detections.frame[row]))
        if frame is None or frame.cam_from_world is None:
            continue
        predicted = frame.camera.project(transform(frame.cam_from_world, keypoints[ours]))
        found = detections.keypoints[row, theirs].astype(np.float64)
        counts = (detections.keypoint_score[row, theirs] >= min_score) & np.isfinite(found).all(-1)
        error = np.linalg.norm(predicted - found, axis=-1)
        errors[i, ours] = np.where(counts, np.where(np.isfinite(error), error, np.inf), np.nan)
    return errors


def median_residual_px(
    keypoints: Array, detection_person: npt.ArrayLike, detections: Detections, cameras: SceneCameras
) -> Array:
    """Median error (P,) of each person's COCO keypoints (P, 17, 3), px; NaN where nothing counts."""
    assigned = np.asarray(detection_person)
    medians = np.full(len(keypoints), np.nan)
    for person, body in enumerate(keypoints):
        errors = keypoint_errors(body, np.flatnonzero(assigned == person), detections, cameras)
        if np.isfinite(errors).any():
            medians[person] = np.nanmedian(errors)
    return medians
