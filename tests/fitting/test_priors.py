"""Priors: their derivatives, their symmetry, and anatomy's ranges."""

from __future__ import annotations

import numpy as np
import pytest

from mcbench.body.rotations import exp_so3
from mcbench.fitting.motion_ranges import ranges_of, smpl_ranges
from mcbench.fitting.priors import Priors, limit_excess, shape_energy
from mcbench.fitting.state import BodyState
from mcbench.joints import SMPL24, SMPLX55

RANGES = smpl_ranges()
MEAN, DEVIATION, LOWEST, HIGHEST = RANGES.mean, RANGES.deviation, RANGES.low, RANGES.high


def state(angles, betas=(0.3, -1.2)):
    root = exp_so3(np.array([[0.1, 2.0, -0.4]]))
    return BodyState(np.array(betas), np.concatenate([root, exp_so3(angles)]), np.zeros(3))


def checked_gradient(priors, here):
    """The gradient, which must be the derivative of the value; the matrix must have no negative curvature."""
    _, gradient, hessian = priors.linearise(here)
    step = 1e-6
    numeric = [
        (priors.linearise(here.retract(step * e))[0] - priors.linearise(here.retract(-step * e))[0]) / (2 * step)
        for e in np.eye(here.size)
    ]
    np.testing.assert_allclose(gradient, numeric, rtol=1e-4, atol=1e-4)
    assert (np.linalg.eigvalsh(hessian) > -1e-9).all()
    return gradient


def test_gradient_is_the_derivative():
    rng = np.random.default_rng(0)
    here = state(MEAN + 1.5 * DEVIATION * rng.normal(size=MEAN.shape))
    priors = Priors(1.3, 0.7, 1.1)
    gradient = checked_gradient(priors, here)
    assert not gradient[2:5].any() and not gradient[-3:].any()  # neither the root's turn nor the place has a prior


def test_the_mean_costs_nothing_but_shape():
    value, gradient, _ = Priors().linearise(state(MEAN, betas=(1.2, 0.0)))
    assert value == pytest.approx(0.72)
    np.testing.assert_allclose(gradient, [1.2, *np.zeros(len(gradient) - 1)], atol=1e-12)


def test_gradient_is_the_derivative_of_a_childs_shape():
    gradient = checked_gradient(Priors(1.3), state(MEAN, betas=(-3.0, 4.0)))
    np.testing.assert_allclose(gradient[:2], 1.3 * 2 / 25 * np.array([-3.0, 4.0]))


def test_a_shape_farther_out_than_its_components_count_for_is_held_less():
    """Ten components: normal up to a sum of squares of 10, and as a power from there on, without a step."""
    adult, child = np.full(10, 0.9), np.array([-3.4, -2.0, 4.3, -2.0, -1.5, -1.3, -0.7, -0.8, 2.6, 1.0])
    assert shape_energy(adult) == (pytest.approx(4.05), 1.0)
    squares = child @ child
    assert shape_energy(child) == (pytest.approx(5 + 5 * np.log(squares / 10)), pytest.approx(10 / squares))
    just, beyond = (shape_energy(np.full(10, 1.0 + e)) for e in (-1e-9, 1e-9))
    assert just == (pytest.approx(beyond[0]), pytest.approx(beyond[1]))
    # what is one standard deviation from there costs a child a fifth of what it costs an adult
    more = np.eye(10)[3]
    cost = [shape_energy(shape + more)[0] - shape_energy(shape - more)[0] for shape in (adult, -child)]
    assert 0 < cost[1] / 2.0 < 0.25 * cost[0] / 0.9


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


def resting_hands(turned=(0.0, 0.0, 0.0), bend=0.0):
    """SMPL-X's joints at rest, hands flat, palms down, thumbs to the front; fingers bent by `bend` at each joint.

    turned : how the left hand is turned about its wrist, axis-angle.
    """
    turn = exp_so3(np.array(turned))
    rest = dict.fromkeys(SMPLX55.joints, np.zeros(3))
    for finger, z in (("index", 0.03), ("middle", 0.01), ("ring", -0.01), ("pinky", -0.03), ("thumb", 0.04)):
        place, along = np.array([0.09, 0.0, z]), np.array([0.04, 0.0, 0.0])
        if finger == "thumb":
            place, along = np.array([0.03, -0.01, z]), np.array([0.02, -0.005, 0.02])
        for i in (1, 2, 3):
            if finger != "thumb":
                along = exp_so3(np.array([0.0, 0.0, -bend])) @ along
            rest[f"left_{finger}{i}"] = turn @ place
            rest[f"right_{finger}{i}"] = place * [-1, 1, 1]
            place = place + along
    return np.array([rest[name] for name in SMPLX55.joints])


@pytest.mark.parametrize("side, sign", [("left", -1), ("right", 1)])
def test_a_positive_bend_closes_a_finger(side, sign):
    own = ranges_of(resting_hands())
    for finger in ("index", "middle", "ring", "pinky"):
        joint = SMPLX55.index(f"{side}_{finger}2") - 1
        np.testing.assert_allclose(own.axes[joint][0], [0, 0, sign], atol=0.05)  # palms face down
        np.testing.assert_allclose(own.axes[joint] @ own.axes[joint].T, np.eye(3), atol=1e-12)
        assert own.low[joint, 0] < 0 < own.mean[joint, 0] < np.radians(60) < own.high[joint, 0]


def test_a_positive_bend_brings_the_thumb_over_the_palm():
    own = ranges_of(resting_hands())
    for side, to_left in (("left", 1), ("right", -1)):
        bone = np.array([0.02 * to_left, -0.005, 0.02])
        axis = own.axes[SMPLX55.index(f"{side}_thumb2") - 1][0]
        moved = np.cross(axis, bone)
        assert moved @ [0, 0, 1] < 0  # away from where it points, towards the little finger


def test_axes_of_fingers_turn_with_the_hand_at_rest():
    turn = exp_so3(np.array([0.5, -0.8, 0.3]))
    first, second = ranges_of(resting_hands()), ranges_of(resting_hands([0.5, -0.8, 0.3]))
    left = [i - 1 for i, name in enumerate(SMPLX55.joints) if name.startswith("left") and name[-1] in "123"]
    left = [i for i in left if i >= 24]
    np.testing.assert_allclose(second.axes[left], first.axes[left] @ turn.T, atol=1e-9)
    np.testing.assert_allclose(second.mean[left], first.mean[left], atol=1e-9)


def test_fingers_bent_at_rest_have_so_much_less_to_bend():
    flat, curved = ranges_of(resting_hands()), ranges_of(resting_hands(bend=np.radians(10)))
    for joint in ("left_index1", "left_index2", "right_ring2"):
        i = SMPLX55.index(joint) - 1
        assert np.degrees(flat.mean - curved.mean)[i, 0] == pytest.approx(10, abs=0.5)
        assert np.degrees(flat.high - curved.high)[i, 0] == pytest.approx(10, abs=0.5)


def test_derivatives_with_hands_and_an_expression():
    rng = np.random.default_rng(2)
    priors = Priors(1.2, 0.8, 1.5, ranges_of(resting_hands(bend=0.1)))
    turns = np.concatenate([np.eye(3)[None], priors.mean_turns @ exp_so3(rng.normal(0, 0.4, (54, 3)))])
    here = BodyState(rng.normal(size=3), turns, np.zeros(3), rng.normal(size=4))
    checked_gradient(priors, here)


def test_mean_turns_cost_nothing():
    priors = Priors(ranges=ranges_of(resting_hands()))
    turns = np.concatenate([np.eye(3)[None], priors.mean_turns])
    value, gradient, _ = priors.linearise(BodyState(np.zeros(2), turns, np.zeros(3)))
    assert value == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(gradient, 0, atol=1e-9)


def test_excess_is_asked_of_smplx_bodies_as_of_smpl_ones():
    angles = HIGHEST + np.radians(7)
    np.testing.assert_allclose(limit_excess(angles[:21]), limit_excess(angles)[:21])
    np.testing.assert_allclose(np.degrees(limit_excess(angles[:21])), 7)
