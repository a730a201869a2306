"""Linking in the image and explaining detections by skeletons, each on its own."""

from __future__ import annotations

import numpy as np
import pytest

from mcbench.cameras.camera import Camera
from mcbench.cameras.views import Views
from mcbench.dataset.cameras_file import FrameCamera, SceneCameras
from mcbench.dataset.detections import Detections
from mcbench.fitting.association import AssociationSettings
from mcbench.fitting.association_observations import Observations, explain
from mcbench.fitting.tracklets import link
from mcbench.joints import joint_set

CAMERA = Camera("SIMPLE_PINHOLE", 1000, 800, (800.0, 500.0, 400.0))
SETTINGS = AssociationSettings()
FIGURE = np.random.default_rng(0).uniform([-0.3, -0.9, -0.2], [0.3, 0.9, 0.2], (17, 3))
FLIP = list(joint_set("coco17").flip)


def sliding(count: int) -> Views:
    """Cameras that look along z from five units away and slide to the right."""
    frames = [FrameCamera(i, str(i), CAMERA, np.column_stack([np.eye(3), [-0.05 * i, 0.0, 5.0]])) for i in range(count)]
    return Views.from_cameras(SceneCameras(frames))


def seen(views: Views, people: list[tuple[int, np.ndarray]]) -> Observations:
    """Exact detections of skeletons (17, 3) in frames, in the order given."""
    pixels = np.array([views.project(points)[frame] for frame, points in people])
    count = len(people)
    detections = Detections(
        keypoint_set="coco17",
        detector="made up",
        frame=np.array([frame for frame, _ in people]),
        score=np.ones(count),
        box=np.concatenate([pixels.min(axis=1), pixels.max(axis=1)], axis=1),
        keypoints=pixels,
        keypoint_score=np.ones((count, 17)),
        keypoints3d=np.full((count, 17, 3), np.nan),
        mask=np.zeros((count, 0, 0), np.uint8),
    )
    return Observations.from_detections(views, detections, SETTINGS)


def test_two_people_give_two_tracklets_across_a_gap():
    left, right = FIGURE - [0.8, 0, 0], FIGURE + np.array([0.8, 0, 0])
    observations = seen(sliding(6), [(f, p) for f in range(6) for p in (left, right) if (f, p is left) != (2, True)])
    assert [run.tolist() for run in link(observations, SETTINGS)] == [[1, 3, 4, 6, 8, 10], [0, 2, 5, 7, 9]]


def test_a_long_absence_ends_a_tracklet():
    observations = seen(sliding(8), [(f, FIGURE) for f in (0, 1, 2, 6, 7)])
    assert [run.tolist() for run in link(observations, SETTINGS)] == [[0, 1, 2], [3, 4]]


def test_an_ambiguous_link_is_not_made():
    observations = seen(
        sliding(3), [(0, FIGURE), (1, FIGURE + np.array([0.04, 0, 0])), (1, FIGURE + np.array([0.06, 0, 0]))]
    )
    assert all(len(run) == 1 for run in link(observations, SETTINGS))


def test_a_skeleton_explains_its_own_detections_only():
    views = sliding(4)
    observations = seen(views, [(f, FIGURE) for f in range(4)])
    skeletons = np.stack([FIGURE, FIGURE + np.array([0.5, 0, 0]), FIGURE - [0, 0, 50.0]])[:, observations.body]
    result = explain(observations, skeletons, SETTINGS)
    np.testing.assert_allclose(result.cost[:, 0], 0.0, atol=1e-12)
    assert (result.cost[:, 1] > SETTINGS.gate).all()
    np.testing.assert_allclose(result.cost[:, 2], 1.0)  # behind the cameras
    assert not result.flipped.any()


def test_a_swapped_detection_is_explained_as_swapped():
    observations = seen(sliding(2), [(0, FIGURE), (1, FIGURE[FLIP])])
    result = explain(observations, FIGURE[None, observations.body], SETTINGS)
    assert result.flipped[:, 0].tolist() == [False, True]
    np.testing.assert_allclose(result.cost, 0.0, atol=1e-12)


def test_too_few_shared_joints_explain_nothing():
    observations = seen(sliding(1), [(0, FIGURE)])
    skeleton = np.full((len(observations.body), 3), np.nan)
    skeleton[: SETTINGS.min_joints - 1] = FIGURE[observations.body[: SETTINGS.min_joints - 1]]
    assert np.isinf(explain(observations, skeleton[None], SETTINGS).cost).all()


@pytest.mark.parametrize("count", [1, 300])
def test_explaining_many_skeletons_is_explaining_each(count):
    observations = seen(sliding(3), [(f, FIGURE) for f in range(3)])
    shifts = np.random.default_rng(1).normal(0, 0.1, (count, 1, 3))
    skeletons = (FIGURE + shifts)[:, observations.body]
    together = explain(observations, skeletons, SETTINGS)
    for i in range(0, count, 37):
        np.testing.assert_array_equal(
            together.cost[:, i], explain(observations, skeletons[i : i + 1], SETTINGS).cost[:, 0]
        )
