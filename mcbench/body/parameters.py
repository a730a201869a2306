"""Poses as files have them: SMPL's, SMPL-H's and SMPL-X's parameters by name, axis-angles in radians."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

#: How many joints each parameter after the root turns, in the model's order, by how many joints it has.
PARTS = {
    24: {"body_pose": 23},
    52: {"body_pose": 21, "left_hand_pose": 15, "right_hand_pose": 15},
    55: {"body_pose": 21, "jaw_pose": 1, "leye_pose": 1, "reye_pose": 1, "left_hand_pose": 15, "right_hand_pose": 15},
}
#: Joints of what only SMPL-H and SMPL-X have.
HANDS = {"left_hand_pose": 15, "right_hand_pose": 15}
HEAD = {"jaw_pose": 1, "leye_pose": 1, "reye_pose": 1}


def named_pose(pose: Array) -> dict[str, Array]:
    """The parameters by name from the turns of all joints (P, J, 3), the root's first.

    Returns
    -------
    `global_orient` (P, 3), `body_pose` (P, 23 or 21, 3), `left_hand_pose`, `right_hand_pose` (P, 15, 3), `jaw_pose`,
    `leye_pose`, `reye_pose` (P, 3); NaN what the model does not have.
    """
    named = {"global_orient": pose[:, 0]}
    first = 1
    for name, count in PARTS[pose.shape[1]].items():
        named[name] = pose[:, first : first + count]
        first += count
    for name, count in {**HANDS, **HEAD}.items():
        named.setdefault(name, np.full((len(pose), count, 3), np.nan))
    return {name: turns[:, 0] if name in HEAD else turns for name, turns in named.items()}


def whole_pose(named: Mapping[str, Array], n_joints: int) -> Array:
    """The turns of all joints (P, J, 3) from the parameters by name; NaN where unknown."""
    count = len(named["global_orient"])
    parts = [named["global_orient"], *(named[name] for name in PARTS[n_joints])]
    return np.concatenate([part.reshape(count, -1, 3) for part in parts], axis=1)
