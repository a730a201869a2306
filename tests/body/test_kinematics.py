"""Joints posed down a tree, against each one's chain written out."""

from __future__ import annotations

import numpy as np

from mcbench.body.kinematics import joint_motions, levels
from mcbench.body.rotations import exp_so3
from mcbench.joints import SMPL24_PARENTS


def test_levels_hold_every_joint_once_after_its_parent() -> None:
    seen = {0}
    for joints, parents in levels(SMPL24_PARENTS):
        assert set(parents.tolist()) <= seen
        assert not set(joints.tolist()) & seen
        seen |= set(joints.tolist())
    assert seen == set(range(24))


def test_a_joint_is_where_its_chain_takes_it() -> None:
    rng = np.random.default_rng(0)
    rest, rotations = rng.normal(0, 1, (24, 3)), exp_so3(rng.normal(0, 1, (24, 3)))
    turned, moved = joint_motions(levels(SMPL24_PARENTS), rest, rotations)
    for joint in range(24):
        turn, place, at = np.eye(3), np.zeros(3), joint
        while at >= 0:  # from the joint up to the root
            parent = SMPL24_PARENTS[at]
            bone = rest[at] - (rest[parent] if parent >= 0 else 0)
            turn, place = rotations[at] @ turn, bone + rotations[at] @ place
            at = parent
        np.testing.assert_allclose(turned[joint], turn, atol=1e-12)
        np.testing.assert_allclose(moved[joint], place, atol=1e-12)
