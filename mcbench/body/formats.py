"""The formats of body models: SMPL with 24 joints, SMPL-H with 52 and SMPL-X with 55, and what they share.

The first 22 joints of all three are the same. SMPL ends in a joint a hand that turns the fingers as one; SMPL-H and
SMPL-X have three joints a finger instead, SMPL-X also jaw and eyes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcbench.joints import SMPL24, SMPL24_PARENTS, SMPLH52, SMPLH52_PARENTS, SMPLX55, SMPLX55_PARENTS, JointSet

Array = npt.NDArray[np.float64]

#: Joints that SMPL, SMPL-H and SMPL-X have in common: the first.
N_SHARED = 22
#: The fingers whose bases are the knuckles, between which SMPL's joint of a hand lies.
KNUCKLES = ("index", "middle", "pinky", "ring")


@dataclass(frozen=True)
class BodyFormat:
    """A format: its name, its joints in order, and the parent of each (-1 for the root)."""

    name: str
    joints: JointSet
    parents: tuple[int, ...]


#: By the number of joints.
FORMATS = {
    24: BodyFormat("SMPL", SMPL24, SMPL24_PARENTS),
    52: BodyFormat("SMPL-H", SMPLH52, SMPLH52_PARENTS),
    55: BodyFormat("SMPL-X", SMPLX55, SMPLX55_PARENTS),
}


def knuckles(n_joints: int) -> npt.NDArray[np.int64]:
    """Indices (2, 4) of the bases of the four fingers of the left and the right hand, for 52 or 55 joints."""
    joints = FORMATS[n_joints].joints
    return np.array([[joints.index(f"{side}_{finger}1") for finger in KNUCKLES] for side in ("left", "right")])


def smpl24_joints(joints: Array) -> Array:
    """`smpl24` joints (P, 24, 3) of bodies with J joints (P, J, 3): a hand's is the mean of its four knuckles."""
    if joints.shape[1] == len(SMPL24):
        return joints
    hands = joints[:, knuckles(joints.shape[1])].mean(2)
    return np.concatenate([joints[:, :N_SHARED], hands], axis=1)


def rotations_from_smpl24(rotations: Array, n_joints: int) -> Array:
    """Rotations (P, J, 3, 3) relative to the parents that put a body of J joints in a pose (P, 24, 3, 3) of SMPL's.

    The turn of SMPL's joint of a hand goes to the bases of its four fingers; thumb, jaw and eyes stay at rest. All
    parts of the body are then turned as SMPL turns them, exactly. Only the knuckles' places differ: SMPL moves a
    knuckle that lies at k at rest, relative to the joint of the hand, by (R - 1) k; here it stays on the palm.
    """
    if n_joints == len(SMPL24):
        return rotations
    turned = np.tile(np.eye(3), (len(rotations), n_joints, 1, 1))
    turned[:, :N_SHARED] = rotations[:, :N_SHARED]
    for hand, bases in enumerate(knuckles(n_joints)):
        turned[:, bases] = rotations[:, N_SHARED + hand, None]
    return turned
