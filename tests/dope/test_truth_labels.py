"""Labels from truth: a person made of a few points, before a camera that looks along y."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from clips import write_video
from scipy import sparse

from mcbench.dataset.truth import SceneTruth
from mcbench.dope.projected import HIDDEN
from mcbench.dope.truth_labels import TruthLabels, labelled_frames
from mcbench.errors import InputError
from mcbench.joints import DOPE13, FACE84, SMPL24

FOCAL, WIDTH, HEIGHT = 600.0, 640, 480
#: Limbs, right and left, of somebody 3 m before the camera who looks at it: the right is at negative x.
LIMBS = {
    **{f"{s}_{j}": (x * w, 0.0, z) for s, x in (("right", -1), ("left", 1)) for j, w, z in
       (("ankle", 0.1, 0.1), ("knee", 0.1, 0.5), ("hip", 0.1, 0.9), ("wrist", 0.3, 0.9), ("elbow", 0.25, 1.15),
        ("shoulder", 0.2, 1.4))},
}  # fmt: skip
NAMES = [*DOPE13.joints[:-1], "left_ear", "right_ear", *(f"face_{i}" for i in range(17))]


def points() -> np.ndarray:
    """(31, 3) vertices: limbs, ears, contour of the face."""
    angle = np.linspace(np.pi, 2 * np.pi, 17)  # from the right ear below the chin to the left one
    contour = np.stack([0.08 * np.cos(angle), np.full(17, -0.06), 1.6 + 0.1 * np.sin(angle)], axis=1)
    ears = [[0.08, 0.0, 1.6], [-0.08, 0.0, 1.6]]
    return np.concatenate([[LIMBS[name] for name in DOPE13.joints[:-1]], ears, contour])


@pytest.fixture
def labels() -> TruthLabels:
    rows = sparse.identity(len(NAMES), format="csr")
    return TruthLabels(SimpleNamespace(keypoints={name: rows[[i]] for i, name in enumerate(NAMES)}))


@pytest.fixture
def truth() -> SceneTruth:
    frames, vertices = 3, points()
    joints = np.full((1, 24, 3), np.nan)
    joints[0] = [LIMBS.get(name, (0.0, 0.0, 1.5)) for name in SMPL24.joints]
    across = np.linspace(-0.05, 0.05, 51)
    face = np.stack([across, np.full(51, -0.1), 1.6 + 0.03 * np.cos(40 * across)], axis=1)
    hand = np.stack([np.linspace(-0.3, -0.2, 21), np.zeros(21), np.linspace(0.9, 0.75, 21)], axis=1)
    moved = np.zeros((frames, 1, 3))
    moved[2] = [1.55, 0.0, 0.0]
    return SceneTruth(
        clip="toy.mp4",
        image_size=(WIDTH, HEIGHT),
        K=np.tile([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1.0]], (frames, 1, 1)),
        cam_from_world=np.tile([[1.0, 0, 0, 0], [0, 0, -1, 1.0], [0, 1, 0, 3]], (frames, 1, 1)),
        person_id=np.array([0]),
        joints=joints,
        joints_visible=np.ones((frames, 1, 24), dtype=bool),
        box=np.full((frames, 1, 4), np.nan),
        vertices=vertices[None],
        vertices_visible=np.full((1, len(vertices)), frames, dtype=np.int32),
        hands=np.stack([np.full((21, 3), np.nan), hand])[None],
        hands_px=np.tile([0.0, 30.0], (frames, 1, 1)),
        face=face[None],
        face_px=np.full((frames, 1), 40.0),
        moved=moved,
    )


def changed(array: np.ndarray, index: tuple, value: float) -> np.ndarray:
    array = array.copy()
    array[index] = value
    return array


def test_places_in_2d_and_3d(labels: TruthLabels, truth: SceneTruth) -> None:
    (person,) = labels.people(truth, 0)
    assert list(person.parts) == ["body", "right_hand", "face"]
    body, hand, face = person.parts.values()
    at = DOPE13.index("right_wrist")
    np.testing.assert_allclose(body.pose2d[at], [320 - 600 * 0.3 / 3, 240 + 600 * 0.1 / 3])
    np.testing.assert_allclose(body.pose3d[at], [-0.3, 0.0, 0.0], atol=1e-12)  # the hips are as high
    np.testing.assert_allclose(body.pose3d[DOPE13.index("head")], [0, -0.7, 0.0], atol=1e-12)
    np.testing.assert_allclose(hand.pose3d[[0, -1]], [[0, 0, 0], [0.1, 0.15, 0]], atol=1e-12)
    np.testing.assert_allclose(face.pose2d[FACE84.index("face_8")], [320, 240 + 600 * (1 - 1.5) / 2.94])
    between = face.pose3d[[FACE84.index(f"face_{i}") for i in ("3", "3_4", "4")]]
    np.testing.assert_allclose(between[1], (between[0] + between[2]) / 2)
    np.testing.assert_array_equal(body.box, [*body.pose2d.min(axis=0), *body.pose2d.max(axis=0)])


def test_confidence_tells_seen_hidden_and_outside(labels: TruthLabels, truth: SceneTruth) -> None:
    hidden = changed(truth.joints_visible, (0, 0, SMPL24.index("left_knee")), False)
    (person,) = labels.people(replace(truth, joints_visible=hidden), 0)
    assert person.body is not None
    expected = np.where(np.array(DOPE13.joints) == "left_knee", HIDDEN, 1.0)
    np.testing.assert_array_equal(person.body.confidence, expected)
    moved = labels.people(truth, 2)[0].body  # the left half is to the right of the image
    assert moved is not None
    np.testing.assert_array_equal(moved.confidence == 0, moved.pose2d[:, 0] > WIDTH)
    assert 0 < (moved.confidence == 0).sum() < 13 and np.isfinite(moved.pose2d).all()
    assert moved.box[2] <= WIDTH
    np.testing.assert_allclose(moved.pose3d, labels.people(truth, 0)[0].body.pose3d, atol=1e-12)


def test_a_half_hidden_hand_is_half_sure(labels: TruthLabels, truth: SceneTruth) -> None:
    length = 600 * 0.15 / 3
    for px, sure in ((length, 1.0), (0.7 * length, 0.7), (1.2 * length, 1.0)):
        (person,) = labels.people(replace(truth, hands_px=changed(truth.hands_px, (0, 0, 1), px)), 0)
        assert person.right_hand is not None
        np.testing.assert_allclose(person.right_hand.confidence, sure)
    for px in (0.4 * length, 15.0):
        (person,) = labels.people(replace(truth, hands_px=changed(truth.hands_px, (0, 0, 1), px)), 0)
        assert person.right_hand is None


def test_a_face_from_behind_is_none(labels: TruthLabels, truth: SceneTruth) -> None:
    behind = truth.face * [1, -1, 1]
    turned = truth.vertices.copy()
    turned[:, NAMES.index("face_0") :] *= [1, -1, 1]
    (person,) = labels.people(replace(truth, face=behind, vertices=turned), 0)
    assert person.face is None and person.body is not None


def test_a_face_from_the_side_is_half_hidden(labels: TruthLabels, truth: SceneTruth) -> None:
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])  # turned about z: the left side towards the camera
    (person,) = labels.people(replace(truth, face=truth.face @ quarter, vertices=truth.vertices @ quarter), 0)
    assert person.face is not None
    near = person.face.pose3d[:33, 2] < np.median(person.face.pose3d[:33, 2]) - 0.02
    sure = person.face.confidence[:33]
    assert sure[near].min() == sure.max() and (sure == HIDDEN * sure.max()).sum() > 10


def test_who_is_hardly_seen_is_no_body(labels: TruthLabels, truth: SceneTruth) -> None:
    nothing = np.zeros_like(truth.joints_visible)
    (person,) = labels.people(replace(truth, joints_visible=nothing), 0)
    assert list(person.parts) == ["right_hand", "face"]
    unseen = replace(truth, joints_visible=nothing, hands_px=0 * truth.hands_px, face_px=0 * truth.face_px)
    assert labels.people(unseen, 0) == []


def test_without_vertices_the_head_is_unknown(labels: TruthLabels, truth: SceneTruth) -> None:
    bare = replace(truth, vertices=np.zeros((1, 0, 3)), vertices_visible=np.zeros((1, 0), np.int32))
    (person,), (full,) = labels.people(bare, 0), labels.people(truth, 0)
    assert person.body is not None and full.body is not None and person.face is not None
    assert np.isnan(person.body.pose2d[-1]).all() and person.body.confidence[-1] == 0
    np.testing.assert_allclose(person.body.pose2d[:-1], full.body.pose2d[:-1])
    assert np.isnan(person.face.pose2d[:33]).all() and np.isfinite(person.face.pose2d[33:]).all()


def test_frames_of_a_clip(labels: TruthLabels, truth: SceneTruth, tmp_path: Path) -> None:
    clip = write_video(tmp_path / "a.b.mp4", 3)
    found = list(labelled_frames(labels, truth, clip, every=2))
    assert [f.key for f in found] == ["a_b_000000", "a_b_000002"]
    assert found[1].people[0].body.pose2d[0, 0] == labels.people(truth, 2)[0].body.pose2d[0, 0]
    assert found[0].labelled == {"body", "hand", "face"} and found[0].image.shape == (48, 64, 3)
    with pytest.raises(InputError, match="more frames than the 3") as error:
        list(labelled_frames(labels, truth, write_video(tmp_path / "long.mp4", 4)))
    assert error.value.reason == "other_clip"
    of_another = replace(truth, info={**truth.info, "clip_sha256": "0" * 64})
    with pytest.raises(InputError, match="another clip") as error:
        list(labelled_frames(labels, of_another, clip))
    assert error.value.reason == "other_clip" and error.value.path == clip


def test_parts_that_are_there_but_not_labelled(labels: TruthLabels, truth: SceneTruth) -> None:
    assert all(len(boxes) == 0 for boxes in labels.unlabelled(truth, 0).values())
    unseen = replace(truth, hands_px=0 * truth.hands_px)
    (box,) = labels.unlabelled(unseen, 0)["hand"]  # the left hand is not known at all
    np.testing.assert_allclose(box, labels.people(truth, 0)[0].right_hand.box)
