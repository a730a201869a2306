"""Corners of drawn planes: where they are in the world is known, and so is which of them can be followed."""

from __future__ import annotations

import numpy as np
from planes import BOARD, CAMERA, WALL, draw, points, pose

from mcbench.cameras.camera import Array, transform
from mcbench.cameras.corner_tracks import add_corners, meet
from mcbench.cameras.sparse_model import SparseModel

#: Frames of the keyframes drawn.
FRAMES = [3 * i for i in range(5)]


def _model(poses: list[Array], xyz: Array) -> SparseModel:
    """Points of the planes where true cameras see them."""
    cameras = dict.fromkeys(FRAMES, CAMERA)
    pixels = [CAMERA.project(transform(matrix, xyz)) for matrix in poses]
    return SparseModel(
        cameras,
        dict(zip(FRAMES, poses, strict=True)),
        xyz,
        np.zeros((len(xyz), 3), np.uint8),
        np.repeat(FRAMES, len(xyz)),
        np.tile(np.arange(len(xyz)), len(FRAMES)),
        np.concatenate(pixels),
    )


def _drawn() -> tuple[SparseModel, list[tuple[int, np.ndarray]]]:
    poses = [pose(0.1 * i, 0.008 * i) for i in range(len(FRAMES))]
    images = [np.repeat(image[..., None], 3, axis=2) for image in draw(poses)]
    return _model(poses, points(60)), list(zip(FRAMES, images, strict=True))


def test_corners_lie_on_the_planes_that_were_drawn() -> None:
    model, images = _drawn()
    more = add_corners(model, images, count=200, max_size=1600)
    added = more.xyz[len(model.xyz) :]
    assert len(added) > 500
    off = np.abs(added[:, 2, None] - [WALL, BOARD]).min(axis=1)
    assert np.median(off) < 0.02 and (off < 0.1).mean() > 0.85
    new = more.point >= len(model.xyz)
    assert np.median(more.residuals()[new]) < 0.2
    assert np.nanmax(more.residuals()[new]) < 1.0
    assert np.bincount(more.point[new])[len(model.xyz) :].min() >= 3
    assert np.array_equal(more.pixels[~new], model.pixels)
    assert more.poses is model.poses


def test_colours_are_those_of_the_image() -> None:
    model, images = _drawn()
    tinted = [(index, np.full_like(image, [10, 20, 30]) | (image & 128)) for index, image in images]
    more = add_corners(model, tinted, count=50, max_size=1600)
    added = more.rgb[len(model.xyz) :]
    assert len(added) and set(np.unique(added)) <= {10, 20, 30, 138, 148, 158}


def test_what_is_worked_on_small_is_told_in_the_pixels_of_the_image() -> None:
    model, images = _drawn()
    more = add_corners(model, images, count=200, max_size=240)
    new = more.point >= len(model.xyz)
    assert new.sum() > 300
    assert np.median(more.residuals()[new]) < 0.4
    off = np.abs(more.xyz[len(model.xyz) :, 2, None] - [WALL, BOARD]).min(axis=1)
    assert np.median(off) < 0.05


def test_images_of_something_else_add_nothing() -> None:
    model, images = _drawn()
    rng = np.random.default_rng(0)
    noise = [(index, rng.integers(0, 255, image.shape, dtype=np.uint8)) for index, image in images]
    assert len(add_corners(model, noise, count=200, max_size=1600).xyz) - len(model.xyz) < 10
    plain = [(index, np.full_like(image, 128)) for index, image in images]
    assert add_corners(model, plain, count=200, max_size=1600) is model


def test_rays_meet_where_they_were_sent_from_and_parallel_ones_nowhere() -> None:
    rng = np.random.default_rng(0)
    xyz = rng.normal((0, 0, 5), 1.0, (2, 3))
    centres = rng.normal(size=(8, 3))
    point = np.repeat([0, 1], 4)
    directions = (xyz[point] - centres) * rng.uniform(0.5, 2.0, (8, 1))
    met = meet(centres, directions, point, 4)
    assert np.allclose(met[:2], xyz)
    assert np.isnan(met[2:]).all()
    assert np.isnan(meet(centres, np.tile([0.0, 0.0, 1.0], (8, 1)), point, 2)).all()
