"""Scenes keep their difficulty's bands; paths are smooth; planted failures are what they say."""

from __future__ import annotations

import numpy as np
import pytest

from mcbench.cameras.camera import camera_center
from mcbench.synth.camera_path import PathSettings, look_at, sample_path
from mcbench.synth.clip import shutter_poses
from mcbench.synth.difficulty import DIFFICULTIES
from mcbench.synth.people import collides
from mcbench.synth.scene import sample_scene


def draw(difficulty, seed, people=None, plant=None, frames=48):
    return sample_scene(np.random.default_rng(seed), DIFFICULTIES[difficulty], frames, (960, 540), 30, people, plant)


def test_a_camera_that_looks_at_a_point_has_it_in_the_middle_and_up_is_up():
    pose = look_at(np.array([3.0, -2.0, 1.5]), np.array([0.0, 0.0, 1.0]))
    np.testing.assert_allclose(pose[:, :3] @ pose[:, :3].T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(camera_center(pose), [3, -2, 1.5])
    seen = pose @ [0, 0, 1, 1]
    np.testing.assert_allclose(seen[:2], 0, atol=1e-12)
    assert seen[2] > 0
    assert (pose @ [0, 0, 1.2, 1])[1] < 0  # higher in the world is higher in the image


@pytest.mark.parametrize("kind", ["arc", "dolly", "walk"])
def test_paths_are_smooth_and_go_round_the_people(kind):
    path = sample_path(np.random.default_rng(3), 90, 30, PathSettings((4, 4), (60, 60), (kind,)), 0.9)
    steps = np.linalg.norm(np.diff(camera_center(path), axis=0), axis=1)
    assert 0 < steps.max() < 0.15
    rays = camera_center(path) - [0, 0, 0.9]
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    assert np.degrees(np.arccos((rays @ rays.T).min())) > 35


@pytest.mark.parametrize(("difficulty", "count"), [("easy", 4), ("standard", 4)])
def test_bands_hold(difficulty, count):
    band = DIFFICULTIES[difficulty].band
    scenes = [draw(difficulty, seed) for seed in range(count)]
    for name in ("occluded", "height_px", "cut"):
        low, high = getattr(band, name)
        assert low <= np.mean([s.measured[name] for s in scenes]) <= high, name


def test_close_scenes_show_hands_and_faces_large():
    scenes = [draw("close", seed) for seed in range(4)]
    assert np.mean([s.measured["height_px"] for s in scenes]) > 480
    for scene in scenes:
        assert 1 <= len(scene.people) <= 3
        assert np.linalg.norm(camera_center(scene.cam_from_world)[:, :2], axis=1).max() < 3.2


@pytest.mark.slow
@pytest.mark.parametrize("difficulty", list(DIFFICULTIES))
def test_bands_hold_over_many_scenes(difficulty):
    band = DIFFICULTIES[difficulty].band
    scenes = [draw(difficulty, 100 + seed) for seed in range(12)]
    for name in ("occluded", "height_px", "cut"):
        low, high = getattr(band, name)
        assert low <= np.mean([s.measured[name] for s in scenes]) <= high, name


def test_the_number_of_people_is_exact_and_nobody_passes_through_another():
    scene = draw("standard", 8, people=5)
    assert len(scene.people) == 5
    for i, person in enumerate(scene.people):
        assert not collides(person, scene.people[:i])


def test_equal_seeds_give_equal_scenes():
    one, two = draw("easy", 4), draw("easy", 4)
    np.testing.assert_array_equal(one.cam_from_world, two.cam_from_world)
    np.testing.assert_array_equal(one.people[0].vertices, two.people[0].vertices)


def test_planted_failures_are_what_they_say():
    assert len(draw("easy", 1, plant="nobody").people) == 0
    still = draw("easy", 1, people=1, plant="static_camera")
    assert (still.cam_from_world == still.cam_from_world[0]).all()
    turning = draw("easy", 1, people=1, plant="pure_rotation")
    assert np.ptp(camera_center(turning.cam_from_world), axis=0).max() < 1e-9
    assert np.abs(turning.cam_from_world[-1, :, :3] - turning.cam_from_world[0, :, :3]).max() > 0.1
    mover = draw("easy", 1, people=2, plant="moving_person")
    assert np.linalg.norm(mover.moved[-1, 0]) == pytest.approx(0.5)
    assert not mover.moved[:, 1].any()


@pytest.mark.parametrize("index", [0, 3, 7])
def test_a_frame_is_exposed_about_its_pose(index):
    """A camera that goes along evenly has been, on average, where the truth says that it was."""
    centres = np.stack([0.1 * np.arange(8), np.full(8, -4.0), np.full(8, 1.5)], axis=1)
    poses = look_at(centres, np.add(centres, [0.0, 1.0, 0.0]))
    others = shutter_poses(poses, index, 0.6)
    middle = np.mean([camera_center(pose) for pose in others], axis=0)
    np.testing.assert_allclose(middle, centres[index], atol=1e-12)
    spread = np.ptp([camera_center(pose)[0] for pose in others])
    assert 0.02 < spread < 0.06  # less than the way while the shutter is open
    np.testing.assert_array_equal(shutter_poses(poses[:1], 0, 0.6), [poses[0]] * len(others))
