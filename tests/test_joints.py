"""Joint sets: what is on the other side, and how sets are put together."""

from __future__ import annotations

import numpy as np
import pytest

from mcbench.joints import BLAZEPOSE33, COCO_WHOLEBODY133, HAND21, HOLISTIC143, JointSet, joint_set, joint_sets


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
