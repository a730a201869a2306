"""Hands and faces beside the body: whose keypoints they are, how they join, and a whole person found again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fitting import stick_figure as toy
from handmade import toy_body
from scipy import sparse

from mcbench.body.model import BodyModel
from mcbench.body.reduced import ReducedBody
from mcbench.body.rotations import exp_so3
from mcbench.dataset.detections import Detections
from mcbench.fitting.association import Track
from mcbench.fitting.keypoint_model import STATURE, KeypointModel
from mcbench.fitting.landmarks import LANDMARKS, Landmarks
from mcbench.fitting.motion_ranges import ranges_of
from mcbench.fitting.observations import PersonObservations, observe
from mcbench.fitting.parts import WholeBody, active_unknowns, part_of
from mcbench.fitting.scene_fit import SceneFitter
from mcbench.fitting.settings import FitSettings
from mcbench.fitting.state import BodyState
from mcbench.joints import BLAZEPOSE33, COCO17, COCO_WHOLEBODY133, HOLISTIC143, SMPL24, SMPLX55, SMPLX55_PARENTS

VIEWS = 12


def whole_toy() -> BodyModel:
    """The stick body with SMPL-X's joints: octahedra round all of them, hands and a face in front of the head."""
    stick = toy_body()
    rest = np.zeros((55, 3))
    rest[:22] = stick.joint_template[:22]
    rest[22], rest[23:25] = rest[15] + [0, 0.02, 0.03], rest[15] + [[0.03, 0.06, 0.08], [-0.03, 0.06, 0.08]]
    for i, name in enumerate(SMPLX55.joints[25:], start=25):
        side, _, own = name.partition("_")
        finger, step = own[:-1], int(own[-1])
        z = {"index": 0.03, "middle": 0.01, "ring": -0.01, "pinky": -0.03, "thumb": 0.035}[finger]
        first, length = (0.03, 0.03) if finger == "thumb" else (0.09, 0.03)
        out = np.array([first + length * (step - 1), -0.002 * step, z + (0.02 * step if finger == "thumb" else 0)])
        rest[i] = rest[20 if side == "left" else 21] + out * [1 if side == "left" else -1, 1, 1]
    corners = 0.01 * np.concatenate([np.eye(3), -np.eye(3)])
    template = (rest[:, None] + corners).reshape(-1, 3)
    of_joint = np.kron(np.eye(55), np.full((1, 6), 1 / 6))
    named = {name: sparse.csr_matrix(of_joint[[i]]) for i, name in enumerate(SMPLX55.joints[:22])}
    head = template[6 * 15 : 6 * 15 + 6]
    extra, skinning, expression = [], [], []
    keypoints: dict[str, np.ndarray] = {}
    rng = np.random.default_rng(0)

    def add(name: str, place: np.ndarray, joint: int, moved: np.ndarray | None = None) -> None:
        keypoints[name] = np.array([len(template) + len(extra)])
        extra.append(place)
        skinning.append(np.eye(55)[joint])
        expression.append(np.zeros((3, 2)) if moved is None else moved)

    for i in range(68):
        at = head.mean(0) + np.array([0.06 * np.cos(2.4 * i), 0.03 + 0.08 * np.sin(2.4 * i), 0.08])
        add(f"face_{i}", at, 22 if i >= 48 else 15, 0.006 * rng.normal(size=(3, 2)) if i >= 17 else None)
    for name, place in {
        "nose": (0, 0.03, 0.1),
        "left_eye": (0.03, 0.06, 0.08),
        "right_eye": (-0.03, 0.06, 0.08),
    }.items():
        add(name, head.mean(0) + place, 15)
    for side in ("left", "right"):
        add(f"{side}_hand_wrist", rest[SMPLX55.index(f"{side}_wrist")], SMPLX55.index(f"{side}_wrist"))
        for finger in ("thumb", "index", "middle", "ring", "pinky"):
            for i in (1, 2, 3):
                joint = SMPLX55.index(f"{side}_{finger}{i}")
                add(f"{side}_hand_{finger}_{i}", rest[joint], joint)
            add(f"{side}_hand_{finger}_4", 2 * rest[joint] - rest[joint - 1], joint)
    vertices = np.concatenate([template, extra])
    regressor = np.zeros((55, len(vertices)))
    regressor[:, : len(template)] = of_joint
    for name, row in named.items():
        keypoints[name] = row
    rows = {
        name: sparse.csr_matrix(regressor[[SMPLX55.index(name)]])
        if name in SMPLX55.joints
        else sparse.csr_matrix(([1.0], ([0], at)), shape=(1, len(vertices)))
        for name, at in keypoints.items()
    }
    for finger in ("index", "pinky", "thumb"):
        for side in ("left", "right"):
            rows[f"{side}_{finger}"] = rows[f"{side}_hand_{finger}_{2 if finger == 'thumb' else 1}"]
    shapes = np.zeros((len(vertices), 3, 1))
    shapes[..., 0] = 0.05 * vertices
    return BodyModel(
        name="whole toy",
        digest="d2",
        v_template=vertices,
        shapedirs=shapes,
        posedirs=None,
        joint_regressor=sparse.csr_matrix(regressor),
        skinning=np.concatenate([np.repeat(np.eye(55), 6, axis=0), skinning]),
        faces=np.array([[0, 1, 2]]),
        skin_mask=np.ones(len(vertices), dtype=bool),
        vertex_area=np.ones(len(vertices)),
        keypoints=rows,
        parents=SMPLX55_PARENTS,
        expression_dirs=np.concatenate([np.zeros((len(template), 3, 2)), expression]),
    )


def somebody(body: BodyModel, seed: int) -> BodyState:
    rng = np.random.default_rng(seed)
    ranges = ranges_of(body.joint_template)
    angles = ranges.mean + 0.5 * ranges.deviation * rng.normal(size=ranges.mean.shape)
    angles = np.clip(angles, ranges.low, ranges.high)
    turns = exp_so3((angles[:, None] @ ranges.axes)[:, 0])
    turns[22:24] = np.eye(3)  # no landmark tells of eyes
    rotations = np.concatenate([toy.Y_TO_Z[None], turns])
    return BodyState(np.zeros(1), rotations, np.array([0.0, 0.0, 1.0]), rng.normal(0, 0.7, 2))


def seen_by_cameras(body: BodyModel, state: BodyState, noise_px: float = 0.5) -> tuple[Detections, Track]:
    """Of `holistic143`, all keypoints in every view."""
    rng = np.random.default_rng(1)
    reduced = ReducedBody(body, body.keypoint_regressor("holistic143"))
    points = reduced.evaluate(state.betas, state.rotations, state.transl, False, state.expression).points
    cameras = toy.arc_cameras(VIEWS, distance=3.0)
    keypoints = np.array(
        [f.camera.project(points @ f.cam_from_world[:, :3].T + f.cam_from_world[:, 3]) for f in cameras.frames]
    )
    keypoints += rng.normal(0, noise_px, keypoints.shape)
    count = len(HOLISTIC143)
    detections = Detections(
        "holistic143", "toy", np.arange(VIEWS), np.ones(VIEWS), np.zeros((VIEWS, 4)), keypoints,
        np.where(np.isfinite(keypoints).all(-1), 1.0, 0.0), np.full((VIEWS, count, 3), np.nan),
        np.zeros((VIEWS, 0, 0), dtype=np.uint8),
    )  # fmt: skip
    still = np.zeros(VIEWS, dtype=bool)
    return detections, Track(np.arange(VIEWS), still, points, np.ones(count), np.full(count, VIEWS), np.ones(count))


def fitted(body: BodyModel, detections: Detections, track: Track):
    keypoints = KeypointModel.default(body, "holistic143")
    fitter = SceneFitter(ReducedBody(body, keypoints.regressor), keypoints, FitSettings(correlation_deg=2.0), body)
    (person,) = fitter.fit(toy.views(toy.arc_cameras(VIEWS, distance=3.0)), detections, [track], metric=True).people
    return person


def landmarks_of(body: BodyModel, state: BodyState, part: str) -> np.ndarray:
    """Relative to the joint that the part hangs on."""
    reduced = Landmarks.of_body(body).of_state(state, np.zeros((body_size(body),) * 2), [part])[part][0]
    posed = body.forward(state.betas[None], state.rotations[None], state.transl[None], state.expression[None])
    return reduced - posed.joints[0, SMPL24.index(LANDMARKS[part][1])]


def body_size(body: BodyModel) -> int:
    return body.n_betas + body.n_expression + 3 * body.n_joints + 3


def test_parts_by_name():
    assert part_of("left_hand_index_1") == "left_hand" and part_of("face_30") == "face"
    assert part_of("left_hand") == part_of("left_index") == part_of("nose") == "body"


@pytest.mark.parametrize("joints, body", [(HOLISTIC143, BLAZEPOSE33.joints), (COCO17, COCO17.joints)])
def test_the_bodys_own_keypoints(joints, body):
    whole = WholeBody.of(joints, 55)
    assert whole.body_joints.joints == body
    assert whole.body_joints.flip == tuple(joints.flip)[: len(body)]


def test_a_body_says_no_more_than_its_joints_can():
    counts = {n: {p: len(k) for p, k in WholeBody.of(COCO_WHOLEBODY133, n).parts.items()} for n in (24, 52, 55)}
    assert counts[24] == {"left_hand": 5, "right_hand": 5}  # the palm
    assert counts[52] == {"left_hand": 21, "right_hand": 21}
    assert counts[55] == {"left_hand": 21, "right_hand": 21, "face": 68}


def test_what_is_not_read_is_not_sought():
    body = ReducedBody(whole_toy(), sparse.csr_matrix((1, whole_toy().n_vertices)))
    none, hand, everything = (
        set(active_unknowns(body, parts).tolist()) for parts in ([], ["left_hand"], ["left_hand", "right_hand", "face"])
    )
    assert len(none) == 1 + 66 + 3 and len(hand - none) == 45 and len(everything - hand) == 45 + 2 + 3
    turn = {3 + 3 * SMPLX55.index("left_index2") + i for i in range(3)}
    assert turn <= hand - none
    assert not any(3 + 3 * SMPLX55.index(eye) in everything for eye in ("left_eye_smplhf", "right_eye_smplhf"))


def some_observations(weight: np.ndarray) -> PersonObservations:
    m, k = weight.shape
    pixels = np.arange(m * k * 2, dtype=np.float64).reshape(m, k, 2)
    K, pose = np.tile(np.eye(3), (m, 1, 1)), np.tile(np.eye(3, 4), (m, 1, 1))
    rows = np.arange(m)
    return PersonObservations(rows, rows, rows, K, pose, pixels, weight, np.full((m, k), 2.0), np.ones((m, k)))


def test_hands_are_exchanged_and_doubted_with_their_arms():
    whole = WholeBody.of(HOLISTIC143, 55)
    read = some_observations(np.ones((5, 143)))
    body = read.keypoints(whole.body)
    order = np.arange(33)
    wrists = [BLAZEPOSE33.index("left_wrist"), BLAZEPOSE33.index("right_wrist")]
    order[wrists] = wrists[::-1]
    body = body.exchanged(np.arange(5) == 3, order)
    doubt = np.ones(body.weight.shape)
    doubt[1, wrists[0]] = 4.0
    joined = whole.joined(read, body.doubted(doubt))
    left, right = whole.parts["left_hand"], whole.parts["right_hand"]
    np.testing.assert_array_equal(joined.pixels[3, left], read.pixels[3, right])
    np.testing.assert_array_equal(joined.pixels[2, left], read.pixels[2, left])
    np.testing.assert_array_equal(joined.sigma[1, left], 8.0)
    np.testing.assert_array_equal(joined.sigma[1, right], 2.0)
    np.testing.assert_array_equal(joined.pixels[:, whole.body], body.pixels)


def test_a_part_read_in_two_views_is_unknown():
    whole = WholeBody.of(HOLISTIC143, 55)
    weight = np.ones((5, 143))
    weight[2:, whole.parts["left_hand"]] = 0.0
    weight[3:, whole.parts["face"]] = 0.0
    read = some_observations(weight)
    joined = whole.joined(read, read.keypoints(whole.body).select(np.array([True, True, True, True, False])))
    assert len(joined) == 4
    assert whole.seen(joined) == ["right_hand", "face"]


def test_palms_are_turned_as_they_lie():
    body = whole_toy()
    whole = WholeBody.of(HOLISTIC143, 55)
    reduced = ReducedBody(body, body.keypoint_regressor("holistic143"))
    truth = somebody(body, 4)
    wrist = SMPL24.index("left_wrist")
    detections, track = seen_by_cameras(body, truth, noise_px=0.0)
    seen = observe(
        toy.views(toy.arc_cameras(VIEWS, distance=3.0)), detections, track, truth.transl,
        KeypointModel.default(body, "holistic143"),
    )  # fmt: skip
    rotations = truth.rotations.copy()
    rotations[wrist] = rotations[wrist] @ exp_so3(np.array([2.5, 0.3, 0.0]))
    found = whole.with_hands_turned(reduced, replace(truth, rotations=rotations), seen)
    np.testing.assert_allclose(found.rotations[wrist], truth.rotations[wrist], atol=0.03)


@pytest.mark.parametrize("seed", [0, 1])
def test_hands_and_face_are_found_with_the_body(seed):
    body = whole_toy()
    truth = somebody(body, seed)
    person = fitted(body, *seen_by_cameras(body, truth))
    assert set(person.landmarks) == {"left_hand", "right_hand", "face"}
    for part, (points, covariance) in person.landmarks.items():
        error = np.linalg.norm(landmarks_of(body, person.state, part) - landmarks_of(body, truth, part), axis=1)
        assert np.median(error) < 0.004, part
        assert points.shape == (51 if part == "face" else 21, 3) and covariance.shape == (*points.shape, 3)
        assert np.sqrt(np.trace(covariance, axis1=1, axis2=2).mean() / 3) < 0.01
    assert person.joints_cov.shape == (24, 3, 3)


def test_an_unread_hand_and_face_stay_at_the_mean():
    body = whole_toy()
    truth = somebody(body, 2)
    detections, track = seen_by_cameras(body, truth)
    whole = WholeBody.of(HOLISTIC143, 55)
    for part in ("left_hand", "face"):
        detections.keypoints[:, whole.parts[part]] = np.nan
        detections.keypoint_score[:, whole.parts[part]] = 0.0
    person = fitted(body, detections, track)
    assert set(person.landmarks) == {"right_hand"}
    mean = exp_so3(ranges_of(body.joint_template).mean_pose)
    left = [i for i, name in enumerate(SMPLX55.joints) if i >= 25 and name.startswith("left")]
    np.testing.assert_allclose(person.state.rotations[left], mean[np.array(left) - 1], atol=1e-12)
    assert not person.state.expression.any()


def test_noise_of_parts_is_a_share_of_their_own_size():
    model = KeypointModel.default(whole_toy(), "holistic143")
    names = HOLISTIC143.joints
    finger, eye, knuckle = (names.index(n) for n in ("left_hand_index_3", "face_40", "left_index"))
    assert model.noise[finger] * STATURE < 0.02 and model.noise[eye] < model.noise[knuckle]
    assert model.independence[finger] < 1 and model.independence[names.index("face_3")] < model.independence[eye]
    assert model.independence[knuckle] == 1
