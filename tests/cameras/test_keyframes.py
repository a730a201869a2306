"""Motion of clips whose motion is known, the keyframes it asks for, and what the gates say of it."""

from __future__ import annotations

import numpy as np
import pytest
from planes import CAMERA, WALL, draw, pose

from mcbench.cameras.keyframes import Motion, measure_motion, select_keyframes
from mcbench.cameras.sfm_gates import check_motion
from mcbench.errors import Rejected


def _motion(step: list[float], width: int = 500) -> Motion:
    none = np.zeros((0, 2), np.float32)
    return Motion(len(step), (width, 270), np.array(step), [], none, np.zeros((0, 0, 2), np.float32))


def test_steps_are_measured_in_pixels() -> None:
    """A camera that moves 8 cm sideways a frame moves a wall 8 m away by focal * 0.01 px a frame."""
    motion = measure_motion(draw([pose(0.08 * i) for i in range(8)], board=False))
    assert motion.n_frames == 8 and motion.size == (CAMERA.width, CAMERA.height)
    assert motion.step[0] == 0
    assert np.allclose(motion.step[1:], CAMERA.fx * 0.08 / WALL, atol=0.1)


def test_a_cut_is_no_motion() -> None:
    rng = np.random.default_rng(0)
    other = [rng.integers(0, 255, (360, 480), dtype=np.uint8)] * 3
    motion = measure_motion([*draw([pose(0.05 * i) for i in range(4)]), *other])
    assert np.flatnonzero(np.isnan(motion.step)).tolist() == [4]
    chosen = select_keyframes(motion, min_keyframes=2, max_keyframes=10)
    assert {0, 3, 4, 6} <= set(chosen)


@pytest.mark.parametrize(
    ("poses", "reason"),
    [
        ([pose()] * 16, "static_camera"),
        ([pose(turn=0.012 * i) for i in range(16)], "pure_rotation"),
        ([pose(0.06 * i) for i in range(16)], None),
    ],
)
def test_only_a_camera_that_travels_gives_parallax(poses: list[np.ndarray], reason: str | None) -> None:
    rng = np.random.default_rng(0)
    noisy = [np.clip(i + rng.normal(0, 3, i.shape), 0, 255).astype(np.uint8) for i in draw(poses)]
    motion = measure_motion(noisy)
    if reason is None:
        check_motion(motion)
    else:
        with pytest.raises(Rejected) as caught:
            check_motion(motion)
        assert caught.value.reason == reason


def test_nothing_to_follow_is_no_verdict() -> None:
    check_motion(measure_motion([np.full((90, 120), 128, np.uint8)] * 12))
    check_motion(measure_motion([]))


def test_even_steps_of_motion_whatever_the_frame_rate() -> None:
    fast, slow = [0.0, *[15.0] * 40], [0.0, *[1.5] * 400]
    assert select_keyframes(_motion(fast), min_keyframes=2, max_keyframes=100) == list(range(41))
    assert select_keyframes(_motion(slow), min_keyframes=2, max_keyframes=100) == list(range(0, 401, 10))


@pytest.mark.parametrize(("step", "count"), [(0.05, 30), (100.0, 300)])
def test_the_number_of_keyframes_is_bounded(step: float, count: int) -> None:
    chosen = select_keyframes(_motion([0.0, *[step] * (count - 1)]), min_keyframes=16, max_keyframes=60)
    assert 16 <= len(chosen) <= 60
    assert chosen[0] == 0 and chosen[-1] == count - 1
    assert chosen == sorted(set(chosen))


def test_a_still_clip_keeps_its_ends() -> None:
    assert select_keyframes(_motion([0.0] * 30), min_keyframes=16, max_keyframes=60) == [0, 29]
    assert select_keyframes(_motion([0.0, 5.0]), min_keyframes=16, max_keyframes=60) == [0, 1]
