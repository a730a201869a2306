"""Features: where they are, in which order, and which of them match."""

from __future__ import annotations

import cv2
import numpy as np
from planes import CAMERA, draw, pose

from mcbench.cameras.features import DESCRIPTOR_NORM, Features, extract, match, working_image


def _features(image: np.ndarray, **options: int) -> Features:
    return extract(np.repeat(image[..., None], 3, axis=2), **{"max_features": 500, "max_size": 1600, **options})


def test_points_are_counted_from_the_corner_of_the_first_pixel() -> None:
    """A round spot whose centre is the middle of pixel (120, 80) lies at (120.5, 80.5)."""
    image = np.full((160, 240, 3), 40, dtype=np.uint8)
    y, x = np.mgrid[:160, :240]
    spot = 180 * np.exp(-((x - 120) ** 2 + (y - 80) ** 2) / (2 * 6.0**2))
    image = (image + spot[..., None]).astype(np.uint8)
    found = extract(image, max_features=50, max_size=1600)
    nearest = found.points[np.linalg.norm(found.points - [120.5, 80.5], axis=1).argmin()]
    assert np.allclose(nearest, [120.5, 80.5], atol=0.15)
    large = cv2.resize(image, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    found = extract(large, max_features=50, max_size=240)  # worked on at a third, told in the original's pixels
    nearest = found.points[np.linalg.norm(found.points - [361.5, 241.5], axis=1).argmin()]
    assert np.allclose(nearest, [361.5, 241.5], atol=0.5)


def test_a_cap_keeps_the_largest_and_the_order_is_fixed() -> None:
    (image,) = draw([pose()])
    full, capped = _features(image, max_features=400), _features(image, max_features=400)
    assert len(full) <= 400
    assert (np.diff(full.scales) <= 0).all()
    for name in ("points", "scales", "descriptors", "colours"):
        assert np.array_equal(getattr(full, name), getattr(capped, name))
    norms = np.linalg.norm(full.descriptors.astype(float), axis=1)
    assert np.allclose(norms, DESCRIPTOR_NORM, rtol=0.03)


def test_matches_follow_the_plane() -> None:
    """Between two views of a plane, matches obey its homography."""
    poses = [pose(), pose(0.5)]
    a, b = (_features(image) for image in draw(poses, board=False))
    rows = match(a.descriptors, b.descriptors)
    assert len(rows) > 100
    moved = b.points[rows[:, 1]] - a.points[rows[:, 0]]
    off = np.linalg.norm(moved - [-CAMERA.fx * 0.5 / 8.0, 0.0], axis=1)
    assert np.median(off) < 0.2
    assert (off < 2).mean() > 0.95


def test_matches_are_mutual_and_unambiguous() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(6, 128))
    a = np.abs(DESCRIPTOR_NORM * a / np.linalg.norm(a, axis=1, keepdims=True)).astype(np.uint8)
    b = np.concatenate([a[[3, 1, 0]], a[[5]], a[[5]]])  # 5 has two equal partners: neither is a match
    assert match(a, b).tolist() == [[0, 2], [1, 1], [3, 0]]
    assert match(a[:1], b).shape == (0, 2)


def test_working_image_keeps_small_images_and_shrinks_large_ones() -> None:
    assert working_image(np.zeros((30, 40, 3), np.uint8), 100).shape == (30, 40)
    assert working_image(np.zeros((300, 401), np.uint8), 100).shape == (75, 100)
    assert working_image(np.zeros((1, 4000), np.uint8), 100).shape == (1, 100)
