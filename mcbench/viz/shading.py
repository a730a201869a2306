"""Shaded pictures of the meshes of a scene's people, in the pixels of a (distorted) image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcbench.body.mesh import vertex_normals
from mcbench.cameras.camera import Array, Camera
from mcbench.viz.raycast import MeshScene, pixel_rays
from mcbench.viz.visibility import clipped_boxes

#: Brightness of a surface seen from the side; 1 where it faces the camera.
_AMBIENT = 0.35


@dataclass(frozen=True)
class Shaded:
    """What the pixels of an image show of the people.

    Attributes
    ----------
    person : (H, W) int64, who is seen first, -1 where nobody.
    brightness : (H, W) in [0, 1] of a lamp at the camera; 0 where nobody.
    """

    person: npt.NDArray[np.int64]
    brightness: Array


def shade(scene: MeshScene, camera: Camera, cam_from_world: Array, size: tuple[int, int]) -> Shaded:
    """Render the people.

    Parameters
    ----------
    size : (width, height) of the picture, which shows the camera's whole image.
    """
    width, height = size
    person = np.full((height, width), -1, dtype=np.int64)
    brightness = np.zeros((height, width))
    scale = np.array([camera.width / width, camera.height / height])
    box = clipped_boxes(scene.vertices, camera, cam_from_world)
    box = box[np.isfinite(box).all(axis=1)]
    if not len(box):
        return Shaded(person, brightness)
    # rays only where somebody can be
    somewhere = np.zeros((height, width), dtype=bool)
    low, high = np.floor(box[:, :2] / scale).astype(int), np.ceil(box[:, 2:] / scale).astype(int)
    for (x0, y0), (x1, y1) in zip(low, high, strict=True):
        somewhere[y0:y1, x0:x1] = True
    rows, columns = np.nonzero(somewhere)
    pixels = (np.stack([columns, rows], axis=1) + 0.5) * scale
    origins, directions = pixel_rays(camera, cam_from_world, pixels)
    hits = scene.cast(origins, directions)
    at = np.flatnonzero(hits.person >= 0)
    corners = scene.faces[hits.face[at]]
    normals = np.stack([vertex_normals(mesh, scene.faces) for mesh in scene.vertices])
    u, v = hits.u[at, None], hits.v[at, None]
    n = [normals[hits.person[at], corners[:, k]] for k in range(3)]
    normal = (1 - u - v) * n[0] + u * n[1] + v * n[2]
    ray = directions[at]
    cosine = np.abs((normal * ray).sum(axis=1)) / np.maximum(
        np.linalg.norm(normal, axis=1) * np.linalg.norm(ray, axis=1), 1e-12
    )
    person[rows, columns] = hits.person
    brightness[rows[at], columns[at]] = _AMBIENT + (1 - _AMBIENT) * cosine
    return Shaded(person, brightness)
