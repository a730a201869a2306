"""Pictures agree with the cameras; what is said to be visible is."""

from __future__ import annotations

import numpy as np
import pytest
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from mcbench.body.anny_rig import PARTS, AnnyRig
from mcbench.cameras.camera import Camera, transform
from mcbench.synth.camera_path import look_at
from mcbench.synth.clip import surfaces_caster
from mcbench.synth.people import make_people
from mcbench.synth.poses import sample_pose
from mcbench.synth.renderer import Renderer
from mcbench.synth.room import Grid, Panels, Room
from mcbench.synth.surfaces import build_surfaces
from mcbench.synth.textures import LEVELS, Atlas
from mcbench.synth.visibility import joints_seen, vertices_seen

CAMERA = Camera("SIMPLE_PINHOLE", 320, 180, (300.0, 160.0, 90.0))


@pytest.fixture(scope="module")
def staged():
    """Two people, the second right behind the first as the camera sees them, in a room with a box."""
    rng = np.random.default_rng(0)
    first, second = make_people(rng, [sample_pose(np.random.default_rng(2))] * 2)
    people = [first, second.placed(np.array([0.0, 1.2]), 0.0)]
    room = Room((8.0, 9.0, 2.8), np.array([[[1.5, 0, 0], [2.2, 0.7, 0.6]]]))
    return people, build_surfaces(rng, room, people)


def test_a_person_is_drawn_where_the_camera_says(staged):
    people, surfaces = staged
    pose = look_at(np.array([0.5, -3.5, 1.4]), np.array([0.0, 0.0, 0.9]))
    picture = Renderer(surfaces, CAMERA).render(pose)
    assert picture.rgb.shape == (180, 320, 3) and np.isfinite(picture.rgb).all()
    assert (picture.depth > 0).all() and (picture.depth < 15).all()  # the room is closed
    rows, columns = np.nonzero(picture.person == 0)
    np.testing.assert_array_equal(surfaces.person[picture.triangle[rows, columns]], 0)
    pixels = CAMERA.project(transform(pose, people[0].vertices))
    assert columns.min() == pytest.approx(pixels[:, 0].min(), abs=1.5)
    assert columns.max() + 1 == pytest.approx(pixels[:, 0].max(), abs=1.5)
    assert rows.min() == pytest.approx(pixels[:, 1].min(), abs=1.5)


def test_depth_is_the_distance_along_the_axis(staged):
    _, surfaces = staged
    pose = look_at(np.array([0.0, -4.0, 1.4]), np.array([0.0, 0.0, 1.4]))
    picture = Renderer(surfaces, CAMERA).render(pose)
    place = (slice(52, 70), slice(100, 125))  # the far wall, 4.5 m behind the middle
    wall = picture.person[place] < 0
    assert wall.mean() > 0.5
    np.testing.assert_allclose(picture.depth[place][wall], 8.5, rtol=1e-4)


def test_rays_meet_the_room_where_its_triangles_are(staged):
    _, surfaces = staged
    rng = np.random.default_rng(4)
    rays = rng.standard_normal((4000, 3)).astype(np.float32)
    start = np.array([[0.5, -3.5, 1.4]], dtype=np.float32)
    hits = surfaces.cast(start, rays)
    scene = EmbreeScene()
    mesh = TriangleMesh(scene, surfaces.vertices, surfaces.triangles.astype(np.int32))
    found = scene.run(np.repeat(start, len(rays), axis=0), rays, output=1)
    assert mesh is not None  # embree does not keep it alive
    np.testing.assert_allclose(hits.distance, found["tfar"], rtol=1e-4)
    person = surfaces.person[found["primID"]]
    np.testing.assert_array_equal(np.where(hits.triangle >= 0, surfaces.person[hits.triangle], -1), person)
    room = hits.triangle < 0
    corner, along, down = surfaces.room.rectangles()[hits.rectangle[room]].swapaxes(0, 1)
    place = corner + hits.s[room, None] * along + hits.t[room, None] * down
    np.testing.assert_allclose(place, (start + hits.distance[:, None] * rays)[room], atol=1e-4)
    ahead = surfaces.blocked(np.repeat(start, len(rays), axis=0), rays, hits.distance * 1.01)
    short = surfaces.blocked(np.repeat(start, len(rays), axis=0), rays, hits.distance * 0.99)
    assert ahead.all() and not short.any()


def test_light_is_that_of_the_corners_of_the_triangle_that_is_hit():
    grid = Grid(0, 3, 2)
    light = np.random.default_rng(0).uniform(0, 1, 12).astype(np.float32)
    uv = np.stack(np.meshgrid(np.arange(4.0), np.arange(3.0)), axis=-1).reshape(-1, 2).astype(np.float32)
    panels = Panels([grid], uv, light, np.array([2]), np.array([100], dtype=np.float32))
    weights = np.array([[0.5, 0.2, 0.3], [0.1, 0.8, 0.1], [1, 0, 0], [0, 0, 1]])
    for corners in grid.triangles():
        places = (weights @ uv[corners]).astype(np.float32).T
        s, t = places / np.array([[3], [2]], dtype=np.float32)
        found = panels.look(np.zeros(4, dtype=np.int64), s, t, np.ones((3, 4), dtype=np.float32))
        np.testing.assert_allclose(found[0], weights @ light[corners], atol=1e-5)
        np.testing.assert_allclose(found[1:3], places, atol=1e-5)


def test_who_stands_behind_is_hidden_and_who_is_in_front_is_not(staged):
    people, surfaces = staged
    pose = look_at(np.array([0.0, -3.5, 1.2]), np.array([0.0, 0.0, 0.9]))
    joints = np.stack([p.joints for p in people])
    visible, within = joints_seen(surfaces_caster(surfaces), CAMERA, pose, joints)
    assert visible[0].mean() > 0.8
    torso = [0, 3, 6, 9]
    assert within[1][torso].all() and not visible[1][torso].any()
    other_side = look_at(np.array([0.0, 4.2, 1.2]), np.array([0.0, 0.0, 0.9]))
    visible, _ = joints_seen(surfaces_caster(surfaces), CAMERA, other_side, joints)
    assert visible[1][torso].all() and not visible[0][torso].any()


def test_skin_that_faces_the_camera_is_seen_and_the_back_is_not(staged):
    people, surfaces = staged
    pose = look_at(np.array([0.0, -3.5, 1.2]), np.array([0.0, 0.0, 0.9]))
    vertices = np.stack([p.vertices for p in people])
    seen = vertices_seen(surfaces.blocked, CAMERA, pose, vertices)
    rig = AnnyRig.load()
    torso = rig.part == PARTS.index("torso")
    depth = people[0].vertices[:, 1]
    front, back = (torso & (depth < np.quantile(depth[torso], 0.3)), torso & (depth > np.quantile(depth[torso], 0.7)))
    assert seen[0][front].mean() > 3 * seen[0][back].mean()
    assert 0.1 < seen[0].mean() < 0.6


def test_levels_of_the_atlas_keep_a_texture_mean_and_do_not_bleed():
    rng = np.random.default_rng(0)
    noisy, plain = rng.uniform(0, 1, (64, 64, 3)).astype(np.float32), np.full((64, 64, 3), 0.25, dtype=np.float32)
    atlas = Atlas.pack([noisy, plain])
    for level in range(LEVELS - 1):
        at = np.array(atlas.origins[1], dtype=np.float32) + np.array([[1, 1], [32, 32], [63, 63]])
        found = atlas.sample(*at.astype(np.float32).T, np.full(3, level, dtype=np.float32))
        np.testing.assert_allclose(found, 0.25, atol=1e-5)
    x, y = np.meshgrid(np.arange(64), np.arange(64))
    places = np.stack([x.ravel(), y.ravel()], 1) + np.array(atlas.origins[0]) + 0.5
    exact = atlas.sample(*places.astype(np.float32).T, np.zeros(4096, dtype=np.float32))
    np.testing.assert_allclose(exact, noisy.reshape(-1, 3), atol=1e-3)
    coarse = atlas.sample(*places.astype(np.float32).T, np.full(4096, 3.0, dtype=np.float32))
    assert coarse.std() < 0.25 * noisy.std()
