"""Where the people of an image stand: their parts, each relative to its own root, brought into one camera's frame."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mcbench.cameras.camera import Camera
from mcbench.dope.people import JOINTS, PARTS, WholeBody, kind_of
from mcbench.fitting.lifting import weak_perspective
from mcbench.joints import DOPE13

Array = npt.NDArray[np.float64]

#: The joint of the body that tells how far away each other part is.
_CARRIER = {"left_hand": "left_wrist", "right_hand": "right_wrist", "face": "head"}


def placed(person: WholeBody, camera: Camera) -> Array:
    """(139, 3) metres in the camera's frame; NaN where unknown.

    A body stands where weak perspective puts it; its hands and face are as far away as its wrists and head, where
    the image shows them. Parts alone stand by weak perspective of their own.
    """
    rows = []
    body = None
    for name in PARTS:
        part, count = getattr(person, name), len(JOINTS[kind_of(name)])
        points = np.full((count, 3), np.nan)
        if part is not None:
            if name == "body" or body is None:
                shift = weak_perspective(part.pose3d, part.pose2d, camera, part.confidence)
            else:
                shift = _at_depth(part.pose3d, part.pose2d, camera, float(body[DOPE13.index(_CARRIER[name]), 2]))
            if shift is not None:
                points = part.pose3d + shift
                body = points if name == "body" else body
        rows.append(points)
    return np.concatenate(rows)


def _at_depth(points: Array, pixels: Array, camera: Camera, depth: float) -> Array | None:
    """The translation (3,) that puts points (K, 3) at a depth, their middle where that of the pixels (K, 2) is seen."""
    known = np.isfinite(points).all(axis=1) & np.isfinite(pixels).all(axis=1)
    if not known.any() or not np.isfinite(depth) or depth <= 0:
        return None
    middle = points[known].mean(axis=0)
    ray = (camera.undistort(pixels[known]).mean(axis=0) - [camera.cx, camera.cy]) / [camera.fx, camera.fy]
    return np.array([*(ray * depth - middle[:2]), depth - middle[2]])
