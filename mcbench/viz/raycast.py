"""First hits of rays on the meshes of the people of a scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from mcbench.cameras.camera import Array, Camera, camera_center


@dataclass(frozen=True)
class Hits:
    """What N rays hit first.

    Attributes
    ----------
    person : (N,) index of the person, -1 where nobody is hit.
    face : (N,) index of the face, -1 likewise.
    distance : (N,) along the ray, in units of its direction; infinite likewise.
    u, v : (N,) weights of the face's second and third corner at the hit.
    """

    person: npt.NDArray[np.int64]
    face: npt.NDArray[np.int64]
    distance: Array
    u: Array
    v: Array


class MeshScene:
    """P meshes of one topology, to cast rays at.

    Parameters
    ----------
    vertices : (P, V, 3). faces : (F, 3).
    """

    def __init__(self, vertices: npt.ArrayLike, faces: npt.ArrayLike) -> None:
        self.vertices = np.asarray(vertices, dtype=np.float64)
        self.faces = np.asarray(faces, dtype=np.int64)
        people, count = self.vertices.shape[:2]
        self._scene = EmbreeScene() if people else None
        if people:
            triangles = (self.faces[None] + count * np.arange(people)[:, None, None]).reshape(-1, 3)
            corners = self.vertices.reshape(-1, 3)[triangles]
            self._mesh = TriangleMesh(self._scene, corners.astype(np.float32))

    def cast(self, origins: npt.ArrayLike, directions: npt.ArrayLike) -> Hits:
        """First hits of rays with origins and directions (N, 3)."""
        origins = np.ascontiguousarray(origins, dtype=np.float32)
        directions = np.ascontiguousarray(directions, dtype=np.float32)
        n = len(origins)
        if self._scene is None or not n:
            nobody = np.full(n, -1, dtype=np.int64)
            return Hits(nobody, nobody, np.full(n, np.inf), np.zeros(n), np.zeros(n))
        result = self._scene.run(origins, directions, output=1)
        triangle = result["primID"].astype(np.int64)
        hit = triangle >= 0
        person = np.where(hit, triangle // len(self.faces), -1)
        face = np.where(hit, triangle % len(self.faces), -1)
        distance = np.where(hit, result["tfar"], np.inf).astype(np.float64)
        return Hits(person, face, distance, result["u"].astype(np.float64), result["v"].astype(np.float64))


def pixel_rays(camera: Camera, cam_from_world: npt.ArrayLike, pixels: npt.ArrayLike) -> tuple[Array, Array]:
    """Origins and directions (N, 3) in the world of the rays of pixels (N, 2); directions have unit depth.

    Distortion is undone, so that a distance along a ray is a depth in the camera.
    """
    pose = np.asarray(cam_from_world, dtype=np.float64)
    xy = (camera.undistort(pixels) - [camera.cx, camera.cy]) / [camera.fx, camera.fy]
    directions = np.concatenate([xy, np.ones((len(xy), 1))], axis=1) @ pose[:, :3]
    return np.broadcast_to(camera_center(pose), directions.shape), directions


def pixel_grid(width: int, height: int, step: int = 1) -> Array:
    """Centres of pixels (rows, columns, 2), every `step`-th in both directions."""
    x = np.arange(0, width, step) + step / 2
    y = np.arange(0, height, step) + step / 2
    return np.stack(np.meshgrid(x, y), axis=-1)
