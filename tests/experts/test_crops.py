"""Crops: known regions, round trips, pixel centres."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcbench.experts.crops import Pyramid, Roi, search_regions

finite = st.floats(-500, 500)


@given(x=finite, y=finite, size=st.floats(1, 1000), angle=st.floats(-3.2, 3.2), u=st.floats(-1, 2), v=st.floats(-1, 2))
def test_to_image_and_back(x: float, y: float, size: float, angle: float, u: float, v: float) -> None:
    roi = Roi(np.array([x, y]), size, angle)
    np.testing.assert_allclose(roi.to_crop(roi.to_image(np.array([u, v]))), [u, v], atol=1e-6)


@pytest.mark.parametrize(
    ("top", "angle"), [((5, 0), 0.0), ((10, 5), np.pi / 2), ((5, 10), np.pi), ((0, 5), -np.pi / 2)]
)
def test_axis_points_up_in_the_crop(top: tuple[float, float], angle: float) -> None:
    roi = Roi.from_axis(np.array([5.0, 5.0]), np.array(top, float), margin=1.25)
    assert roi.size == pytest.approx(12.5)
    assert np.cos(roi.angle - angle) == pytest.approx(1.0)
    np.testing.assert_allclose(roi.to_crop(np.array(top, float)), [0.5, 0.5 - 5 / 12.5], atol=1e-9)


def test_whole_image_is_itself() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    np.testing.assert_array_equal(Pyramid(image).crop(Roi(np.array([20.0, 20.0]), 40.0), 40), image)


def test_quarter_turn_is_exact() -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    turned = Pyramid(image).crop(Roi(np.array([16.0, 16.0]), 32.0, np.pi / 2), 32)
    # The crop's x axis points down in the image.
    np.testing.assert_allclose(turned.astype(int), np.rot90(image, 1).astype(int), atol=1)


def test_outside_is_black() -> None:
    crop = Pyramid(np.full((10, 20, 3), 200, np.uint8)).crop(Roi(np.array([10.0, 5.0]), 20.0), 20)
    assert (crop[:4] == 0).all() and (crop[6:14] == 200).all() and (crop[16:] == 0).all()


@pytest.mark.parametrize("side", [16, 50, 64])
def test_strong_reduction_keeps_a_blob_in_place(side: int) -> None:
    """A blob's centre of mass in the crop, taken back to the image, is where the blob is."""
    y, x = np.mgrid[:300, :400] + 0.5
    blob = 255 * np.exp(-((x - 231.3) ** 2 + (y - 120.7) ** 2) / (2 * 20.0**2))
    roi = Roi(np.array([200.0, 150.0]), 380.0, 0.4)
    crop = Pyramid(np.repeat(blob[..., None], 3, axis=2).astype(np.uint8)).crop(roi, side)[..., 0].astype(float)
    v, u = np.mgrid[:side, :side] + 0.5
    center = np.array([(u * crop).sum(), (v * crop).sum()]) / crop.sum() / side
    np.testing.assert_allclose(roi.to_image(center), [231.3, 120.7], atol=0.5)


def test_a_thin_image_is_not_searched_in_slivers() -> None:
    assert len(search_regions(3000, 1)) == 2 and len(search_regions(20, 20)) == 2
    assert len(search_regions(960, 540)) == 20


def test_dim_images_are_brightened_and_others_are_left() -> None:
    dim, well = np.full((40, 60, 3), 30, np.uint8), np.full((40, 60, 3), 90, np.uint8)
    assert Pyramid(dim).whole.mean() == pytest.approx(110, abs=1)
    assert Pyramid(well).whole is well
    black = np.zeros((40, 60, 3), np.uint8)
    np.testing.assert_array_equal(Pyramid(black).whole, black)
