"""Poses are what they are said to be: limbs point where told, people stand on the floor."""

from __future__ import annotations

import numpy as np
import pytest

from mcbench.body.anny_rig import AnnyRig
from mcbench.body.face_landmarks import face_landmarks
from mcbench.joints import SMPL24
from mcbench.synth.people import collides, make_people
from mcbench.synth.poses import Limb, Pose, bone_rotations, sample_pose

KINDS = ("stand", "reach", "walk", "sit", "crouch", "kneel")


@pytest.fixture(scope="module")
def at_rest():
    rig = AnnyRig.load()
    phenotypes = {k: [0.5] for k in ("gender", "age", "muscle", "weight", "height", "proportions")}
    shapes = rig.shape(phenotypes)
    return rig, shapes.vertices[0], shapes.heads[0]


def direction(joints, start, end):
    arrow = joints[SMPL24.index(end)] - joints[SMPL24.index(start)]
    return arrow / np.linalg.norm(arrow)


@pytest.mark.parametrize(
    ("arm", "leg"),
    [
        (Limb((1, 0, 0), (1, 0.2, 0)), Limb((0.1, 0, -1), (0.1, -0.3, -1))),
        (Limb((0.2, 0, -1), (0, 1, 0)), Limb((0.1, 1, 0), (0, 0, -1))),
        (Limb((0.3, 0.3, 1), (0, 0.2, 1)), Limb((0.2, 0.5, -1), (0.1, -0.6, -1))),
    ],
)
def test_limbs_point_where_they_are_told(at_rest, arm, leg):
    rig, vertices, heads = at_rest
    pose = Pose((arm, arm), (leg, leg))
    rotations = bone_rotations(rig, heads, pose, np.random.default_rng(0))
    np.testing.assert_allclose(rotations @ rotations.transpose(0, 2, 1), np.tile(np.eye(3), (104, 1, 1)), atol=1e-9)
    assert np.allclose(np.linalg.det(rotations), 1)
    joints = rig.smpl24_from_bones(rig.pose(vertices, heads, rotations)[1])
    for side, sign in (("left", 1), ("right", -1)):
        for limb, chain in ((arm, ("shoulder", "elbow", "wrist")), (leg, ("hip", "knee", "ankle"))):
            for told, (start, end) in ((limb.upper, chain[:2]), (limb.lower, chain[1:])):
                wanted = np.array([sign * told[0], -told[1], told[2]]) / np.linalg.norm(told)
                found = direction(joints, f"{side}_{start}", f"{side}_{end}")
                assert found @ wanted > np.cos(np.radians(3)), (side, start)


def test_left_and_right_mirror_each_other(at_rest):
    rig, vertices, heads = at_rest
    limb = Limb((0.5, 0.6, -0.4), (-0.3, 0.9, 0.4)), Limb((0.2, 0.9, -0.3), (0.1, -0.2, -1))
    pose = Pose((limb[0], limb[0]), (limb[1], limb[1]))
    joints = rig.smpl24_from_bones(
        rig.pose(vertices, heads, bone_rotations(rig, heads, pose, np.random.default_rng(0)))[1]
    )
    np.testing.assert_allclose(joints[list(SMPL24.flip)] * [-1, 1, 1], joints, atol=0.004)


def test_people_stand_on_the_floor_and_are_as_tall_as_people():
    rng = np.random.default_rng(5)
    poses = []
    while len(poses) < 12:
        poses.append(sample_pose(rng))
    assert {p.name for p in poses} <= set(KINDS)
    people = make_people(rng, poses)
    for person in people:
        assert person.vertices[:, 2].min() == pytest.approx(0, abs=1e-9)
        assert 1.0 < person.info["stature"] < 2.05
        assert np.ptp(person.vertices[:, 2]) < 1.35 * person.info["stature"]  # an arm may be raised
        assert (person.colours >= 0).all() and (person.colours <= 1).all()
        wrist = SMPL24.index("left_wrist")
        np.testing.assert_allclose(person.hands[0, 0], person.joints[wrist], atol=0.02)
        reach = np.linalg.norm(person.hands[0, 1:] - person.hands[0, 0], axis=1)
        assert reach.min() > 0.02 and reach.max() < 0.25


def test_faces_are_on_their_heads_and_look_ahead():
    rng = np.random.default_rng(6)
    for person in make_people(rng, [sample_pose(rng) for _ in range(4)]):
        assert person.face.shape == (51, 3)
        head, neck = (person.joints[SMPL24.index(name)] for name in ("head", "neck"))
        middle = person.face.mean(0)
        assert 0.05 < np.linalg.norm(middle - head) < 0.16
        nose, eyes = person.face[13], person.face[19:31].mean(0)  # landmarks 30 and 36 to 47
        ears = person.vertices[face_landmarks().corners[[0, 16], 0]].mean(0)
        assert (nose - eyes) @ (eyes - ears) > 0  # away from the ears
        assert (eyes - person.face[31:].mean(0)) @ (head - neck) > 0  # above the mouth


def test_placing_moves_and_turns_all_alike():
    person = make_people(np.random.default_rng(1), [sample_pose(np.random.default_rng(1))])[0]
    placed = person.placed(np.array([2.0, -1.0]), np.pi / 2)
    turned = person.joints @ np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]]) + [2, -1, 0]
    np.testing.assert_allclose(placed.joints, turned, atol=1e-9)
    np.testing.assert_allclose(placed.face, face_landmarks().on(placed.vertices)[17:], atol=1e-9)
    assert not np.allclose(placed.face, person.face)
    np.testing.assert_array_equal(placed.hands[:, 4, :], placed.vertices[AnnyRig.load().fingertips[:, 0]])
    assert collides(placed, [placed.placed(np.zeros(2), 0.0)])
    assert not collides(person, [person.placed(np.array([3.0, 0.0]), 0.0)])
