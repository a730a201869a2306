"""A detector that puts its ears and hips elsewhere is learnt from people, and holds for others."""

from __future__ import annotations

import numpy as np
import pytest

from mcbench.body.model import load_body
from mcbench.body.rotations import exp_so3
from mcbench.cameras.triangulation import reprojection
from mcbench.fitting.calibration import CalibrationSample, learn_keypoints, mirrored_vertices
from mcbench.fitting.keypoint_model import KeypointModel
from mcbench.joints import BLAZEPOSE33, HOLISTIC143

ALL_ROUND = np.tile(np.eye(3) * 2 / 3, (33, 1, 1))  # seen from all sides
EARS = [BLAZEPOSE33.index(f"{side}_ear") for side in ("left", "right")]


@pytest.fixture(scope="module")
def body():
    return load_body()


def people(body, rng, count):
    rotations = exp_so3(rng.normal(0, 0.3, (count, 24, 3)))
    return body.forward(rng.normal(0, 1, (count, body.n_betas)), rotations, rng.normal(0, 1, (count, 3))).vertices


def detected(default, vertices):
    """Points of a detector whose ears lie a quarter of the way towards each other."""
    points = default.regressor @ vertices
    points[EARS] = 0.75 * points[EARS] + 0.25 * points[EARS[::-1]]
    return points


def sample(vertices, points, seen, spread, rng, doubt=4.0):
    """A person whose readings in two cameras are exact when sure, and off by `doubt` times 2 px at score 0.3."""
    projection = np.array([[[800.0, 0, 480, 2000], [0, 800, 270, 1100], [0, 0, 1, 4 + i]] for i in range(2)])
    score = np.where(rng.random((2, 33)) < 0.5, 1.0, 0.3)
    pixels = reprojection(projection, points)
    pixels += rng.normal(0, 2, pixels.shape) * np.where(score < 1, doubt, 1.0)[..., None]
    return CalibrationSample(vertices, points, seen, spread, projection, pixels, score, np.full(2, 340.0))


def test_another_definition_is_learnt_and_holds_for_new_people(body):
    default = KeypointModel.default(body, "blazepose33")
    rng = np.random.default_rng(0)
    spread = np.full(33, 0.004)
    samples = [
        sample(v, detected(default, v) + rng.normal(0, 0.002, (33, 3)), ALL_ROUND, spread, rng)
        for v in people(body, rng, 10)
    ]
    model = learn_keypoints(body, "blazepose33", samples, {"source": "a test"})
    errors = {"default": [], "learnt": []}
    for vertices in people(body, rng, 4):
        true = detected(default, vertices)
        for name, regressor in (("default", default.regressor), ("learnt", model.regressor)):
            errors[name].append(np.linalg.norm(regressor @ vertices - true, axis=1))
    before, after = (np.mean(errors[name], axis=0) for name in ("default", "learnt"))
    assert before[EARS].min() > 0.03
    assert after[EARS].max() < 0.25 * before[EARS].max()
    others = np.setdiff1d(np.arange(33), EARS)
    assert after[others].max() < 0.006
    np.testing.assert_allclose(model.noise, 3 * 0.004)
    np.testing.assert_allclose(np.asarray(model.regressor.sum(1)).ravel(), 1, atol=1e-9)
    assert model.provenance["people"] == 10


def test_depth_that_no_view_shows_teaches_nothing(body):
    """People seen from the front only: whatever the triangulation makes of their depth, the definition stays."""
    default = KeypointModel.default(body, "blazepose33")
    rng = np.random.default_rng(2)
    front = np.tile(np.diag([1.0, 1.0, 0.0]), (33, 1, 1))
    samples = [
        sample(v, detected(default, v) + rng.normal(0, [0.001, 0.001, 0.2], (33, 3)), front, np.full(33, 0.01), rng)
        for v in people(body, rng, 10)
    ]
    model = learn_keypoints(body, "blazepose33", samples, {})
    vertices = people(body, rng, 3)
    errors = model.regressor @ vertices[0] - detected(default, vertices[0])
    assert np.linalg.norm(errors, axis=1).max() < 0.02
    assert model.bias.max() < 0.012


def test_few_people_teach_nothing(body):
    default = KeypointModel.default(body, "blazepose33")
    vertices = people(body, np.random.default_rng(1), 2)
    rng = np.random.default_rng(3)
    samples = [sample(v, detected(default, v), ALL_ROUND, np.full(33, 0.01), rng) for v in vertices]
    model = learn_keypoints(body, "blazepose33", samples, {})
    assert abs(model.regressor - default.regressor).max() == 0
    np.testing.assert_array_equal(model.noise, default.noise)
    np.testing.assert_array_equal(model.doubt([0.3, 1.0]), default.doubt([0.3, 1.0]))


def test_how_errors_grow_as_the_score_falls_is_learnt(body):
    default = KeypointModel.default(body, "blazepose33")
    rng = np.random.default_rng(4)
    samples = [
        sample(v, default.regressor @ v, ALL_ROUND, np.full(33, 0.004), rng, doubt=3.0) for v in people(body, rng, 60)
    ]
    model = learn_keypoints(body, "blazepose33", samples, {})
    assert model.doubt(1.0) == 1.0
    assert 2.6 < model.doubt(0.3) < 3.4
    assert model.doubt(0.1) == model.doubt(0.3)  # no guess beyond what was seen


def test_the_open_body_is_symmetric(body):
    mirror = mirrored_vertices(body)
    assert mirror is not None
    left = body.skinning[:, 4].argmax()  # a vertex of the left knee's part
    assert body.skinning[mirror[left]].argmax() == 5


def test_points_of_a_finger_are_learnt_on_that_finger_and_scores_of_hands_tell_nothing_of_the_body():
    body = load_body("open_smplx")
    count = len(HOLISTIC143)
    default = KeypointModel.default(body, "holistic143")
    rng = np.random.default_rng(1)
    turns = exp_so3(rng.normal(0, 0.25, (8, 55, 3)))
    vertices = body.forward(rng.normal(0, 1, (8, body.n_betas)), turns, rng.normal(0, 1, (8, 3))).vertices
    joint, tip, eye = (HOLISTIC143.index(n) for n in ("left_hand_index_3", "left_hand_index_4", "left_eye"))
    samples = []
    for shape in vertices:
        own = default.regressor @ shape
        points = np.full((count, 3), np.nan)
        points[joint] = 0.7 * own[joint] + 0.3 * own[tip]
        points[eye] = own[eye]
        projection = np.array([[[800.0, 0, 480, 2000], [0, 800, 270, 1100], [0, 0, 1, 4 + i]] for i in range(30)])
        pixels = np.full((30, count, 2), np.nan)
        pixels[:, [joint, eye]] = reprojection(projection, points)[:, [joint, eye]]
        score = np.where(rng.random((30, count)) < 0.5, 1.0, 0.3)
        pixels += (
            rng.normal(0, 2, pixels.shape)
            * np.where(score < 1, [[4.0 if k == eye else 9.0 for k in range(count)]], 1)[..., None]
        )
        seen = np.tile(np.eye(3) * 2 / 3, (count, 1, 1))
        samples.append(
            CalibrationSample(shape, points, seen, np.full(count, 0.003), projection, pixels, score, np.full(30, 340.0))
        )
    model = learn_keypoints(body, "holistic143", samples, {})
    row = model.regressor[[joint]]
    near = set(body.skinning[row.indices].argmax(1).tolist())
    finger = {i for i, name in enumerate(body.joint_names) if name.startswith("left_index")}
    assert near <= finger
    true = np.array([sample.points[joint] for sample in samples])
    before, after = (
        np.linalg.norm(regressor[[joint]].toarray() @ vertices - true[:, None], axis=-1)
        for regressor in (default.regressor, model.regressor)
    )
    assert before.min() > 0.004 and after.max() < 0.003
    assert model.doubt(0.3) == pytest.approx(4.0, rel=0.3)
