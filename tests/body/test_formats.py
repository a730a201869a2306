"""SMPL, SMPL-H and SMPL-X: read from files, posed as by hand, and taken for SMPL's 24 joints where those are asked."""

from __future__ import annotations

import pickle
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from body.hand_made import PARENTS, pose_by_hand, smpl_arrays
from scipy import sparse

from mcbench.body.formats import knuckles
from mcbench.body.model import load_body
from mcbench.body.rotations import exp_so3
from mcbench.dataset.files import write_npz
from mcbench.joints import COCO_WHOLEBODY133, SMPL24, SMPLH52, SMPLX55

NEAR = 1e-6  # smplx rounds the arrays of a body to single precision
EXACT = 1e-12
#: Joints, shape components of the file, expression coefficients, and the place of the first of these.
KINDS = {
    "SMPL-H": (52, 16, 0, 10),
    "SMPL-X": (55, 20, 10, 10),
    "SMPL-X of 400 components": (55, 400, 10, 300),
    "SMPL-X of 13 components": (55, 13, 3, 10),
    "SMPL-X without expressions": (55, 10, 0, 10),
}


class Ch:
    """As chumpy's arrays are pickled: by the name of the class and a dictionary."""

    def __init__(self, x: np.ndarray) -> None:
        self.x = x


def people(joints: int, expressions: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(4)
    rotations = exp_so3(rng.normal(0, 0.6, (3, joints, 3)))
    return rng.normal(0, 1, (3, 10)), rotations, rng.normal(0, 1, (3, 3)), rng.normal(0, 1, (3, expressions))


@pytest.mark.parametrize("suffix", [".npz", ".pkl"])
@pytest.mark.parametrize("kind", KINDS)
def test_files_are_posed_as_by_hand(kind: str, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    joints, components, expressions, after = KINDS[kind]
    arrays = smpl_arrays(joints=joints, components=components)
    path = tmp_path / f"body{suffix}"
    if suffix == ".npz":
        write_npz(path, arrays)
    else:
        module = types.ModuleType("chumpy.ch")
        module.Ch = Ch  # type: ignore[attr-defined]
        monkeypatch.setattr(Ch, "__module__", "chumpy.ch")
        monkeypatch.setitem(sys.modules, "chumpy", types.ModuleType("chumpy"))
        monkeypatch.setitem(sys.modules, "chumpy.ch", module)
        written = {
            **arrays,
            "J_regressor": sparse.csc_matrix(arrays["J_regressor"]),
            "posedirs": Ch(arrays["posedirs"]),
        }
        path.write_bytes(pickle.dumps({**written, "v_template": Ch(arrays["v_template"])}, protocol=2))
    body = load_body(path)
    assert (body.n_joints, body.n_betas, body.n_expression) == (joints, 10, expressions)
    assert body.format.name == kind.split(" ")[0] and body.parents == PARENTS[joints]
    betas, rotations, transl, expression = people(joints, expressions)
    posed = body.forward(betas, rotations, transl, expression if expressions else None)
    for i in range(3):
        one = (betas[i], rotations[i], transl[i], expression[i], after)
        vertices, places = pose_by_hand(arrays, *one)
        np.testing.assert_allclose(posed.vertices[i], vertices, rtol=0, atol=EXACT)
        np.testing.assert_allclose(posed.joints[i], places, rtol=0, atol=EXACT)
    by_smplx = body.runner(betas, rotations, transl, expression if expressions else None)
    for ours, theirs in zip((posed.vertices, posed.joints), by_smplx, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=NEAR)
    calm = body.forward(betas, rotations, transl)
    np.testing.assert_allclose(calm.vertices[0], pose_by_hand(arrays, *(x[0] for x in (betas, rotations, transl)))[0],
                               rtol=0, atol=EXACT)  # fmt: skip
    assert body.forward(betas[:0], rotations[:0], transl[:0]).joints.shape == (0, joints, 3)


def test_pickled_dictionaries_beside_the_arrays_are_left_alone(tmp_path: Path) -> None:
    """Published files of SMPL-X hold some."""
    arrays = smpl_arrays(joints=55, components=20)
    np.savez(tmp_path / "body.npz", **arrays, joint2num=np.array({"Pelvis": 0}, dtype=object), bs_style="lbs")
    assert load_body(tmp_path / "body.npz").n_joints == 55


def test_joints_have_the_order_that_smplx_publishes() -> None:
    from smplx.joint_names import JOINT_NAMES as SMPLX_JOINT_NAMES
    from smplx.joint_names import SMPLH_JOINT_NAMES

    assert SMPLX55.joints == tuple(SMPLX_JOINT_NAMES[:55])
    assert SMPLH52.joints == tuple(SMPLH_JOINT_NAMES[:52])
    assert SMPLX55.joints[:22] == SMPLH52.joints[:22] == SMPL24.joints[:22]


@pytest.mark.parametrize("joints", [SMPLH52, SMPLX55])
def test_fingers_hang_on_wrists_and_sides_mirror(joints) -> None:
    parents = PARENTS[len(joints)]
    above = dict(zip(joints.joints, (joints.joints[p] for p in parents), strict=True))
    assert above["left_index1"] == "left_wrist" and above["right_thumb1"] == "right_wrist"
    assert above["right_pinky3"] == "right_pinky2" and above["left_middle2"] == "left_middle1"
    assert joints is SMPLH52 or {above[n] for n in ("jaw", "left_eye_smplhf", "right_eye_smplhf")} == {"head"}
    flip = joints.flip
    assert [parents[flip[j]] for j in range(1, len(joints))] == [flip[parents[j]] for j in range(1, len(joints))]


def test_other_trees_are_told_by_their_names(tmp_path: Path) -> None:
    arrays = smpl_arrays(joints=55)
    arrays["kintree_table"][0, 25] = 21
    write_npz(tmp_path / "body.npz", arrays)
    with pytest.raises(Exception, match="tree is not SMPL-X's"):
        load_body(tmp_path / "body.npz")


@pytest.mark.parametrize("n_joints", [24, 52, 55])
def test_smpl24_joints(n_joints: int, tmp_path: Path) -> None:
    write_npz(tmp_path / "body.npz", smpl_arrays(joints=n_joints))
    body = load_body(tmp_path / "body.npz")
    joints = np.random.default_rng(0).normal(0, 1, (2, n_joints, 3))
    found = body.smpl24_joints(joints)
    assert found.shape == (2, 24, 3)
    np.testing.assert_array_equal(found[:, :22], joints[:, :22])
    if n_joints == 24:
        np.testing.assert_array_equal(found, joints)
        return
    for side, hand in (("left", 22), ("right", 23)):
        bases = [body.joint_names.index(f"{side}_{f}1") for f in ("index", "middle", "ring", "pinky")]
        np.testing.assert_allclose(found[:, hand], joints[:, bases].mean(1), rtol=0, atol=1e-15)


@pytest.mark.parametrize("n_joints", [24, 52, 55])
def test_a_pose_of_smpls_turns_every_part_alike(n_joints: int, tmp_path: Path) -> None:
    """World rotations: a finger's is that of SMPL's hand, all others' that of the joint of the same name."""
    write_npz(tmp_path / "body.npz", smpl_arrays(joints=n_joints))
    body = load_body(tmp_path / "body.npz")
    given = exp_so3(np.random.default_rng(1).normal(0, 0.8, (2, 24, 3)))
    pose = body.rotations_from_smpl24(given)

    def to_world(rotations: np.ndarray) -> np.ndarray:
        world = rotations.copy()
        for j, parent in enumerate(PARENTS[rotations.shape[1]][1:], 1):
            world[:, j] = world[:, parent] @ rotations[:, j]
        return world

    wanted, found = to_world(given), to_world(pose)
    np.testing.assert_allclose(found[:, :22], wanted[:, :22], rtol=0, atol=1e-12)
    for j, name in enumerate(body.joint_names[22:], 22):
        side, finger = name.split("_")[0], name.split("_")[-1][:-1]
        source = SMPL24.index("head")
        if side in ("left", "right") and finger in ("index", "middle", "ring", "pinky", "thumb", "han"):
            source = SMPL24.index(f"{side}_{'wrist' if finger == 'thumb' else 'hand'}")
        np.testing.assert_allclose(found[:, j], wanted[:, source], rtol=0, atol=1e-12)


def test_knuckles_are_the_bases_of_four_fingers() -> None:
    names = [[SMPLX55.joints[j] for j in hand] for hand in knuckles(55)]
    assert names == [[f"{side}_{f}1" for f in ("index", "middle", "pinky", "ring")] for side in ("left", "right")]


def test_a_file_of_smplxs_has_fingers_and_landmarks(tmp_path: Path) -> None:
    """All of COCO-WholeBody's 133 on SMPL-X's own mesh, whose vertices smplx lists."""
    arrays = smpl_arrays(vertices=10475, posedirs=False, joints=55, components=20)
    rng = np.random.default_rng(2)
    arrays |= {
        "lmk_faces_idx": rng.integers(0, len(arrays["f"]), 51),
        "lmk_bary_coords": rng.dirichlet(np.ones(3), 51),
        "dynamic_lmk_faces_idx": rng.integers(0, len(arrays["f"]), (79, 17)),
        "dynamic_lmk_bary_coords": rng.dirichlet(np.ones(3), (79, 17)),
    }
    write_npz(tmp_path / "body.npz", arrays)
    body = load_body(tmp_path / "body.npz")
    read = body.keypoint_regressor("coco_wholebody133")
    np.testing.assert_allclose(np.asarray(read.sum(1)).ravel(), 1, atol=1e-12)
    places = dict(zip(COCO_WHOLEBODY133.joints, read @ arrays["v_template"], strict=True))
    at = dict(zip(body.joint_names, body.joint_template, strict=True))
    for name, joint in {"left_hand_wrist": "left_wrist", "right_hand_thumb_2": "right_thumb2",
                        "left_hand_ring_3": "left_ring3", "right_hand_pinky_1": "right_pinky1"}.items():  # fmt: skip
        np.testing.assert_allclose(places[name], at[joint], atol=1e-12)
    np.testing.assert_allclose(places["left_hand_index_4"], arrays["v_template"][4933])
    np.testing.assert_allclose(places["right_hand_thumb_4"], arrays["v_template"][8079])
    corners = arrays["v_template"][arrays["f"].astype(int)]
    for landmark, face, weights in (
        ("face_17", arrays["lmk_faces_idx"][0], arrays["lmk_bary_coords"][0]),
        ("face_67", arrays["lmk_faces_idx"][50], arrays["lmk_bary_coords"][50]),
        ("face_16", arrays["dynamic_lmk_faces_idx"][0, 16], arrays["dynamic_lmk_bary_coords"][0, 16]),
    ):
        np.testing.assert_allclose(places[landmark], weights @ corners[face], atol=1e-12)
    assert set(body.keypoints) >= {"left_index", "right_thumb", "left_foot_index", "mid_hip"}
