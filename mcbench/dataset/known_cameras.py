"""Known cameras from a COLMAP model, brought to the frames of a source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from mcbench.cameras.camera import Camera
from mcbench.dataset.cameras_file import FrameCamera, SceneCameras
from mcbench.dataset.colmap_model import PosedImage, read_model
from mcbench.dataset.source import Frame
from mcbench.errors import InputError

#: Unit vectors against gravity by the names that `--up` takes.
UP_AXES = {
    "x": (1.0, 0.0, 0.0),
    "y": (0.0, 1.0, 0.0),
    "z": (0.0, 0.0, 1.0),
    "-x": (-1.0, 0.0, 0.0),
    "-y": (0.0, -1.0, 0.0),
    "-z": (0.0, 0.0, -1.0),
}
#: An image may differ from its calibration by this share of either side: a few columns cropped, not a resize.
_CROP_TOLERANCE = 0.03


def known_cameras(folder: Path, frames: Sequence[Frame], units: str, up: str | None) -> SceneCameras:
    """Cameras of a source's frames from the COLMAP model in `folder`.

    A frame takes the pose of the model's image of its name, else of that name without folders, else without suffix.
    Where an image is a few pixels smaller or larger than its calibration says, the intrinsics are kept as they
    are (pixels are counted from the top left corner, nothing is resampled), the camera takes the image's size, and
    `info["size_differs"]` names the frame; where the sizes differ by more, it is an error. Frames that the model lacks
    have no pose and take the intrinsics of a camera of equal size.

    Parameters
    ----------
    units : "metre" or "unknown". up : one of `UP_AXES`, or None where unknown.

    Raises
    ------
    InputError : the model cannot be read, or reason `no_match` (none of the frames is in it), `size_mismatch`,
        `missing_camera` (a frame that the model lacks, and no camera of its size).
    """
    images = read_model(folder)
    matched = _match(folder, images, frames)
    if not matched:
        raise InputError(
            f"none of its images is a frame of the source: it has {images[0].name!r}, … "
            f"and the source {frames[0].name!r}, …",
            path=folder,
            reason="no_match",
        )
    by_size = {(i.camera.width, i.camera.height): i.camera for i in reversed(images)}
    cameras, differing = [], []
    for frame in frames:
        image = matched.get(frame.index)
        if image is None:
            camera = by_size.get((frame.width, frame.height))
            if camera is None:
                raise InputError(f"has no camera for frame {frame.name!r}", path=folder, reason="missing_camera")
            cameras.append(FrameCamera(frame.index, frame.name, camera, None))
            continue
        camera = image.camera
        if (camera.width, camera.height) != (frame.width, frame.height):
            differing.append(frame.name)
            camera = _cropped(folder, camera, frame)
        cameras.append(FrameCamera(frame.index, frame.name, camera, image.cam_from_world))
    info = {
        "images_in_model": len(images),
        "images_without_frame": len(images) - len({id(i) for i in matched.values()}),
        "frames_without_pose": len(frames) - len(matched),
        "size_differs": differing,
    }
    return SceneCameras(cameras, units, None if up is None else np.array(UP_AXES[up]), "colmap", info)


def _match(folder: Path, images: Sequence[PosedImage], frames: Sequence[Frame]) -> dict[int, PosedImage]:
    """Images by index of the frame they are of; a name that fits several images fits none."""
    matched: dict[int, PosedImage] = {}
    for key in (str, _basename, _stem):
        by_name: dict[str, list[PosedImage]] = {}
        for image in images:
            by_name.setdefault(key(image.name), []).append(image)
        for frame in frames:
            candidates = by_name.get(key(frame.name), [])
            if frame.index not in matched and len(candidates) == 1:
                matched[frame.index] = candidates[0]
    return matched


def _basename(name: str) -> str:
    return PurePosixPath(name).name


def _stem(name: str) -> str:
    return PurePosixPath(name).stem


def _cropped(folder: Path, camera: Camera, frame: Frame) -> Camera:
    off = max(abs(frame.width / camera.width - 1), abs(frame.height / camera.height - 1))
    if off > _CROP_TOLERANCE:
        raise InputError(
            f"its camera for {frame.name!r} is {camera.width}x{camera.height}, the frame {frame.width}x{frame.height}",
            path=folder,
            hint="calibration and frames must have one size: rescale the one or the other",
            reason="size_mismatch",
        )
    return replace(camera, width=frame.width, height=frame.height)
