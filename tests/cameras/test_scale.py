"""Pixels a metre."""

from __future__ import annotations

import numpy as np
import pytest

from mcbench.cameras.scale import image_scale


def test_of_a_flat_picture() -> None:
    rng = np.random.default_rng(0)
    space = rng.normal(size=(13, 3))
    image = 250.0 * space[:, :2] + [300, 200]
    assert image_scale(image, space, np.ones(13)) == pytest.approx(250)
    wrong = image.copy()
    wrong[4], wrong[5] = np.nan, 1e4
    sure = np.where(np.arange(13) == 5, 0.1, 0.9)
    assert image_scale(wrong, space, sure, surest=11) == pytest.approx(250)
    assert image_scale(wrong, space, np.where(sure < 0.5, 0.0, 1.0)) == pytest.approx(250)


def test_too_little_to_tell() -> None:
    assert np.isnan(image_scale(np.zeros((3, 2)), np.zeros((3, 3)), np.array([0.0, 0.0, 1.0])))
