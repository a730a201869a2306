"""Joint sets: what is on the other side, and how sets are put together."""

from __future__ import annotations

import numpy as np
import pytest

from mcbench.joints import (
    BLAZEPOSE33,
    COCO_WHOLEBODY133,
    DOPE13,
    DOPE139,
    FACE84,
    FACE84_OF_FACE68,
    HAND21,
    HOLISTIC143,
    JointSet,
    joint_set,
    joint_sets,
    mapping,
)


@pytest.mark.parametrize("name", joint_sets())
def test_flipped_twice_is_the_same(name: str) -> None:
    flip = np.array(joint_set(name).flip)
    np.testing.assert_array_equal(flip[flip], np.arange(len(flip)))


@pytest.mark.parametrize("joints", [COCO_WHOLEBODY133, HOLISTIC143])
def test_a_face_in_a_mirror(joints: JointSet) -> None:
    """As in the annotation's published figure: ears, brows, wings of the nose, eyes, lips; the middle stays."""
    pairs = [(0, 16), (7, 9), (17, 26), (21, 22), (31, 35), (36, 45), (39, 42), (41, 46), (48, 54), (59, 55), (60, 64)]
    for a, b in [*pairs, *((i, i) for i in (8, 27, 30, 33, 51, 57, 62, 66))]:
        assert joints.joints[joints.flip[joints.index(f"face_{a}")]] == f"face_{b}"


def test_holistic_is_the_body_then_face_and_hands() -> None:
    assert len(HOLISTIC143) == 143 and len(set(HOLISTIC143.joints)) == 143
    assert HOLISTIC143.joints[:33] == BLAZEPOSE33.joints
    assert HOLISTIC143.joints[33:] == COCO_WHOLEBODY133.joints[23:]
    assert HOLISTIC143.joints[-21:] == tuple(f"right_hand_{name}" for name in HAND21.joints)
    left, right = HOLISTIC143.index("left_hand_index_2"), HOLISTIC143.index("right_hand_index_2")
    assert HOLISTIC143.flip[left] == right
    assert (left - 1, left) in HOLISTIC143.bones


def test_dope_is_body_hands_face() -> None:
    assert (len(DOPE13), len(FACE84), len(DOPE139)) == (13, 84, 139) and len(set(DOPE139.joints)) == 139
    assert DOPE139.joints[:13] == DOPE13.joints and DOPE13.joints[::6] == ("right_ankle", "right_wrist", "head")
    assert DOPE139.joints[13:34] == tuple(f"left_hand_{name}" for name in HAND21.joints)
    assert DOPE139.joints[34:55] == tuple(f"right_hand_{name}" for name in HAND21.joints)
    assert DOPE139.joints[55:] == FACE84.joints
    assert FACE84.joints[33:] == tuple(f"face_{i}" for i in range(17, 68))


def test_the_contour_of_84_has_points_between_those_of_68() -> None:
    assert FACE84.joints[:5] == ("face_0", "face_0_1", "face_1", "face_1_2", "face_2")
    assert FACE84_OF_FACE68[:3] == ((0, 0), (0, 1), (1, 1)) and FACE84_OF_FACE68[-1] == (67, 67)
    assert FACE84.joints[FACE84.flip[1]] == "face_15_16" and FACE84.flip[16] == 16
    assert len(FACE84.bones) == 32 + 4 + 4 + 3 + 4 + 6 + 6 + 12 + 8


def test_coco_wholebody_and_dope_share_limbs_hands_and_the_68_of_a_face() -> None:
    pairs = mapping("dope139", "coco_wholebody133")
    assert len(pairs) == 12 + 42 + 68
    assert len(mapping("face84", "coco_wholebody133")) == 68
    assert all(DOPE139.joints[i] == COCO_WHOLEBODY133.joints[j] for i, j in pairs)
