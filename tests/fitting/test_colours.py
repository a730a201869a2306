"""Colours of surfaces with known answers."""

from __future__ import annotations

import numpy as np
import pytest

from mcbench.fitting.colours import likeness, median_over_views, sample_colours

RED, GREEN = np.array([200.0, 0, 0], dtype=np.float32), np.array([0, 200.0, 0], dtype=np.float32)
UNKNOWN = np.full(3, np.nan, dtype=np.float32)


def test_a_colour_is_like_the_nearest_of_a_palette() -> None:
    palette = np.stack([GREEN, RED, UNKNOWN])
    alike = likeness(np.stack([RED, RED + 10, RED + 200]), palette, 10.0)
    assert alike[0] == pytest.approx(1.0)
    assert alike[1] == pytest.approx(np.exp(-1.5), rel=1e-3)  # 10 off in each of three channels
    assert alike[2] < 1e-6


def test_nothing_is_like_a_palette_of_which_nothing_is_known() -> None:
    assert likeness(RED[None], np.stack([UNKNOWN, UNKNOWN]), 10.0)[0] == 0.0


def test_each_row_has_its_own_palette() -> None:
    colours = np.tile(RED, (2, 3, 1))
    alike = likeness(colours, np.stack([RED[None], GREEN[None]]), 10.0)
    assert alike.shape == (2, 3)
    np.testing.assert_allclose(alike[0], 1.0, atol=1e-6)
    np.testing.assert_allclose(alike[1], 0.0, atol=1e-6)


def test_the_median_is_of_the_views_that_know() -> None:
    views = np.stack([np.stack([RED, UNKNOWN]), np.stack([RED + 4, UNKNOWN]), np.stack([UNKNOWN, UNKNOWN])])
    median = median_over_views(views)
    np.testing.assert_allclose(median[0], RED + 2)
    assert np.isnan(median[1]).all()


def test_a_colour_is_read_between_pixels() -> None:
    image = np.zeros((4, 6, 3), dtype=np.uint8)
    image[:, 3:] = 100
    points = np.array([[2.5, 2.0], [3.0, 2.0], [3.5, 2.0]])  # the middle of a pixel is at a half
    np.testing.assert_allclose(sample_colours(image, points)[:, 0], [0, 50, 100], atol=2)
