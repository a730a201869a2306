"""Poses by name and back."""

from __future__ import annotations

import numpy as np
import pytest

from mcbench.body.parameters import named_pose, whole_pose
from mcbench.joints import SMPLX55


@pytest.mark.parametrize("joints", [24, 52, 55])
def test_there_and_back(joints: int) -> None:
    pose = np.random.default_rng(0).normal(size=(3, joints, 3))
    named = named_pose(pose)
    np.testing.assert_array_equal(whole_pose(named, joints), pose)
    assert named["body_pose"].shape == (3, 23 if joints == 24 else 21, 3)
    assert np.isfinite(named["left_hand_pose"]).all() == (joints > 24)
    assert np.isfinite(named["jaw_pose"]).all() == (joints == 55)


def test_names_are_those_of_smplx() -> None:
    pose = np.arange(55)[None, :, None] * np.ones(3)
    named = named_pose(pose)
    for name, first in {"jaw_pose": "jaw", "leye_pose": "left_eye_smplhf", "reye_pose": "right_eye_smplhf"}.items():
        assert named[name].tolist() == [[SMPLX55.index(first)] * 3]
    for side in ("left", "right"):
        assert named[f"{side}_hand_pose"][0, 0, 0] == SMPLX55.index(f"{side}_index1")
        assert named[f"{side}_hand_pose"][0, -1, 0] == SMPLX55.index(f"{side}_thumb3")
