"""A sparse model: posed frames, points, and which frame sees which point where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pycolmap

from mcbench.cameras.camera import Array, Camera, camera_center, transform
from mcbench.cameras.colmap import from_colmap
from mcbench.cameras.features import Features


@dataclass(frozen=True)
class SparseModel:
    """Posed frames and points in one world.

    Attributes
    ----------
    cameras : camera of each posed frame, by frame index; frames of one camera share the object.
    poses : cam_from_world (3, 4) of each posed frame, by frame index.
    xyz : (P, 3) points; rgb : (P, 3) uint8.
    frame, point : (M,) frame index and row in `xyz` of each observation; pixels : (M, 2) px.
    """

    cameras: dict[int, Camera]
    poses: dict[int, Array]
    xyz: Array
    rgb: npt.NDArray[np.uint8]
    frame: npt.NDArray[np.int64]
    point: npt.NDArray[np.int64]
    pixels: Array

    def residuals(self) -> Array:
        """Reprojection errors (M,), px; NaN for points not in front of the camera."""
        out = np.full(len(self.frame), np.nan)
        for index, pose in self.poses.items():
            rows = self.frame == index
            projected = self.cameras[index].project(transform(pose, self.xyz[self.point[rows]]))
            out[rows] = np.linalg.norm(projected - self.pixels[rows], axis=1)
        return out

    def point_errors(self) -> Array:
        """Mean reprojection error of each point (P,), px; NaN for a point without observations."""
        errors = self.residuals()
        known = np.isfinite(errors)
        counts = np.bincount(self.point[known], minlength=len(self.xyz))
        sums = np.bincount(self.point[known], weights=errors[known], minlength=len(self.xyz))
        return np.divide(sums, counts, out=np.full(len(self.xyz), np.nan), where=counts > 0)

    def triangulation_angles(self) -> Array:
        """Largest angle (P,) between a point's ray from its first camera and its rays from the others, radians."""
        centres = {index: camera_center(pose) for index, pose in self.poses.items()}
        rays = np.array([centres[i] for i in self.frame.tolist()]).reshape(-1, 3) - self.xyz[self.point]
        rays /= np.linalg.norm(rays, axis=1, keepdims=True)
        order = np.lexsort((self.frame, self.point))
        points, first = np.unique(self.point[order], return_index=True)
        reference = np.zeros((len(self.xyz), 3))
        reference[points] = rays[order[first]]
        cosines = np.clip(np.einsum("ij,ij->i", rays, reference[self.point]), -1.0, 1.0)
        angles = np.zeros(len(self.xyz))
        np.maximum.at(angles, self.point, np.arccos(cosines))
        return angles

    def with_poses(self, cameras: dict[int, Camera], poses: dict[int, Array]) -> SparseModel:
        """The model with further frames posed."""
        return replace(self, cameras={**self.cameras, **cameras}, poses={**self.poses, **poses})

    def joined(self, other: SparseModel) -> SparseModel:
        """The model with the points of another of the same cameras and poses added to its own."""
        return replace(
            self,
            xyz=np.concatenate([self.xyz, other.xyz]),
            rgb=np.concatenate([self.rgb, other.rgb]),
            frame=np.concatenate([self.frame, other.frame]),
            point=np.concatenate([self.point, other.point + len(self.xyz)]),
            pixels=np.concatenate([self.pixels, other.pixels]),
        )


def from_reconstruction(
    model: pycolmap.Reconstruction, frames: Sequence[int], features: Sequence[Features]
) -> SparseModel:
    """COLMAP's model as ours.

    Parameters
    ----------
    model : image ids are positions + 1, its 2D points are rows of the features.
    frames : frame index of each image, by position; features : likewise.
    """
    cameras = {i: from_colmap(model.cameras[i]) for i in sorted(model.cameras)}
    ids = sorted(model.point3D_ids())
    row_of = {point_id: row for row, point_id in enumerate(ids)}
    positions = sorted(i - 1 for i in model.reg_image_ids())
    frame, point, pixels = [], [], []
    rgb = np.zeros((len(ids), 3), dtype=np.uint8)
    for position in positions:
        for row, observed in enumerate(model.image(position + 1).points2D):
            if observed.has_point3D():
                target = row_of[observed.point3D_id]
                frame.append(frames[position])
                point.append(target)
                pixels.append(features[position].points[row])
                rgb[target] = features[position].colours[row]
    return SparseModel(
        cameras={frames[p]: cameras[model.image(p + 1).camera_id] for p in positions},
        poses={frames[p]: np.array(model.image(p + 1).cam_from_world().matrix()) for p in positions},
        xyz=np.array([model.point3D(i).xyz for i in ids]).reshape(-1, 3),
        rgb=rgb,
        frame=np.array(frame, dtype=np.int64),
        point=np.array(point, dtype=np.int64),
        pixels=np.array(pixels, dtype=np.float64).reshape(-1, 2),
    )
