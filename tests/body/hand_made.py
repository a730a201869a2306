"""Bodies of a few vertices in the layouts of SMPL, SMPL-H and SMPL-X, and linear blend skinning written out for one."""

from __future__ import annotations

from typing import Any

import numpy as np

from mcbench.joints import SMPL24_PARENTS, SMPLH52_PARENTS, SMPLX55_PARENTS

Arrays = dict[str, Any]
VERTICES = 60
PARENTS = {24: SMPL24_PARENTS, 52: SMPLH52_PARENTS, 55: SMPLX55_PARENTS}


def smpl_arrays(
    seed: int = 0, vertices: int = VERTICES, posedirs: bool = True, joints: int = 24, components: int = 10
) -> Arrays:
    """Random arrays of a body whose root is not at the origin; like SMPL's, vertices hang on up to four joints."""
    rng = np.random.default_rng(seed)
    skinning = np.zeros((vertices, joints))
    for row in skinning:
        row[rng.choice(joints, 4, replace=False)] = rng.dirichlet(np.ones(4))
    faces = np.stack([rng.choice(vertices, 3, replace=False) for _ in range(2 * vertices)])
    arrays = {
        "v_template": rng.normal([0.3, -0.2, 0.1], 0.4, (vertices, 3)),
        "f": faces.astype(np.uint32),
        "shapedirs": rng.normal(0, 0.03, (vertices, 3, components)),
        "J_regressor": rng.dirichlet(np.full(vertices, 0.1), joints),
        # as SMPL has it: the root's parent is -1 in 32 bits without a sign
        "kintree_table": np.array([[2**32 - 1, *PARENTS[joints][1:]], range(joints)], dtype=np.uint32),
        "weights": skinning,
    }
    if joints > 24:  # which mcbench does not use: its hands are flat at rest, their joints free
        arrays |= {f"hands_mean{side}": rng.normal(0, 0.3, 45) for side in "lr"}
        arrays |= {f"hands_components{side}": rng.normal(0, 0.1, (45, 45)) for side in "lr"}
    return {**arrays, "posedirs": rng.normal(0, 0.01, (vertices, 3, 9 * (joints - 1)))} if posedirs else arrays


def pose_by_hand(
    arrays: Arrays,
    betas: np.ndarray,
    rotations: np.ndarray,
    transl: np.ndarray,
    expression: np.ndarray | None = None,
    expressions_after: int = 10,
) -> tuple[Any, Any]:
    """Vertices (V, 3) and joints (J, 3) of one body: Loper et al. 2015, equations 2 to 4 and 6 to 10; the expression's
    components are shape components, as in Pavlakos et al. 2019."""
    shaped = arrays["v_template"] + arrays["shapedirs"][:, :, : len(betas)] @ betas
    if expression is not None:
        last = expressions_after + len(expression)
        shaped = shaped + arrays["shapedirs"][:, :, expressions_after:last] @ expression
    rest = arrays["J_regressor"] @ shaped
    posed = shaped
    if "posedirs" in arrays:
        posed = shaped + arrays["posedirs"] @ np.concatenate([(r - np.eye(3)).ravel() for r in rotations[1:]])
    to_world: list[np.ndarray] = []
    for joint, parent in enumerate(PARENTS[len(rotations)]):
        step = np.eye(4)
        step[:3, :3] = rotations[joint]
        step[:3, 3] = rest[joint] - (rest[parent] if joint else 0)
        to_world.append(to_world[parent] @ step if joint else step)
    vertices = np.zeros_like(posed)
    for matrix, at_rest, weight in zip(to_world, rest, arrays["weights"].T, strict=True):
        vertices += weight[:, None] * ((posed - at_rest) @ matrix[:3, :3].T + matrix[:3, 3])
    return vertices + transl, np.array([matrix[:3, 3] for matrix in to_world]) + transl
