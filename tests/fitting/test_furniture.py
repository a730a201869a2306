"""Furniture from sparse points, and what it hides."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mcbench.cameras.camera import Camera
from mcbench.cameras.views import Views
from mcbench.dataset.cameras_file import FrameCamera, SceneCameras
from mcbench.fitting.furniture import Furniture
from mcbench.synth.camera_path import look_at

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


def filmed(center: np.ndarray, turn: np.ndarray | None = None, move: np.ndarray | None = None) -> Views:
    """A camera at `center` that looks at the person, in a world that is turned and then moved."""
    turn, move = np.eye(3) if turn is None else turn, np.zeros(3) if move is None else move
    pose = look_at(center, np.array([0.0, 0.0, 0.8]))
    rotation = pose[:, :3] @ turn.T
    pose = np.column_stack([rotation, pose[:, 3] - rotation @ move])
    camera = Camera("SIMPLE_PINHOLE", 960, 540, (800.0, 480.0, 270.0))
    return Views.from_cameras(SceneCameras([FrameCamera(0, "0.png", camera, pose)]))


def hidden(furniture: Furniture | None, points: np.ndarray, views: Views) -> np.ndarray:
    assert furniture is not None
    cam = points @ views.cam_from_world[0, :, :3].T + views.cam_from_world[0, :, 3]
    return furniture.hides(0, views.project(points)[0], cam[:, 2])


def test_a_box_hides_legs_and_no_more() -> None:
    points = np.concatenate([ROOM, BOX])
    before, behind = filmed(CAMERA), filmed(CAMERA * [1, -1, 1])
    furniture = Furniture.of_points(points, UP, 0.0, PERSON, before)
    seen = hidden(furniture, PERSON, before)
    # the ray over the far edge of the box, 0.7 m high and 1 m before him, meets him 0.43 m over the floor
    assert seen[PERSON[:, 2] < 0.3].all() and not seen[PERSON[:, 2] > 0.6].any()
    assert not hidden(furniture, np.add(PERSON, [1.5, 0.0, 0.0]), before).any()
    assert not hidden(Furniture.of_points(points, UP, 0.0, PERSON, behind), PERSON, behind).any()


def test_neither_floor_nor_ceiling_nor_people_are_furniture() -> None:
    assert Furniture.of_points(ROOM, UP, 0.0, PERSON, filmed(CAMERA)) is None
    assert Furniture.of_points(np.zeros((0, 3)), UP, 0.0, PERSON, filmed(CAMERA)) is None


def test_single_points_in_the_air_are_none() -> None:
    stray = np.array([[0.0, -1.5, 0.9], [0.4, -2.0, 0.9], [-0.4, -1.0, 1.0]])
    furniture = Furniture.of_points(np.concatenate([ROOM, stray]), UP, 0.0, PERSON, filmed(CAMERA))
    assert furniture is None or not hidden(furniture, PERSON, filmed(CAMERA)).any()


@pytest.mark.parametrize("seed", range(4))
def test_the_worlds_frame_does_not_matter(seed: int) -> None:
    turn = Rotation.random(random_state=seed).as_matrix()
    move = np.random.default_rng(seed).normal(0, 3, 3)
    points = np.concatenate([ROOM, BOX])
    straight, turned = filmed(CAMERA), filmed(CAMERA, turn, move)
    one = hidden(Furniture.of_points(points, UP, 0.0, PERSON, straight), PERSON, straight)
    person = PERSON @ turn.T + move
    other = Furniture.of_points(points @ turn.T + move, turn @ UP, float(turn @ UP @ move), person, turned)
    same = hidden(other, person, turned) == one
    assert same.mean() > 0.93  # the cells of the floor lie elsewhere


def edges(x: tuple[float, float], y: tuple[float, float], height: float) -> np.ndarray:
    """Points along the four edges of the top of something."""
    along = np.linspace(0, 1, 60)
    across = [np.interp(along, [0, 1], ends) for ends in (x, y)]
    sides = [np.column_stack([across[0], np.full(60, end)]) for end in y]
    sides += [np.column_stack([np.full(60, end), across[1]]) for end in x]
    return np.column_stack([np.concatenate(sides), np.full(240, height)])


def test_a_box_of_which_only_edges_have_points_hides_what_is_behind_its_middle() -> None:
    before = filmed(CAMERA)
    box = edges((-0.6, 0.6), (-1.8, -0.8), 0.7)
    seen = hidden(Furniture.of_points(np.concatenate([ROOM, box]), UP, 0.0, PERSON, before), PERSON, before)
    assert seen[PERSON[:, 2] < 0.3].all()


def test_walls_are_not_filled() -> None:
    before = filmed(CAMERA)
    room = np.concatenate([edges((-3.0, 3.0), (-5.0, 3.0), height) for height in (0.4, 0.8, 1.2)])
    furniture = Furniture.of_points(np.concatenate([ROOM, room]), UP, 0.0, PERSON, before)
    assert not hidden(furniture, PERSON, before).any()
