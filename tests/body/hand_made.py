"""A body of a few vertices in the layout of SMPL's files, and linear blend skinning written out for one body."""

from __future__ import annotations

from typing import Any

import numpy as np

from mcbench.joints import SMPL24_PARENTS

Arrays = dict[str, Any]
VERTICES = 60


def smpl_arrays(seed: int = 0, vertices: int = VERTICES, posedirs: bool = True) -> Arrays:
    """Random arrays of a body whose root is not at the origin; like SMPL's, vertices hang on up to four joints."""
    rng = np.random.default_rng(seed)
    skinning = np.zeros((vertices, 24))
    for row in skinning:
        row[rng.choice(24, 4, replace=False)] = rng.dirichlet(np.ones(4))
    faces = np.stack([rng.choice(vertices, 3, replace=False) for _ in range(2 * vertices)])
    arrays = {
        "v_template": rng.normal([0.3, -0.2, 0.1], 0.4, (vertices, 3)),
        "f": faces.astype(np.uint32),
        "shapedirs": rng.normal(0, 0.03, (vertices, 3, 10)),
        "J_regressor": rng.dirichlet(np.full(vertices, 0.1), 24),
        # as SMPL has it: the root's parent is -1 in 32 bits without a sign
        "kintree_table": np.array([[2**32 - 1, *SMPL24_PARENTS[1:]], range(24)], dtype=np.uint32),
        "weights": skinning,
    }
    return {**arrays, "posedirs": rng.normal(0, 0.01, (vertices, 3, 207))} if posedirs else arrays


def pose_by_hand(arrays: Arrays, betas: np.ndarray, rotations: np.ndarray, transl: np.ndarray) -> tuple[Any, Any]:
    """Vertices (V, 3) and joints (24, 3) of one body: Loper et al. 2015, equations 2 to 4 and 6 to 10."""
    shaped = arrays["v_template"] + arrays["shapedirs"][:, :, : len(betas)] @ betas
    rest = arrays["J_regressor"] @ shaped
    posed = shaped
    if "posedirs" in arrays:
        posed = shaped + arrays["posedirs"] @ np.concatenate([(r - np.eye(3)).ravel() for r in rotations[1:]])
    to_world: list[np.ndarray] = []
    for joint, parent in enumerate(SMPL24_PARENTS):
        step = np.eye(4)
        step[:3, :3] = rotations[joint]
        step[:3, 3] = rest[joint] - (rest[parent] if joint else 0)
        to_world.append(to_world[parent] @ step if joint else step)
    vertices = np.zeros_like(posed)
    for matrix, at_rest, weight in zip(to_world, rest, arrays["weights"].T, strict=True):
        vertices += weight[:, None] * ((posed - at_rest) @ matrix[:3, :3].T + matrix[:3, 3])
    return vertices + transl, np.array([matrix[:3, 3] for matrix in to_world]) + transl
