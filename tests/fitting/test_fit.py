"""Fits of synthetic scenes whose answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fitting import stick_figure as toy

from mcbench.cameras.alignment import Similarity
from mcbench.dataset.cameras_file import FrameCamera, SceneCameras
from mcbench.fitting.scene_fit import SceneFitter
from mcbench.fitting.settings import FitSettings
from mcbench.joints import COCO17

# Limb ends of which no keypoint tells (hands, toes) follow the prior; these joints are measured.
MEASURED = [1, 2, 4, 5, 7, 8, 16, 17, 18, 19, 20, 21]


def fitter(noise=0.012, **settings):
    return SceneFitter(toy.ToyBody(), toy.keypoint_model(noise), FitSettings(**settings))


def joints(state):
    return toy.ToyBody().evaluate(state.betas, state.rotations, state.transl, jacobian=False).joints


def errors(state, truth, scale=1.0):
    return np.linalg.norm(joints(state) - joints(truth), axis=-1)[MEASURED]


def in_units(cameras, scale):
    """The same cameras in a world whose unit is `scale` metres, turned."""
    to_units = Similarity(1 / scale, np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]), np.array([0.3, -0.2, 1.0]))
    frames = [
        FrameCamera(f.index, f.name, f.camera, to_units.apply_to_camera(f.cam_from_world)) for f in cameras.frames
    ]
    return SceneCameras(frames, "unknown"), to_units


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_people_are_recovered_from_noisy_keypoints(seed):
    rng = np.random.default_rng(seed)
    people = [toy.person(rng, place) for place in ((-0.6, 0.2), (0.7, -0.3))]
    cameras = toy.arc_cameras()
    detections, tracks = toy.detect(cameras, people, rng)
    found = fitter().fit(toy.views(cameras), detections, tracks, metric=True)
    assert found.scale == 1.0 and found.scale_interval == (1.0, 1.0) and not found.unfitted
    for fit, truth in zip(found.people, people, strict=True):
        assert np.median(errors(fit.state, truth)) < 0.008
        assert errors(fit.state, truth).max() < 0.03


def test_many_views_are_thinned_out_without_loss():
    rng = np.random.default_rng(3)
    people = [toy.person(rng, (0.0, 0.0))]
    cameras = toy.arc_cameras(120)
    detections, tracks = toy.detect(cameras, people, rng)
    for max_views, used in ((0, 120), (30, 30), (500, 120)):
        (fit,) = fitter(max_views=max_views).fit(toy.views(cameras), detections, tracks, metric=True).people
        assert len(fit.observations) == used
        assert {int(fit.observations.frame[0]), int(fit.observations.frame[-1])} == {0, 119}
        assert np.median(errors(fit.state, people[0])) < 0.008


def test_scale_comes_from_the_bodies_and_lies_in_its_interval():
    rng = np.random.default_rng(5)
    people = [toy.person(rng, place) for place in ((-1.0, 0.2), (0.0, 0.5), (0.9, -0.3))]
    cameras, to_units = in_units(toy.arc_cameras(), 3.7)
    detections, tracks = toy.detect(toy.arc_cameras(), people, rng)
    tracks = [replace(t, points=to_units.apply(t.points)) for t in tracks]
    found = fitter().fit(toy.views(cameras), detections, tracks, metric=False)
    low, high = found.scale_interval
    assert found.scale == pytest.approx(3.7, rel=0.06)
    assert low < 3.7 < high and high / low < 1.3
    assert found.scale_voters == (0, 1, 2)
    # The stick figure's prior on size has 5 % a person: three of them leave at least 3 %.
    assert high / low > 1.05
    for fit, truth in zip(found.people, people, strict=True):
        own, true = joints(fit.state)[MEASURED], joints(truth)[MEASURED]
        bones = np.linalg.norm(np.diff(own, axis=0), axis=1) / np.linalg.norm(np.diff(true, axis=0), axis=1)
        assert np.median(bones) == pytest.approx(found.scale / 3.7, rel=0.02)


def test_a_fifth_of_wrong_keypoints_is_shrugged_off():
    rng = np.random.default_rng(7)
    people = [toy.person(rng, (0.0, 0.0))]
    cameras = toy.arc_cameras(12)
    detections, tracks = toy.detect(cameras, people, rng)
    wrong = rng.random(detections.keypoints.shape[:2]) < 0.2
    low, high = detections.box[:, None, :2], detections.box[:, None, 2:]
    anywhere = low + rng.random(detections.keypoints.shape) * (high - low)
    detections = replace(detections, keypoints=np.where(wrong[..., None], anywhere, detections.keypoints))
    found = fitter().fit(toy.views(cameras), detections, tracks, metric=True)
    assert errors(found.people[0].state, people[0]).max() < 0.04


def test_left_and_right_taken_for_each_other_are_set_right():
    rng = np.random.default_rng(8)
    people = [toy.person(rng, (0.0, 0.0))]
    cameras = toy.arc_cameras(12)
    detections, tracks = toy.detect(cameras, people, rng)
    swapped_points = replace(tracks[0], points=tracks[0].points[list(COCO17.flip)])
    found = fitter().fit(toy.views(cameras), detections, [swapped_points], metric=True)
    assert errors(found.people[0].state, people[0]).max() < 0.04


def test_flipped_detections_are_swapped_back():
    rng = np.random.default_rng(9)
    people = [toy.person(rng, (0.0, 0.0))]
    cameras = toy.arc_cameras(12)
    detections, tracks = toy.detect(cameras, people, rng)
    flipped = np.arange(12) % 2 == 0
    keypoints = detections.keypoints.copy()
    keypoints[flipped] = keypoints[flipped][:, list(COCO17.flip)]
    found = fitter().fit(
        toy.views(cameras), replace(detections, keypoints=keypoints), [replace(tracks[0], flipped=flipped)], metric=True
    )
    assert errors(found.people[0].state, people[0]).max() < 0.04


def test_too_few_views_give_no_body():
    rng = np.random.default_rng(3)
    people = [toy.person(rng, (0.0, 0.0)), toy.person(rng, (1.0, 0.0))]
    cameras = toy.arc_cameras(6)
    detections, tracks = toy.detect(cameras, people, rng)
    few = replace(tracks[1], rows=tracks[1].rows[:2], flipped=tracks[1].flipped[:2])
    found = fitter().fit(toy.views(cameras), detections, [tracks[0], few], metric=True)
    assert [p.track for p in found.people] == [0]
    assert found.unfitted == (1,)


def test_equal_input_gives_equal_numbers():
    rng = np.random.default_rng(4)
    people = [toy.person(rng, (0.0, 0.0))]
    cameras, _ = in_units(toy.arc_cameras(8), 2.0)
    detections, tracks = toy.detect(toy.arc_cameras(8), people, rng)
    first, second = (fitter().fit(toy.views(cameras), detections, tracks, metric=False) for _ in range(2))
    assert first.scale == second.scale
    np.testing.assert_array_equal(joints(first.people[0].state), joints(second.people[0].state))


def test_error_bars_cover_the_truth_at_about_their_rate():
    """Independent noise of the size the model is told: 90 % ellipsoids hold most of the truth, and are not huge."""
    inside, deviations = [], []
    for seed in range(6):
        rng = np.random.default_rng(100 + seed)
        people = [toy.person(rng, (0.0, 0.0))]
        cameras = toy.arc_cameras(15, degrees=90)
        detections, tracks = toy.detect(cameras, people, rng, noise_px=3.6)
        fit = (
            fitter(noise=0.012, correlation_deg=0.5).fit(toy.views(cameras), detections, tracks, metric=True).people[0]
        )
        error = joints(fit.state) - joints(people[0])
        error = (error - error[0])[MEASURED]
        cov = fit.joints_cov[MEASURED]
        inside.append(np.einsum("ja,jab,jb->j", error, np.linalg.inv(cov), error) < 6.251)  # chi squared, 3 dof, 90 %
        deviations.append(np.sqrt(np.trace(cov, axis1=1, axis2=2) / 3))
    assert 0.8 <= np.mean(inside) <= 1.0
    assert 0.002 < np.median(deviations) < 0.02
