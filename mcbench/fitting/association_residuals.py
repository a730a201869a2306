"""How well tracks explain their detections, by the definition of the reported reprojection error."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mcbench.cameras.camera import Array
from mcbench.dataset.cameras_file import SceneCameras
from mcbench.dataset.detections import Detections
from mcbench.fitting.association import Track
from mcbench.fitting.residuals import keypoint_errors
from mcbench.joints import joint_set, mapping


def track_residuals_px(tracks: Sequence[Track], detections: Detections, cameras: SceneCameras) -> Array:
    """Median error (T,) px of the original image, of all COCO keypoints that count in all of a track's detections.

    As `keypoint_errors` has it, with the triangulated points in the place of a body's: swapped detections count as
    they are, keypoints without a point do not count. NaN where nothing counts.
    """
    pairs = mapping(detections.keypoint_set, "coco17")
    medians = np.full(len(tracks), np.nan)
    for i, track in enumerate(tracks):
        points = np.full((len(joint_set("coco17")), 3), np.nan)
        points[[b for _, b in pairs]] = track.points[[a for a, _ in pairs]]
        errors = keypoint_errors(points, track.rows, detections, cameras)[:, np.isfinite(points).all(axis=-1)]
        if np.isfinite(errors).any():
            medians[i] = np.nanmedian(errors)
    return medians
