"""A body from one image: placing by weak perspective, joints from keypoints, the fit."""

from __future__ import annotations

import numpy as np
import pytest
from handmade import toy_body
from scipy.spatial.transform import Rotation

from mcbench.body.rotations import exp_so3
from mcbench.cameras.camera import Camera
from mcbench.fitting.lifting import smpl24_joints, weak_perspective
from mcbench.fitting.single_image import SingleImageFitter
from mcbench.joints import BLAZEPOSE33, COCO17, SMPL24
from mcbench.metrics.pose import mpjpe

CAMERA = Camera("SIMPLE_PINHOLE", 640, 480, (800.0, 320.0, 240.0))


@pytest.mark.parametrize("model", ["SIMPLE_PINHOLE", "SIMPLE_RADIAL"])
def test_weak_perspective_is_exact_for_points_at_one_depth(model: str) -> None:
    camera = Camera(model, 640, 480, (800.0, 320.0, 240.0) + ((-0.05,) if model == "SIMPLE_RADIAL" else ()))
    points = np.random.default_rng(0).normal(scale=0.4, size=(12, 3)) * [1, 1, 0]
    place = np.array([0.3, -0.2, 5.0])
    pixels = camera.project(points + place)
    points[3], pixels[5] = np.nan, np.nan
    found = weak_perspective(points, pixels, camera)
    assert found is not None
    np.testing.assert_allclose(found, place, atol=1e-6)


def test_weak_perspective_declines_what_it_cannot_place() -> None:
    points = np.random.default_rng(0).normal(size=(4, 3))
    unknown = np.full((4, 2), np.nan)
    assert weak_perspective(points, unknown, CAMERA) is None
    assert weak_perspective(np.zeros((4, 3)), np.zeros((4, 2)), CAMERA) is None
    assert weak_perspective(points, -100 * points[:, :2], CAMERA) is None  # mirrored through a point


def test_joints_from_keypoints() -> None:
    rng = np.random.default_rng(0)
    keypoints = rng.normal(size=(33, 3))
    joints = smpl24_joints(keypoints, BLAZEPOSE33)
    assert np.isfinite(joints).all()
    for name in ("left_hip", "right_wrist", "left_elbow"):
        np.testing.assert_array_equal(joints[SMPL24.index(name)], keypoints[BLAZEPOSE33.index(name)])
    mirrored = smpl24_joints(keypoints[list(BLAZEPOSE33.flip)], BLAZEPOSE33)
    np.testing.assert_allclose(mirrored, joints[list(SMPL24.flip)], atol=1e-12)
    keypoints[BLAZEPOSE33.index("left_hip")] = np.nan
    unknown = smpl24_joints(keypoints, BLAZEPOSE33)
    assert np.isnan(unknown[[SMPL24.index("left_hip"), SMPL24.index("pelvis")]]).all()
    assert np.isfinite(unknown[SMPL24.index("right_hip")]).all()


def person(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keypoints in space and in the image, and joints, of the toy body facing the camera in a mild pose."""
    rng = np.random.default_rng(seed)
    body = toy_body()
    turns = 0.25 * rng.normal(size=(24, 3))
    rotations = exp_so3(turns)
    rotations[0] = Rotation.from_euler("x", 180, degrees=True).as_matrix() @ rotations[0]
    posed = body.forward(np.zeros((1, 10)), rotations[None], np.array([[0.3, 0.1, 4.0]]))
    keypoints = body.keypoint_regressor("coco17") @ posed.vertices[0]
    return keypoints, CAMERA.project(keypoints), posed.joints[0]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_fit_explains_the_image_and_depth_helps(seed: int) -> None:
    body = toy_body()
    fitter = SingleImageFitter(body, "coco17")
    keypoints, pixels, joints = person(seed)
    errors = []
    for keypoints3d in (keypoints - keypoints.mean(axis=0), np.full((17, 3), np.nan)):
        state = fitter.fit(CAMERA, pixels, np.ones(17), keypoints3d)
        assert state is not None
        posed = body.forward(state.betas[None], state.rotations[None], state.transl[None])
        projected = CAMERA.project(body.keypoint_regressor("coco17") @ posed.vertices[0])
        assert np.median(np.linalg.norm(projected - pixels, axis=1)) < 6.0
        errors.append(mpjpe(posed.joints, joints[None])[0])
    assert errors[0] < 0.05
    assert errors[0] < errors[1]


def test_the_fit_is_the_same_every_time_and_declines_the_unseen() -> None:
    fitter = SingleImageFitter(toy_body(), "coco17")
    keypoints, pixels, _ = person(0)
    first, second = (fitter.fit(CAMERA, pixels, np.ones(17), keypoints) for _ in range(2))
    assert first is not None and second is not None
    np.testing.assert_array_equal(first.rotations, second.rotations)
    assert fitter.fit(CAMERA, pixels, np.zeros(17), keypoints) is None
    assert fitter.fit(CAMERA, np.full_like(pixels, np.nan), np.ones(17), keypoints) is None
    few = np.where(np.isin(np.arange(17), [COCO17.index("nose")])[:, None], pixels, np.nan)
    assert fitter.fit(CAMERA, few, np.ones(17), keypoints) is None
