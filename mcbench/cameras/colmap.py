"""COLMAP's cameras and ours."""

from __future__ import annotations

import pycolmap

from mcbench.cameras.camera import Camera

# COLMAP reports every step on stderr, which belongs to the command that runs: only its errors are let through.
pycolmap.logging.minloglevel = int(pycolmap.logging.Level.ERROR)


def from_colmap(camera: pycolmap.Camera) -> Camera:
    """COLMAP's camera as ours."""
    return Camera(camera.model_name, camera.width, camera.height, tuple(float(p) for p in camera.params))


def to_colmap(camera: Camera, camera_id: int = 1) -> pycolmap.Camera:
    """Our camera as COLMAP's."""
    return pycolmap.Camera(
        camera_id=camera_id,
        model=camera.model,
        width=camera.width,
        height=camera.height,
        params=list(camera.params),
    )


def initial_camera(width: int, height: int, focal_factor: float = 1.2, camera_id: int = 1) -> pycolmap.Camera:
    """An uncalibrated camera with one focal length and one radial term; focal length `focal_factor` x longer side."""
    camera = pycolmap.Camera.create_from_model_name(
        camera_id, "SIMPLE_RADIAL", focal_factor * max(width, height), width, height
    )
    camera.has_prior_focal_length = False
    return camera
