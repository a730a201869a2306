"""Parts whose joints are known in space, as a camera sees them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mcbench.cameras.camera import Camera, transform
from mcbench.dope.people import PartPose, about_root, box_round

Array = npt.NDArray[np.float64]

#: Confidence of a joint inside the image that something hides; that of a visible one is 1.
HIDDEN = 0.5
#: A body is labelled where so many of its 13 joints are visible.
MIN_BODY_JOINTS = 4
#: A hand or a face is labelled where so much of it is visible, and its longer side has so many px.
MIN_SHARE, MIN_PX = 0.5, 16.0
#: A face is labelled where so many of its points look towards the camera: about half of them do in profile.
MIN_FACING = 1 / 3


def projected_part(kind: str, points: Array, camera: Camera, cam_from_world: Array, confidence: Array) -> PartPose:
    """A part with joints at `points` (J, 3) of the world, metres, NaN where unknown.

    confidence : (J,) of each joint if it is inside the image; outside it is 0.
    """
    in_camera = transform(cam_from_world, points)
    pose2d = camera.project(in_camera)
    with np.errstate(invalid="ignore"):
        inside = ((pose2d >= 0) & (pose2d <= [camera.width, camera.height])).all(axis=1)
    confidence = np.where(inside, confidence, 0.0)
    return PartPose(1.0, pose2d, about_root(kind, in_camera), confidence, box_round(pose2d, confidence))


def looking_away(points: Array, middle: Array, cam_from_world: Array) -> npt.NDArray[np.bool_]:
    """(J,) which points (J, 3) of a face look away from a camera, as seen from the middle (3,) of the head.

    Unknown points do not, and none does where the middle is unknown.
    """
    in_camera = transform(cam_from_world, np.concatenate([points, middle[None]]))
    outwards = in_camera[:-1] - in_camera[-1]
    with np.errstate(invalid="ignore"):
        return np.asarray((outwards * in_camera[:-1]).sum(axis=1) > 0)
