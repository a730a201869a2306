"""Known cameras against images: right ones agree, wrong conventions are told apart."""

from __future__ import annotations

import numpy as np
import pytest
from planes import CAMERA, draw, pose

from mcbench.cameras.camera import Array
from mcbench.cameras.features import Features, extract
from mcbench.cameras.known_cameras import EpipolarCheck, check_epipolar
from mcbench.cameras.matching import exhaustive_pairs
from mcbench.dataset.cameras_file import FrameCamera
from mcbench.errors import Rejected


def _zigzag() -> Array:
    """Four cameras (4, 3, 4) from left to right, every second one higher, turning a little."""
    poses = np.stack([pose(0.4 * i - 0.6, 0.02 * i) for i in range(4)])
    poses[1::2, 1, 3] += 0.3
    return poses


POSES = _zigzag()


@pytest.fixture(scope="module")
def features() -> list[Features]:
    return [extract(np.repeat(image[..., None], 3, axis=2), max_features=1000, max_size=1600) for image in draw(POSES)]


def check(poses: Array, features: list[Features]) -> EpipolarCheck:
    cameras = [FrameCamera(i, f"{i}.png", CAMERA, matrix) for i, matrix in enumerate(poses)]
    return check_epipolar(cameras, features, exhaustive_pairs(len(cameras)), seed=0)


def scaled(poses: Array, factor: float) -> Array:
    return np.concatenate([poses[:, :, :3], factor * poses[:, :, 3:]], axis=2)


@pytest.mark.parametrize("scale", [1.0, 0.37, 1000.0])
def test_right_cameras_agree_in_any_unit(features: list[Features], scale: float) -> None:
    result = check(scaled(POSES, scale), features)
    assert result.pairs == result.agreeing == 6 and result.median_px < 1.0


def test_cameras_of_other_frames_are_contradicted(features: list[Features]) -> None:
    with pytest.raises(Rejected) as caught:
        check(POSES[::-1], features)
    assert caught.value.reason == "inconsistent_cameras"


def test_translations_of_the_wrong_sign_put_the_world_behind(features: list[Features]) -> None:
    with pytest.raises(Rejected, match=r"100 % .* behind") as caught:
        check(scaled(POSES, -1.0), features)
    assert caught.value.reason == "inconsistent_cameras"


def test_axes_of_opengl_are_contradicted(features: list[Features]) -> None:
    with pytest.raises(Rejected) as caught:
        check(np.diag([1.0, -1.0, -1.0]) @ POSES, features)
    assert caught.value.reason == "inconsistent_cameras"
