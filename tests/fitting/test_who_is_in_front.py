"""Who hides whom, and what becomes of the readings of what is hidden or exchanged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fitting.plain_scene import CAMERA, arc, standing
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from mcbench.body.model import BodyModel
from mcbench.body.reduced import ReducedBody
from mcbench.cameras.camera import Camera
from mcbench.fitting.depth_order import DepthOrder
from mcbench.fitting.limb_swaps import unswap_limbs
from mcbench.fitting.observations import PersonObservations
from mcbench.fitting.occlusion import CROWDED_DOUBT, HIDDEN_DOUBT, Occluders
from mcbench.fitting.scene_images import evenly_bright, prepare
from mcbench.joints import BLAZEPOSE33, joint_set

JOINTS = joint_set("blazepose33")


def square(x: float, z: float, side: float) -> np.ndarray:
    """Points of an upright square about (x, 0, z), facing +z."""
    grid = np.linspace(-side / 2, side / 2, 120)
    across, up = np.meshgrid(grid, grid)
    return np.stack([x + across, up, np.full(across.shape, z)], axis=-1).reshape(-1, 3)


def test_the_nearer_square_hides_the_other() -> None:
    views = arc(count=1, degrees=0)
    order = DepthOrder.of_people([square(0, 0.5, 0.4), square(0, -0.5, 1.2)], views, cell=4)
    points = np.array([[0.0, 0, -0.5], [0.5, 0.0, -0.5]])
    pixels, depth = views.project(points)[0], views.depth(points)[0]
    assert order.hidden(1, 0, pixels, depth).tolist() == [True, False]
    assert order.in_front(1, 0, pixels, depth).tolist() == [False, True]
    assert not order.hidden(0, 0, pixels, depth - 1).any()
    assert order.anybody(0, 0, np.array([[180.0, 240], [5, 5]])).tolist() == [True, False]


def readings(body: BodyModel, views, state) -> tuple[PersonObservations, np.ndarray]:
    """Exact readings of a standing body in all views, and its keypoints."""
    reduced = ReducedBody(body, sparse.csr_matrix(body.keypoint_regressor(BLAZEPOSE33.name)))
    points = reduced.evaluate(state.betas, state.rotations, state.transl, jacobian=False).points
    count = len(views)
    ones = np.ones((count, 33))
    return (
        PersonObservations(
            np.arange(count),
            np.arange(count),
            views.frame,
            views.K,
            views.cam_from_world,
            views.project(points),
            ones,
            3 * ones,
            ones,
        ),
        points,
    )


def test_readings_behind_somebody_are_doubted(open_body: BodyModel) -> None:
    views = arc()
    behind, front = standing(0.2, -0.6), standing(0.0, 0.5)
    occluders = Occluders.of_people(open_body, [behind, front], views, np.arange(len(views)))
    seen, points = readings(open_body, views, behind)
    doubt = occluders.doubt(0, points, seen)
    assert set(np.unique(doubt)) == {1.0, CROWDED_DOUBT, HIDDEN_DOUBT} or set(np.unique(doubt)) == {1.0, HIDDEN_DOUBT}
    assert 0.05 < (doubt == HIDDEN_DOUBT).mean() < 0.95
    in_front, points = readings(open_body, views, front)
    assert (occluders.doubt(1, points, in_front) == 1.0).all()


@settings(max_examples=20)
@given(rows=st.sets(st.integers(0, 5), max_size=2), arms=st.booleans())
def test_exchanged_limbs_are_turned_back(open_body: BodyModel, rows: set[int], arms: bool) -> None:
    views = arc()
    seen, points = readings(open_body, views, standing())
    names = ("elbow", "wrist", "pinky", "index", "thumb") if arms else ("knee", "ankle", "heel", "foot_index")
    limb = [JOINTS.index(f"{side}_{name}") for side in ("left", "right") for name in names]
    pixels = seen.pixels.copy()
    for row in rows:
        pixels[row, limb] = pixels[row, np.array(JOINTS.flip)[limb]]
    mended = unswap_limbs(replace(seen, pixels=pixels), points, JOINTS)
    np.testing.assert_array_equal(mended.pixels, seen.pixels)


def test_readings_that_are_merely_bad_are_left_alone(open_body: BodyModel) -> None:
    seen, points = readings(open_body, arc(), standing())
    moved = replace(seen, pixels=seen.pixels + np.random.default_rng(0).normal(0, 6, seen.pixels.shape))
    assert unswap_limbs(moved, points, JOINTS).same_as(moved)


def test_doubts_and_growth_leave_what_they_should(open_body: BodyModel) -> None:
    seen, points = readings(open_body, arc(), standing())
    doubted = seen.doubted(np.full(seen.weight.shape, 2.0))
    np.testing.assert_allclose(doubted.sigma, 2 * seen.sigma)
    assert not doubted.same_as(seen)
    grown = seen.grown(1.5)
    cam = np.einsum("mij,kj->mki", grown.cam_from_world[:, :, :3], 1.5 * points) + grown.cam_from_world[:, None, :, 3]
    image = np.einsum("mij,mkj->mki", grown.K, cam)
    np.testing.assert_allclose(image[..., :2] / image[..., 2:], seen.pixels, atol=1e-8)


@pytest.mark.parametrize("width", [640, 3200])
def test_prepared_images_are_of_a_pinhole_camera(width: int) -> None:
    """A dot drawn where a point projects in a distorted image comes out where the pinhole camera has it."""
    height = width * 3 // 4
    camera = Camera("OPENCV", width, height, (0.9 * width, 0.9 * width, width / 2, height / 2, -0.2, 0.05, 0.001, 0.0))
    point = np.array([0.3, -0.2, 1.0])
    column, row = camera.project(point)
    y, x = np.mgrid[:height, :width] + 0.5
    dot = 255 * np.exp(-0.5 * ((x - column) ** 2 + (y - row) ** 2) / (width / 300) ** 2)
    pinhole, image = prepare(camera, np.repeat(dot[..., None], 3, axis=2).astype(np.uint8))
    weight = image[..., 0].astype(float)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    found = np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()
    np.testing.assert_allclose(found, pinhole.project(point), atol=0.1)
    assert max(image.shape) <= 1600 and not pinhole.distortion.any()
    assert prepare(CAMERA, np.zeros((480, 360, 3), np.uint8))[0].params[:2] == (420.0, 420.0)


def test_images_of_other_exposures_come_out_alike() -> None:
    image = np.random.default_rng(0).integers(20, 90, (60, 80, 3)).astype(np.uint8)
    darker = (image * 0.7).round().astype(np.uint8)
    even = [evenly_bright(each).astype(float) for each in (image, darker)]
    assert even[0].mean() == pytest.approx(110, abs=1)
    assert np.abs(even[0] - even[1]).max() <= 4  # rounding, made larger
    black = np.zeros((4, 4, 3), np.uint8)
    assert evenly_bright(black) is black
