"""Scoring of one image: who is asked for, who is matched, who is missed, and what the numbers then are."""

from __future__ import annotations

import numpy as np
import pytest

from mcbench.metrics.evaluation import METRICS, ImagePrediction, ImageTruth, ItemScores, score_image, summarise_items
from mcbench.metrics.protocols import protocol

PROTOCOL = protocol("3dpw")
AREA = np.ones(5)


def truth(people: int = 3) -> ImageTruth:
    """People side by side, 100 px apart, all joints in sight."""
    rng = np.random.default_rng(0)
    left = 100.0 * np.arange(people)
    return ImageTruth(
        image=7,
        person=np.arange(people) + 40,
        box=np.stack([left, np.zeros(people), left + 50, np.full(people, 100.0)], axis=1),
        visible=np.ones((people, 24), dtype=bool),
        joints=rng.normal(size=(people, 24, 3)),
        vertices=rng.normal(size=(people, 5, 3)),
    )


def exact(of: ImageTruth, order: list[int]) -> ImagePrediction:
    return ImagePrediction(of.box[order], of.joints[order].copy(), of.vertices[order].copy())


def test_the_exact_answer_in_any_order_has_no_error() -> None:
    true = truth()
    scores = score_image(true, exact(true, [2, 0, 1]), PROTOCOL, AREA)
    assert scores.person.tolist() == [40, 41, 42] and scores.image.tolist() == [7, 7, 7]
    np.testing.assert_allclose(scores.iou, 1)
    for name in METRICS:
        np.testing.assert_allclose(scores.errors[name], 0, atol=1e-9)
    assert scores.unmatched == 0 and scores.matched.all()


def test_an_error_is_that_of_the_person_who_has_it() -> None:
    """One hand 0.24 m off: 0.01 m over 24 joints, and no vertex off."""
    true = truth()
    predicted = exact(true, [1, 2, 0])
    predicted.joints[1, 22, 2] += 0.24  # of person 42
    scores = score_image(true, predicted, PROTOCOL, AREA)
    np.testing.assert_allclose(scores.errors["mpjpe"], [0, 0, 0.01], atol=1e-12)
    np.testing.assert_allclose(scores.errors["pve"], 0, atol=1e-12)
    assert scores.errors["pa_mpjpe"][2] > 1e-3 > scores.errors["pa_mpjpe"][:2].max()


def test_a_missed_person_has_no_error_but_counts() -> None:
    true = truth()
    scores = score_image(true, exact(true, [2]), PROTOCOL, AREA)
    assert scores.matched.tolist() == [False, False, True]
    assert np.isnan(scores.errors["mpjpe"]).tolist() == [True, True, False]
    for name in METRICS:
        assert scores.errors[name][2] == pytest.approx(0, abs=1e-9), name
    summary = summarise_items(scores)
    assert (summary["items"], summary["matched"], summary["recall"]) == (3, 1, pytest.approx(1 / 3))


def test_who_is_hardly_seen_is_not_asked_for_but_keeps_their_prediction() -> None:
    true = truth(2)
    true.visible[1, 7:] = False
    scores = score_image(true, exact(true, [1]), PROTOCOL, AREA)
    assert scores.person.tolist() == [40] and not scores.matched.any() and scores.unmatched == 0
    true.visible[1, 7] = True  # the eighth joint
    scores = score_image(true, exact(true, [1]), PROTOCOL, AREA)
    assert scores.person.tolist() == [40, 41] and scores.matched.tolist() == [False, True]


def test_boxes_decide_whose_prediction_it_is_not_poses() -> None:
    true = truth(2)
    predicted = exact(true, [0, 1])
    swapped = ImagePrediction(predicted.box, predicted.joints[::-1], predicted.vertices)
    assert (score_image(true, swapped, PROTOCOL, AREA).errors["mpjpe"] > 0.1).all()


@pytest.mark.parametrize(("shift", "matched"), [(26.0, True), (28.0, False)])  # IoU 24/76, 22/78
def test_boxes_must_overlap_by_three_tenths(shift: float, matched: bool) -> None:
    true = truth(1)
    predicted = exact(true, [0])
    predicted.box[:, [0, 2]] += shift
    scores = score_image(true, predicted, PROTOCOL, AREA)
    assert scores.matched.tolist() == [matched] and scores.unmatched == (0 if matched else 1)


def test_a_prediction_that_is_not_finite_is_never_matched() -> None:
    true = truth(2)
    predicted = exact(true, [0, 1])
    predicted.joints[0, 3, 1] = np.nan
    scores = score_image(true, predicted, PROTOCOL, AREA)
    assert scores.matched.tolist() == [False, True] and scores.unmatched == 1


@pytest.mark.parametrize("vertices", [None, np.zeros((2, 6, 3))])
def test_vertices_of_none_or_of_another_mesh_are_not_scored(vertices: np.ndarray | None) -> None:
    true = truth(2)
    predicted = ImagePrediction(true.box, true.joints, vertices)
    scores = score_image(true, predicted, PROTOCOL, AREA)
    np.testing.assert_allclose(scores.errors["mpjpe"], 0, atol=1e-12)
    assert np.isnan(scores.errors["pve"]).all() and np.isnan(scores.errors["pa_pve"]).all()
    summary = summarise_items(scores)
    assert summary["pve_mm"] is None and summary["pve_mm_interval90"] is None


def test_nobody_predicted_and_nobody_there() -> None:
    true = truth(2)
    nothing = ImagePrediction(np.zeros((0, 4)), np.zeros((0, 24, 3)), np.zeros((0, 5, 3)))
    scores = score_image(true, nothing, PROTOCOL, AREA)
    assert len(scores.iou) == 2 and not scores.matched.any()
    scores = score_image(truth(0), exact(true, [0, 1]), PROTOCOL, AREA)
    assert len(scores.iou) == 0 and scores.unmatched == 2


def test_a_summary_is_in_millimetres_with_intervals_over_people() -> None:
    """Forty people in two images each: half 10 mm off, half 30."""
    person = np.repeat(np.arange(40), 2)
    error = np.where(person < 20, 0.01, 0.03)
    errors = {name: error if name == "mpjpe" else error * np.nan for name in METRICS}
    scores = ItemScores(np.tile([0, 1], 40), person, np.ones(80), errors, 3)
    summary = summarise_items(scores)
    assert summary["mpjpe_mm"] == pytest.approx(20)
    low, high = summary["mpjpe_mm_interval90"]
    # the mean of 40 people has a standard error of 10 / sqrt(40) = 1.6 mm; 90 % are 1.64 of them to either side
    assert low == pytest.approx(20 - 2.6, abs=0.8) and high == pytest.approx(20 + 2.6, abs=0.8)
    assert (summary["items"], summary["people"], summary["recall"]) == (80, 40, 1.0)
    assert summary["unmatched_predictions"] == 3


def test_parts_are_put_together() -> None:
    true = truth(2)
    one = score_image(true, exact(true, [0]), PROTOCOL, AREA)
    other = score_image(truth(1), exact(true, [0, 1]), PROTOCOL, AREA)
    both = ItemScores.concatenate([one, other])
    assert both.person.tolist() == [40, 41, 40] and both.matched.tolist() == [True, False, True]
    assert both.unmatched == 1 and set(both.errors) == set(METRICS)
    empty = ItemScores.concatenate([])
    assert len(empty.iou) == 0 and summarise_items(empty)["recall"] is None
