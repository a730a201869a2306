"""Means of vertices are found again, or come as near as shares can."""

from __future__ import annotations

import numpy as np
import pytest

from mcbench.body.sparse_mean import farthest_points, learn_mean, learn_signed_mean


def test_farthest_points_spread() -> None:
    line = np.array([[x, 0.0, 0.0] for x in (0, 1, 2, 3, 4, 5, 6, 7, 8)])
    assert farthest_points(line, 1).tolist() == [4]
    assert set(farthest_points(line, 3).tolist()) == {4, 0, 8}
    assert set(farthest_points(line, 5).tolist()) == {4, 0, 8, 2, 6}
    assert sorted(farthest_points(line, 99).tolist()) == list(range(9))


def test_a_mean_of_vertices_is_found_again() -> None:
    rng = np.random.default_rng(0)
    bodies = rng.normal(0, 1, (30, 12, 3))
    true = {2: 0.5, 5: 0.3, 9: 0.2}
    targets = sum(weight * bodies[:, vertex] for vertex, weight in true.items())
    mean = learn_mean(bodies, np.asarray(targets), np.array([1, 2, 5, 7, 9, 11]))
    assert mean.vertices.tolist() == [2, 5, 9] and mean.rms < 1e-9
    np.testing.assert_allclose(mean.weights, [0.5, 0.3, 0.2], atol=1e-9)


def test_a_mean_that_cannot_be_reached_is_as_near_as_shares_come() -> None:
    """Beyond the last of two vertices: all weight on it, and the distance is told."""
    rng = np.random.default_rng(1)
    bodies = np.stack([rng.normal(0, 1, (20, 3))] * 2, axis=1)
    bodies[:, 1, 0] += 1.0
    mean = learn_mean(bodies, bodies[:, 1] + [0.5, 0, 0], np.array([0, 1]))
    assert mean.vertices.tolist() == [1] and mean.weights.tolist() == [1.0]
    assert mean.rms == pytest.approx(0.5)


def test_weights_of_either_sign_reach_beyond_the_vertices() -> None:
    """A point on the line through two vertices, outside them; where a vertex says nothing, its weight is small."""
    rng = np.random.default_rng(2)
    bodies = rng.normal(0, 1, (200, 4, 3))
    targets = 1.5 * bodies[:, 1] - 0.5 * bodies[:, 3]
    mean = learn_signed_mean(bodies, targets, np.array([0, 1, 3]))
    assert mean.vertices.tolist() == [0, 1, 3] and mean.weights.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(mean.weights, [0, 1.5, -0.5], atol=1e-4)
    assert mean.rms < 1e-4


def test_weights_are_no_larger_than_it_takes() -> None:
    """Two vertices that are one share what the target asks of both, instead of growing against each other."""
    rng = np.random.default_rng(3)
    bodies = rng.normal(0, 1, (50, 3, 3))
    bodies[:, 2] = bodies[:, 1] + rng.normal(0, 1e-6, (50, 3))
    targets = 2 * bodies[:, 1] - bodies[:, 0] + rng.normal(0, 1e-3, (50, 3))
    mean = learn_signed_mean(bodies, targets, np.array([0, 1, 2]))
    np.testing.assert_allclose(mean.weights, [-1, 1, 1], atol=1e-3)
