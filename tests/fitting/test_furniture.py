"""Furniture from sparse points, and what it hides."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mcbench.fitting.furniture import Furniture

RNG = np.random.default_rng(7)
CAMERA = np.array([0.0, -4.0, 1.5])
#: A person at the origin: a post of points.
PERSON = np.stack([0 * np.arange(90), 0 * np.arange(90), 0.02 * np.arange(90)], axis=1)
#: The top and the front edge of a box 0.7 m high between the person and the camera.
BOX = np.concatenate(
    [
        np.column_stack([RNG.uniform(-0.5, 0.5, 400), RNG.uniform(-1.6, -1.0, 400), np.full(400, 0.7)]),
        np.column_stack([np.full(60, -0.5), np.full(60, -1.6), RNG.uniform(0, 0.7, 60)]),
    ]
)
FLOOR = np.column_stack([RNG.uniform(-3, 3, 3000), RNG.uniform(-3, 3, 3000), RNG.normal(0, 0.01, 3000)])
CEILING = np.column_stack([RNG.uniform(-3, 3, 3000), RNG.uniform(-3, 3, 3000), np.full(3000, 2.6)])
ROOM = np.concatenate([FLOOR, CEILING, np.add(PERSON, [0.05, 0.0, 0.0])])
UP = np.array([0.0, 0.0, 1.0])


def test_a_box_hides_legs_and_no_more() -> None:
    furniture = Furniture.of_points(np.concatenate([ROOM, BOX]), UP, 0.0, PERSON)
    assert furniture is not None
    hidden = furniture.hides(PERSON, CAMERA)
    # the ray over the far edge of the box, 0.7 m high and 1 m before him, meets him 0.43 m over the floor
    assert hidden[PERSON[:, 2] < 0.3].all() and not hidden[PERSON[:, 2] > 0.6].any()
    assert not furniture.hides(np.add(PERSON, [1.5, 0.0, 0.0]), CAMERA).any()
    assert not furniture.hides(PERSON, CAMERA * [1, -1, 1]).any()


def test_neither_floor_nor_ceiling_nor_people_are_furniture() -> None:
    assert Furniture.of_points(ROOM, UP, 0.0, PERSON) is None
    assert Furniture.of_points(np.zeros((0, 3)), UP, 0.0, PERSON) is None


def test_single_points_in_the_air_are_none() -> None:
    stray = np.array([[0.0, -1.5, 0.9], [0.4, -2.0, 0.9], [-0.4, -1.0, 1.0]])
    furniture = Furniture.of_points(np.concatenate([ROOM, stray]), UP, 0.0, PERSON)
    assert furniture is None or not furniture.hides(PERSON, CAMERA).any()


@pytest.mark.parametrize("seed", range(4))
def test_the_worlds_frame_does_not_matter(seed: int) -> None:
    turn = Rotation.random(random_state=seed).as_matrix()
    move = np.random.default_rng(seed).normal(0, 3, 3)
    straight = Furniture.of_points(np.concatenate([ROOM, BOX]), UP, 0.0, PERSON)
    turned = Furniture.of_points(
        np.concatenate([ROOM, BOX]) @ turn.T + move, turn @ UP, float(turn @ UP @ move), PERSON @ turn.T + move
    )
    assert straight is not None and turned is not None
    hidden = straight.hides(PERSON, CAMERA)
    same = turned.hides(PERSON @ turn.T + move, turn @ CAMERA + move) == hidden
    assert same.mean() > 0.93  # the map's cells lie elsewhere
