"""Known cameras: matched to frames by name, sizes that differ, frames that a model lacks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mcbench.cameras.camera import Camera
from mcbench.dataset.cameras_file import SceneCameras
from mcbench.dataset.colmap_model import PosedImage, write_model
from mcbench.dataset.known_cameras import UP_AXES, known_cameras
from mcbench.dataset.source import Frame
from mcbench.errors import InputError

CAMERA = Camera("PINHOLE", 100, 200, (90.0, 91.0, 50.5, 99.5))


def model(folder: Path, *names: str, camera: Camera = CAMERA) -> Path:
    """A model whose image number i has its camera's centre at x = -i."""
    poses = [np.column_stack([np.eye(3), [float(i), 0.0, 0.0]]) for i in range(len(names))]
    write_model(folder, [PosedImage(name, camera, pose) for name, pose in zip(names, poses, strict=True)])
    return folder


def frames(*names: str, size: tuple[int, int] = (100, 200)) -> list[Frame]:
    return [Frame(i, name, None, *size) for i, name in enumerate(names)]


def shifts(cameras: SceneCameras) -> list[float | None]:
    return [None if f.cam_from_world is None else f.cam_from_world[0, 3] for f in cameras.frames]


def test_by_name_whatever_the_order(tmp_path: Path) -> None:
    cameras = known_cameras(model(tmp_path, "b.jpg", "a.jpg"), frames("a.jpg", "b.jpg"), "metre", "z")
    assert shifts(cameras) == [1.0, 0.0]
    assert cameras.units == "metre"
    assert np.array_equal(cameras.up, [0, 0, 1])
    assert cameras.origin == "colmap"
    assert cameras.info["size_differs"] == []


def test_by_name_without_folder_and_without_suffix(tmp_path: Path) -> None:
    folder = model(tmp_path, "rig/a.png", "other/a.jpg", "000002.png")
    assert shifts(known_cameras(folder, frames("a.jpg", "000002"), "unknown", None)) == [1.0, 2.0]


def test_a_name_that_fits_two_images_fits_none(tmp_path: Path) -> None:
    folder = model(tmp_path, "left/a.jpg", "right/a.jpg", "b.jpg")
    cameras = known_cameras(folder, frames("a.jpg", "b.jpg"), "unknown", None)
    assert shifts(cameras) == [None, 2.0]
    assert cameras.info["frames_without_pose"] == 1
    assert cameras.info["images_without_frame"] == 2


def test_a_cropped_image_keeps_the_intrinsics(tmp_path: Path) -> None:
    cameras = known_cameras(model(tmp_path, "a.jpg"), frames("a.jpg", size=(98, 200)), "unknown", None)
    camera = cameras.frames[0].camera
    assert (camera.width, camera.height) == (98, 200)
    assert camera.params == CAMERA.params
    assert cameras.info["size_differs"] == ["a.jpg"]


@pytest.mark.parametrize("size", [(50, 100), (200, 100), (110, 200)])
def test_a_resized_image_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    with pytest.raises(InputError) as caught:
        known_cameras(model(tmp_path, "a.jpg"), frames("a.jpg", size=size), "unknown", None)
    assert caught.value.reason == "size_mismatch"


def test_no_match_and_no_camera(tmp_path: Path) -> None:
    folder = model(tmp_path, "a.jpg")
    with pytest.raises(InputError) as caught:
        known_cameras(folder, frames("c.jpg", "d.jpg"), "unknown", None)
    assert caught.value.reason == "no_match"
    with pytest.raises(InputError) as caught:
        known_cameras(folder, [*frames("a.jpg"), Frame(1, "z.jpg", None, 7, 7)], "unknown", None)
    assert caught.value.reason == "missing_camera"


def test_all_axes_are_unit_vectors() -> None:
    assert {tuple(v) for v in UP_AXES.values()} == {tuple(sign * row) for row in np.eye(3) for sign in (1.0, -1.0)}
    for name, axis in UP_AXES.items():
        assert axis["xyz".index(name[-1])] == (-1.0 if name.startswith("-") else 1.0)
