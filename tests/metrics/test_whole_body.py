"""Scores of whole-body people: known answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from whole_bodies import body, face, hand

from mcbench.dope.people import JOINTS, KINDS, PartPose, WholeBody, box_round
from mcbench.metrics.whole_body import AUC_M, SIGMAS, AveragePrecision, ImageTruth, WholeBodyScores, oks

EVERYBODY = frozenset(KINDS)


def person(x: float = 0.0, scale: float = 4.0, **scores: float) -> WholeBody:
    """Somebody at x m with all parts and 3D, `scale` times 100 px a metre."""
    rng = np.random.default_rng(5)
    parts = {
        "body": body(x, scores.get("body", 0.9)),
        "left_hand": hand(x + 0.4).pose,
        "right_hand": hand(x - 0.58).pose,
        "face": face(x),
    }
    made = {}
    for name, part in parts.items():
        pose3d = part.pose3d if name == "body" else rng.normal(0, 0.05, part.pose3d.shape)
        pose2d = scale * part.pose2d
        made[name] = PartPose(part.score, pose2d, pose3d, np.ones(len(pose2d)), box_round(pose2d))
    return WholeBody.of(made)


def changed(who: WholeBody, part: str, **values: np.ndarray) -> WholeBody:
    return replace(who, **{part: replace(getattr(who, part), **values)})


def score(true: list[WholeBody], predicted: list[WholeBody], **truth: object) -> dict:
    scores = WholeBodyScores()
    scores.add(ImageTruth(true, **truth), predicted)
    return scores.summary()


def test_oks_falls_as_published() -> None:
    true, sigma = np.zeros((2, 2)), np.array([0.1, 0.1])
    off = np.array([[0.0, 0.0], [np.sqrt(2) * 0.2 * 30, 0.0]])
    both = np.array([True, True])
    assert oks(true, true, both, 900.0, sigma) == 1.0
    assert oks(off, true, both, 900.0, sigma) == pytest.approx((1 + np.exp(-1)) / 2)
    assert oks(off, true, np.array([True, False]), 900.0, sigma) == 1.0
    off[1] = np.nan
    assert oks(off, true, both, 900.0, sigma) == 0.5
    assert [len(SIGMAS[kind]) for kind in KINDS] == [len(JOINTS[kind]) for kind in KINDS]


def ap(similarity: list[list[float]], scores: list[float], asked: list[bool], ignored: list[bool]) -> float | None:
    made = AveragePrecision()
    table = np.array(similarity, dtype=float).reshape(len(scores), len(asked))
    made.add(table, np.array(scores), np.array(asked, dtype=bool), np.array(ignored, dtype=bool))
    return made.value()


def test_average_precision_by_hand() -> None:
    assert ap([[1.0, 0], [0, 1.0]], [0.9, 0.8], [True, True], [False, False]) == 1.0
    assert ap([[1.0, 0]], [0.9], [True, True], [False]) == pytest.approx(51 / 101)
    # a wrong one before the right one: precision 1/2 at every recall
    assert ap([[0.0], [1.0]], [0.9, 0.8], [True], [False, False]) == pytest.approx(0.5)
    assert ap([[1.0], [0.0]], [0.9, 0.8], [True], [False, False]) == 1.0
    # similar enough for the thresholds of 0.50 to 0.70 alone
    assert ap([[0.72]], [0.9], [True], [False]) == pytest.approx(0.5)
    # found twice: the second is wrong, but comes after
    assert ap([[1.0], [1.0]], [0.9, 0.8], [True], [False, False]) == 1.0
    assert ap([], [], [True], []) == 0.0 and ap([], [], [], []) is None


def test_who_is_not_asked_for_makes_nothing_wrong() -> None:
    assert ap([[0, 1.0], [1.0, 0]], [0.9, 0.8], [True, False], [False, False]) == 1.0
    assert ap([[0.0], [1.0]], [0.9, 0.8], [True], [True, False]) == 1.0
    assert ap([[1.0]], [0.9], [False], [False]) is None


def test_a_perfect_answer() -> None:
    found = score([person(), person(2.0)], [person(2.0), person()])
    for kind, count in (("body", 2), ("hand", 4), ("face", 2)):
        part = found[kind]
        assert (part["true"], part["found"], part["wrong"]) == (count, count, 0)
        assert part["recall"] == part["precision"] == part["ap"] == part["pck"] == 1.0
        assert part["error_2d"] == 0.0
        assert part["mpjpe_mm"] == pytest.approx(0) and part["pa_mpjpe_mm"] == pytest.approx(0, abs=1e-6)
    assert found["hand"]["auc"] == found["hand"]["side_accuracy"] == 1.0 and found["whole_body_ap"] == 1.0


def test_what_is_missed_costs_its_diagonal() -> None:
    who = person()
    found = score([who], [])
    for kind, part in (("body", who.body), ("face", who.face)):
        assert found[kind]["recall"] == found[kind]["pck"] == found[kind]["ap"] == 0.0
        assert found[kind]["error_2d"] == pytest.approx(1.0)
        diagonal = 1000 * np.linalg.norm(np.ptp(part.pose3d, axis=0))
        assert found[kind]["mpjpe_mm"] == pytest.approx(diagonal)
        assert found[kind]["pa_mpjpe_mm"] == pytest.approx(diagonal)
        assert found[kind]["mpjpe_found_mm"] is None and found[kind]["precision"] is None
    assert found["hand"]["auc"] == found["whole_body_ap"] == 0.0


def test_a_hand_whose_joints_are_off() -> None:
    """All but the wrist are 29.5 mm off in space and a fifth of its size in the image."""
    who = person()
    part = who.left_hand
    off3d = np.zeros((21, 3))
    off3d[1:, 1] = 0.0295
    off2d = np.zeros((21, 2))
    off2d[1:, 0] = 0.2 * part.size
    found = score([who], [changed(who, "left_hand", pose3d=part.pose3d + off3d, pose2d=part.pose2d + off2d)])["hand"]
    assert found["mpjpe_mm"] == pytest.approx(29.5 * 20 / 21 / 2)
    right = (AUC_M >= 0.0295).mean()
    assert found["auc"] == pytest.approx((21 + 1 + 20 * right) / 42)
    assert found["pck"] == pytest.approx(22 / 42)
    diagonal = np.linalg.norm(part.box[2:] - part.box[:2])
    assert found["error_2d"] == pytest.approx(0.2 * part.size * 20 / 21 / diagonal / 2)


def test_size_turn_and_place_do_not_count_after_procrustes() -> None:
    who = person()
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    found = score([who], [changed(who, "face", pose3d=1.3 * who.face.pose3d @ turn + 0.5)])["face"]
    assert found["mpjpe_mm"] > 50 and found["pa_mpjpe_mm"] == pytest.approx(0, abs=1e-6)


def test_a_place_does_not_count_a_root_does() -> None:
    who = person()
    assert score([who], [changed(who, "body", pose3d=who.body.pose3d + 3.0)])["body"]["mpjpe_mm"] == pytest.approx(0)


def test_a_hand_of_the_wrong_side_is_found_on_the_wrong_side() -> None:
    who = person()
    swapped = replace(who, left_hand=who.right_hand, right_hand=who.left_hand)
    found = score([who], [swapped])["hand"]
    assert found["recall"] == 1.0 and found["side_accuracy"] == 0.0 and found["mpjpe_mm"] == pytest.approx(0)


def test_too_far_off_is_missed_and_wrong() -> None:
    who = person()
    diagonal = np.linalg.norm(who.face.box[2:] - who.face.box[:2])
    for share, (recall, wrong) in {0.2: (1.0, 0), 0.3: (0.0, 1)}.items():
        moved = changed(who, "face", pose2d=who.face.pose2d + np.array([share * diagonal, 0]))
        found = score([who], [moved])["face"]
        assert (found["recall"], found["wrong"]) == (recall, wrong)


def test_only_what_is_large_labelled_and_in_the_image_is_asked_for() -> None:
    small = person(scale=0.6)  # bodies are large enough, hands and faces are not
    found = score([small], [small])
    assert [found[kind]["true"] for kind in KINDS] == [1, 0, 0] and found["face"]["wrong"] == 0
    found = score([person()], [person()], labelled=frozenset({"hand"}))
    assert [found[kind]["true"] for kind in KINDS] == [0, 2, 0] and found["whole_body_ap"] is None
    who = person()
    half = np.r_[np.ones(6), np.zeros(7)]
    wild = np.where(half[:, None] > 0, who.body.pose2d, 1e5)
    found = score([changed(who, "body", confidence=half)], [changed(who, "body", pose2d=wild)])
    assert found["body"]["error_2d"] == 0.0 and found["body"]["pck"] == 1.0


def test_where_nothing_is_labelled_nothing_is_wrong() -> None:
    stranger = person(3.0)
    boxes = {kind: np.array([[800.0, 0, 2000, 2000]]) for kind in KINDS}
    for ignored, wrong in ((boxes, 0), ({}, 1)):
        found = score([person()], [person(), replace(stranger, score=0.99)], ignored=ignored)
        assert found["body"]["wrong"] == found["face"]["wrong"] == wrong
        assert (found["whole_body_ap"] == 1.0) == (wrong == 0)


def test_without_3d_there_are_no_errors_in_3d() -> None:
    who = person()
    flat = changed(who, "body", pose3d=np.full((13, 3), np.nan))
    assert score([flat], [who])["body"]["mpjpe_mm"] is None
    missing = score([who], [flat])["body"]  # a method without 3D
    assert missing["mpjpe_mm"] == pytest.approx(missing["pa_mpjpe_mm"]) and missing["recall"] == 1.0
    assert missing["mpjpe_mm"] > 1000


def test_order_does_not_matter() -> None:
    true = [person(), person(1.2), person(2.5)]
    predicted = []
    for n, x in enumerate((0.05, 2.4, 5.0)):
        parts = person(x).parts
        predicted.append(WholeBody.of({k: replace(p, score=0.5 + 0.1 * n + 0.01 * len(k)) for k, p in parts.items()}))
    one, other = score(true, predicted), score(true[::-1], predicted[::-1])
    assert one["whole_body_ap"] == other["whole_body_ap"]
    for kind in KINDS:
        assert one[kind] == pytest.approx(other[kind])
