"""Body models in SMPL's format, the open one or a user's own, run by `smplx`."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from mcbench.body.pickles import load_pickle
from mcbench.cache import cache_folder
from mcbench.dataset.files import read_npz, sha256_file
from mcbench.errors import InputError
from mcbench.joints import SMPL24, SMPL24_PARENTS, joint_set

if TYPE_CHECKING:
    from mcbench.body.smplx_runner import SmplxRunner

Array = npt.NDArray[np.float64]

N_BETAS = 10
#: Name of the open body, and prefix of what its file holds besides SMPL's arrays.
OPEN_BODY = "open_smpl"
KEYPOINT_PREFIX = "keypoint/"
_REQUIRED = ("v_template", "f", "shapedirs", "J_regressor", "kintree_table", "weights")
_SMPL_VERTICES = 6890
# Keypoints of SMPL's own mesh by the vertices that smplx lists for it; BlazePose's knuckles and toes by the nearest.
_SMPL_NAMES = {
    "nose": "nose",
    "left_eye": "leye",
    "right_eye": "reye",
    "left_ear": "lear",
    "right_ear": "rear",
    "left_big_toe": "LBigToe",
    "right_big_toe": "RBigToe",
    "left_small_toe": "LSmallToe",
    "right_small_toe": "RSmallToe",
    "left_heel": "LHeel",
    "right_heel": "RHeel",
    "left_foot_index": "LBigToe",
    "right_foot_index": "RBigToe",
}
_LIMB_JOINTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")


@dataclass(frozen=True)
class Posed:
    """Bodies in the world: vertices (P, V, 3) and `smpl24` joints (P, 24, 3), metres."""

    vertices: Array
    joints: Array


@dataclass(frozen=True)
class BodyModel:
    """A body model in SMPL's format.

    Attributes
    ----------
    name : "open_smpl", or the name of the user's file. digest : SHA-256 of the file.
    v_template (V, 3), shapedirs (V, 3, B), weights `skinning` (V, 24) : SMPL's arrays, float64, metres.
    posedirs : (V, 3, 207), or None for a model without pose blend shapes.
    joint_regressor : (24, V) sparse. faces : (F, 3) int64. parents : of the 24 joints, -1 for the root.
    skin_mask : (V,) bool, the outer skin: no eyes, teeth, tongue.
    vertex_area : (V,) m^2, a third of the faces around a vertex at the mean shape.
    keypoints : regressor (1, V) of every keypoint that the body knows, by name.
    info : where the model comes from, as its file tells.
    """

    name: str
    digest: str
    v_template: Array
    shapedirs: Array
    posedirs: Array | None
    joint_regressor: sparse.csr_matrix
    skinning: Array
    faces: npt.NDArray[np.int64]
    skin_mask: npt.NDArray[np.bool_]
    vertex_area: Array
    keypoints: dict[str, sparse.csr_matrix]
    info: str = ""
    parents: tuple[int, ...] = SMPL24_PARENTS

    @property
    def n_betas(self) -> int:
        return self.shapedirs.shape[-1]

    @property
    def n_vertices(self) -> int:
        return len(self.v_template)

    @property
    def joint_template(self) -> Array:
        """Joints (24, 3) of the mean shape at rest."""
        return self.joint_regressor @ self.v_template

    @property
    def joint_shapedirs(self) -> Array:
        """Derivative (24, 3, B) of the joints at rest by betas."""
        flat = self.joint_regressor @ self.shapedirs.reshape(self.n_vertices, -1)
        return flat.reshape(24, 3, self.n_betas)

    def keypoint_regressor(self, set_name: str) -> sparse.csr_matrix:
        """Regressor (K, V) of a joint set from the posed vertices; rows of unknown keypoints are empty."""
        empty = sparse.csr_matrix((1, self.n_vertices))
        rows = [self.keypoints.get(name, empty) for name in joint_set(set_name).joints]
        return sparse.csr_matrix(sparse.vstack(rows))

    def forward(self, betas: Array, rotations: Array, transl: Array) -> Posed:
        """Vertices and joints of P bodies.

        Parameters
        ----------
        betas : (P, B). rotations : (P, 24, 3, 3), the root's first. transl : (P, 3), SMPL's translation, metres.
        """
        if not len(betas):
            return Posed(np.zeros((0, self.n_vertices, 3)), np.zeros((0, 24, 3)))
        return Posed(*self.runner(betas, rotations, transl))

    @functools.cached_property
    def runner(self) -> SmplxRunner:
        """The model as `smplx` runs it."""
        # imported when first needed: most commands never pose a body, and torch takes seconds to start
        from mcbench.body.smplx_runner import SmplxRunner

        return SmplxRunner(
            v_template=self.v_template,
            shapedirs=self.shapedirs,
            posedirs=self.posedirs,
            joint_regressor=self.joint_regressor.toarray(),
            skinning=self.skinning,
            faces=self.faces,
            parents=self.parents,
        )


def vertex_areas(vertices: Array, faces: npt.NDArray[np.int64]) -> Array:
    """Area (V,) of every vertex: a third of the triangles around it."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 6
    return np.bincount(faces.ravel(), weights=np.repeat(area, 3), minlength=len(vertices)).astype(np.float64)


def open_body_path() -> Path:
    """Where the open body is kept once it has been built."""
    return cache_folder("bodies", f"{OPEN_BODY}.npz")


def load_body(path: Path | None = None) -> BodyModel:
    """Load a body model in SMPL's format.

    Parameters
    ----------
    path : an `.npz` or `.pkl` with SMPL's arrays, for instance the user's own licensed SMPL; None for the open body.

    Raises
    ------
    InputError : there is no such file (the open body is built by `mcbench body`), it is not a body model, or it is
        a pickle that asks for more than arrays (`unsafe_pickle`).
    """
    if path is None:
        path = open_body_path()
        if not path.exists():
            raise InputError(
                "the open body has not been built yet", path=path, hint="run `mcbench body`", reason="no_body"
            )
    path = Path(path)
    if path.is_dir():
        raise InputError("is a folder, not a body model file", path=path, reason="not_a_file")
    if not path.is_file():
        raise InputError("no such file", path=path, reason="missing_file")
    stat = path.stat()
    return _load(path, stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=4)
def _load(path: Path, _modified: int, _size: int) -> BodyModel:
    data = load_pickle(path) if path.suffix.lower() == ".pkl" else read_npz(path)
    missing = [key for key in _REQUIRED if key not in data]
    if missing:
        raise InputError(f"is not an SMPL body model: lacks {', '.join(missing)}", path=path, reason="bad_body")
    try:
        return _from_arrays(path, data)
    except (ValueError, TypeError, IndexError, KeyError, OverflowError) as error:
        raise InputError(f"is not an SMPL body model: {error}", path=path, reason="bad_body") from error


def _from_arrays(path: Path, data: dict[str, Any]) -> BodyModel:
    template = _array(data, "v_template", (None, 3))
    n_vertices = len(template)
    corners = _array(data, "f", (None, 3))
    if (corners % 1 != 0).any() or (corners < 0).any() or (corners >= n_vertices).any() or not n_vertices:
        raise ValueError("f holds what is no number of a vertex")
    faces = corners.astype(np.int64)
    shapedirs = _array(data, "shapedirs", (n_vertices, 3, None))[:, :, :N_BETAS]
    skinning = _array(data, "weights", (n_vertices, 24))
    regressor = sparse.csr_matrix(_array(data, "J_regressor", (24, n_vertices)))
    parents = _array(data, "kintree_table", (None, 24))[0]
    if tuple(parents[1:]) != SMPL24_PARENTS[1:]:
        raise ValueError("its kinematic tree is not SMPL's")
    posedirs = None if data.get("posedirs") is None else _array(data, "posedirs", (n_vertices, 3, 207))
    if posedirs is not None and not posedirs.any():
        posedirs = None
    mask = data.get("skin_mask")
    return BodyModel(
        name=path.stem,
        digest=sha256_file(path),
        v_template=template,
        shapedirs=shapedirs,
        posedirs=posedirs,
        joint_regressor=regressor,
        skinning=skinning,
        faces=faces,
        skin_mask=np.ones(n_vertices, dtype=bool) if mask is None else _array(data, "skin_mask", (n_vertices,)) != 0,
        vertex_area=vertex_areas(template, faces),
        keypoints=_keypoints(data, regressor),
        info=str(data.get("provenance", "")),
    )


def _array(data: dict[str, Any], name: str, shape: tuple[int | None, ...]) -> Array:
    """An array of finite numbers of a body's file, which must have this shape (None: any length)."""
    found: Any = data[name] if sparse.issparse(data[name]) else np.asarray(data[name])
    if found.ndim != len(shape) or any(n not in (None, m) for n, m in zip(shape, found.shape, strict=True)):
        expected = ", ".join("any" if n is None else str(n) for n in shape)
        raise ValueError(f"{name} has shape {found.shape}, expected ({expected}) for SMPL's 24 joints")
    array: Array = (found.toarray() if sparse.issparse(found) else found).astype(np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds what is not a finite number")
    return array


def _keypoints(data: dict[str, Any], joints: sparse.csr_matrix) -> dict[str, sparse.csr_matrix]:
    """Named keypoint regressors: those of the file, else SMPL's joints and the vertices that smplx names."""
    n_vertices = joints.shape[1]
    found: dict[str, sparse.csr_matrix] = {}
    for key, value in data.items():
        if key.startswith(KEYPOINT_PREFIX) and key.endswith("/vertices"):
            name = key.removeprefix(KEYPOINT_PREFIX).removesuffix("/vertices")
            weights = data[f"{KEYPOINT_PREFIX}{name}/weights"]
            row = np.zeros(len(value), dtype=np.int64)
            found[name] = sparse.csr_matrix((weights, (row, value)), shape=(1, n_vertices))
    if found:
        return found
    names = [f"{side}_{part}" for side in ("left", "right") for part in _LIMB_JOINTS]
    found = {name: joints[[SMPL24.index(name)]] for name in [*names, "neck"]}
    found["mid_hip"] = sparse.csr_matrix((found["left_hip"] + found["right_hip"]) / 2)
    if n_vertices == _SMPL_VERTICES:
        from mcbench.body.smplx_runner import SMPL_VERTICES

        for name, pick in _SMPL_NAMES.items():
            vertex = SMPL_VERTICES[pick]
            found[name] = sparse.csr_matrix(([1.0], ([0], [vertex])), shape=(1, n_vertices))
    return found
