"""COLMAP models: round trips, agreement with pycolmap in both formats, and models that are broken."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from mcbench.cameras.camera import MODELS, Camera
from mcbench.dataset.colmap_model import (
    PosedImage,
    quaternion_from_rotation,
    read_model,
    rotation_from_quaternion,
    write_model,
)
from mcbench.errors import InputError

_NUMBER = st.floats(-50, 50, allow_nan=False)
_NAME = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=12).filter(
    lambda name: ".." not in name and name[0] not in "/\\"
)


@st.composite
def cameras(draw: st.DrawFn) -> Camera:
    model = draw(st.sampled_from(sorted(MODELS)))
    params = draw(st.lists(_NUMBER, min_size=MODELS[model], max_size=MODELS[model]))
    return Camera(model, draw(st.integers(1, 5000)), draw(st.integers(1, 5000)), (abs(params[0]) + 1.0, *params[1:]))


@st.composite
def posed_images(draw: st.DrawFn, name: str) -> PosedImage:
    rotation = Rotation.from_rotvec(draw(st.lists(st.floats(-4, 4), min_size=3, max_size=3))).as_matrix()
    translation = draw(st.lists(_NUMBER, min_size=3, max_size=3))
    return PosedImage(name, draw(cameras()), np.column_stack([rotation, translation]))


@given(st.data(), st.lists(_NAME, min_size=1, max_size=4, unique=True))
@settings(max_examples=60)
def test_text_round_trip(data: st.DataObject, names: list[str]) -> None:
    images = [data.draw(posed_images(name)) for name in names]
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder), images)
        back = {image.name: image for image in read_model(Path(folder))}
    assert set(back) == set(names)
    for image in images:
        assert back[image.name].camera == image.camera
        assert np.allclose(back[image.name].cam_from_world, image.cam_from_world, atol=1e-12)


@given(st.lists(st.floats(-4, 4), min_size=3, max_size=3))
def test_quaternions_agree_with_scipy(rotvec: list[float]) -> None:
    rotation = Rotation.from_rotvec(rotvec)
    x, y, z, w = rotation.as_quat()
    assert np.allclose(rotation_from_quaternion([w, x, y, z]), rotation.as_matrix(), atol=1e-12)
    assert np.allclose(rotation_from_quaternion([-2 * w, -2 * x, -2 * y, -2 * z]), rotation.as_matrix(), atol=1e-12)
    back = quaternion_from_rotation(rotation.as_matrix())
    assert back[0] >= 0
    assert abs(back @ [w, x, y, z]) == pytest.approx(1.0, abs=1e-9)


@pytest.fixture
def reconstruction() -> pycolmap.Reconstruction:
    options = pycolmap.SyntheticDatasetOptions()
    options.num_rigs, options.num_cameras_per_rig, options.num_frames_per_rig, options.num_points3D = 2, 1, 3, 20
    pycolmap.set_random_seed(0)
    return pycolmap.synthesize_dataset(options)


@pytest.mark.parametrize("kind", ["text", "binary"])
def test_agrees_with_pycolmap(reconstruction: pycolmap.Reconstruction, tmp_path: Path, kind: str) -> None:
    reconstruction.write_text(tmp_path) if kind == "text" else reconstruction.write_binary(tmp_path)
    images = read_model(tmp_path)
    theirs = {image.name: image for image in reconstruction.images.values()}
    assert {image.name for image in images} == set(theirs)
    for image in images:
        other = theirs[image.name]
        camera = reconstruction.cameras[other.camera_id]
        assert np.allclose(image.cam_from_world, other.cam_from_world().matrix(), atol=1e-9)
        assert image.camera.model == camera.model.name
        assert (image.camera.width, image.camera.height) == (camera.width, camera.height)
        assert np.allclose(image.camera.params, camera.params)


def test_pycolmap_reads_what_we_write(tmp_path: Path) -> None:
    camera = Camera("OPENCV", 640, 480, (500.0, 510.0, 320.5, 240.25, 0.1, -0.02, 0.001, -0.002))
    poses = [np.column_stack([Rotation.from_rotvec([0.1 * i, -0.2, 3.0]).as_matrix(), [i, 2, 3]]) for i in range(3)]
    write_model(tmp_path, [PosedImage(f"{i}.jpg", camera, pose) for i, pose in enumerate(poses)])
    theirs = pycolmap.Reconstruction(tmp_path)
    assert len(theirs.cameras) == 1
    for image in theirs.images.values():
        assert np.allclose(image.cam_from_world().matrix(), poses[int(Path(image.name).stem)], atol=1e-12)


@pytest.mark.parametrize("lacking", ["cameras.bin", "images.bin", "cameras.txt", "images.txt"])
def test_a_missing_file_is_named(reconstruction: pycolmap.Reconstruction, tmp_path: Path, lacking: str) -> None:
    reconstruction.write_binary(tmp_path) if lacking.endswith("bin") else reconstruction.write_text(tmp_path)
    (tmp_path / lacking).unlink()
    with pytest.raises(InputError) as caught:
        read_model(tmp_path)
    assert caught.value.reason == "missing_file"
    assert str(tmp_path / lacking) in str(caught.value)


def test_no_model(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(InputError) as caught:
            read_model(folder)
        assert caught.value.reason == "not_a_model"


@pytest.mark.parametrize("name", ["cameras.bin", "images.bin"])
@pytest.mark.parametrize("share", [0.0, 0.2, 0.6, 0.99])
def test_a_cut_binary_file(reconstruction: pycolmap.Reconstruction, tmp_path: Path, name: str, share: float) -> None:
    reconstruction.write_binary(tmp_path)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError) as caught:
        read_model(tmp_path)
    assert caught.value.reason == "bad_model"
    assert str(tmp_path / name) in str(caught.value)


_CAMERA = "1 PINHOLE 64 48 50 50 32 24\n"
_IMAGE = "1 1 0 0 0 0 0 0 1 a.jpg\n\n"


@pytest.mark.parametrize(
    ("cameras_text", "images_text", "reason"),
    [
        (_CAMERA, "1 1 0 0 0 0 0 0 1 ../a.jpg\n\n", "unsafe_name"),
        (_CAMERA, "1 1 0 0 0 0 0 0 1 /etc/a.jpg\n\n", "unsafe_name"),
        (_CAMERA, "1 1 0 0 0 0 0 0 1 b\\..\\..\\a.jpg\n\n", "unsafe_name"),
        (_CAMERA, "1 1 0 0 0 0 0 0 2 a.jpg\n\n", "bad_model"),
        (_CAMERA, "1 0 0 0 0 0 0 0 1 a.jpg\n\n", "bad_model"),
        (_CAMERA, "1 nan 0 0 0 0 0 0 1 a.jpg\n\n", "bad_model"),
        (_CAMERA, "1 1 0 0 0 0 0 1 a.jpg\n\n", "bad_model"),
        (_CAMERA, _IMAGE + _IMAGE, "bad_model"),
        (_CAMERA, "# nothing\n", "bad_model"),
        ("1 PINHOLE 64 48 50 50 32\n", _IMAGE, "bad_model"),
        ("1 PINHOLE 64 48 50 50 32 inf\n", _IMAGE, "bad_model"),
        ("1 PINHOLE 0 48 50 50 32 24\n", _IMAGE, "bad_model"),
        ("PINHOLE 64 48\n", _IMAGE, "bad_model"),
        ("1 OPENCV_FISHEYE 64 48 50 50 32 24 0 0 0 0\n", _IMAGE, "unsupported_camera_model"),
    ],
)
def test_broken_models(tmp_path: Path, cameras_text: str, images_text: str, reason: str) -> None:
    (tmp_path / "cameras.txt").write_text(cameras_text)
    (tmp_path / "images.txt").write_text(images_text)
    with pytest.raises(InputError) as caught:
        read_model(tmp_path)
    assert caught.value.reason == reason
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "cameras.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "images.txt").write_text(_IMAGE)
    with pytest.raises(InputError, match="cannot be read as text"):
        read_model(tmp_path)


@pytest.mark.parametrize("scene", ["held_t_pose", "panoptic_00005514", "panoptic_00009348"])
def test_real_calibrations_agree_with_pycolmap(test_data: Path, tmp_path: Path, scene: str) -> None:
    folder = Path(shutil.copytree(test_data / scene / "cameras", tmp_path / "model"))
    theirs = pycolmap.Reconstruction(folder)
    images = read_model(folder)
    assert len(images) == theirs.num_images()
    points = np.random.default_rng(0).uniform(-0.3, 0.3, (50, 3)) + np.array([0, 0, 2])
    for image in images:
        other = theirs.find_image_with_name(image.name)
        assert np.allclose(image.cam_from_world, other.cam_from_world().matrix(), atol=1e-12)
        expected = theirs.cameras[other.camera_id].img_from_cam(points)
        assert np.allclose(image.camera.project(points), expected, atol=1e-6)
