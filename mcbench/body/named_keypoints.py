"""Keypoints that a body model's file knows by name, each as weights of vertices."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from mcbench.body.formats import FORMATS

#: Prefix of what a file holds of a keypoint: `keypoint/<name>/vertices` and `keypoint/<name>/weights`.
KEYPOINT_PREFIX = "keypoint/"
#: Vertices of the published meshes: SMPL's and SMPL-H's, which is the same, and SMPL-X's.
_PUBLISHED = {6890: "smplh", 10475: "smplx"}
# Keypoints of these meshes by the vertices that smplx lists for them; BlazePose's knuckles and toes by the nearest.
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
_FINGERS = ("thumb", "index", "middle", "ring", "pinky")
#: How SMPL-X's files name what places landmarks of the face: those of the contour, the first of 68, then the others.
_CONTOUR, _DYNAMIC, _FIXED = 17, "dynamic_lmk", "lmk"
LANDMARKS = tuple(f"{kind}_{what}" for kind in (_DYNAMIC, _FIXED) for what in ("faces_idx", "bary_coords"))


def named_keypoints(data: dict[str, Any], joints: sparse.csr_matrix) -> dict[str, sparse.csr_matrix]:
    """Regressors (1, V) of keypoints, by name.

    Parameters
    ----------
    data : the arrays of the file. joints : (J, V) its joints' regressor.

    Returns
    -------
    What the file names, else what it says by other means: joints, landmarks of the face in SMPL-X's layout, and on
    the published meshes the vertices that smplx lists.
    """
    n_vertices = joints.shape[1]
    found: dict[str, sparse.csr_matrix] = {}
    for key, value in data.items():
        if key.startswith(KEYPOINT_PREFIX) and key.endswith("/vertices"):
            name = key.removeprefix(KEYPOINT_PREFIX).removesuffix("/vertices")
            weights = data[f"{KEYPOINT_PREFIX}{name}/weights"]
            row = np.zeros(len(value), dtype=np.int64)
            found[name] = sparse.csr_matrix((weights, (row, value)), shape=(1, n_vertices))
    return found or {**_at_joints(joints), **_on_the_face(data, n_vertices), **_at_vertices(joints)}


def _at_joints(joints: sparse.csr_matrix) -> dict[str, sparse.csr_matrix]:
    body = FORMATS[joints.shape[0]].joints
    names = [f"{side}_{part}" for side in ("left", "right") for part in _LIMB_JOINTS]
    found = {name: joints[[body.index(name)]] for name in [*names, "neck"]}
    found["mid_hip"] = sparse.csr_matrix((found["left_hip"] + found["right_hip"]) / 2)
    if "left_thumb1" not in body.joints:
        return found
    for side in ("left", "right"):
        found[f"{side}_hand_wrist"] = found[f"{side}_wrist"]
        for finger in _FINGERS:
            for i in (1, 2, 3):
                found[f"{side}_hand_{finger}_{i}"] = joints[[body.index(f"{side}_{finger}{i}")]]
        # BlazePose's knuckles; the thumb's is its second joint
        for finger, i in (("index", 1), ("pinky", 1), ("thumb", 2)):
            found[f"{side}_{finger}"] = found[f"{side}_hand_{finger}_{i}"]
    return found


def _on_the_face(data: dict[str, Any], n_vertices: int) -> dict[str, sparse.csr_matrix]:
    """The landmarks `face_17` to `face_67`, and the contour's as they lie seen from the front, where there are any."""
    found: dict[str, sparse.csr_matrix] = {}
    faces = np.asarray(data["f"]).astype(np.int64)
    for first, kind, row in ((0, _DYNAMIC, 0), (_CONTOUR, _FIXED, None)):
        if f"{kind}_faces_idx" not in data:
            continue
        # a table of the contour has a row for every degree that the head turns by, the first for none
        index, weights = (np.asarray(data[f"{kind}_{what}"]) for what in ("faces_idx", "bary_coords"))
        index, weights = (index, weights) if row is None else (index[row], weights[row])
        for i, (face, weight) in enumerate(zip(index.astype(np.int64), weights, strict=True)):
            columns = (np.zeros(3, dtype=np.int64), faces[face])
            found[f"face_{first + i}"] = sparse.csr_matrix((weight, columns), shape=(1, n_vertices))
    return found


def _at_vertices(joints: sparse.csr_matrix) -> dict[str, sparse.csr_matrix]:
    n_joints, n_vertices = joints.shape
    if n_vertices not in _PUBLISHED:
        return {}
    from smplx.vertex_ids import vertex_ids  # its package imports torch, which takes seconds to start

    names = dict(_SMPL_NAMES)
    if n_joints != 24:
        names |= {f"{side}_hand_{finger}_4": side[0] + finger for side in ("left", "right") for finger in _FINGERS}
    listed = vertex_ids[_PUBLISHED[n_vertices]]
    return {
        name: sparse.csr_matrix(([1.0], ([0], [listed[pick]])), shape=(1, n_vertices)) for name, pick in names.items()
    }
