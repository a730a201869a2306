"""Close-ups: where the square lies, what of the people is in it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mcbench.dataset.label_shards import Labelled
from mcbench.dope.close_ups import MIN_CLOSE_PX, close_ups
from mcbench.dope.people import KINDS, PartPose, WholeBody, box_round
from mcbench.joints import DOPE13, HAND21


def part(points: np.ndarray) -> PartPose:
    confidence = np.ones(len(points))
    return PartPose(1.0, points, np.zeros((len(points), 3)), confidence, box_round(points, confidence))


def hand(x: float, y: float, length: float) -> PartPose:
    """A hand whose box is a square of this length round (x, y)."""
    return part([x, y] + np.linspace(-length / 2, length / 2, len(HAND21))[:, None] * [1, 1])


def image_of(*people: WholeBody) -> Labelled:
    """An image whose red and green tell the px: 300 wide, 200 high."""
    y, x = np.mgrid[:200, :300]
    image = np.stack([x % 256, y, x // 256], axis=-1).astype(np.uint8)
    return Labelled(image, list(people), frozenset(KINDS), "key")


def corner(close: Labelled) -> tuple[int, int]:
    red, green, blue = (int(value) for value in close.image[0, 0])
    return red + 256 * blue, green


@pytest.mark.parametrize(
    ("x", "y", "at"), [(150, 100, (90, 40)), (290, 10, (180, 0)), (0, 199, (0, 80))], ids=["inside", "right", "left"]
)
def test_a_square_twice_as_long_inside_the_image(x: float, y: float, at: tuple[int, int]) -> None:
    sample = image_of(WholeBody.of({"left_hand": hand(x, y, 60)}))
    (close,) = close_ups(sample, "hand")
    assert close.image.shape == (120, 120, 3) and close.image.flags.c_contiguous
    assert corner(close) == at
    assert close.labelled == sample.labelled


def test_joints_and_boxes_move_with_the_square() -> None:
    (close,) = close_ups(image_of(WholeBody.of({"right_hand": hand(150, 100, 60)})), "hand")
    (person,) = close.people
    assert person.right_hand is not None and close.key == "key_0_right_hand"
    np.testing.assert_allclose(person.right_hand.pose2d, hand(60, 60, 60).pose2d)
    np.testing.assert_allclose(person.right_hand.box, [30, 30, 90, 90])


def test_a_square_for_each_part_that_is_large_enough() -> None:
    small = hand(30, 30, MIN_CLOSE_PX - 1)
    people = [
        WholeBody.of({"left_hand": hand(60, 100, 50), "right_hand": hand(150, 100, MIN_CLOSE_PX)}),
        WholeBody.of({"left_hand": small, "face": replace(part(np.zeros((84, 2))), box=np.array([0, 0, 90.0, 90]))}),
    ]
    assert [close.key for close in close_ups(image_of(*people), "hand")] == ["key_0_left_hand", "key_0_right_hand"]
    assert [close.key for close in close_ups(image_of(*people), "face")] == ["key_1_face"]
    assert not list(close_ups(image_of(*people), "body"))


def test_no_larger_than_the_image() -> None:
    (close,) = close_ups(image_of(WholeBody.of({"left_hand": hand(150, 100, 150)})), "hand")
    assert close.image.shape == (200, 200, 3) and corner(close) == (50, 0)


def body(inside: int) -> PartPose:
    """A body of which so many joints are within 60 px of (150, 100)."""
    points = np.full((len(DOPE13), 2), [20.0, 20.0])
    points[:inside] = [140.0, 100.0]
    points[0] = [170.0, 120.0]
    return part(points)


@pytest.mark.parametrize(("inside", "labelled"), [(3, False), (4, True)])
def test_a_body_is_labelled_by_four_joints(inside: int, labelled: bool) -> None:
    sample = image_of(WholeBody.of({"body": body(inside), "left_hand": hand(150, 100, 60)}))
    (close,) = close_ups(sample, "hand")
    (person,) = close.people
    assert (person.body is not None) == labelled
    if person.body is not None:
        assert (person.body.confidence > 0).sum() == inside
        np.testing.assert_allclose(person.body.box, [50, 60, 80, 80])  # of the joints that are inside
        np.testing.assert_allclose(person.body.pose2d[-1], [20 - 90, 20 - 40])  # the others keep their places


@pytest.mark.parametrize(("x", "labelled"), [(212, False), (208, True)])
def test_another_hand_is_labelled_by_half_of_it(x: float, labelled: bool) -> None:
    people = [WholeBody.of({"left_hand": hand(150, 100, 60)}), WholeBody.of({"left_hand": hand(x, 100, 40)})]
    first, *_ = close_ups(image_of(*people), "hand")
    assert len(first.people) == 1 + labelled
