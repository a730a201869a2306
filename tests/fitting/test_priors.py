"""Priors: their derivatives, their symmetry, and anatomy's ranges."""

from __future__ import annotations

import numpy as np
import pytest

from mcbench.body.rotations import exp_so3
from mcbench.fitting.priors import DEVIATION, HIGHEST, LOWEST, MEAN, Priors, limit_excess
from mcbench.fitting.state import BodyState
from mcbench.joints import SMPL24


def state(angles, betas=(0.3, -1.2)):
    root = exp_so3(np.array([[0.1, 2.0, -0.4]]))
    return BodyState(np.array(betas), np.concatenate([root, exp_so3(angles)]), np.zeros(3))


def test_gradient_is_the_derivative():
    rng = np.random.default_rng(0)
    here = state(MEAN + 1.5 * DEVIATION * rng.normal(size=MEAN.shape))
    priors = Priors(1.3, 0.7, 1.1)
    _, gradient, hessian = priors.linearise(here)
    step = 1e-6
    numeric = [
        (priors.linearise(here.retract(step * e))[0] - priors.linearise(here.retract(-step * e))[0]) / (2 * step)
        for e in np.eye(here.size)
    ]
    np.testing.assert_allclose(gradient, numeric, rtol=1e-4, atol=1e-4)
    assert (np.linalg.eigvalsh(hessian) > -1e-9).all()
    assert not gradient[2:5].any() and not gradient[-3:].any()  # neither the root's turn nor the place has a prior


def test_the_mean_costs_nothing_but_shape():
    value, gradient, _ = Priors().linearise(state(MEAN, betas=(2.0, 0.0)))
    assert value == pytest.approx(2.0)
    np.testing.assert_allclose(gradient, [2.0, *np.zeros(len(gradient) - 1)], atol=1e-12)


def test_left_and_right_mirror_each_other():
    flip = np.array(SMPL24.flip)[1:] - 1
    mirror = np.array([1.0, -1.0, -1.0])
    np.testing.assert_allclose(MEAN[flip] * mirror, MEAN)
    np.testing.assert_allclose(DEVIATION[flip], DEVIATION)
    low, high = LOWEST[flip] * mirror, HIGHEST[flip] * mirror
    np.testing.assert_allclose(np.minimum(low, high), LOWEST)
    np.testing.assert_allclose(np.maximum(low, high), HIGHEST)


@pytest.mark.parametrize(
    "joint, bend, allowed",
    [
        ("left_knee", (120, 0, 0), True),  # heel to the seat
        ("left_knee", (-45, 0, 0), False),  # bent forwards
        ("right_elbow", (0, 120, 0), True),
        ("right_elbow", (0, -60, 0), False),
        ("left_elbow", (0, -120, 0), True),
        ("left_hip", (-110, 0, 0), True),  # thigh lifted in front
        ("left_hip", (80, 0, 0), False),
        ("head", (0, 120, 0), False),
    ],
)
def test_ranges_of_motion(joint, bend, allowed):
    angles = MEAN.copy()
    angles[SMPL24.index(joint) - 1] = np.radians(bend)
    excess = np.degrees(np.abs(limit_excess(angles)).max())
    assert (excess == 0) if allowed else (excess > 20)


def test_means_lie_within_the_ranges():
    assert not limit_excess(MEAN).any()
