"""Hands on a real photo: a man stands before two who sit, and the hands of all of them are bare."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mcbench.experts.base import PersonDetection
from mcbench.experts.crops import Pyramid, Roi
from mcbench.experts.hand import HandFinder, HandLandmark, body_hand_region, px_per_metre
from mcbench.experts.parts import Part, distance
from mcbench.joints import BLAZEPOSE33, HAND21
from mcbench.pipelines.weights import fetch_weights

#: Wrists in the photo, px, told by eye, and whether it is a right hand: the standing man's left, the sitting man's two.
WRISTS = [((273, 355), False), ((85, 443), True), ((119, 437), False)]


@pytest.fixture(scope="module")
def landmark() -> HandLandmark:
    fetch_weights()
    return HandLandmark()


@pytest.fixture(scope="module")
def photo(test_data: Path) -> np.ndarray:
    image = cv2.imread(str(test_data / "in_the_wild" / "COCO_val2014_000000000241.jpg"), cv2.IMREAD_COLOR)
    assert image is not None
    return np.ascontiguousarray(image[..., ::-1])


@pytest.fixture(scope="module")
def hands(photo: np.ndarray, landmark: HandLandmark) -> list[Part]:
    """The three hands, in the order of `WRISTS`."""
    found = HandFinder(landmark)(Pyramid(photo))
    assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)
    near = [min(found, key=lambda h: float(np.linalg.norm(h.keypoints[0] - wrist))) for wrist, _ in WRISTS]
    assert all(np.linalg.norm(h.keypoints[0] - w) < 10 for h, (w, _) in zip(near, WRISTS, strict=True))
    return near


def test_bare_hands_are_found_with_their_side(hands: list[Part]) -> None:
    assert all(hand.score > 0.9 for hand in hands)
    assert [hand.handedness > 0.9 for hand in hands] == [right for _, right in WRISTS]
    assert [hand.handedness < 0.1 for hand in hands] == [not right for _, right in WRISTS]


def test_a_mirror_swaps_the_sides(photo: np.ndarray, hands: list[Part], landmark: HandLandmark) -> None:
    mirrored = Pyramid(np.ascontiguousarray(photo[:, ::-1]))
    for hand in hands:
        expected = hand.keypoints * [-1, 1] + [photo.shape[1], 0]
        found = landmark.read(mirrored, landmark.region(expected))
        assert found is not None and distance(found, expected) < 0.1
        assert (found.handedness > 0.5) != (hand.handedness > 0.5)


def test_a_neighbours_prior_leads_to_the_hand(photo: np.ndarray, hands: list[Part], landmark: HandLandmark) -> None:
    """Moved by a seventh of its size, a hand is found where it is; turned on its head, the photo changes nothing."""
    for hand in hands:
        found = landmark.read(Pyramid(photo), landmark.region(hand.keypoints + 0.15 * hand.size))
        assert found is not None and distance(found, hand.keypoints) < 0.1
    turned = Pyramid(np.ascontiguousarray(photo[::-1, ::-1]))
    expected = np.array(photo.shape[1::-1]) - hands[0].keypoints
    found = landmark.read(turned, landmark.region(expected))
    assert found is not None and distance(found, expected) < 0.1
    np.testing.assert_allclose(found.keypoints3d[:, :2], -hands[0].keypoints3d[:, :2], atol=0.02)


def test_3d_is_metric_and_lies_as_the_image_shows_it(hands: list[Part]) -> None:
    for hand in hands:
        np.testing.assert_array_equal(hand.keypoints3d[0], 0)
        assert 0.06 < np.linalg.norm(hand.keypoints3d[HAND21.index("middle_1")]) < 0.13
        flat, seen = hand.keypoints3d[:, :2], hand.keypoints - hand.keypoints[0]
        assert np.corrcoef(flat.ravel(), seen.ravel())[0, 1] > 0.95


def test_no_hand_on_a_wall_or_a_face(photo: np.ndarray, landmark: HandLandmark) -> None:
    for center in ((60.0, 60.0), (210.0, 80.0)):
        assert landmark.read(Pyramid(photo), Roi(np.array(center), 60.0)) is None


def body(scale: float) -> PersonDetection:
    """Someone whose every keypoint is known, `scale` px a metre, with the right arm along x and its hand bent up."""
    random = np.random.default_rng(3)
    points = random.normal(0, 0.4, (33, 3))
    for name, at in (("wrist", (0.6, 0.0)), ("index", (0.6, -0.1)), ("pinky", (0.6, -0.07))):
        points[BLAZEPOSE33.index(f"right_{name}"), :2] = at
    pixels = scale * points[:, :2] + [300.0, 200.0]
    return PersonDetection(1.0, np.zeros(4), pixels, np.ones(33), points, np.zeros((0, 0), np.uint8))


def test_region_of_a_body_is_of_a_hands_size_beyond_the_wrist() -> None:
    assert px_per_metre(body(150.0)) == pytest.approx(150.0)
    region = body_hand_region(body(150.0), "right")
    assert region is not None and 0.15 < region.size / 150.0 < 0.35
    assert region.angle == pytest.approx(0.0, abs=1e-9)  # the fingers point up
    assert region.center[0] == pytest.approx(300 + 0.6 * 150)
    assert 200 - 0.2 * 150 < region.center[1] < 200 - 0.07 * 150


def test_no_region_without_a_wrist() -> None:
    unknown = body(150.0)
    unknown.keypoints[BLAZEPOSE33.index("right_wrist")] = np.nan
    assert body_hand_region(unknown, "right") is None
    assert body_hand_region(unknown, "left") is not None
