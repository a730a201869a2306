"""Frames between keyframes get the poses that they were drawn with."""

from __future__ import annotations

import numpy as np
from planes import CAMERA, draw, points, pose

from mcbench.cameras.camera import camera_center, transform
from mcbench.cameras.localise import Anchor, locate_frames, resect


def _anchor(index: int, matrix: np.ndarray, xyz: np.ndarray) -> Anchor:
    return Anchor(index, matrix, np.arange(len(xyz)), xyz)


def test_frames_between_and_after_anchors_are_located() -> None:
    poses = [pose(0.05 * i, 0.004 * i) for i in range(9)]
    xyz = points(300)
    anchors = {i: _anchor(i, poses[i], xyz) for i in (0, 6)}
    located = list(locate_frames(enumerate(draw(poses)), anchors, CAMERA, max_points=300, seed=0))
    assert sorted(found.index for found in located) == [1, 2, 3, 4, 5, 7, 8]
    for found in located:
        truth = poses[found.index]
        centre = camera_center(found.cam_from_world) - camera_center(truth)
        assert np.linalg.norm(centre) < 0.01  # of the 40 cm that the camera travels
        cosine = (np.trace(found.cam_from_world[:, :3] @ truth[:, :3].T) - 1) / 2
        assert np.degrees(np.arccos(min(cosine, 1.0))) < 0.1
        error = CAMERA.project(transform(truth, xyz[found.point_ids])) - found.pixels
        assert np.median(np.linalg.norm(error, axis=1)) < 0.5


def test_a_frame_of_something_else_is_not_located() -> None:
    rng = np.random.default_rng(0)
    frames = [*draw([pose()]), rng.integers(0, 255, (360, 480), dtype=np.uint8)]
    anchors = {0: _anchor(0, pose(), points(300))}
    assert list(locate_frames(enumerate(frames), anchors, CAMERA, max_points=300, seed=0)) == []


def test_nothing_is_located_without_anchors() -> None:
    assert list(locate_frames(enumerate(draw([pose()] * 2)), {}, CAMERA, max_points=100, seed=0)) == []


def test_resection_survives_outliers_and_asks_for_enough_points() -> None:
    rng = np.random.default_rng(0)
    truth, xyz = pose(0.7, -0.1), points(100)
    pixels = CAMERA.project(transform(truth, xyz)) + rng.normal(0, 0.3, (100, 2))
    pixels[:40] = rng.uniform(0, 360, (40, 2))
    answer = resect(xyz, pixels, CAMERA, seed=0)
    assert answer is not None
    matrix, inliers = answer
    assert np.allclose(matrix, truth, atol=0.02)
    assert inliers[40:].all() and inliers[:40].sum() <= 3
    assert resect(xyz[:10], pixels[:10], CAMERA, seed=0) is None
    assert resect(xyz, rng.uniform(0, 360, (100, 2)), CAMERA, seed=0) is None
