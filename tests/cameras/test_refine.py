"""Adjusted models against the scenes that they were made from."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pycolmap
import pytest

from mcbench.cameras.alignment import umeyama
from mcbench.cameras.camera import Array, Camera, camera_center
from mcbench.cameras.colmap import from_colmap
from mcbench.cameras.refine import adjust
from mcbench.cameras.sparse_model import SparseModel

FRAMES = 12


def _truth(seed: int, cameras: int = 1) -> SparseModel:
    """COLMAP's synthetic scene with exact observations, frame indices with gaps."""
    pycolmap.set_random_seed(seed)
    options = pycolmap.SyntheticDatasetOptions()
    options.num_rigs, options.num_cameras_per_rig, options.num_frames_per_rig = cameras, 1, FRAMES // cameras
    options.num_points3D, options.num_points2D_without_point3D = 150, 0
    scene = pycolmap.synthesize_dataset(options)
    images = [scene.image(i) for i in sorted(scene.reg_image_ids())]
    row_of = {identifier: row for row, identifier in enumerate(sorted(scene.point3D_ids()))}
    seen = [
        (5 * i, row_of[p.point3D_id], p.xy) for i, image in enumerate(images) for p in image.points2D if p.has_point3D()
    ]
    frame, point, pixels = zip(*seen, strict=True)
    return SparseModel(
        {5 * i: from_colmap(scene.cameras[image.camera_id]) for i, image in enumerate(images)},
        {5 * i: np.array(image.cam_from_world().matrix()) for i, image in enumerate(images)},
        np.array([scene.point3D(i).xyz for i in row_of]),
        np.zeros((len(row_of), 3), np.uint8),
        np.array(frame),
        np.array(point),
        np.array(pixels),
    )


def _shaken(truth: SparseModel, rng: np.random.Generator) -> SparseModel:
    """Poses, points and focal lengths off by about a hundredth."""

    def moved(pose: Array) -> Array:
        turn, _ = cv2.Rodrigues(rng.normal(0, 0.005, 3))
        return np.column_stack([turn @ pose[:, :3], turn @ pose[:, 3] + rng.normal(0, 0.02, 3)])

    def longer(camera: Camera) -> Camera:
        return replace(camera, params=(1.01 * camera.params[0], *camera.params[1:]))

    return replace(
        truth,
        cameras={i: longer(camera) for i, camera in truth.cameras.items()},
        poses={i: moved(pose) for i, pose in truth.poses.items()},
        xyz=truth.xyz + rng.normal(0, 0.02, truth.xyz.shape),
    )


def _centre_error(model: SparseModel, truth: SparseModel) -> float:
    """Median error of the centres over the size of the scene, after a similarity."""
    found, true = (camera_center(np.stack([m.poses[i] for i in sorted(m.poses)])) for m in (model, truth))
    errors = np.linalg.norm(umeyama(found, true).apply(found) - true, axis=1)
    return float(np.median(errors) / np.linalg.norm(np.ptp(true, axis=0)))


@pytest.mark.parametrize("cameras", [1, 2])
def test_exact_observations_bring_the_truth_back(cameras: int) -> None:
    truth = _truth(1, cameras)
    shaken = _shaken(truth, np.random.default_rng(0))
    assert _centre_error(shaken, truth) > 1e-3
    adjusted = adjust(shaken, loss_px=0.2)
    assert _centre_error(adjusted, truth) < 1e-5
    assert adjusted.residuals().max() < 0.01
    for index, camera in adjusted.cameras.items():
        assert camera.fx == pytest.approx(truth.cameras[index].fx, rel=1e-4)
    assert len(set(adjusted.cameras.values())) == len(set(truth.cameras.values()))
    assert np.array_equal(adjusted.pixels, truth.pixels)


def test_a_few_wrong_observations_hardly_count() -> None:
    """One in ten is off by 10 px: the error stays near that of noise alone."""
    truth, rng = _truth(2), np.random.default_rng(1)
    noisy = replace(truth, pixels=truth.pixels + rng.normal(0, 0.1, truth.pixels.shape))
    wrong = noisy.pixels.copy()
    wrong[::10] += rng.normal(0, 10, wrong[::10].shape)
    shaken = _shaken(noisy, rng)
    alone = _centre_error(adjust(shaken, loss_px=0.2), truth)
    among = _centre_error(adjust(replace(shaken, pixels=wrong), loss_px=0.2), truth)
    assert alone < 2e-4
    assert among < 3 * alone


def test_the_same_model_gives_the_same_bits() -> None:
    shaken = _shaken(_truth(3), np.random.default_rng(2))
    a, b = (adjust(shaken, loss_px=0.2) for _ in range(2))
    assert all(np.array_equal(a.poses[i], b.poses[i]) for i in a.poses)
    assert np.array_equal(a.xyz, b.xyz)
    assert a.cameras == b.cameras
