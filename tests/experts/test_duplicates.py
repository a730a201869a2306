"""One person or two."""

from __future__ import annotations

import numpy as np
import pytest

from mcbench.experts.base import MASK_SIZE, PersonDetection
from mcbench.experts.duplicates import distinct, limb_joints, misread, pose_distance, same_person
from mcbench.joints import BLAZEPOSE33, COCO17

#: A standing person 100 px tall, hips at the origin: limb joints as `limb_joints` orders them.
LIMBS = np.array(
    [
        *([9, -30], [-9, -30], [14, -15], [-14, -15], [16, 0], [-16, 0]),
        *([6, 0], [-6, 0], [7, 22], [-7, 22], [7, 45], [-7, 45]),
    ],
    float,
)


def person(
    offset: tuple[float, float] = (0, 0), score: float = 0.9, scale: float = 1.0, mask: int = 0
) -> PersonDetection:
    keypoints = np.full((17, 2), np.nan)
    keypoints[5:] = scale * LIMBS + offset
    box = np.concatenate([keypoints[5:].min(0), keypoints[5:].max(0)])
    return PersonDetection(
        score, box, keypoints, np.ones(17), np.full((17, 3), np.nan), np.full((MASK_SIZE, MASK_SIZE), mask, np.uint8)
    )


def test_limb_joints_are_the_same_in_every_set() -> None:
    coco = np.arange(17)[:, None] * np.ones(2)
    np.testing.assert_array_equal(limb_joints(coco, COCO17.name)[:, 0], np.arange(5, 17))
    blaze = np.arange(33)[:, None] * np.ones(2)
    np.testing.assert_array_equal(
        limb_joints(blaze, BLAZEPOSE33.name)[:, 0], [11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28]
    )


def test_same_person_with_noise_or_facing_the_other_way() -> None:
    noisy = person()
    noisy.keypoints[5:] += np.random.default_rng(0).normal(0, 2, (12, 2))
    assert same_person(person(), noisy, "coco17")
    mirrored = person()
    mirrored.keypoints[5:] = mirrored.keypoints[5:].reshape(6, 2, 2)[:, ::-1].reshape(12, 2)
    assert same_person(person(), mirrored, "coco17")
    assert not same_person(person(), person((30, 0)), "coco17")


def test_unknown_joints_are_not_compared() -> None:
    a, b = LIMBS.copy(), LIMBS + 1.0
    b[:6] = np.nan
    assert pose_distance(a, b) < 0.1
    b[:9] = np.nan
    assert pose_distance(a, b) == float("inf")
    assert pose_distance(a, np.full((12, 2), np.nan)) == float("inf")


def test_distinct_keeps_the_best_of_each() -> None:
    kept = distinct([person(score=0.5), person((60, 0), 0.7), person((1, 1), 0.9)], "coco17")
    assert [p.score for p in kept] == [0.9, 0.7]


@pytest.mark.parametrize(("mask", "left"), [(255, 1), (0, 2)])
def test_small_pose_on_the_mask_of_a_larger_one_is_a_part_of_it(mask: int, left: int) -> None:
    assert len(distinct([person(mask=mask), person((0, 20), 0.5, scale=0.4)], "coco17")) == left


@pytest.mark.parametrize(("score", "left"), [(0.5, 1), (0.85, 2)])
def test_worse_reading_of_one_silhouette_goes(score: float, left: int) -> None:
    """Another pose on the same mask is a misreading if its score is much lower, and else a second person."""
    other = person(score=score, mask=255)
    other.keypoints[5:] = LIMBS[::-1]
    assert len(distinct([person(mask=255), other], "coco17")) == left
    beside = PersonDetection(
        score, other.box + 200, other.keypoints + 200, other.keypoint_score, other.keypoints3d, other.mask
    )
    assert len(distinct([person(mask=255), beside], "coco17")) == 2


def test_a_misreading_is_told_by_surer_people_whatever_its_score() -> None:
    sure = person(score=0.4, mask=255)
    inside = person((3, 3), score=0.9, scale=0.8, mask=255)
    beside = person((60, 0), score=0.9, mask=255)
    assert misread(inside, [sure])
    assert not misread(beside, [sure])
    assert not misread(inside, [])
