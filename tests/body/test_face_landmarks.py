"""Landmarks of a face lie where anatomy says, on every head, and follow what it does."""

from __future__ import annotations

import numpy as np
import pytest

from mcbench.body.anny_rig import AnnyRig
from mcbench.body.anthropometry import People
from mcbench.body.face_landmarks import FaceLandmarks, face_landmarks
from mcbench.joints import COCO_WHOLEBODY133, FACE68_FLIP

PEOPLE = People(np.array([True, False, True]), np.array([30.0, 60, 7]), np.array([1.62, 1.80, 1.22]))
CONTOUR, RIGHT_EYE, OUTER_LIPS = slice(0, 17), slice(36, 42), slice(48, 60)


@pytest.fixture(scope="module")
def rig() -> AnnyRig:
    return AnnyRig.load()


@pytest.fixture(scope="module")
def marks() -> FaceLandmarks:
    return face_landmarks()


@pytest.fixture(scope="module")
def faces(rig: AnnyRig, marks: FaceLandmarks) -> np.ndarray:
    """Landmarks (3, 68, 3) of people of different sex, age and stature, to their left, upwards, forwards."""
    shapes = rig.shape(rig.phenotypes(PEOPLE, np.random.default_rng(0)))
    found = marks.on(shapes.vertices)
    return np.stack([found[..., 0], found[..., 2], -found[..., 1]], axis=-1)


def test_they_are_points_of_the_skin(rig: AnnyRig, marks: FaceLandmarks) -> None:
    assert marks.faces.shape == (68,) and len(set(marks.faces.tolist())) > 50
    np.testing.assert_array_equal(rig.faces[marks.faces], marks.corners)
    np.testing.assert_allclose(marks.weights.sum(1), 1, atol=1e-12)
    assert marks.weights.min() > -1e-12
    used = marks.corners[marks.weights > 1e-9]
    assert rig.skin_mask[used].all()


def test_left_and_right_mirror_exactly(rig: AnnyRig, marks: FaceLandmarks) -> None:
    points = marks.on(rig.template())
    np.testing.assert_allclose(points[list(FACE68_FLIP)] * [-1, 1, 1], points, atol=1e-12)


def test_the_flip_is_that_of_the_joint_set() -> None:
    flip = COCO_WHOLEBODY133.flip
    first = COCO_WHOLEBODY133.index("face_0")
    assert [flip[first + i] - first for i in range(68)] == list(FACE68_FLIP)
    known = {0: 16, 8: 8, 17: 26, 21: 22, 27: 27, 31: 35, 33: 33, 36: 45, 39: 42, 37: 44, 40: 47, 48: 54, 51: 51,
             57: 57, 59: 55, 60: 64, 62: 62, 67: 65}  # fmt: skip
    assert {i: FACE68_FLIP[i] for i in known} == known
    assert [FACE68_FLIP[i] for i in FACE68_FLIP] == list(range(68))


def test_they_come_in_their_order(faces: np.ndarray) -> None:
    for face in faces:
        x, up, ahead = face.T
        assert (np.diff(x[2:15]) > 0).all()  # from the right ear, round the chin, to the left
        assert up[CONTOUR].argmin() == 8
        assert (np.diff(up[:9]) < 0).all() and (np.diff(up[8:17]) > 0).all()
        assert (np.diff(x[17:27]) > 0).all() and (np.diff(up[27:31]) < 0).all()
        assert ahead.argmax() == 30 and (np.diff(x[31:36]) > 0).all()
        assert x[36:40].tolist() == sorted(x[36:40]) and x[40] > x[41]  # over the upper lid, back below
        assert x[48:55].tolist() == sorted(x[48:55]) and x[55:60].tolist() == sorted(x[55:60], reverse=True)
        assert x[60:65].tolist() == sorted(x[60:65]) and x[65:68].tolist() == sorted(x[65:68], reverse=True)
        np.testing.assert_allclose(x[[8, 27, 28, 29, 30, 33, 51, 57, 62, 66]], x[30], atol=0.002)


def test_they_lie_where_anatomy_says(rig: AnnyRig, faces: np.ndarray) -> None:
    shapes = rig.shape(rig.phenotypes(PEOPLE, np.random.default_rng(0)))
    eyes = shapes.heads[:, rig.bone("eye.R")]
    for face, eye, vertices in zip(faces, eyes, shapes.vertices, strict=True):
        x, up, ahead = face.T
        width = x[39] - x[36]
        assert 0.022 < width < 0.034  # of an eye between its corners: 26 to 32 mm of adults
        assert 0.02 < x[42] - x[39] < 0.04 and x[36] < eye[0] < x[39]
        assert (up[37:39] > eye[2]).all() and (up[40:42] < eye[2]).all()
        ball = vertices[rig.skinning[:, rig.bone("eye.R")] > 0.5] - eye
        radius = np.linalg.norm(ball, axis=1).max()
        lids = face[RIGHT_EYE] - [eye[0], eye[2], -eye[1]]
        assert (np.abs(np.linalg.norm(lids[[1, 2, 4, 5]], axis=1) - radius) < 0.006).all()
        assert (up[17:22] > up[37]).all() and (up[17:22] - eye[2] < 0.03).all()
        assert 0.032 < x[54] - x[48] < 0.06  # the mouth, of a child the narrowest
        assert up[62] >= up[66] - 1e-4 and up[51] > up[62] > up[66] - 0.002 > up[57]
        assert 0.004 < up[51] - up[62] < 0.012 and 0.005 < up[66] - up[57] < 0.014
        assert up[33] > up[50] and x[31] > x[48] and x[35] < x[54]
        # the contour is outside of all else, and in front of the ears
        assert x[1] < x[17] and x[1] < x[48] and (ahead[1] < ahead[36:48]).all()
        assert 0.11 < x[15] - x[1] < 0.16 and up[8] < up[57] - 0.015


def test_lips_part_when_the_jaw_opens_and_lids_meet_when_the_eye_closes(rig: AnnyRig, marks: FaceLandmarks) -> None:
    middling = {name: [0.5] for name in ("gender", "age", "muscle", "weight", "height", "proportions")}

    def up(**actions: list[float]) -> np.ndarray:
        return marks.on(rig.shape(middling, None, actions).vertices[0])[:, 2]

    rest = up()
    opened, closed, raised = up(jawOpen=[1.0]), up(eyeBlinkRight=[1.0]), up(browInnerUp=[1.0])
    assert rest[62] - rest[66] < 0.002 and opened[62] - opened[66] > 0.02
    assert opened[8] < rest[8] - 0.01 and np.abs(opened[:3] - rest[:3]).max() < 0.002
    np.testing.assert_allclose(opened[17:31], rest[17:31], atol=0.002)
    assert (rest[[37, 38]] - rest[[41, 40]]).min() > 0.007
    assert (closed[[37, 38]] - closed[[41, 40]]).max() < 0.004
    np.testing.assert_allclose(closed[42:48], rest[42:48], atol=1e-3)
    assert raised[[21, 22]].min() > rest[[21, 22]].max() + 0.002
