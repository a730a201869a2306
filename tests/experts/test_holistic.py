"""The parts of a body, and all keypoints of a person together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from mcbench.experts.base import PersonDetection
from mcbench.experts.body import BlazePoseDetector
from mcbench.experts.crops import Pyramid
from mcbench.experts.holistic import PARTS, PartReader, part_score, with_parts
from mcbench.experts.parts import Part
from mcbench.joints import BLAZEPOSE33, HOLISTIC143

IMAGE = Pyramid(np.zeros((200, 300, 3), np.uint8))


def part(name: str, x: float, handedness: float | None = None) -> Part:
    where = PARTS[name]
    count = where.stop - where.start
    points = np.column_stack([x + np.arange(count), np.full(count, 50.0)])
    return Part.of(IMAGE, 0.8, points, np.column_stack([points, np.ones(count)]), handedness)


@pytest.fixture
def body() -> PersonDetection:
    points = np.random.default_rng(0).uniform(20, 180, (33, 2))
    return PersonDetection(
        0.9, np.array([20.0, 20, 180, 180]), points, np.full(33, 0.7), np.ones((33, 3)), np.ones((2, 2))
    )


def test_a_person_is_the_body_and_the_parts_that_are_there(body: PersonDetection) -> None:
    person = with_parts(body, {"right_hand": part("right_hand", 10.0)})
    np.testing.assert_array_equal(person.keypoints[:33], body.keypoints)
    at = HOLISTIC143.index("right_hand_thumb_1")
    np.testing.assert_array_equal(person.keypoints[at], [11, 50])
    np.testing.assert_array_equal(person.keypoints3d[at], [11, 50, 1])
    assert person.keypoint_score[at] == 0.8
    for name in ("face", "left_hand"):
        assert np.isnan(person.keypoints[PARTS[name]]).all() and not person.keypoint_score[PARTS[name]].any()
    assert person.score == body.score and person.mask is body.mask


def test_of_a_body_with_exchanged_sides_all_sides_are_exchanged(body: PersonDetection) -> None:
    """So that one permutation sets the body, the hands and the face right."""
    flip, body_flip = list(HOLISTIC143.flip), list(BLAZEPOSE33.flip)
    parts = {"face": part("face", 5.0), "left_hand": part("left_hand", 70.0)}
    exchanged = replace(body, keypoints=body.keypoints[body_flip], keypoints3d=body.keypoints3d[body_flip])
    straight, swapped = with_parts(body, parts), with_parts(exchanged, parts, flipped=True)
    np.testing.assert_array_equal(swapped.keypoints[flip], straight.keypoints)
    np.testing.assert_array_equal(swapped.keypoints3d[flip], straight.keypoints3d)
    np.testing.assert_array_equal(swapped.keypoint_score[flip], straight.keypoint_score)


def test_a_hand_counts_as_the_one_of_its_side() -> None:
    assert part_score(part("left_hand", 0.0, 0.25), "left_hand") == pytest.approx(0.6)
    assert part_score(part("left_hand", 0.0, 0.25), "right_hand") == pytest.approx(0.2)
    assert part_score(part("face", 0.0), "face") == 0.8


@pytest.fixture(scope="module")
def seen(test_data: Path, blazepose: BlazePoseDetector) -> tuple[Pyramid, PersonDetection]:
    """A photo and the man who stands in it: his hands hang, the right one holds a remote control."""
    image = cv2.imread(str(test_data / "in_the_wild" / "COCO_val2014_000000000241.jpg"), cv2.IMREAD_COLOR)
    assert image is not None
    image = np.ascontiguousarray(image[..., ::-1])
    return Pyramid(image), max(blazepose.detect(image), key=lambda p: float(p.box[3] - p.box[1]))


def test_hands_and_face_of_a_man(seen: tuple[Pyramid, PersonDetection]) -> None:
    reader, (image, man) = PartReader(), seen
    for side in ("left", "right"):
        hand = reader.of_body(image, man, f"{side}_hand")
        assert hand is not None and part_score(hand, f"{side}_hand") > 0.5
        assert np.linalg.norm(hand.keypoints[0] - man.keypoints[BLAZEPOSE33.index(f"{side}_wrist")]) < 0.3 * hand.size
    face = reader.of_body(image, man, "face")
    assert face is not None and np.linalg.norm(face.keypoints[30] - man.keypoints[0]) < 0.15 * face.size


def test_somebody_elses_hand_is_not_read(seen: tuple[Pyramid, PersonDetection]) -> None:
    """The body's index and pinky lead to the other hand, its wrist does not."""
    reader, (image, man) = PartReader(), seen
    points = man.keypoints.copy()
    for name in ("index", "pinky"):
        points[BLAZEPOSE33.index(f"right_{name}")] = man.keypoints[BLAZEPOSE33.index(f"left_{name}")]
    wrist = BLAZEPOSE33.index("right_wrist")
    points[wrist] = man.keypoints[BLAZEPOSE33.index("left_wrist")]
    assert reader.of_body(image, replace(man, keypoints=points), "right_hand") is not None
    far = points.copy()
    far[wrist] += (
        1.3 * (man.keypoints[wrist] - points[wrist]) / np.linalg.norm(man.keypoints[wrist] - points[wrist]) * 60
    )
    assert reader.of_body(image, replace(man, keypoints=far), "right_hand") is None


def test_an_unknown_place_is_not_looked_at(seen: tuple[Pyramid, PersonDetection]) -> None:
    reader, (image, _) = PartReader(), seen
    prior = np.full((21, 2), 100.0)
    prior[4] = np.nan
    assert reader.expected(image, prior, "left_hand") is None
