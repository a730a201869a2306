"""Derivatives of the energy, and how views share their weight."""

from __future__ import annotations

import numpy as np
import pytest
from fitting import stick_figure as toy

from mcbench.cameras.camera import camera_center, transform
from mcbench.fitting.energy import (
    PersonEnergy,
    PersonProblem,
    SceneProblem,
    SceneState,
    project,
    reprojection,
    reprojection_terms,
)
from mcbench.fitting.observations import observe, view_weights
from mcbench.fitting.priors import Priors
from mcbench.fitting.state import PersonState


@pytest.fixture
def scene():
    rng = np.random.default_rng(0)
    people = [toy.person(rng, (0.0, 0.0)), toy.person(rng, (0.8, 0.1))]
    cameras = toy.arc_cameras(6)
    detections, tracks = toy.detect(cameras, people, rng, noise_px=8.0)
    views = toy.views(cameras)
    energies = [
        PersonEnergy(
            toy.ToyBody(),
            observe(views, detections, t, np.median(t.points, 0), toy.keypoint_model()),
            Priors(),
            3.0,
            np.full(17, 0.02),
        )
        for t in tracks
    ]
    starts = [toy.person(rng, (0.05, 0.02)), toy.person(rng, (0.78, 0.12))]
    return energies, [PersonState(start, rng.normal(0, 0.02, (17, 3))) for start in starts], people


def numeric_gradient(problem, state, size, step=1e-6):
    values = [
        problem.linearise(problem.retract(state, sign * step * axis)).value for axis in np.eye(size) for sign in (1, -1)
    ]
    return (np.array(values[::2]) - np.array(values[1::2])) / (2 * step)


def test_gradient_of_a_person(scene):
    energies, states, _ = scene
    problem = PersonProblem(energies[0])
    analytic = problem.linearise(states[0]).gradient
    np.testing.assert_allclose(numeric_gradient(problem, states[0], states[0].size), analytic, rtol=2e-4, atol=2e-4)


def test_gradient_of_a_scene_with_its_scale(scene):
    energies, states, _ = scene
    problem = SceneProblem(energies)
    state = SceneState(tuple(states), 0.07)
    size = sum(s.size for s in states) + 1
    system = problem.linearise(state)
    scale = states[0].body.size  # of a block the last unknown before the offsets
    own = [np.delete(block.gradient, scale) for block in system.blocks]
    analytic = np.concatenate([*own, [sum(block.gradient[scale] for block in system.blocks)]])
    np.testing.assert_allclose(numeric_gradient(problem, state, size), analytic, rtol=2e-4, atol=2e-4)


def test_projection_of_the_truth_leaves_only_noise(scene):
    energies, _, people = scene
    points = toy.ToyBody().evaluate(people[0].betas, people[0].rotations, people[0].transl, jacobian=False).points
    residual, jacobian, valid = project(points, energies[0].observations)
    assert valid.all()
    assert residual.std() == pytest.approx(8.0, rel=0.15)
    moved, _, _ = project(points + np.array([1e-5, 0, 0]), energies[0].observations)
    np.testing.assert_allclose((moved - residual) / 1e-5, jacobian[..., 0], rtol=1e-3, atol=1e-2)


def test_views_summed_up_at_once_and_one_by_one_agree(scene):
    energies, states, _ = scene
    seen = energies[0].observations
    seen.weight[1, 3] = seen.weight[:, 5] = 0.0
    points = energies[0].points(states[0])
    points[7] = camera_center(seen.cam_from_world[2]) - 2.0  # behind some of the cameras
    together, apart = reprojection(points, seen, 3.0), reprojection_terms(points, seen, 3.0)
    assert together.value == pytest.approx(apart.value, rel=1e-12)
    np.testing.assert_allclose(together.gradient, apart.gradient.sum(0), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(together.hessian, apart.hessian.sum(0), rtol=1e-9, atol=1e-9)
    assert not together.gradient[5].any() and together.gradient[3].any()


def test_points_behind_the_camera_cost_the_bound_and_pull_nothing(scene):
    energies, _, _ = scene
    behind = energies[0].observations.cam_from_world
    centre = -np.einsum("mji,mj->mi", behind[:, :, :3], behind[:, :, 3])
    points = np.tile(centre.mean(0) * 3, (17, 1))
    assert (transform(behind, points)[..., 2] < 0).all()
    residual, _, valid = project(points, energies[0].observations)
    assert not valid.any() and np.isfinite(residual).all()


def test_views_from_one_direction_count_as_one():
    pose = toy.arc_cameras(1).frames[0].cam_from_world
    np.testing.assert_allclose(view_weights(np.stack([pose] * 5), np.zeros(3), 4.0), 0.2)


def test_views_far_apart_count_in_full():
    poses = np.stack([f.cam_from_world for f in toy.arc_cameras(3, degrees=90).frames])
    np.testing.assert_allclose(view_weights(poses, np.zeros(3), 4.0), 1.0, atol=1e-6)


def test_unknown_keypoints_have_no_weight_and_doubtful_ones_more_noise():
    rng = np.random.default_rng(1)
    people, cameras = [toy.person(rng, (0.0, 0.0))], toy.arc_cameras(4, degrees=90)
    detections, tracks = toy.detect(cameras, people, rng)
    detections.keypoints[0, 3] = np.nan
    detections.keypoint_score[1, 4] = 0.25
    observed = observe(toy.views(cameras), detections, tracks[0], np.zeros(3), toy.keypoint_model())
    assert observed.weight[0, 3] == 0
    assert (observed.weight > 0).sum() == 4 * 17 - 1
    assert observed.weight[1, 4] == observed.weight[1, 5]
    np.testing.assert_allclose(observed.sigma[1, 4], 2 * observed.sigma[1, 5])
    assert np.isfinite(observed.pixels).all()
    doubt = observed.mean_doubt()
    assert doubt[5] == 1 and 1 < doubt[4] < 2  # three sure views outweigh the doubtful one

    sure = observe(toy.views(cameras), detections, tracks[0], np.zeros(3), toy.keypoint_model(), min_score=0.3)
    assert sure.weight[1, 4] == 0
