"""The posed frames of a scene as arrays: pinhole projection of world points into all of them at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcbench.cameras.alignment import Similarity
from mcbench.cameras.camera import Array, Camera, camera_center, transform
from mcbench.dataset.cameras_file import SceneCameras


@dataclass(frozen=True)
class Views:
    """Frames whose pose is known. A *view* is an index into these arrays, a *frame* one into the source.

    Pixels are undistorted, as `K` alone gives them, unless said otherwise.

    Attributes
    ----------
    frame : (F,) int64 rising, index of the source frame.
    cameras : intrinsics of each view, F of them.
    K : (F, 3, 3) calibration matrices, px.
    cam_from_world : (F, 3, 4), the world's units.
    """

    frame: npt.NDArray[np.int64]
    cameras: tuple[Camera, ...]
    K: Array
    cam_from_world: Array

    @classmethod
    def from_cameras(cls, cameras: SceneCameras) -> Views:
        """The posed frames of `cameras`; none at all gives empty arrays."""
        posed = sorted(cameras.posed, key=lambda frame: frame.index)
        return cls(
            np.array([frame.index for frame in posed], dtype=np.int64),
            tuple(frame.camera for frame in posed),
            np.array([frame.camera.K for frame in posed]).reshape(-1, 3, 3),
            np.array([frame.cam_from_world for frame in posed], dtype=np.float64).reshape(-1, 3, 4),
        )

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def projection(self) -> Array:
        """Projection matrices K [R | t] (F, 3, 4)."""
        return self.K @ self.cam_from_world

    @property
    def centers(self) -> Array:
        """Camera centres (F, 3) in the world."""
        return camera_center(self.cam_from_world)

    @property
    def size(self) -> Array:
        """Width and height (F, 2) of the images, px."""
        return np.array([[camera.width, camera.height] for camera in self.cameras], dtype=np.float64).reshape(-1, 2)

    def of_frame(self, index: int) -> int | None:
        """The view of source frame `index`, or None where it has no pose."""
        at = int(np.searchsorted(self.frame, index))
        return at if at < len(self.frame) and self.frame[at] == index else None

    def of_frames(self, indices: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """The views (N,) of source frames `indices` (N,); -1 where a frame has no pose."""
        wanted = np.asarray(indices, dtype=np.int64)
        if len(self) == 0:
            return np.full(wanted.shape, -1, dtype=np.int64)
        at = np.minimum(np.searchsorted(self.frame, wanted), len(self) - 1)
        return np.where(self.frame[at] == wanted, at, -1).astype(np.int64)

    def project(self, points: npt.ArrayLike) -> Array:
        """World points (..., 3) to undistorted pixels (F, ..., 2); NaN for points not in front of the camera."""
        world = np.asarray(points, dtype=np.float64)
        image = transform(self.projection, world.reshape(-1, 3))
        depth = np.where(image[..., 2] > 0, image[..., 2], np.nan)
        return (image[..., :2] / depth[..., None]).reshape(len(self), *world.shape[:-1], 2)

    def depth(self, points: npt.ArrayLike) -> Array:
        """Depth (F, ...) of world points (..., 3) along each optical axis, the world's units."""
        world = np.asarray(points, dtype=np.float64)
        return transform(self.cam_from_world, world.reshape(-1, 3))[..., 2].reshape(len(self), *world.shape[:-1])

    def undistort(self, view: int, pixels: npt.ArrayLike) -> Array:
        """Pixels (..., 2) of a view's image to undistorted pixels."""
        return self.cameras[view].undistort(pixels)

    def undistort_each(self, view: npt.NDArray[np.int64], pixels: npt.ArrayLike) -> Array:
        """Pixels (N, ..., 2), each of the image of its own view (N,), to undistorted pixels."""
        pixels = np.asarray(pixels, dtype=np.float64)
        undistorted = np.empty_like(pixels)
        taken_by: dict[Camera, list[int]] = {}
        for row, index in enumerate(view):
            taken_by.setdefault(self.cameras[int(index)], []).append(row)
        for camera, rows in taken_by.items():  # of a video, all views are one camera's
            undistorted[rows] = camera.undistort(pixels[rows])
        return undistorted

    def select(self, chosen: npt.NDArray[np.int64]) -> Views:
        """Some of the views, `chosen` (N,) indices, rising."""
        cameras = tuple(self.cameras[int(view)] for view in chosen)
        return Views(self.frame[chosen], cameras, self.K[chosen], self.cam_from_world[chosen])

    def transformed(self, similarity: Similarity) -> Views:
        """The same views in the world that `similarity` maps this world to; no pixel changes."""
        return Views(self.frame, self.cameras, self.K, similarity.apply_to_camera(self.cam_from_world))
