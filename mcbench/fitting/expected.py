"""Where people known in a still world should be seen in a view, and who hides whom there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mcbench.cameras.camera import Array, Camera, transform
from mcbench.cameras.triangulation import BoolArray
from mcbench.cameras.views import Views
from mcbench.fitting.association import Track
from mcbench.fitting.association_observations import body_joints
from mcbench.joints import JointSet

#: Share of a person's body joints that must lie in the image: of someone cut at the hips it is a half.
_MIN_INSIDE = 0.4
#: Share of the body joints in the image that nearer people may hide.
_MAX_HIDDEN = 0.7
#: Distance from a nearer person's bones within which they hide what is behind, as a share of their extent in the image.
_THICKNESS = 0.05
#: Where a lens bends points outside its field back into the image, undistorting does not give them back, px.
_SAME_PIXEL = 0.5

_LIMBS = (("shoulder", "elbow"), ("elbow", "wrist"), ("shoulder", "hip"), ("hip", "knee"), ("knee", "ankle"))
_ACROSS = (
    *(("left_shoulder", "right_shoulder"), ("left_hip", "right_hip")),
    *(("left_shoulder", "right_hip"), ("right_shoulder", "left_hip")),
    *(("nose", "left_shoulder"), ("nose", "right_shoulder")),
)
#: Bones by the names of their ends.
BONES = (*((f"{side}_{a}", f"{side}_{b}") for side in ("left", "right") for a, b in _LIMBS), *_ACROSS)


def expected_keypoints(views: Views, view: int, tracks: Sequence[Track], joints: JointSet) -> dict[int, Array]:
    """Keypoints (K, 2) px of the view's own (distorted) image, of the tracks that should be seen there, by index.

    NaN where unknown or not in front of the camera. Left out is who lies outside the image for the most part, or is
    hidden by nearer people.
    """
    body = body_joints(joints)
    size = views.size[view]
    pixels: dict[int, Array] = {}
    depth: dict[int, float] = {}
    for index, track in enumerate(tracks):
        in_camera = transform(views.cam_from_world[view], track.points)
        keypoints = image_points(views.cameras[view], in_camera)
        inside = ((keypoints[body] >= 0) & (keypoints[body] <= size)).all(axis=-1)
        known = np.isfinite(track.points[body]).all(axis=-1).sum()
        if known and inside.sum() >= _MIN_INSIDE * known:
            pixels[index], depth[index] = keypoints, float(np.nanmedian(in_camera[:, 2]))
    return {
        index: keypoints
        for index, keypoints in pixels.items()
        if not _hidden(keypoints, [pixels[i] for i in pixels if depth[i] < depth[index]], size, joints)
    }


def image_points(camera: Camera, in_camera: Array) -> Array:
    """Points (K, 3) in the camera's frame to px (K, 2) of its (distorted) image; NaN outside the lens's field."""
    pixels = camera.project(in_camera)
    z = np.where(in_camera[:, 2:] > 0, in_camera[:, 2:], np.nan)
    straight = in_camera[:, :2] / z * [camera.fx, camera.fy] + [camera.cx, camera.cy]
    back = np.linalg.norm(camera.undistort(pixels) - straight, axis=-1) < _SAME_PIXEL
    return np.where(back[:, None], pixels, np.nan)


def _hidden(keypoints: Array, nearer: Sequence[Array], size: Array, joints: JointSet) -> bool:
    """Whether nearer people's bodies lie before most of the body joints that would be in the image."""
    points = keypoints[body_joints(joints)]
    points = points[((points >= 0) & (points <= size)).all(axis=-1)]
    covered = np.zeros(len(points), dtype=bool)
    for other in nearer:
        covered |= _behind(points, other, joints)
    return bool(covered.sum() > _MAX_HIDDEN * len(points))


def _behind(points: Array, other: Array, joints: JointSet) -> BoolArray:
    """Which of the points (N, 2) px lie on the figure of the keypoints `other` (K, 2) px: near one of its bones."""
    bones = np.array([(joints.index(a), joints.index(b)) for a, b in BONES if {a, b} <= set(joints.joints)])
    ends = other[bones.reshape(-1, 2)]
    start, along = ends[:, 0], ends[:, 1] - ends[:, 0]
    offset = points[:, None] - start
    length = np.maximum((along**2).sum(axis=-1), 1e-12)
    at = np.clip((offset * along).sum(axis=-1) / length, 0.0, 1.0)
    distance = np.linalg.norm(offset - at[..., None] * along, axis=-1)  # (N, bones), NaN where an end is unknown
    extent = float(np.nanmax(np.nanmax(other, axis=0) - np.nanmin(other, axis=0)))
    return np.asarray((distance < _THICKNESS * extent).any(axis=-1))
