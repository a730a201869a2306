"""Which joints of fitted people a camera sees, as far as the people themselves can tell."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mcbench.cameras.camera import Array, Camera, transform
from mcbench.viz.raycast import MeshScene, pixel_rays

#: A joint lies inside its body: the surface seen on its ray may be this far in front of it, metres.
_DEPTH_IN_BODY_M = 0.2


def visible_joints(scene: MeshScene, joints: Array, camera: Camera, cam_from_world: Array) -> npt.NDArray[np.bool_]:
    """(P, 24) joints inside the image whose own body is the first of the people's surfaces on their ray.

    A joint hidden by another limb of its own body, farther in front of it than a body is deep, is not visible either.

    Parameters
    ----------
    scene : the people's meshes, in the order of `joints` (P, 24, 3), metres.
    """
    cam = transform(cam_from_world, joints)
    pixels = camera.project(cam)
    inside = in_image(pixels, camera)
    visible = np.zeros(joints.shape[:2], dtype=bool)
    person, joint = np.nonzero(inside)
    hits = scene.cast(*pixel_rays(camera, cam_from_world, pixels[person, joint]))
    depth = cam[person, joint, 2]
    # a ray past the mesh (a joint at the skin) sees the joint unless someone else is in front
    own = (hits.person == person) & (hits.distance > depth - _DEPTH_IN_BODY_M)
    visible[person, joint] = own | (hits.distance > depth)
    return visible


def in_image(pixels: Array, camera: Camera) -> npt.NDArray[np.bool_]:
    """Whether pixels (..., 2) lie in the image; False where unknown."""
    return np.asarray(((pixels >= 0) & (pixels < [camera.width, camera.height])).all(axis=-1))


def clipped_boxes(vertices: Array, camera: Camera, cam_from_world: Array) -> Array:
    """Boxes (P, 4), x0 y0 x1 y1 px, of projected vertices (P, V, 3), clipped to the image; NaN where out of it."""
    pixels = camera.project(transform(cam_from_world, vertices))
    known = np.isfinite(pixels).all(axis=-1, keepdims=True)
    low = np.where(known, pixels, np.inf).min(axis=1, initial=np.inf)
    high = np.where(known, pixels, -np.inf).max(axis=1, initial=-np.inf)
    size = np.array([camera.width, camera.height], dtype=np.float64)
    box = np.concatenate([np.clip(low, 0, size), np.clip(high, 0, size)], axis=-1)
    empty = np.asarray((box[:, 2:] <= box[:, :2]).any(axis=-1))
    return np.where(empty[:, None], np.nan, box)
