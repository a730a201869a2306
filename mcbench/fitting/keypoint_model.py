"""How a detector's keypoints come from a body: regressors from the mesh, and the size of its errors.

The default takes the body's own regressors and noise of documented size. A calibration learnt where truth is known
replaces both; it is one `.npz` file, in `docs/formats.md` as mcbench-keypoints/1.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from mcbench.body.model import OPEN_BODY, OPEN_BODY_X, BodyModel
from mcbench.dataset.files import dumps, read_npz, write_npz
from mcbench.errors import InputError
from mcbench.joints import BLAZEPOSE33, HOLISTIC143, joint_set

Array = npt.NDArray[np.float64]

FORMAT = "mcbench-keypoints/2"

#: Stature (m) that relative noise refers to: a standing adult's.
STATURE = 1.7

#: A reading agrees with a fit when it is off by less than this share of stature ...
AGREES = 0.06
#: ... and its word counts from this score on: below it a detector guesses, about arms behind a back above all.
SURE = 0.5

#: Without a calibration a score is taken for the precision of a keypoint, down to this one.
_LEAST_SCORE = 0.05

# Noise of a keypoint in an image and bias of its definition, both as a share of stature, by part of the name. Our
# choice, from raw errors of BlazePose on rendered people (hips, knees and heels worst); calibration does better. The
# keypoints of other sets were annotated at the joints, where the body's own regressors have them: bodies of the
# Panoptic Studio's people lie nearest to the truth, and limbs of a man read by OpenPose are as long as his, where these
# are taken to be off by no more than a fifth as much.
# Hands and faces are read in crops of their own, so the errors of their points are a share of their size, which for
# a hand of 0.18 m is 2 %. Those of one reading err together: a point counts for a part of an independent one. The
# contour of a face is no point of it: where it ends depends on where it is seen from.
_DEFAULT_NOISE = {
    "hand_": (0.0025 / STATURE, 0.0055 / STATURE),
    "face_": (0.0025 / STATURE, 0.0035 / STATURE),
    "nose": (0.010, 0.006),
    "eye": (0.010, 0.006),
    "ear": (0.012, 0.010),
    "mouth": (0.010, 0.006),
    "face": (0.010, 0.006),
    "head_top": (0.018, 0.012),
    "neck": (0.014, 0.012),
    "shoulder": (0.013, 0.010),
    "elbow": (0.014, 0.008),
    "wrist": (0.014, 0.008),
    "hip": (0.018, 0.015),
    "knee": (0.015, 0.013),
    "ankle": (0.014, 0.010),
    "heel": (0.018, 0.015),
    "toe": (0.018, 0.012),
    "foot_index": (0.018, 0.012),
    "pinky": (0.020, 0.015),
    "index": (0.020, 0.015),
    "thumb": (0.020, 0.015),
    "hand": (0.020, 0.015),
}
_ANNOTATED_BIAS = 0.2
_HAND_INDEPENDENCE, _FACE_INDEPENDENCE, _CONTOUR_INDEPENDENCE = 0.4, 0.2, 0.01
_CONTOUR = tuple(f"face_{i}" for i in range(17))
_BODY_SETS = ("coco17", "blazepose33", "body25b", "body25", "panoptic19", "holistic143")
#: Sets whose first keypoints are those of another set, read in the same way: what is known of these holds for them.
_BEGINS_WITH = {HOLISTIC143.name: BLAZEPOSE33.name}


@dataclass(frozen=True)
class KeypointModel:
    """One detector's keypoints on one body.

    Errors grow as a keypoint's score falls: `noise` and `bias` are those of a sure one, `doubt` tells how much more.

    Attributes
    ----------
    keypoint_set : registered name of the joint set.
    body_model : name of the body whose vertices `regressor` reads.
    regressor : (K, V) sparse; an empty row is a keypoint that the body does not have.
    noise : (K,) standard deviation of an error in the image, an axis, as a share of stature.
    bias : (K,) standard deviation of an error that all views of a person share, an axis, as a share of stature.
    score_grid, score_doubt : (B,) scores, rising, and the `doubt` at each; empty: the inverse root of the score.
    provenance : where this comes from (JSON values).
    """

    keypoint_set: str
    body_model: str
    regressor: sparse.csr_matrix
    noise: Array
    bias: Array
    score_grid: Array = field(default_factory=lambda: np.zeros(0))
    score_doubt: Array = field(default_factory=lambda: np.zeros(0))
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """(K,) whether the body has the keypoint."""
        return np.diff(self.regressor.indptr) > 0

    @property
    def independence(self) -> Array:
        """(K,) share of an independent observation that a reading of a keypoint counts for."""
        return np.array([_independence(name) for name in joint_set(self.keypoint_set).joints])

    def of(self, vertices: Array) -> Array:
        """The keypoints (K, 3) of a body's vertices (V, 3); NaN where the body does not have them."""
        return np.where(self.known[:, None], self.regressor @ vertices, np.nan)

    def doubt(self, score: npt.ArrayLike) -> Array:
        """Standard deviation of a keypoint's error at these scores (…), over that of a sure one's: 1 or more."""
        score = np.asarray(score, dtype=np.float64)
        if not len(self.score_grid):
            return np.asarray(np.clip(score, _LEAST_SCORE, 1.0) ** -0.5)
        return np.asarray(np.interp(score, self.score_grid, self.score_doubt))

    def save(self, path: Path) -> None:
        write_npz(
            path,
            {
                "format": np.array(FORMAT),
                "keypoint_set": np.array(self.keypoint_set),
                "body_model": np.array(self.body_model),
                "shape": np.array(self.regressor.shape, dtype=np.int64),
                "data": self.regressor.data,
                "indices": self.regressor.indices.astype(np.int64),
                "indptr": self.regressor.indptr.astype(np.int64),
                "noise": self.noise,
                "bias": self.bias,
                "score_grid": self.score_grid,
                "score_doubt": self.score_doubt,
                "provenance": np.array(dumps(self.provenance, indent=None)),
            },
        )

    @classmethod
    def load(cls, path: Path) -> KeypointModel:
        """Raises `InputError` naming the file when it is not a calibration."""
        data = read_npz(path)
        try:
            if str(data["format"]) != FORMAT:
                raise InputError(f"format is {str(data['format'])!r}, expected {FORMAT!r}", path=path)
            regressor = sparse.csr_matrix(
                (data["data"], data["indices"], data["indptr"]), shape=tuple(int(n) for n in data["shape"])
            )
            return cls(
                str(data["keypoint_set"]),
                str(data["body_model"]),
                regressor,
                data["noise"],
                data["bias"],
                data["score_grid"],
                data["score_doubt"],
                json.loads(str(data["provenance"])),
            )
        except (KeyError, ValueError) as error:
            raise InputError(f"not a valid {FORMAT} file: {error!r}", path=path) from error

    @classmethod
    def for_body(cls, body: BodyModel, keypoint_set: str) -> KeypointModel:
        """The calibration that comes with mcbench, where there is one for this body, else `default`."""
        for calibrated in (keypoint_set, _BEGINS_WITH.get(keypoint_set)):
            path = shipped_calibration(body.name, calibrated) if calibrated else None
            if path is not None and (model := cls.load(path)).is_for(body, keypoint_set):
                return model.extended(body, keypoint_set)
        return cls.default(body, keypoint_set)

    def is_for(self, body: BodyModel, keypoint_set: str) -> bool:
        """Whether it tells of keypoints of this set, or of those that this set begins with, on a body."""
        same = self.keypoint_set in (keypoint_set, _BEGINS_WITH.get(keypoint_set))
        return same and self.regressor.shape[1] == body.n_vertices

    def extended(self, body: BodyModel, keypoint_set: str) -> KeypointModel:
        """This model for a set that it `is_for`: with the default for the keypoints of it that are not its own."""
        if self.keypoint_set == keypoint_set:
            return self
        default, own = self.default(body, keypoint_set), len(joint_set(self.keypoint_set))
        return replace(
            self,
            keypoint_set=keypoint_set,
            regressor=sparse.csr_matrix(sparse.vstack([self.regressor, default.regressor[own:]])),
            noise=np.concatenate([self.noise, default.noise[own:]]),
            bias=np.concatenate([self.bias, default.bias[own:]]),
        )

    @classmethod
    def default(cls, body: BodyModel, keypoint_set: str) -> KeypointModel:
        """The body's own regressors, by name, and noise of our choice.

        A keypoint that no set of the body's names like the detector's is unknown. Raises `InputError` for a joint
        set without any keypoint in common with the body.
        """
        names = joint_set(keypoint_set).joints
        sets = [keypoint_set] if keypoint_set in _BODY_SETS else []
        rows = {}
        for source in [*sets, *(s for s in _BODY_SETS if s not in sets)]:
            regressor = sparse.csr_matrix(body.keypoint_regressor(source))
            for i, name in enumerate(joint_set(source).joints):
                if name not in rows and regressor[[i]].nnz:
                    rows[name] = regressor[[i]]
        empty = sparse.csr_matrix((1, body.n_vertices))
        stacked = sparse.csr_matrix(sparse.vstack([rows.get(name, empty) for name in names]))
        if not stacked.nnz:
            raise InputError(f"the body has none of the keypoints of {keypoint_set}", reason="unknown_keypoints")
        noise, bias = np.array([_default_noise(name) for name in names]).T
        if BLAZEPOSE33.name not in (keypoint_set, _BEGINS_WITH.get(keypoint_set)):
            bias = _ANNOTATED_BIAS * bias
        provenance = {"source": "the body's own regressors"}
        return cls(keypoint_set, body.name, stacked, noise, bias, provenance=provenance)


def shipped_calibration(body_name: str, keypoint_set: str) -> Path | None:
    """The file with the calibration that comes with mcbench for this body; None where there is none."""
    mesh = OPEN_BODY if body_name == OPEN_BODY_X else body_name  # theirs is the same
    path = Path(__file__).parent / "data" / f"{keypoint_set}_{mesh}.npz"
    return path if path.is_file() else None


def _default_noise(name: str) -> tuple[float, float]:
    return next((sizes for part, sizes in _DEFAULT_NOISE.items() if part in name), _DEFAULT_NOISE["hand"])


def _independence(name: str) -> float:
    if name in _CONTOUR:
        return _CONTOUR_INDEPENDENCE
    if name.startswith("face_"):
        return _FACE_INDEPENDENCE
    return _HAND_INDEPENDENCE if name.startswith(("left_hand_", "right_hand_")) else 1.0
