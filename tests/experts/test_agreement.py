"""Two networks' readings of one person: where they agree, where they differ, and who is believed then."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcbench.experts.agreement import agreed, alone, confirmed, likely_right, right_of, score_of
from mcbench.experts.base import PersonDetection
from mcbench.experts.duplicates import LIMBS
from mcbench.joints import BLAZEPOSE33

STATURE_PX = 340.0  # 200 px a metre
LIMB_JOINTS = [BLAZEPOSE33.index(name) for name in LIMBS]
scores = st.floats(0.0, 1.0)
gaps = st.floats(0.0, 10.0)


def reading(score: float = 0.9, seed: int = 0) -> PersonDetection:
    points3d = np.random.default_rng(seed).uniform(-0.8, 0.8, (33, 3))
    points = 200.0 * points3d[:, :2] + 300.0
    box = np.concatenate([points.min(0), points.max(0)])
    return PersonDetection(0.8, box, points, np.full(33, score), points3d, np.zeros((32, 32), np.uint8))


def moved(person: PersonDetection, name: str, by_px: float, score: float | None = None) -> PersonDetection:
    """The person with a joint elsewhere."""
    keypoints, keypoint_score = person.keypoints.copy(), person.keypoint_score.copy()
    keypoints[BLAZEPOSE33.index(name)] += [by_px, 0.0]
    if score is not None:
        keypoint_score[BLAZEPOSE33.index(name)] = score
    return replace(person, keypoints=keypoints, keypoint_score=keypoint_score)


def of(person: PersonDetection, name: str) -> float:
    return float(person.keypoint_score[BLAZEPOSE33.index(name)])


@given(scores, scores, gaps)
def test_chances_are_chances(blazepose: float, multipose: float, gap: float) -> None:
    assert all(0.0 <= chance <= 1.0 for chance in likely_right(blazepose, multipose, gap))


@given(scores, scores, st.floats(0.0, 0.05))
def test_readings_that_agree_are_surer_than_ones_that_are_far_apart(b: float, m: float, gap: float) -> None:
    assert min(likely_right(b, m, gap / 5)) > max(likely_right(b, m, gap / 5 + 0.3)) - 0.35
    assert sum(likely_right(b, m, gap / 5)) > sum(likely_right(b, m, gap / 5 + 0.1))


def test_of_two_that_differ_the_one_with_the_better_score_is_likelier() -> None:
    sure_first, doubtful_second = likely_right(1.0, 0.2, 0.15)
    doubtful_first, sure_second = likely_right(0.3, 0.85, 0.15)
    assert sure_first > 3 * doubtful_second
    assert sure_second > 3 * doubtful_first
    assert max(likely_right(1.0, 0.6, 0.15)) < 0.8  # both claim to be sure: nobody is


def test_what_both_say_is_sure_whatever_the_first_one_thinks() -> None:
    doubtful = reading(0.4)
    joined = agreed(doubtful, reading(0.8), "blazepose33")
    assert joined.keypoint_score[LIMB_JOINTS].min() > 0.9
    np.testing.assert_array_equal(joined.keypoints, doubtful.keypoints)
    others = np.setdiff1d(np.arange(33), LIMB_JOINTS)
    np.testing.assert_allclose(joined.keypoint_score[others], 0.4)


def test_a_limb_that_only_the_second_sees_is_where_it_says() -> None:
    person = moved(reading(0.9), "left_ankle", 0.2 * STATURE_PX, 0.4)
    for name in ("left_heel", "left_foot_index"):
        person = moved(person, name, 0.2 * STATURE_PX)
    joined = agreed(person, reading(0.8), "blazepose33")
    np.testing.assert_allclose(joined.keypoints, reading().keypoints)
    assert of(joined, "left_heel") < 0.3  # they were read beside the ankle that is no longer believed
    assert of(joined, "left_foot_index") < 0.3
    assert of(joined, "right_heel") == pytest.approx(0.9)


def test_sure_readings_that_differ_are_doubted() -> None:
    joined = agreed(moved(reading(0.95), "left_knee", 0.2 * STATURE_PX), reading(0.8), "blazepose33")
    assert of(joined, "left_knee") < 0.75
    assert of(joined, "right_knee") == 1.0


def test_which_side_is_which_is_the_first_ones_to_say() -> None:
    exchanged = reading(0.8)
    order = list(BLAZEPOSE33.flip)
    exchanged = replace(exchanged, keypoints=exchanged.keypoints[order])
    joined = agreed(reading(0.7), exchanged, "blazepose33")
    np.testing.assert_array_equal(joined.keypoints, reading().keypoints)
    assert joined.keypoint_score[LIMB_JOINTS].min() > 0.9


def test_what_the_second_does_not_know_stays_as_it_is() -> None:
    opinion = reading(0.8)
    opinion.keypoints[BLAZEPOSE33.index("left_wrist")] = np.nan
    joined = agreed(reading(0.6), opinion, "blazepose33")
    assert of(joined, "left_wrist") == pytest.approx(0.6)
    assert of(joined, "right_wrist") > 0.9


def test_a_reading_that_stands_alone_has_scores_of_the_first_ones_kind() -> None:
    person = reading(0.8)
    person.keypoint_score[:4] = [0.0, 0.2, 0.5, 0.9]
    score = alone(person).keypoint_score
    assert score[0] == 0.0
    assert 0.1 < score[1] < score[2] < 0.7 < score[4] < score[3] == 1.0


def test_a_reader_makes_surer_what_it_has_in_the_same_place() -> None:
    """Who is likely right keeps the place, which is calibrated; a doubtful one goes half the way."""
    knee = BLAZEPOSE33.index("left_knee")
    for score, share in ((0.8, 0.0), (0.3, 0.5)):
        first = reading(score)
        other = moved(reading(0.9), "left_knee", 0.01 * STATURE_PX)
        sure = confirmed(first, other, STATURE_PX, BLAZEPOSE33.name)
        assert (sure.keypoint_score[LIMB_JOINTS] > score).all()
        assert sure.keypoints[knee, 0] - first.keypoints[knee, 0] == pytest.approx(share * 0.01 * STATURE_PX)


def test_where_a_reader_is_the_likelier_one_the_limb_goes_and_what_hangs_on_it() -> None:
    first = moved(reading(0.9), "left_wrist", 0.0, score=0.3)
    other = moved(reading(0.9), "left_wrist", 0.2 * STATURE_PX, score=1.0)
    gone = confirmed(first, other, STATURE_PX, BLAZEPOSE33.name)
    for name in ("left_wrist", "left_index"):
        k = BLAZEPOSE33.index(name)
        np.testing.assert_allclose(gone.keypoints[k] - first.keypoints[k], [0.2 * STATURE_PX, 0.0])
    assert of(gone, "left_index") < of(first, "left_index")
    assert of(gone, "right_wrist") >= of(first, "right_wrist")


def test_what_a_reader_does_not_see_is_doubted_where_the_other_is_not_sure_and_stays() -> None:
    first = reading(0.5)
    arm = [BLAZEPOSE33.index(f"left_{name}") for name in ("shoulder", "elbow", "wrist")]
    unseen = reading(0.0)
    unseen.keypoints[arm] = np.nan
    kept = confirmed(first, unseen, STATURE_PX, BLAZEPOSE33.name)
    np.testing.assert_array_equal(kept.keypoints[arm], first.keypoints[arm])
    np.testing.assert_array_equal(kept.keypoint_score[arm], first.keypoint_score[arm])
    assert of(kept, "nose") < of(first, "nose")
    unseen.keypoints[:] = np.nan
    assert confirmed(first, unseen, STATURE_PX, BLAZEPOSE33.name) is first


def test_sides_are_the_readings_to_say() -> None:
    first = reading(0.9)
    order = list(BLAZEPOSE33.flip)
    exchanged = replace(first, keypoints=first.keypoints[order], keypoint_score=first.keypoint_score[order])
    same = confirmed(first, exchanged, STATURE_PX, BLAZEPOSE33.name)
    np.testing.assert_allclose(same.keypoints[LIMB_JOINTS], first.keypoints[LIMB_JOINTS])


@given(scores)
def test_scores_and_chances_go_with_each_other(score: float) -> None:
    assert float(score_of(right_of(score))) == pytest.approx(min(max(score, 0.0), 1.0), abs=1e-9) or score > 0.9
