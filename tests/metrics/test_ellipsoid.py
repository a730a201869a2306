"""90 % ellipsoids: known axes, and nine in ten of what a covariance describes lie inside."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mcbench.metrics.ellipsoid import ellipsoid_radius, in_ellipsoid

#: Of a chi-squared distribution with three degrees of freedom, by any table.
NINETY = np.sqrt(6.251389)


def turned(*deviations: float) -> np.ndarray:
    axes = Rotation.from_euler("xyz", [0.4, -1.1, 2.0]).as_matrix()
    return axes @ np.diag(np.square(deviations)) @ axes.T


def test_radius_is_the_mean_of_the_half_axes() -> None:
    np.testing.assert_allclose(ellipsoid_radius(0.01**2 * np.eye(3)), 0.01 * NINETY, rtol=1e-6)
    covs = np.array([turned(1, 2, 6), turned(0.5, 0.5, 0)])
    np.testing.assert_allclose(ellipsoid_radius(covs), NINETY * np.array([3, 1 / 3]), rtol=1e-6)
    assert ellipsoid_radius(np.tile(np.eye(3), (4, 24, 1, 1))).shape == (4, 24)


def test_radius_of_the_unknown_is_unknown() -> None:
    covs = np.array([np.full((3, 3), np.nan), np.eye(3), np.diag([1, 1, np.inf])])
    assert np.isnan(ellipsoid_radius(covs)).tolist() == [True, False, True]


def test_on_both_sides_of_the_surface() -> None:
    axes = Rotation.from_euler("xyz", [0.4, -1.1, 2.0]).as_matrix()
    deviations = np.array([1.0, 2, 6])
    cov = np.tile(turned(*deviations), (3, 1, 1))
    assert in_ellipsoid((0.999 * NINETY * deviations * axes).T, cov).all()
    assert not in_ellipsoid((1.001 * NINETY * deviations * axes).T, cov).any()
    assert not in_ellipsoid((1.001 * NINETY * deviations.min() * axes[:, :1]).T, cov[:1]).any()


def test_nine_in_ten_lie_inside() -> None:
    cov = turned(0.01, 0.03, 0.2)
    offsets = np.random.default_rng(0).multivariate_normal(np.zeros(3), cov, 40_000)
    assert in_ellipsoid(offsets, np.tile(cov, (40_000, 1, 1))).mean() == pytest.approx(0.9, abs=0.005)


def test_nothing_is_inside_of_the_flat_and_the_unknown() -> None:
    covs = np.array([np.diag([1.0, 1, 0]), np.full((3, 3), np.nan), -np.eye(3), np.eye(3), np.eye(3)])
    offsets = np.zeros((5, 3))
    offsets[4] = np.nan
    assert in_ellipsoid(offsets, covs).tolist() == [False, False, False, True, False]
    assert in_ellipsoid(np.zeros((0, 3)), np.zeros((0, 3, 3))).shape == (0,)
