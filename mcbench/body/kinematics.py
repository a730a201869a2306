"""Rigid motions of a body's joints, down its kinematic tree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Joints that are posed at a time, and the parent of each.
Level = tuple[IntArray, IntArray]


def levels(parents: Sequence[int]) -> list[Level]:
    """The joints below the root, those equally far from it together, by `parents` (J,), which come before children."""
    depth = np.zeros(len(parents), dtype=np.int64)
    for joint in range(1, len(parents)):
        depth[joint] = depth[parents[joint]] + 1
    of = np.array(parents)
    return [(j, of[j]) for n in range(1, int(depth.max(initial=0)) + 1) for j in (np.flatnonzero(depth == n),)]


def joint_motions(tree: Sequence[Level], rest: Array, rotations: Array) -> tuple[Array, Array]:
    """World rotation (J, 3, 3) and position (J, 3) of every joint, before a body's translation.

    Parameters
    ----------
    tree : the joints' `levels`. rest : (J, 3) their places at rest. rotations : (J, 3, 3), each relative to its parent.
    """
    turned, moved = np.empty(rotations.shape), np.empty(rest.shape)
    turned[0], moved[0] = rotations[0], rest[0]
    for j, p in tree:
        turned[j] = turned[p] @ rotations[j]
        moved[j] = moved[p] + (turned[p] @ (rest[j] - rest[p])[..., None])[..., 0]
    return turned, moved
