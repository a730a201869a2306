"""Overlays, shading and the choice of frames against what is known to be there."""

from __future__ import annotations

import numpy as np
import pytest

from mcbench.body.mesh import vertex_normals
from mcbench.cameras.camera import Camera
from mcbench.viz.frames import choose_frames
from mcbench.viz.overlay import People, Points, View, overlay, projected_ellipses
from mcbench.viz.palette import PEOPLE, hex_colour, person_colour
from mcbench.viz.raycast import MeshScene
from mcbench.viz.shading import shade

CAMERA = Camera("PINHOLE", 100, 80, (50.0, 50.0, 50.0, 40.0))
VIEW = View(CAMERA, np.eye(3, 4))
FACES = np.array([[0, 1, 2], [0, 2, 3]])
NOTHING = Points(np.zeros((0, 17, 2)), np.zeros((0, 17)), np.zeros(0, dtype=np.int64))
BLACK = np.zeros((80, 100, 3), dtype=np.uint8)


def square(depth: float, x: float = 0.0, half: float = 0.4) -> np.ndarray:
    return np.array(
        [[x - half, -half, depth], [x + half, -half, depth], [x + half, half, depth], [x - half, half, depth]]
    )


def people(*meshes: np.ndarray, accepted: list[bool], cov: float = np.nan, drawn: bool = True) -> People:
    joints = np.stack([np.stack([mesh.mean(axis=0), mesh.mean(axis=0) - [0, 0.2, 0]]) for mesh in meshes])
    scene = MeshScene(np.stack(meshes), FACES) if drawn else None
    return People(scene, joints, np.tile(cov * np.eye(3), (len(meshes), 2, 1, 1)), ((0, 1),), np.array(accepted))


def test_shading_shows_the_nearest_and_a_face_towards_the_camera_is_brightest() -> None:
    tilted = square(2.0, x=0.9) * [1, 1, 0] + [0, 0, 2.0] + np.array([[0, 0, 0], [0, 0, 1], [0, 0, 1], [0, 0, 0]])
    shaded = shade(MeshScene([square(2.0), tilted, square(4.0, half=0.7)], FACES), CAMERA, np.eye(3, 4), (100, 80))
    assert shaded.person[40, 50] == 0 and shaded.person[40, 70] == 1 and shaded.person[2, 2] == -1
    assert (shaded.person == 2).sum() == 0  # 0.7 / 4 is hidden behind 0.4 / 2
    assert shaded.brightness[40, 50] == pytest.approx(1.0, abs=0.01)
    assert 0.3 < shaded.brightness[40, 70] < 0.95
    assert shaded.brightness[2, 2] == 0
    # 0.4 m at 2 m and 50 px focal length: 10 px to either side
    assert (shaded.person == 0).sum() == 20 * 20


def test_shading_at_another_size_shows_the_same() -> None:
    scene = MeshScene([square(2.0)], FACES)
    small = shade(scene, CAMERA, np.eye(3, 4), (50, 40)).person
    assert (small == 0).sum() == 10 * 10 and small[20, 25] == 0
    assert (shade(MeshScene(np.zeros((0, 4, 3)), FACES), CAMERA, np.eye(3, 4), (5, 4)).person == -1).all()


def test_normals_are_unit_and_zero_without_faces() -> None:
    with_lone = np.concatenate([square(2.0), [[9.0, 9.0, 9.0]]])
    normals = vertex_normals(with_lone, FACES)[None]
    np.testing.assert_allclose(np.abs(normals[0, :4]), np.tile([0, 0, 1.0], (4, 1)), atol=1e-12)
    np.testing.assert_array_equal(normals[0, 4], 0)


def test_meshes_are_transparent_in_the_persons_colour_and_rejected_ones_grey() -> None:
    grey = np.full((80, 100, 3), 100, dtype=np.uint8)
    crowd = people(square(2.0, x=-0.8), square(2.0, x=0.8), accepted=[True, False])
    drawn = overlay(grey, 100, NOTHING, (crowd, VIEW)).astype(float)
    inside, other, outside = drawn[46, 30], drawn[46, 70], drawn[75, 50]
    np.testing.assert_allclose(inside, 0.45 * 100 + 0.55 * np.array(PEOPLE[0]), atol=8)  # the ray is a little oblique
    assert np.ptp(other) == 0 and 100 < other[0] < 150
    np.testing.assert_array_equal(outside, 100)


def test_the_outline_of_who_is_rejected_is_dashed() -> None:
    def share(accepted: bool) -> float:
        drawn = overlay(BLACK, 100, NOTHING, (people(square(2.0), accepted=[accepted]), VIEW)).astype(int)
        edge = drawn[60 - 11 : 60 - 9, 42:58].max(axis=(0, 2))  # the lower edge, at 50 px
        return float((edge > 160).mean())

    assert share(True) == 1.0
    assert 0.2 < share(False) < 0.8


def test_ellipses_are_the_projected_90_percent() -> None:
    sd = np.array([0.02, 0.05, 0.3])
    centres, axes = projected_ellipses(np.array([[0, 0, 2.0]]), np.diag(sd**2)[None], VIEW)
    np.testing.assert_allclose(centres, [[50, 40]])
    # 90 % of two dimensions within sqrt(-2 ln 0.1) standard deviations; depth does not show on the axis
    expected = np.sqrt(-2 * np.log(0.1)) * 50 / 2 * np.array([0.05, 0.02])
    np.testing.assert_allclose(np.linalg.norm(axes[0], axis=1), expected, rtol=1e-5)
    assert abs(axes[0, 0, 0]) < 1e-6  # the longer axis is vertical
    _, unknown = projected_ellipses(np.array([[0, 0, 2.0]]), np.full((1, 3, 3), np.nan), VIEW)
    assert np.isnan(unknown).all()


def test_ellipses_are_drawn_where_known_and_visible_only() -> None:
    def drawn(cov: float, *meshes: np.ndarray) -> np.ndarray:
        return overlay(BLACK, 100, NOTHING, (people(*meshes, accepted=[True] * len(meshes), cov=cov), VIEW))

    near, far = square(2.0), square(4.0, half=0.3)
    assert (drawn(1e-3, near) != drawn(np.nan, near)).any()
    hidden = [m for m in (drawn(1e-3, near, far), drawn(1e-3, near))]
    np.testing.assert_array_equal(*hidden)


def test_keypoints_are_drawn_by_score_and_owner() -> None:
    keypoints = np.array([[[20.5, 20.5], [60.5, 20.5], [np.nan, 3], [1e9, 5]], [[20.5, 60.5]] * 4])
    score = np.array([[0.9, 0.1, 0.9, 0.9], [0.9] * 4])
    crowd = people(square(-5.0), accepted=[True])  # behind the camera: not drawn itself
    drawn = overlay(BLACK, 100, Points(keypoints, score, np.array([0, -1])), (crowd, VIEW))
    assert tuple(drawn[20, 20]) == PEOPLE[0]
    assert tuple(drawn[60, 20]) == (255, 255, 255)
    assert not drawn[15:26, 55:66].any()


def test_without_meshes_there_are_sticks() -> None:
    drawn = overlay(BLACK, 100, NOTHING, (people(square(2.0), accepted=[True], drawn=False), VIEW))
    assert tuple(drawn[38, 50]) == PEOPLE[0]  # between (50, 40) and (50, 35)


def test_the_longest_side_is_bounded_and_small_images_stay() -> None:
    assert overlay(BLACK, 50, NOTHING).shape == (40, 50, 3)
    assert overlay(BLACK, 500, NOTHING).shape == (80, 100, 3)
    assert overlay(np.zeros((100, 50, 3), dtype=np.uint8), 20, NOTHING).shape == (20, 10, 3)


def test_frames_are_spread_and_the_best_of_their_stretch() -> None:
    assert choose_frames([1, 5, 1, 1, 1, 7, 2, 2, 2], 3) == [1, 5, 7]
    assert choose_frames([1, 1, 1], 8) == [0, 1, 2]
    assert choose_frames([0, 0, 0, 3, 0, 0], 2) == [3]  # nobody in the first half
    assert choose_frames([0] * 6, 2) == [1, 4]
    assert choose_frames([], 3) == [] and choose_frames([1, 2], 0) == []


def test_colours() -> None:
    assert person_colour(0) == person_colour(len(PEOPLE)) != person_colour(1)
    assert len(set(person_colour(3, False))) == 1
    assert hex_colour((255, 0, 16)) == "#ff0010"
