"""Body models run by `smplx`: the one place that imports it and torch, which take seconds to start."""

from __future__ import annotations

import contextlib
import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import smplx
import torch
from smplx.utils import Struct
from smplx.vertex_ids import vertex_ids

from mcbench.body.parameters import PARTS

Array = npt.NDArray[np.float64]

#: Places of shape components in front of those of the expression, and places of the latter, in a small SMPL-X file.
_SHAPES, _EXPRESSIONS = 10, 10
_LAYERS = {24: smplx.SMPLLayer, 52: smplx.SMPLHLayer, 55: smplx.SMPLXLayer}


class SmplxRunner:
    """A body model from its arrays; see `mcbench.body.model.BodyModel` for their shapes.

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
        expression_dirs: Array | None = None,
    ) -> None:
        self.n_joints = len(parents)
        self.n_betas = shapedirs.shape[-1]
        arrays: dict[str, Any] = {
            "v_template": v_template,
            "shapedirs": shapedirs,
            "posedirs": np.zeros((len(v_template), 3, 9 * (len(parents) - 1))) if posedirs is None else posedirs,
            "J_regressor": joint_regressor,
            "kintree_table": np.array([parents, range(len(parents))]),
            "weights": skinning,
            "f": faces,
        }
        options: dict[str, Any] = {"num_betas": self.n_betas, "dtype": torch.float64}
        if self.n_joints > 24:  # hands are given joint by joint, relative to flat ones
            arrays |= {f"hands_mean{side}": np.zeros(45) for side in "lr"}
            arrays |= {f"hands_components{side}": np.eye(45) for side in "lr"}
            options |= {"use_pca": False, "flat_hand_mean": True}
        # smplx prints a warning about models of few shape components to stdout, which is for results alone
        with contextlib.redirect_stdout(io.StringIO()):
            if self.n_joints == 55:
                self.model = _smplx_layer(arrays, expression_dirs, options)
            else:
                # smplx appends picked vertices to the joints; the picks of SMPL's own mesh mean nothing on another.
                picks = dict.fromkeys(vertex_ids["smplh"], 0)
                layer = _LAYERS[self.n_joints]
                self.model = layer("", data_struct=Struct(**arrays), vertex_ids=picks, **options)

    def __call__(
        self, betas: Array, rotations: Array, transl: Array, expression: Array | None = None
    ) -> tuple[Array, Array]:
        """Vertices (P, V, 3) and joints (P, J, 3) of betas (P, B), rotations (P, J, 3, 3), transl (P, 3) and, if the
        model has them, expression coefficients (P, E)."""
        turned = _tensor(rotations)
        given = {"betas": _tensor(betas), "global_orient": turned[:, :1], "transl": _tensor(transl)}
        first = 1
        for name, count in PARTS[self.n_joints].items():
            given[name] = turned[:, first : first + count]
            first += count
        if self.n_joints == 55:
            coefficients = np.zeros((len(betas), 0)) if expression is None else expression
            given["betas"] = _padded(given["betas"], _SHAPES)
            given["expression"] = _padded(_tensor(coefficients), _EXPRESSIONS)
        with torch.no_grad():
            out = self.model(**given)
        return out.vertices.numpy(), out.joints[:, : self.n_joints].numpy()


def _smplx_layer(arrays: dict[str, Any], expression_dirs: Array | None, options: dict[str, Any]) -> Any:
    """smplx reads this model from a file alone, which has 10 places for shapes and 10 for expressions."""
    n_vertices = len(arrays["v_template"])
    components = np.zeros((n_vertices, 3, _SHAPES + _EXPRESSIONS))
    components[:, :, : arrays["shapedirs"].shape[-1]] = arrays["shapedirs"]
    if expression_dirs is not None:
        components[:, :, _SHAPES : _SHAPES + expression_dirs.shape[-1]] = expression_dirs
    # it insists on landmarks: the first corner of the first triangle
    landmark: dict[str, Any] = {
        "lmk_faces_idx": np.zeros(1, dtype=np.int64),
        "lmk_bary_coords": np.array([[1.0, 0.0, 0.0]]),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "body.npz"
        np.savez(path, **{**arrays, "shapedirs": components, **landmark})
        model = _LAYERS[55](
            str(path), ext="npz", num_expression_coeffs=_EXPRESSIONS, **{**options, "num_betas": _SHAPES}
        )
    # and on vertices that it picks of SMPL-X's own mesh
    picks = model.vertex_joint_selector
    picks.extra_joints_idxs = torch.zeros_like(picks.extra_joints_idxs)
    return model


def _tensor(array: Array) -> torch.Tensor:
    return torch.as_tensor(np.ascontiguousarray(array), dtype=torch.float64)


def _padded(coefficients: torch.Tensor, count: int) -> torch.Tensor:
    return torch.nn.functional.pad(coefficients, (0, count - coefficients.shape[1]))
