"""Faces on real photos: against labels made by people, and in the mirror."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from mcbench.experts.body import BlazePoseDetector
from mcbench.experts.crops import Pyramid, Roi
from mcbench.experts.face import FaceFinder, FaceLandmark, body_face_region
from mcbench.experts.parts import Part, distance
from mcbench.joints import COCO_WHOLEBODY133
from mcbench.pipelines.weights import fetch_weights

_FIRST = COCO_WHOLEBODY133.index("face_0")
#: What mirrors the 68 points.
FLIP = np.array(COCO_WHOLEBODY133.flip)[_FIRST : _FIRST + 68] - _FIRST
RIGHT_EYE, LEFT_EYE = slice(36, 42), slice(42, 48)
PHOTO = "COCO_val2014_000000000241.jpg"


def read(path: Path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert image is not None
    return np.ascontiguousarray(image[..., ::-1])


@pytest.fixture(scope="module")
def landmark() -> FaceLandmark:
    fetch_weights()
    return FaceLandmark()


@pytest.fixture(scope="module")
def photo(test_data: Path) -> np.ndarray:
    return read(test_data / "in_the_wild" / PHOTO)


@pytest.fixture(scope="module")
def faces(photo: np.ndarray, landmark: FaceLandmark) -> list[Part]:
    """Those of a man who stands, seen from the side, of a man who sits and of a woman who sits, from left to right."""
    return sorted(FaceFinder(landmark)(Pyramid(photo)), key=lambda face: float(face.box[0]))


def test_everybodys_face_is_found(faces: list[Part]) -> None:
    centers = [(face.box[:2] + face.box[2:]) / 2 for face in faces]
    np.testing.assert_allclose(centers, [[61, 300], [208, 78], [358, 301]], atol=8)
    assert all(face.score > 0.9 and face.handedness is None for face in faces)


def test_the_order_of_the_points(faces: list[Part]) -> None:
    """The person's right is on the left of the image; from top to bottom: brows, eyes, nose, lips, chin."""
    for points in (face.keypoints for face in faces):
        for right, left in ((0, 16), (17, 26), (36, 45), (31, 35), (48, 54), (60, 64)):
            assert points[right, 0] < points[left, 0]
        heights = [points[group, 1].mean() for group in (slice(17, 27), slice(36, 48), 30, slice(48, 68), 8)]
        assert heights == sorted(heights)


def test_a_mirrored_photo_has_the_mirrored_face(photo: np.ndarray, faces: list[Part], landmark: FaceLandmark) -> None:
    mirrored = Pyramid(np.ascontiguousarray(photo[:, ::-1]))
    for face in faces:
        expected = (face.keypoints * [-1, 1] + [photo.shape[1], 0])[FLIP]
        found = landmark.read(mirrored, landmark.region(expected))
        assert found is not None and distance(found, expected) < 0.04
        assert distance(found, expected[FLIP]) > 0.2


def test_a_neighbours_prior_leads_to_the_face(photo: np.ndarray, faces: list[Part], landmark: FaceLandmark) -> None:
    """Also where someone lies on the side: the photo turned by a quarter."""
    for face in faces:
        found = landmark.read(Pyramid(photo), landmark.region(face.keypoints + 0.15 * face.size))
        assert found is not None and distance(found, face.keypoints) < 0.04
    turned = Pyramid(np.ascontiguousarray(np.rot90(photo)))
    expected = faces[0].keypoints[:, ::-1] * [1, -1] + [0, photo.shape[1]]
    found = landmark.read(turned, landmark.region(expected))
    assert found is not None and distance(found, expected) < 0.04


def test_3d_is_an_adults_and_turned_as_the_face(faces: list[Part]) -> None:
    for face in faces:
        eyes = [face.keypoints3d[eye].mean(axis=0) for eye in (RIGHT_EYE, LEFT_EYE)]
        np.testing.assert_allclose(sum(eyes), 0, atol=1e-12)
        assert np.linalg.norm(face.keypoints3d[36] - face.keypoints3d[45]) == pytest.approx(0.09)
        assert face.keypoints3d[30, 2] < face.keypoints3d[[0, 16], 2].mean()  # the nose is nearer than the ears
    man = faces[1].keypoints3d  # he looks to the left of the image: that side is the farther one
    assert man[36, 2] > man[45, 2] + 0.02


@pytest.mark.parametrize("gain", [0.2, 0.1])
def test_small_faces_in_the_shade_are_read(
    photo: np.ndarray, faces: list[Part], landmark: FaceLandmark, gain: float
) -> None:
    """All three, at half their size, in a bright picture."""
    dark = cv2.resize(photo, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    for face in faces:
        left, top, right, bottom = np.round(face.box / 2 + [-8, -8, 8, 8]).astype(int).clip(0)
        dark[top:bottom, left:right] = np.round(gain * dark[top:bottom, left:right] + 10)
    for points in (face.keypoints / 2 for face in faces):
        found = landmark.look(Pyramid(dark), landmark.region(points))
        assert found.score > 0.9 and distance(found, points) < 0.06


def test_agrees_with_labels(test_data: Path, landmark: FaceLandmark, blazepose: BlazePoseDetector) -> None:
    """Two small faces that people labelled, in the regions that the bodies tell: off by a twentieth of their size."""
    folder = test_data / "coco_wholebody"
    image = read(folder / "000000040083.jpg")
    bodies = blazepose.detect(image)
    labels = json.loads((folder / "test_coco_wholebody.json").read_text())["annotations"]
    labelled = [np.reshape(a["face_kpts"], (68, 3)) for a in labels if a["image_id"] == 40083 and a["face_valid"]]
    assert len(labelled) == 2
    for points in (face[:, :2] for face in labelled):
        body = min(bodies, key=lambda b: float(np.linalg.norm(b.keypoints[0] - points[30])))
        region = body_face_region(body.keypoints)
        assert region is not None
        face = landmark.read(Pyramid(image), region)
        assert face is not None and distance(face, points) < 0.05


def test_no_face_on_a_wall_or_a_shirt(photo: np.ndarray, landmark: FaceLandmark) -> None:
    for center in ((60.0, 60.0), (240.0, 250.0)):
        assert landmark.read(Pyramid(photo), Roi(np.array(center), 80.0)) is None


def test_no_region_without_eyes() -> None:
    assert body_face_region(np.full((33, 2), np.nan)) is None
