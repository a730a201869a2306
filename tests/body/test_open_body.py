"""The open body is a body in SMPL's convention; the parts that build it do what they say, on answers known before."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.spatial import cKDTree

from mcbench.body.anny_rig import AnnyRig
from mcbench.body.anthropometry import People
from mcbench.body.model import N_BETAS, OPEN_BODY_VERSION, BodyModel, vertex_areas
from mcbench.body.open_body import principal_components
from mcbench.body.population import t_pose
from mcbench.body.rotations import exp_so3
from mcbench.joints import BLAZEPOSE33, BODY25, BODY25B, COCO17, SMPL24, SMPL24_PARENTS

FLIP = list(SMPL24.flip)
X_AWAY = np.array([-1.0, 1, 1])


def joint(body: BodyModel, name: str) -> np.ndarray:
    return body.joint_template[SMPL24.index(name)]


def keypoint(body: BodyModel, name: str) -> np.ndarray:
    return (body.keypoints[name] @ body.v_template)[0]


@pytest.fixture(scope="module")
def mirrored(open_body: BodyModel) -> np.ndarray:
    """The vertex on the other side of each."""
    distance, other = cKDTree(open_body.v_template).query(open_body.v_template * X_AWAY)
    assert distance.max() < 1e-4
    return other


def test_weights_are_shares(open_body: BodyModel) -> None:
    assert open_body.skinning.min() >= 0
    np.testing.assert_allclose(open_body.skinning.sum(1), 1, atol=1e-12)
    assert (open_body.skinning.max(0) > 0.4).all()  # every joint has vertices of its own
    np.testing.assert_allclose(np.asarray(open_body.joint_regressor.sum(1)).ravel(), 1, atol=1e-12)
    for name, row in open_body.keypoints.items():
        assert row.min() >= 0 and row.sum() == pytest.approx(1, abs=1e-12), name


def test_it_stands_in_a_t_pose_facing_z_with_y_up_and_its_left_at_x(open_body: BodyModel) -> None:
    np.testing.assert_allclose(joint(open_body, "pelvis"), 0, atol=0.005)
    spine = [joint(open_body, n)[1] for n in ("pelvis", "spine1", "spine2", "spine3", "neck", "head")]
    assert spine == sorted(spine)
    for side, sign in (("left", 1), ("right", -1)):
        arm = np.array([joint(open_body, f"{side}_{n}") for n in ("shoulder", "elbow", "wrist")])
        assert (np.diff(sign * arm[:, 0]) > 0.2).all()
        np.testing.assert_allclose(arm[:, 1:], np.tile(arm[0, 1:], (3, 1)), atol=0.003)
        legs = [joint(open_body, f"{side}_{n}") for n in ("hip", "knee", "ankle")]
        assert legs[0][1] > legs[1][1] + 0.3 > legs[2][1] + 0.6
        assert joint(open_body, f"{side}_foot")[2] > joint(open_body, f"{side}_ankle")[2] + 0.08
        assert keypoint(open_body, f"{side}_big_toe")[2] > keypoint(open_body, f"{side}_heel")[2] + 0.15
        assert sign * keypoint(open_body, f"{side}_ear")[0] > 0.05
    assert keypoint(open_body, "nose")[2] > joint(open_body, "head")[2] + 0.05


def test_left_and_right_are_alike(open_body: BodyModel, mirrored: np.ndarray) -> None:
    np.testing.assert_allclose(open_body.joint_template[FLIP] * X_AWAY, open_body.joint_template, atol=5e-4)
    np.testing.assert_allclose(open_body.skinning[mirrored][:, FLIP], open_body.skinning, atol=1e-9)
    for component in open_body.shapedirs.transpose(2, 0, 1):
        np.testing.assert_allclose(component[mirrored] * X_AWAY, component, atol=0.02 * np.abs(component).max())
    points = open_body.keypoint_regressor("blazepose33") @ open_body.v_template
    np.testing.assert_allclose(points[list(BLAZEPOSE33.flip)] * X_AWAY, points, atol=0.002)


def test_joints_are_inside(open_body: BodyModel) -> None:
    """Each within the box of the vertices that hang on it and on its parent: the elbow in the arm, not beside it."""
    for j, place in enumerate(open_body.joint_template):
        share = open_body.skinning[:, [j, max(SMPL24_PARENTS[j], 0)]].sum(1)
        own = open_body.v_template[share > 0.5]
        assert (own.min(0) < place).all() and (place < own.max(0)).all(), SMPL24.joints[j]
    low, high = open_body.v_template.min(0), open_body.v_template.max(0)
    assert (low < open_body.joint_template).all() and (open_body.joint_template < high).all()


def test_it_is_as_large_as_a_person(open_body: BodyModel) -> None:
    triangles = open_body.v_template[open_body.faces]
    volume = np.einsum("fx,fx->f", triangles[:, 0], np.cross(triangles[:, 1], triangles[:, 2])).sum() / 6
    assert 0.045 < volume < 0.08  # positive: faces look outwards; people weigh about a kilogram a litre
    assert 1.4 < (open_body.vertex_area * open_body.skin_mask).sum() < 2.0
    assert 1.6 < np.ptp(open_body.v_template[:, 1]) < 1.75
    span = np.ptp(open_body.v_template[:, 0]) / np.ptp(open_body.v_template[:, 1])
    assert span == pytest.approx(1, abs=0.05)


def test_shape_components_are_orthogonal_over_the_skin_and_fall_off(open_body: BodyModel) -> None:
    assert open_body.n_betas == N_BETAS
    share = open_body.vertex_area / open_body.vertex_area.sum()
    gram = np.einsum("v,vxa,vxb->ab", share, open_body.shapedirs, open_body.shapedirs)
    deviation = np.sqrt(np.diag(gram))  # RMS of what one beta moves the skin by
    np.testing.assert_allclose(gram / np.outer(deviation, deviation), np.eye(10), atol=1e-9)
    assert (np.diff(deviation) < 0).all() and 0.025 < deviation[0] < 0.06 and deviation[-1] > 5e-4
    for component in open_body.shapedirs.transpose(2, 0, 1):  # taller is positive
        assert np.ptp((open_body.v_template + component)[:, 1]) > np.ptp((open_body.v_template - component)[:, 1])


@pytest.mark.parametrize("stature", [1.15, 1.30, 1.50, 1.80, 1.95])
def test_from_small_children_to_tall_adults(open_body: BodyModel, stature: float) -> None:
    """By betas, along the shortest way, no farther than rare people are: one in ten is a child."""
    top, bottom = open_body.v_template[:, 1].argmax(), open_body.v_template[:, 1].argmin()
    per_beta = open_body.shapedirs[top, 1] - open_body.shapedirs[bottom, 1]
    betas = per_beta * (stature - np.ptp(open_body.v_template[:, 1])) / (per_beta @ per_beta)
    shaped = open_body.v_template + open_body.shapedirs @ betas
    assert np.ptp(shaped[:, 1]) == pytest.approx(stature, abs=0.01)
    assert np.linalg.norm(betas) < (4.5 if stature < 1.5 else 3)


def test_people_who_were_not_learnt_from_fit(open_body: BodyModel) -> None:
    """Their shape, skinning and joints, from the rig that renders them."""
    rig, rng = AnnyRig.load(), np.random.default_rng(77)
    people = People(np.array([True, False, False]), np.array([35.0, 50, 7]), np.array([1.62, 1.86, 1.22]))
    bodies = t_pose(rig, rig.shape(rig.phenotypes(people, rng)))
    np.testing.assert_allclose(bodies.joints[:, 0], 0, atol=1e-9)
    np.testing.assert_allclose(rig.folded_skinning(SMPL24), open_body.skinning, atol=1e-12)
    root = np.sqrt(np.repeat(open_body.vertex_area, 3))
    basis = open_body.shapedirs.reshape(-1, N_BETAS)
    for vertices, joints, stature in zip(bodies.vertices, bodies.joints, people.stature, strict=True):
        wanted = (vertices - open_body.v_template).ravel()
        betas = np.linalg.lstsq(basis * root[:, None], wanted * root, rcond=None)[0]
        left = np.linalg.norm((wanted - basis @ betas).reshape(-1, 3), axis=1)
        assert left @ open_body.vertex_area / open_body.vertex_area.sum() < 0.006
        assert np.ptp((open_body.v_template + open_body.shapedirs @ betas)[:, 1]) == pytest.approx(stature, abs=0.02)
        error = np.linalg.norm(open_body.joint_regressor @ vertices - joints, axis=1)
        assert np.median(error) < 0.002 and error.max() < 0.01


def test_joints_of_shapes_are_those_of_people_of_all_ages(open_body: BodyModel) -> None:
    """Of the shape that comes nearest to somebody: hips and pelvis of a small girl as of a man."""
    rig, rng = AnnyRig.load(), np.random.default_rng(78)
    people = People(np.arange(8) % 2 == 0, np.array([7.0, 7, 9, 9, 12, 12, 40, 40]), np.linspace(1.2, 1.75, 8))
    bodies = t_pose(rig, rig.shape(rig.phenotypes(people, rng)))
    root = np.sqrt(np.repeat(open_body.vertex_area, 3))
    basis = open_body.shapedirs.reshape(-1, N_BETAS) * root[:, None]
    wanted = (bodies.vertices - open_body.v_template).reshape(len(bodies.vertices), -1) * root
    betas = np.linalg.lstsq(basis, wanted.T, rcond=None)[0].T
    joints = open_body.joint_template + np.einsum("jxb,nb->njx", open_body.joint_shapedirs, betas)
    error = np.linalg.norm(joints - bodies.joints, axis=-1)
    for name in ("pelvis", "left_hip", "left_knee", "spine2", "spine3", "neck"):
        assert error[:, SMPL24.index(name)].max() < 0.013, name
    assert np.median(error) < 0.004


def test_keypoints_lie_at_the_joints_they_are_named_for(open_body: BodyModel) -> None:
    for joint_set in (COCO17, BLAZEPOSE33, BODY25, BODY25B):
        assert set(joint_set.joints) <= set(open_body.keypoints)
    near = {"shoulder": 0.045, "elbow": 0.025, "wrist": 0.02, "hip": 0.04, "knee": 0.035, "ankle": 0.03}
    for side in ("left", "right"):
        for part, distance in near.items():
            name = f"{side}_{part}"
            assert np.linalg.norm(keypoint(open_body, name) - joint(open_body, name)) < distance, name
        hand = joint(open_body, f"{side}_hand")
        for finger in ("index", "pinky", "thumb"):
            assert np.linalg.norm(keypoint(open_body, f"{side}_{finger}") - hand) < 0.09
        mouth, eye, ear = (keypoint(open_body, f"{side}_{n}") for n in ("mouth", "eye", "ear"))
        inner, outer = (keypoint(open_body, f"{side}_eye_{n}") for n in ("inner", "outer"))
        assert mouth[1] < keypoint(open_body, "nose")[1] < eye[1] and ear[2] < eye[2] - 0.04
        assert abs(inner[0]) < abs(eye[0]) < abs(outer[0])
    ends = keypoint(open_body, "left_hip"), keypoint(open_body, "right_hip")
    np.testing.assert_allclose(keypoint(open_body, "mid_hip"), np.mean(ends, axis=0), atol=1e-12)
    ends = keypoint(open_body, "left_shoulder"), keypoint(open_body, "right_shoulder")
    np.testing.assert_allclose(keypoint(open_body, "neck"), np.mean(ends, axis=0), atol=1e-12)
    assert keypoint(open_body, "head_top")[1] > open_body.v_template[:, 1].max() - 0.01


def test_keypoints_stay_at_their_joints_when_limbs_bend(open_body: BodyModel) -> None:
    rotations = exp_so3(np.random.default_rng(0).normal(0, 0.3, (5, 24, 3)))
    posed = open_body.forward(np.zeros((5, 10)), rotations, np.zeros((5, 3)))
    for name in ("left_elbow", "right_wrist", "left_knee", "right_ankle"):
        points = np.concatenate([open_body.keypoints[name] @ vertices for vertices in posed.vertices])
        distance = np.linalg.norm(points - posed.joints[:, SMPL24.index(name)], axis=1)
        assert distance.max() < 0.05, name


def test_it_says_where_it_comes_from(open_body: BodyModel) -> None:
    info = json.loads(open_body.info)
    assert info["version"] == OPEN_BODY_VERSION and "CC0" in info["made_from"]
    assert open_body.name == "open_smpl" and open_body.posedirs is None


def test_principal_components_of_a_known_population() -> None:
    """One standard deviation a component; vertices count by their area, so the large faces' mode comes first."""
    rng = np.random.default_rng(2)
    vertices = rng.normal(0, 1, (20, 3))
    area = np.where(np.arange(20) < 10, 100.0, 1.0)
    large, small = np.zeros((2, 20, 3))
    large[:10, 1], small[10:, 0] = np.linspace(0.1, 1, 10), 2.0
    scores = rng.normal(0, 1, (200, 2))
    scores = (scores - scores.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(scores.T))).T  # white
    population = vertices + np.einsum("ni,ivx->nvx", scores, np.stack([large, small]))
    mean, components = principal_components(population, area)
    np.testing.assert_allclose(mean, vertices, atol=1e-9)
    assert components.shape == (20, 3, N_BETAS)
    for found, true in zip(components.transpose(2, 0, 1), (large, small), strict=False):
        np.testing.assert_allclose(found * np.sign((found * true).sum()), true, atol=1e-9)
    np.testing.assert_allclose(components[..., 2:], 0, atol=1e-9)
    taller = np.ptp((mean + components[..., 0])[:, 1]) - np.ptp((mean - components[..., 0])[:, 1])
    assert taller > 0


def test_areas_of_the_file_are_those_of_its_faces(open_body: BodyModel) -> None:
    np.testing.assert_allclose(open_body.vertex_area, vertex_areas(open_body.v_template, open_body.faces))
