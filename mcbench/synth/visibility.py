"""Which joints and vertices of rendered people a camera sees: exact, by rays at the surfaces."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from mcbench.cameras.camera import Camera, camera_center, transform
from mcbench.viz.visibility import in_image

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

#: Rays: (origins, directions) to (person hit first or -1, distance in units of the direction).
Caster = Callable[[Array, Array], tuple[npt.NDArray[np.int64], Array]]
#: Rays: (origins, directions, length in units of the direction) to whether anything is in their way.
Blocker = Callable[[Array, Array, Array], Bools]

#: A joint lies this deep in its body at most, metres: its own limb farther in front hides it.
DEPTH_IN_BODY_M = 0.2
_ON_SURFACE_M = 0.006


def joints_seen(cast: Caster, camera: Camera, cam_from_world: Array, joints: Array) -> tuple[Bools, Bools]:
    """Visible and in the image: (P, 24) each. Visible: inside, its own body's surface the first thing on its ray."""
    within, centres, arrows = _rays(camera, cam_from_world, joints)
    visible = np.zeros_like(within)
    if within.any():
        person = np.nonzero(within)[0]
        hit, share = cast(centres, arrows)
        slack = DEPTH_IN_BODY_M / np.maximum(arrows @ cam_from_world[2, :3], 0.1)
        visible[within] = ((hit == person) & (share > 1 - slack)) | (share > 1)
    return visible, within


def vertices_seen(blocked: Blocker, camera: Camera, cam_from_world: Array, vertices: Array) -> Bools:
    """(P, V) vertices inside the image with nothing in front of them."""
    within, centres, arrows = _rays(camera, cam_from_world, vertices)
    seen = np.zeros_like(within)
    if within.any():
        seen[within] = ~blocked(centres, arrows, 1 - _ON_SURFACE_M / np.linalg.norm(arrows, axis=1))
    return seen


def _rays(camera: Camera, cam_from_world: Array, points: Array) -> tuple[Bools, Array, Array]:
    """Which points (P, N, 3) are inside the image; of those, rays from the camera's centre to them."""
    within = in_image(camera.project(transform(cam_from_world, points)), camera)
    centre = camera_center(cam_from_world)
    arrows = points[within] - centre
    return within, np.broadcast_to(centre, arrows.shape), arrows
