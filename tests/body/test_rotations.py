"""Axis-angle vectors and matrices: known turns, round trips over the whole range, derivatives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from mcbench.body.rotations import exp_so3, inverse_right_jacobian, log_so3, right_jacobian, skew

AXES = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (-1, 0, 0), (0.6, -0.8, 0), (0, 0.6, 0.8), (1, 1, 1), (-3, 1, 2)]
#: Down to where squares vanish, about the border of the series, and to a half turn.
ANGLES = [0.0, 1e-300, 1e-12, 1e-8, 9.9e-5, 1.01e-4, 1e-2, 1.0, 3.0, np.pi - 1e-4, np.pi - 1e-8, np.pi - 1e-13]


def unit(axis) -> np.ndarray:
    return np.asarray(axis, dtype=np.float64) / np.linalg.norm(axis)


@st.composite
def turns(draw: st.DrawFn) -> np.ndarray:
    """Axis-angle vectors no longer than a half turn."""
    axis = np.array([draw(st.floats(-1, 1)) for _ in range(3)])
    length = np.linalg.norm(axis)
    angle = draw(st.one_of(st.sampled_from(ANGLES), st.floats(0, np.pi)))
    return np.array([angle, 0, 0]) if length < 1e-3 else axis / length * angle


def test_skew_is_the_cross_product() -> None:
    a, b = np.array([1.0, 2, 3]), np.array([-4.0, 5, 0.5])
    np.testing.assert_allclose(skew(a) @ b, [-14, -12.5, 13])
    assert skew(np.zeros((2, 5, 3))).shape == (2, 5, 3, 3)


def test_known_turns() -> None:
    quarter = exp_so3(np.array([[np.pi / 2, 0, 0], [0, np.pi / 2, 0], [0, 0, np.pi / 2]]))
    expected = [
        [[1, 0, 0], [0, 0, -1], [0, 1, 0]],
        [[0, 0, 1], [0, 1, 0], [-1, 0, 0]],
        [[0, -1, 0], [1, 0, 0], [0, 0, 1]],
    ]
    np.testing.assert_allclose(quarter, expected, rtol=0, atol=1e-15)
    assert np.array_equal(exp_so3(np.zeros(3)), np.eye(3))
    assert np.array_equal(log_so3(np.eye(3)), np.zeros(3))


@given(turns())
def test_exp_is_the_rotation_that_scipy_makes(turn: np.ndarray) -> None:
    rotation = exp_so3(turn)
    np.testing.assert_allclose(rotation, Rotation.from_rotvec(turn).as_matrix(), rtol=0, atol=4e-15)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), rtol=0, atol=4e-15)


@given(turns())
def test_log_undoes_exp(turn: np.ndarray) -> None:
    back = log_so3(exp_so3(turn))
    assert np.linalg.norm(back) <= np.pi + 2e-15
    if np.linalg.norm(turn) > np.pi - 1e-12:  # a half turn goes either way
        back = back * np.sign(back @ turn)
    np.testing.assert_allclose(back, turn, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("axis", AXES)
def test_exp_undoes_log_at_a_half_turn(axis) -> None:
    half = 2 * np.outer(unit(axis), unit(axis)) - np.eye(3)
    turn = log_so3(half)
    assert np.linalg.norm(turn) == pytest.approx(np.pi, abs=1e-14)
    assert abs(turn @ unit(axis)) == pytest.approx(np.pi, abs=1e-14)
    np.testing.assert_allclose(exp_so3(turn), half, rtol=0, atol=2e-15)


def test_more_than_a_half_turn_comes_back_the_short_way() -> None:
    axis = unit([1, -2, 2])
    np.testing.assert_allclose(log_so3(exp_so3(4.0 * axis)), (4.0 - 2 * np.pi) * axis, rtol=0, atol=1e-14)
    np.testing.assert_allclose(log_so3(exp_so3(2 * np.pi * axis)), 0, atol=1e-14)


def test_many_at_once_are_each_alone() -> None:
    many = np.random.default_rng(0).normal(0, 1, (4, 5, 3))
    many[0, 0] = 0
    for function, given_ in ((exp_so3, many), (log_so3, exp_so3(many)), (right_jacobian, many)):
        together = function(given_)
        for i, j in np.ndindex(4, 5):
            np.testing.assert_allclose(together[i, j], function(given_[i, j]), rtol=1e-15, atol=1e-16)


@pytest.mark.parametrize("angle", [*ANGLES, np.pi, 4.0, 6.0])
@pytest.mark.parametrize("axis", AXES)
def test_right_jacobian_is_the_derivative(axis, angle: float) -> None:
    """exp(w + d) = exp(w) exp(J d): the part of exp(w)^T exp(w + d) that d changes, by central differences."""
    turn, step = unit(axis) * angle, 1e-5
    moved = np.stack([turn + step * sign * e for e in np.eye(3) for sign in (1, -1)])
    turned = log_so3(exp_so3(turn).T @ exp_so3(moved)).reshape(3, 2, 3)
    numeric = ((turned[:, 0] - turned[:, 1]) / (2 * step)).T
    np.testing.assert_allclose(right_jacobian(turn), numeric, rtol=0, atol=2e-10)


@pytest.mark.parametrize("angle", [*ANGLES, np.pi, 4.0, 6.0])
def test_right_jacobian_is_its_power_series(angle: float) -> None:
    """The sum of (-W)^k / (k + 1)! for W = skew(w): to the last digits, on both sides of where the formula changes."""
    hat = skew(unit([3, -1, 2]) * angle)
    term = total = np.eye(3)
    for k in range(1, 60):
        term = term @ -hat / (k + 1)
        total = total + term
    np.testing.assert_allclose(right_jacobian(unit([3, -1, 2]) * angle), total, rtol=0, atol=1e-15 + 3e-15 * angle**3)


def test_right_jacobian_of_nothing_and_along_the_axis() -> None:
    assert np.array_equal(right_jacobian(np.zeros(3)), np.eye(3))
    turn = np.array([0.5, -1.0, 2.0])
    np.testing.assert_allclose(right_jacobian(turn) @ turn, turn, rtol=0, atol=2e-15)


@pytest.mark.parametrize("angle", [0.0, 1e-8, 1e-3, 0.0299, 0.0301, 1.0, 3.0, np.pi])
def test_the_inverse_right_jacobian_is_one(angle: float) -> None:
    turn = angle * np.array([2.0, -1.0, 2.0]) / 3
    np.testing.assert_allclose(inverse_right_jacobian(turn) @ right_jacobian(turn), np.eye(3), rtol=0, atol=1e-13)
