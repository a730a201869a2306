"""Images of a scene for what a fit reads from pixels: without distortion, no larger than it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mcbench.cameras.alignment import Similarity
from mcbench.cameras.camera import Camera
from mcbench.cameras.views import Views

#: Longer side of an image at most, px: outlines of larger ones are no sharper than the body model.
_MAX_SIDE = 1600
#: Mean of an image's values, of 255.
_MEAN = 110.0


@dataclass(frozen=True)
class SceneImages:
    """Some views of a scene with their images.

    Attributes
    ----------
    views : F of them, without distortion.
    pixels : F of (height, width, 3) uint8 RGB, all of one brightness: cameras change their exposure as they move.
    """

    views: Views
    pixels: tuple[npt.NDArray[np.uint8], ...]

    @classmethod
    def of_frames(cls, views: Views, frames: Sequence[int], images: Sequence[npt.NDArray[np.uint8]]) -> SceneImages:
        """From the images of source frames that have a pose, in rising order."""
        pairs = [
            prepare(views.cameras[int(v)], image) for v, image in zip(views.of_frames(frames), images, strict=True)
        ]
        cameras = tuple(camera for camera, _ in pairs)
        chosen = views.of_frames(frames)
        return cls(
            Views(
                views.frame[chosen],
                cameras,
                np.array([camera.K for camera in cameras]).reshape(-1, 3, 3),
                views.cam_from_world[chosen],
            ),
            tuple(evenly_bright(image) for _, image in pairs),
        )

    def transformed(self, similarity: Similarity) -> SceneImages:
        """The same images in the world that `similarity` maps this world to."""
        return SceneImages(self.views.transformed(similarity), self.pixels)


def evenly_bright(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The image (height, width, 3) as if exposed so that its mean is `_MEAN`; a black one as it is."""
    mean = float(image.mean())
    if mean < 1.0:
        return image
    brighter = np.clip(np.arange(256) * (_MEAN / mean), 0, 255).round().astype(np.uint8)
    return np.asarray(cv2.LUT(image, brighter), dtype=np.uint8)


def prepare(camera: Camera, image: npt.NDArray[np.uint8]) -> tuple[Camera, npt.NDArray[np.uint8]]:
    """The image without distortion, at most `_MAX_SIDE` px long, and the pinhole camera that takes it so."""
    factor = min(1.0, _MAX_SIDE / max(camera.width, camera.height))
    width, height = (max(1, round(factor * side)) for side in (camera.width, camera.height))
    across, down = width / camera.width, height / camera.height
    pinhole = Camera(
        "PINHOLE", width, height, (camera.fx * across, camera.fy * down, camera.cx * across, camera.cy * down)
    )
    if camera.distortion.any():
        # OpenCV has a pixel's centre at whole numbers
        matrix = camera.K - [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]
        image = np.asarray(cv2.undistort(image, matrix, camera.distortion), dtype=np.uint8)
    if factor < 1:
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return pinhole, image
