"""Pose-proposal integration: known faults of the public code, and what makes hypotheses one."""

from __future__ import annotations

import numpy as np
import pytest

from mcbench.dope.integration import Hypotheses, IntegrationSettings, integrate
from mcbench.joints import DOPE13

J = len(DOPE13)


def hypotheses(rows: list[tuple], classes: int, joints: int = J) -> Hypotheses:
    """Of rows (box, scores by class, 2D shift px, 3D shift): poses that lie in their boxes, moved."""
    rng = np.random.default_rng(0)
    shape2d, shape3d = rng.uniform(0, 1, (joints, 2)), rng.normal(0, 0.3, (joints, 3))
    boxes = np.array([r[0] for r in rows], dtype=float).reshape(-1, 4)
    scores = np.zeros((len(rows), classes + 1))
    pose2d, pose3d = np.zeros((len(rows), classes, joints, 2)), np.zeros((len(rows), classes, joints, 3))
    for i, (box, said, flat, deep) in enumerate(rows):
        scores[i, 1:] = said
        scores[i, 0] = 1 - np.sum(said)
        base = np.array(box[:2]) + shape2d * (np.array(box[2:]) - np.array(box[:2]))
        pose2d[i] = base + np.reshape(flat, (-1, 1, 1))
        pose3d[i] = shape3d
        # a shift of some joints: one of all is none, as poses are relative to their root
        pose3d[i, :, : joints // 3] += np.reshape(deep, (-1, 1, 1))
    return Hypotheses(boxes, scores, pose2d, pose3d)


BOX = (100, 100, 200, 300)
#: Scores without the support of others.
ALONE = IntegrationSettings(support=1e-9)


def test_nobody() -> None:
    assert integrate("body", hypotheses([], 4)) == []
    assert integrate("body", hypotheses([(BOX, [0.01, 0, 0.01, 0], 0, 0)], 4)) == []


def test_agreeing_proposals_become_their_weighted_mean() -> None:
    rows = [(BOX, [0.6, 0], 0, 0), ((104, 100, 204, 300), [0.3, 0], 0, 0)]
    (found,) = integrate("body", hypotheses(rows, 2), settings=ALONE)
    share = 0.3**3 / (0.6**3 + 0.3**3)
    np.testing.assert_allclose(found.pose.box, [100 + 4 * share, 100, 200 + 4 * share, 300])
    assert found.pose.score == pytest.approx(0.6)


def test_people_apart_stay_apart() -> None:
    rows = [(BOX, [0.6, 0], 0, 0), ((400, 100, 500, 300), [0.5, 0], 0, 0)]
    told = integrate("body", hypotheses(rows, 2), settings=ALONE)
    assert [c.pose.score for c in told] == pytest.approx([0.6, 0.5])


def test_a_part_is_the_surer_the_more_proposals_agree() -> None:
    one = [(BOX, [0.8, 0], 0, 0)]
    beside = (400, 100, 500, 300)
    told = integrate("body", hypotheses([*one * 3, (beside, [0.8, 0], 0, 0)], 2))
    assert [c.pose.box[0] for c in told] == pytest.approx([100, 400])
    expected = [0.8 * (1 - np.exp(-n * 0.8 / IntegrationSettings().support)) for n in (3, 1)]
    assert [c.pose.score for c in told] == pytest.approx(expected)


def test_one_person_is_told_once() -> None:
    """A few doubtful proposals of half a body beside many sure ones of all of it; so may a second body be hidden."""
    sure = [((100 + i, 100, 200 + i, 300), [0.9, 0], 0, 0) for i in range(5)]
    half = [((110, 100, 190, 210), [0.6, 0], 0, 0)]
    told = integrate("body", hypotheses(sure + half, 2), settings=IntegrationSettings(least=0.3))
    assert len(told) == 1
    (_, doubted) = integrate("body", hypotheses(sure + half, 2), settings=IntegrationSettings(least=0.02))
    (alone,) = integrate("body", hypotheses(half, 2), settings=IntegrationSettings(least=0.02))
    assert doubted.pose.score < alone.pose.score


def test_two_people_side_by_side_are_two() -> None:
    rows = [((x + i, 100, x + 100 + i, 300), [0.9, 0], 0, 0) for x in (100, 160) for i in range(4)]
    assert len(integrate("body", hypotheses(rows, 2), settings=IntegrationSettings(least=0.3))) == 2


def test_the_heavier_reading_of_a_part_is_told_alone() -> None:
    rows = [(BOX, [0.5, 0.45], 0, [0, 2.0]), (BOX, [0.4, 0.55], 0, [0, 2.0])]
    found = hypotheses(rows, 2)
    (told,) = integrate("body", found, settings=ALONE)
    expected = found.pose3d[0, 1] - found.pose3d[0, 1][4:6].mean(axis=0)
    np.testing.assert_allclose(told.pose.pose3d, expected)
    assert told.pose.score == pytest.approx(0.95)


def test_which_reading_is_right_is_no_doubt_that_there_is_a_part() -> None:
    rows = [(BOX, [0.5, 0.4], 0, [0, 2.0])]
    (told,) = integrate("body", hypotheses(rows, 2), settings=ALONE)
    assert told.pose.score == pytest.approx(0.9)


@pytest.mark.parametrize("which", [2, 3])
def test_every_upper_body_weighs_less_the_first_one_too(which: int) -> None:
    """Half of four anchor poses are upper bodies: 2 and 3."""
    upper = np.array([False, False, True, True])
    said = np.zeros(4)
    said[0], said[which] = 0.4, 0.5
    shift = np.zeros(4)
    shift[which] = 12.0
    found = hypotheses([(BOX, said, shift, 0)], 4)
    (told,) = integrate("body", found, upper=upper)
    weights = np.array([0.4, 0.5 * IntegrationSettings().upper_weight])
    expected = found.pose2d[0, 0] + 12 * weights[1] / weights.sum()
    np.testing.assert_allclose(told.pose.pose2d, expected)
    legs = [DOPE13.index("left_knee"), DOPE13.index("right_ankle")]
    arms = [DOPE13.index("left_wrist"), DOPE13.index("head")]
    assert told.pose.confidence[legs].max() < told.pose.confidence[arms].min()


def test_handedness_is_the_share_of_its_anchor_poses() -> None:
    left = np.array([False, True])
    boxes = [(0, 0, 40, 40), (200, 0, 240, 40)]
    rows = [(boxes[0], [0.7, 0.2], 0, 0), (boxes[1], [0.1, 0.8], 0, 0)]
    found = integrate("hand", hypotheses(rows, 2, 21), left=left)
    assert [c.right for c in found] == pytest.approx([0.1 / 0.9, 0.7 / 0.9])
    assert [c.pose.box[0] for c in found] == pytest.approx([200, 0])


def test_one_hand_that_could_be_either_is_one_hand() -> None:
    left = np.array([False, True])
    rows = [((0, 0, 40, 40), [0.55, 0.4], 0, 0), ((1, 0, 41, 40), [0.35, 0.4], 0, 0)]
    (told,) = integrate("hand", hypotheses(rows, 2, 21), left=left)
    assert told.right == pytest.approx(0.9 / 1.7)


def test_units_and_roots() -> None:
    found = hypotheses([((0, 0, 40, 40), [0.9], 0, 0)], 1, 21)
    (told,) = integrate("hand", found, unit=0.2)
    np.testing.assert_allclose(told.pose.pose3d, 0.2 * (found.pose3d[0, 0] - found.pose3d[0, 0, 0]))


def test_forty_people_are_forty() -> None:
    rng = np.random.default_rng(3)
    places = [(120 * column, 220 * row) for row in range(5) for column in range(8)]
    boxes = [np.array([x, y, x + 90, y + 200]) + rng.normal(0, 2, 4) for x, y in places for _ in range(6)]
    rows = [(box, [0.55, 0.4], 0, 0) for box in boxes]
    told = integrate("body", hypotheses(rows, 2), settings=IntegrationSettings(least=0.3))
    found = np.array([c.pose.box[:2] for c in told])
    assert len(told) == 40
    assert np.abs(found[:, None] - np.array(places)).max(axis=2).min(axis=0).max() < 6


def test_many_proposals_of_noise_end() -> None:
    rng = np.random.default_rng(1)
    low = rng.uniform(0, 900, (1000, 2))
    boxes = np.concatenate([low, low + rng.uniform(20, 300, (1000, 2))], axis=1)
    scores = rng.dirichlet(np.ones(21), 1000)
    found = Hypotheses(boxes, scores, rng.uniform(0, 1000, (1000, 20, J, 2)), rng.normal(0, 1, (1000, 20, J, 3)))
    told = integrate("body", found)
    assert 0 < len(told) <= 200 and all(c.pose.score >= 0.1 for c in told)
