"""Which joints and vertices of rendered people a camera sees: exact, by rays at the surfaces."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from mcbench.cameras.camera import camera_center, transform

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

#: Rays at points: (origins, directions) to (person or -1, distance in units of the direction).
Caster = Callable[[Array, Array], tuple[npt.NDArray[np.int64], Array]]

#: A joint lies this deep in its body at most, metres: its own limb farther in front hides it.
DEPTH_IN_BODY_M = 0.2
_ON_SURFACE_M = 0.006


def project(K: Array, cam_from_world: Array, points: Array) -> tuple[Array, Array]:
    """Pixels (..., 2) and depths (...) of points; NaN pixels behind the camera."""
    local = transform(cam_from_world, points.reshape(-1, 3)).reshape(points.shape)
    depth = local[..., 2]
    safe = np.where(depth > 0.05, depth, np.nan)
    return local[..., :2] / safe[..., None] * K[[0, 1], [0, 1]] + K[:2, 2], depth


def inside(pixels: Array, size: tuple[int, int]) -> Bools:
    """Whether pixels (..., 2) are in the image."""
    return np.asarray(((pixels >= 0) & (pixels < np.array(size))).all(-1))


def joints_seen(
    cast: Caster, K: Array, cam_from_world: Array, joints: Array, size: tuple[int, int]
) -> tuple[Bools, Bools]:
    """Visible and in the image: (P, 24) each. Visible: inside, its own body's surface the first thing on its ray."""
    pixels, depth = project(K, cam_from_world, joints)
    within = inside(pixels, size)
    person, joint = np.nonzero(within)
    visible = np.zeros_like(within)
    if len(person):
        centre = camera_center(cam_from_world)
        arrows = joints[person, joint] - centre
        hit, share = cast(np.broadcast_to(centre, arrows.shape), arrows)
        slack = DEPTH_IN_BODY_M / np.maximum(depth[person, joint], 0.1)
        visible[person, joint] = ((hit == person) & (share > 1 - slack)) | (share > 1)
    return visible, within


def vertices_seen(cast: Caster, K: Array, cam_from_world: Array, vertices: Array, size: tuple[int, int]) -> Bools:
    """(P, V) vertices inside the image with nothing in front of them."""
    pixels, _ = project(K, cam_from_world, vertices)
    within = inside(pixels, size)
    person, vertex = np.nonzero(within)
    seen = np.zeros_like(within)
    if len(person):
        centre = camera_center(cam_from_world)
        arrows = vertices[person, vertex] - centre
        _, share = cast(np.broadcast_to(centre, arrows.shape), arrows)
        seen[person, vertex] = share > 1 - _ON_SURFACE_M / np.linalg.norm(arrows, axis=1)
    return seen
