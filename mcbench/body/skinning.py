"""Posed vertices of a body model: linear blend skinning.

Loper et al., "SMPL: A Skinned Multi-Person Linear Model" (2015), section 3, as `smplx` computes it (tests hold the two
to each other), but in float64 throughout, and without torch, which takes longer to start than a scene to fit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import sparse

from mcbench.body.kinematics import Level, joint_motions

Array = npt.NDArray[np.float64]


def skin(
    rest: Array, joints: Array, rotations: Array, transl: Array, weights: sparse.csr_matrix, tree: Sequence[Level]
) -> tuple[Array, Array]:
    """Vertices (V, 3) and joints (J, 3) of a body in the world.

    Parameters
    ----------
    rest : (V, 3) vertices in the rest pose, shaped. joints : (J, 3) likewise.
    rotations : (J, 3, 3) of every joint relative to its parent, the root's to the world.
    transl : (3,) SMPL's translation. weights : (V, J) of the skinning. tree : the joints' `levels`.
    """
    turned, moved = joint_motions(tree, joints, rotations)
    offset = moved - (turned @ joints[..., None])[..., 0]
    blended = weights @ np.concatenate([turned.reshape(-1, 9), offset], axis=1)
    vertices = (blended[:, :9].reshape(-1, 3, 3) @ rest[..., None])[..., 0] + blended[:, 9:]
    return vertices + transl, moved + transl
