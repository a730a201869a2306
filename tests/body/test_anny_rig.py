"""The rig that bodies are built from and rendered with: bones, parts, skinning, and people of a given stature."""

from __future__ import annotations

import numpy as np
import pytest

from mcbench.body.anny_rig import PARTS, AnnyRig, RestShapes
from mcbench.body.anthropometry import People
from mcbench.body.rotations import exp_so3
from mcbench.joints import SMPL24, SMPL24_PARENTS

PEOPLE = People(female=np.array([True, False, True]), age=np.array([30.0, 45, 7]), stature=np.array([1.60, 1.85, 1.22]))


@pytest.fixture(scope="module")
def rig() -> AnnyRig:
    return AnnyRig.load()


@pytest.fixture(scope="module")
def shapes(rig: AnnyRig) -> RestShapes:
    return rig.shape(rig.phenotypes(PEOPLE, np.random.default_rng(0)))


def test_every_vertex_hangs_on_bones(rig: AnnyRig) -> None:
    assert rig.skinning.min() >= 0
    np.testing.assert_allclose(rig.skinning.sum(1), 1, atol=1e-6)
    assert len(rig.bones) == len(set(rig.bones)) == 104
    assert rig.parents[0] == -1 and all(0 <= p < i for i, p in enumerate(rig.parents[1:], 1))  # parents first


def test_bones_belong_to_the_joints_that_move_them(rig: AnnyRig) -> None:
    joint = dict(zip(rig.bones, (SMPL24.joints[j] for j in rig.joint_of_bone()), strict=True))
    known = {"root": "pelvis", "upperleg02.L": "left_hip", "lowerleg02.R": "right_knee", "toe3-2.L": "left_foot",
             "upperarm02.R": "right_shoulder", "lowerarm02.L": "left_elbow", "finger3-3.R": "right_hand",
             "metacarpal2.R": "right_wrist", "finger1-3.L": "left_wrist", "eye.L": "head", "neck03": "neck",
             "shoulder01.R": "right_collar"}  # fmt: skip
    assert {bone: joint[bone] for bone in known} == known
    assert set(joint.values()) == set(SMPL24.joints)
    # a bone's joint is its parent's, or one further out: nothing jumps over a joint, but from palm and feet
    for bone, parent in zip(rig.bones[1:], rig.parents[1:], strict=True):
        own, above = SMPL24.index(joint[bone]), SMPL24.index(joint[rig.bones[parent]])
        assert own == above or SMPL24_PARENTS[own] == above, bone


def test_bones_of_left_and_right_mirror(rig: AnnyRig) -> None:
    bones = rig.joint_bones()
    swap = {".L": ".R", ".R": ".L"}
    for joint, other in enumerate(SMPL24.flip):
        mirrored = [rig.bones[b][:-2] + swap.get(rig.bones[b][-2:], rig.bones[b][-2:]) for b in bones[joint]]
        assert mirrored == [rig.bones[b] for b in bones[other]]


def test_parts_are_where_they_belong(rig: AnnyRig, shapes: RestShapes) -> None:
    assert set(np.unique(rig.part)) == set(range(len(PARTS)))
    known = {"spine01": "torso", "clavicle.L": "torso", "neck02": "neck", "eye.R": "head", "upperarm02.L": "upper_arm",
             "lowerarm02.R": "forearm", "wrist.L": "hand", "finger3-2.R": "hand", "upperleg02.R": "thigh",
             "lowerleg02.L": "shank", "foot.R": "foot", "toe1-2.L": "foot"}  # fmt: skip
    for bone, part in known.items():
        assert PARTS[rig.part[rig.skinning[:, rig.bone(bone)].argmax()]] == part, bone
    height = {name: shapes.vertices[0, rig.part == i, 2] for i, name in enumerate(PARTS)}
    order = ["foot", "shank", "thigh", "torso", "neck", "head"]
    middles = [np.median(height[name]) for name in order]
    assert middles == sorted(middles)
    sides = {name: np.abs(shapes.vertices[0, rig.part == i, 0]) for i, name in enumerate(PARTS)}
    assert np.median(sides["upper_arm"]) < np.median(sides["forearm"]) < np.median(sides["hand"])


def test_eyes_and_mouth_are_no_skin(rig: AnnyRig) -> None:
    eyeballs = rig.skinning[:, [rig.bone("eye.L"), rig.bone("eye.R")]].max(1) > 0.99
    assert eyeballs.sum() > 20 and not rig.skin_mask[eyeballs].any()
    head = rig.part == PARTS.index("head")
    assert rig.skin_mask[~head].all() and rig.skin_mask[head].any()
    inner = rig.inner_faces()
    assert rig.skin_mask[rig.faces[~inner]].all()
    assert 0 < inner.sum() < len(rig.faces) / 2


def test_people_have_the_stature_asked_for(rig: AnnyRig, shapes: RestShapes) -> None:
    np.testing.assert_allclose(rig.statures(shapes), PEOPLE.stature, atol=0.005)
    np.testing.assert_allclose(rig.statures(shapes), np.ptp(shapes.vertices[:, :, 2], axis=1))
    joints = rig.smpl24_from_bones(shapes.heads)
    assert (joints[:, SMPL24.index("left_hand"), 0] > 0.2).all()  # the body's left is at +x
    assert (joints[:, SMPL24.index("left_foot"), 1] < joints[:, SMPL24.index("left_ankle"), 1]).all()  # it faces -y


def test_many_bodies_are_each_alone(rig: AnnyRig) -> None:
    """More than one batch."""
    height = np.linspace(0, 1, 18)
    phenotypes = {"gender": np.full(18, 0.3), "height": height}
    together = rig.shape(phenotypes)
    assert len(together) == 18 and (np.diff(rig.statures(together)) > 0).all()
    for i in (0, 17):
        alone = rig.shape({name: value[i : i + 1] for name, value in phenotypes.items()})
        np.testing.assert_allclose(together.vertices[i], alone.vertices[0], atol=1e-6)
        np.testing.assert_allclose(together.heads[i], alone.heads[0], atol=1e-6)


def test_no_turn_is_no_change(rig: AnnyRig, shapes: RestShapes) -> None:
    vertices, heads = rig.pose(shapes.vertices[0], shapes.heads[0], np.tile(np.eye(3), (104, 1, 1)))
    np.testing.assert_allclose(vertices, shapes.vertices[0], atol=1e-6)
    np.testing.assert_allclose(heads, shapes.heads[0], atol=1e-12)


def test_a_bent_elbow_turns_the_forearm_about_it_and_nothing_else(rig: AnnyRig, shapes: RestShapes) -> None:
    rest, heads = shapes.vertices[0], shapes.heads[0]
    bone, turn = rig.bone("lowerarm01.L"), exp_so3(np.array([0.3, -1.0, 0.5]))
    rotations = np.tile(np.eye(3), (104, 1, 1))
    rotations[bone] = turn
    vertices, moved = rig.pose(rest, heads, rotations)
    below = np.zeros(104, dtype=bool)
    for i in range(104):
        below[i] = i == bone or (i > 0 and below[rig.parents[i]])
    elbow = heads[bone]
    np.testing.assert_allclose(moved[~below], heads[~below], atol=1e-12)
    np.testing.assert_allclose(moved[below], (heads[below] - elbow) @ turn.T + elbow, atol=1e-12)
    share = rig.skinning[:, below].sum(1)[:, None]
    expected = (1 - share) * rest + share * ((rest - elbow) @ turn.T + elbow)
    np.testing.assert_allclose(vertices, expected, atol=1e-6)
    assert (share == 1).sum() > 500 and (share == 0).sum() > 5000


def test_turns_add_up_along_the_arm(rig: AnnyRig, shapes: RestShapes) -> None:
    """Rotations are relative to the parent, about the rest frame's axes."""
    rest, heads = shapes.vertices[0], shapes.heads[0]
    first, second = exp_so3(np.array([[0.2, 0.7, -0.4], [0.9, -0.2, 0.3]]))
    rotations = np.tile(np.eye(3), (104, 1, 1))
    rotations[0], rotations[rig.bone("lowerarm01.R")] = first, second
    vertices, moved = rig.pose(rest, heads, rotations)
    elbow, wrist = rig.bone("lowerarm01.R"), rig.bone("wrist.R")
    at_elbow = heads[0] + first @ (heads[elbow] - heads[0])
    np.testing.assert_allclose(moved[elbow], at_elbow, atol=1e-12)
    np.testing.assert_allclose(moved[wrist], at_elbow + first @ second @ (heads[wrist] - heads[elbow]), atol=1e-12)
    of_hand = np.isin(rig.joint_of_bone(), [SMPL24.index("right_wrist"), SMPL24.index("right_hand")])
    hand = rig.skinning[:, of_hand].sum(1) > 1 - 1e-9
    assert hand.sum() > 500
    expected = (rest[hand] - heads[elbow]) @ (first @ second).T + at_elbow
    np.testing.assert_allclose(vertices[hand], expected, atol=1e-6)
