"""Rays, visibility and boxes against geometry worked out by hand."""

from __future__ import annotations

import numpy as np

from mcbench.cameras.camera import Camera, transform
from mcbench.viz.raycast import MeshScene, pixel_grid, pixel_rays
from mcbench.viz.visibility import clipped_boxes, in_image, visible_joints

CAMERA = Camera("PINHOLE", 100, 80, (50.0, 50.0, 50.0, 40.0))
POSE = np.eye(3, 4)
FACES = np.array([[0, 1, 2], [0, 2, 3]])


def square(depth: float, half: float = 1.0, x: float = 0.0) -> np.ndarray:
    return np.array(
        [[x - half, -half, depth], [x + half, -half, depth], [x + half, half, depth], [x - half, half, depth]]
    )


def test_the_nearest_person_is_hit_and_the_distance_is_depth() -> None:
    scene = MeshScene([square(4.0), square(2.0, half=0.2)], FACES)
    hits = scene.cast(*pixel_rays(CAMERA, POSE, [[50.0, 40.0], [60.0, 45.0], [0.5, 0.5]]))
    assert hits.person.tolist() == [1, 0, -1]
    np.testing.assert_allclose(hits.distance[:2], [2.0, 4.0], rtol=1e-6)
    assert np.isinf(hits.distance[2]) and hits.face[2] == -1


def test_barycentric_weights_give_the_point() -> None:
    scene = MeshScene([square(3.0)], FACES)
    origins, directions = pixel_rays(CAMERA, POSE, [[57.0, 44.0]])
    hits = scene.cast(origins, directions)
    a, b, c = scene.vertices[0][scene.faces[hits.face[0]]]
    point = (1 - hits.u[0] - hits.v[0]) * a + hits.u[0] * b + hits.v[0] * c
    np.testing.assert_allclose(point, origins[0] + hits.distance[0] * directions[0], atol=1e-5)


def test_no_people_no_hits() -> None:
    hits = MeshScene(np.zeros((0, 4, 3)), FACES).cast(np.zeros((2, 3)), np.ones((2, 3)))
    assert hits.person.tolist() == [-1, -1]


def test_rays_undo_distortion() -> None:
    camera = Camera("SIMPLE_RADIAL", 100, 80, (50.0, 50.0, 40.0, -0.1))
    point = np.array([0.4, -0.3, 2.0])
    pose = np.concatenate([np.array([[0, 0, 1.0], [1, 0, 0], [0, 1, 0]]), [[0.1], [0.2], [3.0]]], axis=1)
    pixel = camera.project(transform(pose, point[None]))
    origins, directions = pixel_rays(camera, pose, pixel)
    depth = transform(pose, point[None])[0, 2]
    np.testing.assert_allclose(origins[0] + depth * directions[0], point, atol=1e-9)


def test_pixel_grid_holds_centres() -> None:
    grid = pixel_grid(4, 2)
    assert grid.shape == (2, 4, 2)
    np.testing.assert_allclose(grid[1, 3], [3.5, 1.5])
    np.testing.assert_allclose(pixel_grid(4, 2, step=2)[0, 1], [3.0, 1.0])


def test_visibility() -> None:
    # person 0 stands behind person 1, shifted; joints 0.05 m behind the skin
    scene = MeshScene([square(4.0), square(2.0, half=0.3)], FACES)
    joints = np.full((2, 24, 3), np.nan)
    joints[0, 0] = [0.0, 0.0, 4.05]  # hidden by person 1
    joints[0, 1] = [0.9, 0.0, 4.05]  # beside person 1
    joints[0, 2] = [0.9, 0.0, 4.5]  # deep behind the own surface: another part of the own body is in front
    joints[0, 3] = [9.0, 0.0, 4.05]  # out of the image
    joints[1, 0] = [0.0, 0.0, 2.05]
    joints[1, 1] = [0.35, 0.0, 2.0]  # past the own skin, in front of the other's
    joints[1, 2] = [0.0, 0.0, -2.0]  # behind the camera
    visible = visible_joints(scene, joints, CAMERA, POSE)
    assert visible[0, :4].tolist() == [False, True, False, False]
    assert visible[1, :3].tolist() == [True, True, False]
    assert not visible[:, 4:].any()


def test_boxes_are_clipped_and_unknown_outside() -> None:
    boxes = clipped_boxes(np.stack([square(2.0, 0.4), square(2.0, 1.0, x=-2.0), square(2.0, 0.1, x=9.0), square(-2.0)]),
                          CAMERA, POSE)  # fmt: skip
    np.testing.assert_allclose(boxes[0], [40, 30, 60, 50])
    np.testing.assert_allclose(boxes[1], [0, 15, 25, 65])
    assert np.isnan(boxes[2:]).all()


def test_in_image() -> None:
    pixels = np.array([[0, 0], [100, 5], [-1, 5], [np.nan, 5], [99, 79]])
    assert in_image(pixels, CAMERA).tolist() == [True, False, False, False, True]
