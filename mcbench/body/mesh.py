"""Geometry of meshes, whatever they are meshes of."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def vertex_normals(vertices: Array, faces: npt.NDArray[np.int64]) -> Array:
    """Unit normals (V, 3) of a mesh (V, 3), outwards: the mean of the faces around, by area; zero where no face is."""
    corners = vertices[faces]
    face_normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    flat, spread = faces.ravel(), np.repeat(face_normal, 3, axis=0)
    total = np.stack([np.bincount(flat, spread[:, axis], minlength=len(vertices)) for axis in range(3)], axis=1)
    return np.asarray(total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12))
