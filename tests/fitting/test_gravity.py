"""Up and the floor from bodies."""

from __future__ import annotations

import numpy as np
import pytest
from fitting import stick_figure as toy

from mcbench.body.rotations import exp_so3
from mcbench.fitting.gravity import Gravity, floor_height, floor_plane, rotation_to_z, up_from_bodies


def standing(seed, count):
    rng = np.random.default_rng(seed)
    people = [toy.person(rng, place) for place in rng.uniform(-2, 2, (count, 2))]
    return np.stack([toy.ToyBody().evaluate(p.betas, p.rotations, p.transl, jacobian=False).joints for p in people])


def degrees(a, b):
    return np.degrees(np.arccos(np.clip(a @ b, -1, 1)))


@pytest.mark.parametrize("seed", range(3))
def test_up_is_where_the_heads_are_in_any_world(seed):
    turn = exp_so3(np.random.default_rng(seed).normal(size=3))
    gravity = up_from_bodies(standing(seed, 5) @ turn.T)
    assert gravity.source == "standing_bodies"
    assert degrees(gravity.up, turn @ [0, 0, 1]) < 6


def test_one_who_lies_is_outvoted():
    joints = standing(1, 5)
    joints[0] = joints[0] @ exp_so3(np.array([np.pi / 2, 0, 0])).T
    assert degrees(up_from_bodies(joints).up, np.array([0, 0, 1.0])) < 8


def test_where_all_sit_the_trunks_tell():
    joints = standing(2, 3)
    knees, ankles = [4, 5], [7, 8]
    joints[:, knees] = joints[:, [1, 2]] + [0.4, 0, 0]
    joints[:, ankles] = joints[:, knees] + [0.1, 0, -0.1]
    gravity = up_from_bodies(joints)
    assert gravity.source == "trunks"
    assert degrees(gravity.up, np.array([0, 0, 1.0])) < 12


@pytest.mark.parametrize("up", [(0, 0, 1), (0, 0, -1), (1, 0, 0), (0.3, -0.5, 0.2)])
def test_rotation_to_z(up):
    up = np.array(up, dtype=float) / np.linalg.norm(up)
    rotation = rotation_to_z(up)
    np.testing.assert_allclose(rotation @ up, [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)


def test_the_floor_is_what_most_stand_on():
    assert floor_height(np.array([0.02, 0.0, 0.45, 0.03, -0.6])) == pytest.approx(0.02)
    assert floor_height(np.array([1.3])) == pytest.approx(1.3)


def room(rng, up_turn, floor_points=400, clutter=600):
    floor = np.column_stack([rng.uniform(-2, 2, (floor_points, 2)), rng.normal(0, 0.004, floor_points)])
    walls = np.column_stack([rng.uniform(-2, 2, clutter), np.full(clutter, 2.0), rng.uniform(0, 2.5, clutter)])
    table = np.column_stack([rng.uniform(0, 1, (150, 2)), np.full(150, 0.75)])
    return np.concatenate([floor, walls, table]) @ up_turn.T


@pytest.mark.parametrize("seed", range(3))
def test_the_floor_among_sparse_points_corrects_up(seed):
    rng = np.random.default_rng(seed)
    turn = exp_so3(rng.normal(size=3))
    feet = np.array([[-0.8, 0, 0.02], [0.9, 0.4, -0.02], [0.5, 0.5, 0.45]]) @ turn.T  # the last one sits
    leaning = exp_so3(np.radians([4.0, -3.0, 0])) @ [0, 0, 1]
    floor = floor_plane(room(rng, turn), Gravity(turn @ leaning, "standing_bodies"), feet)
    assert degrees(floor.up, turn @ [0, 0, 1]) < 0.3
    assert floor.height == pytest.approx(0, abs=0.005)
    assert floor.points > 150


def test_no_floor_where_no_points_lie_under_the_feet():
    rng = np.random.default_rng(0)
    up = Gravity(np.array([0, 0, 1.0]), "standing_bodies")
    feet = np.array([[0.0, 0.0, 0.0]])
    assert floor_plane(np.zeros((0, 3)), up, feet) is None
    assert floor_plane(rng.uniform(-2, 2, (300, 3)) + np.array([0, 0, 2.5]), up, feet) is None
