"""Body models run by `smplx`: the one place that imports it and torch, which take seconds to start."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import numpy.typing as npt
import smplx
import torch
from smplx.utils import Struct
from smplx.vertex_ids import vertex_ids

Array = npt.NDArray[np.float64]

#: Vertices of SMPL's own mesh by the name of the keypoint that smplx takes them for.
SMPL_VERTICES: dict[str, int] = vertex_ids["smplh"]


class SmplxRunner:
    """An SMPL model from its arrays; see `mcbench.body.model.BodyModel` for their shapes.

    `model` is smplx's own. It computes in float64, but smplx rounds the arrays to float32 first: results are good to
    about 1e-7 m.
    """

    def __init__(
        self,
        *,
        v_template: Array,
        shapedirs: Array,
        posedirs: Array | None,
        joint_regressor: Array,
        skinning: Array,
        faces: npt.NDArray[np.int64],
        parents: tuple[int, ...],
    ) -> None:
        data = Struct(
            v_template=v_template,
            shapedirs=shapedirs,
            posedirs=np.zeros((len(v_template), 3, 207)) if posedirs is None else posedirs,
            J_regressor=joint_regressor,
            kintree_table=np.array([parents, range(24)]),
            weights=skinning,
            f=faces,
        )
        # smplx appends picked vertices to the joints; the picks of SMPL's own mesh mean nothing on another.
        picks = dict.fromkeys(SMPL_VERTICES, 0)
        absent = dict.fromkeys(("betas", "global_orient", "body_pose", "transl"), False)
        # smplx prints a warning about models of few shape components to stdout, which is for results alone
        with contextlib.redirect_stdout(io.StringIO()):
            self.model = smplx.SMPL(
                "",
                data_struct=data,
                num_betas=shapedirs.shape[-1],
                vertex_ids=picks,
                dtype=torch.float64,
                **{f"create_{name}": value for name, value in absent.items()},
            )

    def __call__(self, betas: Array, rotations: Array, transl: Array) -> tuple[Array, Array]:
        """Vertices (P, V, 3) and joints (P, 24, 3) of betas (P, B), rotations (P, 24, 3, 3) and transl (P, 3)."""
        with torch.no_grad():
            turned = torch.as_tensor(np.ascontiguousarray(rotations), dtype=torch.float64)
            out = self.model(
                betas=torch.as_tensor(np.ascontiguousarray(betas), dtype=torch.float64),
                global_orient=turned[:, :1],
                body_pose=turned[:, 1:],
                transl=torch.as_tensor(np.ascontiguousarray(transl), dtype=torch.float64),
                pose2rot=False,
            )
        return out.vertices.numpy(), out.joints[:, :24].numpy()
