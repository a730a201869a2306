"""Each reason for rejection, triggered by a case made for it; and a good person who is accepted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fitting import stick_figure as toy

from mcbench.body.rotations import log_so3
from mcbench.dataset.files import write_json
from mcbench.dataset.people import FittedPeople, without_parts
from mcbench.dataset.verdicts import Check, Verdict, load_verdicts, save_verdicts
from mcbench.errors import InputError
from mcbench.fitting.validation import ValidateSettings, usual_outline
from mcbench.joints import COCO17, SMPL24
from mcbench.pipelines.validate import STAGE
from mcbench.workspace.stage import StageContext

GOOD = {"stature_m": 1.7, "moved_at_least_m": 0.0}


def scene(count=10, degrees=60.0, places=((0.0, 0.0),)):
    """People fitted perfectly: (people, measured, cameras, detections)."""
    rng = np.random.default_rng(0)
    states = [toy.person(rng, place, spread=0.3) for place in places]
    cameras = toy.arc_cameras(count, degrees)
    detections, _ = toy.detect(cameras, states, rng)
    posed = [toy.ToyBody().evaluate(s.betas, s.rotations, s.transl, jacobian=False) for s in states]
    n = len(states)
    people = FittedPeople(
        body_model="toy",
        body_digest="0",
        **without_parts(n),
        betas=np.stack([s.betas for s in states]),
        global_orient=np.stack([log_so3(s.rotations[0]) for s in states]),
        body_pose=np.stack([log_so3(s.rotations[1:]) for s in states]),
        transl=np.stack([s.transl for s in states]),
        joints=np.stack([p.joints for p in posed]),
        joints_cov=np.tile(1e-4 * np.eye(3), (n, 24, 1, 1)),
        keypoints=np.stack([p.points for p in posed]),
        detection_person=np.arange(len(detections)) % n,
        residual_px=np.full(n, 1.0),
    )
    return people, [dict(GOOD) for _ in states], cameras, detections


def judge(folder: Path, people, measured, cameras, detections, **settings):
    for name in ("fit", "detect", "out"):
        (folder / name).mkdir()
    people.save(folder / "fit" / "people.npz")
    write_json(folder / "fit" / "scene.json", {"people": measured})
    cameras.save(folder / "fit" / "cameras.json")
    detections.save(folder / "detect" / "detections.npz")
    inputs = {name: folder / name for name in ("source", "sfm", "detect", "fit")}
    summary = STAGE.run(StageContext("scene", inputs, folder / "out", ValidateSettings(**settings)))
    verdicts = load_verdicts(folder / "out" / "people.json")
    assert summary["people"] == len(verdicts)
    assert summary["accepted"] == sum(v.accepted for v in verdicts)
    return verdicts


def test_a_good_person_is_accepted(tmp_path):
    (verdict,) = judge(tmp_path, *scene())
    assert verdict.accepted and verdict.reasons == ()
    values = {check.feature: check.value for check in verdict.checks}
    assert values["views"] == 10
    assert 45 < values["angle_deg"] < 65
    assert values["residual_share"] < 0.01


def bend_a_knee_forwards(people):
    pose = people.body_pose.copy()
    pose[0, SMPL24.index("left_knee") - 1] = [-1.2, 0, 0]
    return replace(people, body_pose=pose)


def read_a_wrist_elsewhere(detections, share):
    """The left wrist of some of the detections on somebody else, far away."""
    keypoints = detections.keypoints.copy()
    keypoints[: round(share * len(detections)), COCO17.index("left_wrist")] += 80.0
    return replace(detections, keypoints=keypoints)


def doubt_a_hand(people):
    cov = people.joints_cov.copy()
    cov[0, SMPL24.index("right_hand")] = 0.15**2 * np.eye(3)
    return replace(people, joints_cov=cov)


@pytest.mark.parametrize(
    "reason, change",
    [
        ("few_views", lambda p, m, c, d: (replace(p, detection_person=np.where(d.frame % 9, -1, 0)), m, c, d)),
        ("high_residual", lambda p, m, c, d: (p, m, c, replace(d, keypoints=d.keypoints + 40.0))),
        ("high_residual", lambda p, m, c, d: (p, m, c, read_a_wrist_elsewhere(d, 0.8))),
        ("implausible_shape", lambda p, m, c, d: (replace(p, betas=p.betas + 6.0), m, c, d)),
        ("implausible_shape", lambda p, m, c, d: (p, [{**m[0], "stature_m": 2.4}], c, d)),
        ("implausible_shape", lambda p, m, c, d: (p, [{**m[0], "stature_m": 0.6}], c, d)),
        ("implausible_pose", lambda p, m, c, d: (bend_a_knee_forwards(p), m, c, d)),
        ("moved", lambda p, m, c, d: (p, [{**m[0], "moved_at_least_m": 0.2}], c, d)),
        ("uncertain", lambda p, m, c, d: (replace(p, joints_cov=p.joints_cov * 100), m, c, d)),
        ("uncertain", lambda p, m, c, d: (doubt_a_hand(p), m, c, d)),
    ],
)
def test_each_reason(tmp_path, reason, change):
    (verdict,) = judge(tmp_path, *change(*scene()))
    assert verdict.reasons == (reason,)
    assert any(check.reason == reason and not check.passed for check in verdict.checks)


def test_a_wrist_misread_now_and_then_is_forgiven(tmp_path):
    people, measured, cameras, detections = scene()
    (verdict,) = judge(tmp_path, people, measured, cameras, read_a_wrist_elsewhere(detections, 0.5))
    assert verdict.accepted
    (check,) = [c for c in verdict.checks if c.feature == "limb_agreement"]
    assert check.value == pytest.approx(0.5)


def test_guesses_at_a_wrist_are_not_held_against_it(tmp_path):
    people, measured, cameras, detections = scene()
    elsewhere = read_a_wrist_elsewhere(detections, 0.5)
    score = detections.keypoint_score.copy()
    score[np.any(elsewhere.keypoints != detections.keypoints, axis=(1, 2)), COCO17.index("left_wrist")] = 0.4
    (verdict,) = judge(tmp_path, people, measured, cameras, replace(elsewhere, keypoint_score=score))
    (check,) = [c for c in verdict.checks if c.feature == "limb_agreement"]
    assert verdict.accepted and check.value == 1.0


def test_a_wrist_that_is_hardly_ever_read_is_not_judged_by_its_readings(tmp_path):
    people, measured, cameras, detections = scene()
    score = detections.keypoint_score.copy()
    score[:4, COCO17.index("left_wrist")] = 0.1
    unread = replace(read_a_wrist_elsewhere(detections, 1.0), keypoint_score=score)
    (verdict,) = judge(tmp_path, people, measured, cameras, unread)
    assert verdict.accepted


def test_low_parallax(tmp_path):
    (verdict,) = judge(tmp_path, *scene(degrees=2.0))
    assert verdict.reasons == ("low_parallax",)


def test_movement_that_could_not_be_measured_rejects_nobody(tmp_path):
    people, measured, cameras, detections = scene()
    measured[0].update(moved_at_least_m=None)
    (verdict,) = judge(tmp_path, people, measured, cameras, detections)
    assert verdict.accepted


def test_two_halves_of_one_who_walked_are_both_rejected(tmp_path):
    people, measured, cameras, detections = scene(places=((-0.2, 0.0), (0.2, 0.0), (2.0, 0.0)))
    person = people.detection_person.copy()
    person[(person == 0) & (detections.frame >= 5)] = -1
    person[(person == 1) & (detections.frame < 5)] = -1
    halves = replace(people, detection_person=person)
    first, second, other = judge(tmp_path, halves, measured, cameras, detections)
    assert first.reasons == second.reasons == ("moved",)
    assert other.accepted


def test_neighbours_seen_together_are_two_people(tmp_path):
    verdicts = judge(tmp_path, *scene(places=((-0.2, 0.0), (0.2, 0.0))))
    assert all(verdict.accepted for verdict in verdicts)


def test_thresholds_are_settings(tmp_path):
    (verdict,) = judge(tmp_path, *scene(), min_views=11)
    assert verdict.reasons == ("few_views",)
    (check,) = [c for c in verdict.checks if c.feature == "views"]
    assert check.threshold == 11


def test_verdicts_survive_a_round_trip(tmp_path):
    verdicts = [
        Verdict(0, (Check("views", 12.0, 3.0, "min", "few_views"), Check("x", None, 1.0, "max", "moved"))),
        Verdict(1, (Check("views", 2.0, 3.0, "min", "few_views"), Check("x", 2.0, 1.0, "max", "moved"))),
    ]
    save_verdicts(tmp_path / "people.json", verdicts)
    assert load_verdicts(tmp_path / "people.json") == verdicts
    assert [v.reasons for v in verdicts] == [(), ("few_views", "moved")]


def test_a_damaged_file_is_named(tmp_path):
    write_json(tmp_path / "people.json", {"format": "mcbench-verdicts/1", "people": [{"person": 0}]})
    with pytest.raises(InputError, match=r"people\.json"):
        load_verdicts(tmp_path / "people.json")


def outlined(measured, whole=0.7, limbs=(0.6, 0.7, 0.8, 0.8)):
    return [{**measured[0], "outline_share": whole, "limb_outline_shares": list(limbs)}]


@pytest.mark.parametrize(
    "limbs, feature",
    [
        ((0.15, 0.7, 0.8, 0.8), "arm_outline"),
        ((0.6, 0.7, 0.8, 0.3), "leg_outline"),
        ((None, 0.7, None, 0.3), "leg_outline"),
    ],
)
def test_a_limb_that_images_do_not_show_where_it_is_fitted(tmp_path, limbs, feature):
    people, measured, cameras, detections = scene()
    (verdict,) = judge(tmp_path, people, outlined(measured, limbs=limbs), cameras, detections)
    assert verdict.reasons == ("off_outline",)
    assert [check.feature for check in verdict.checks if not check.passed] == [feature]


@pytest.mark.parametrize(
    "share, misread, accepted", [(0.35, 0.0, True), (0.21, 0.0, False), (0.35, 0.25, False)], ids=str
)
def test_a_leg_that_is_surely_read_needs_less_of_an_outline(tmp_path, share, misread, accepted):
    """Half of what is shown of the whole: trousers of the wall's colour; 0.3 of it, or a knee that a quarter of the
    views have elsewhere: a leg that is not there."""
    people, measured, cameras, detections = scene()
    keypoints = detections.keypoints.copy()
    keypoints[: round(misread * len(keypoints)), COCO17.index("right_knee")] += 200.0
    ordinary = outlined(measured, limbs=(0.6, 0.7, 0.8, share))
    (verdict,) = judge(tmp_path, people, ordinary, cameras, replace(detections, keypoints=keypoints))
    failed = [check.feature for check in verdict.checks if not check.passed]
    assert verdict.accepted is accepted and failed == ([] if accepted else ["leg_outline"])


def hardly_read(detections, side):
    """Elbow and wrist guessed at in all detections but three."""
    score = detections.keypoint_score.copy()
    score[3:, [COCO17.index(f"{side}_elbow"), COCO17.index(f"{side}_wrist")]] = 0.2
    return replace(detections, keypoint_score=score)


def test_a_limb_that_is_marked_as_unknown_may_be_uncertain(tmp_path):
    people, measured, cameras, detections = scene()
    marked = [{**measured[0], "unknown_limbs": ["right_arm"]}]
    for folder, found in (("read", detections), ("unread", hardly_read(detections, "right"))):
        (tmp_path / folder).mkdir()
        (verdict,) = judge(tmp_path / folder, doubt_a_hand(people), marked, cameras, found)
        (check,) = [c for c in verdict.checks if c.feature == "limb_sd_m"]
        # unread, it is the worst of the others that counts
        assert check.value == pytest.approx(0.15 if folder == "read" else 0.01) and check.passed == verdict.accepted


def test_an_arm_that_is_unknown_needs_no_outline_unless_it_was_read(tmp_path):
    people, measured, cameras, detections = scene()
    marked = [{**outlined(measured, limbs=(0.15, 0.7, 0.8, 0.8))[0], "unknown_limbs": ["left_arm"]}]
    for folder, found in (("read", detections), ("unread", hardly_read(detections, "left"))):
        (tmp_path / folder).mkdir()
        (verdict,) = judge(tmp_path / folder, people, marked, cameras, found)
        assert verdict.reasons == (("off_outline",) if folder == "read" else ())


def test_limbs_that_images_show_need_no_agreement_of_readings(tmp_path):
    """A wrist that half the views misread, and whose arm the images show where it is fitted."""
    people, measured, cameras, detections = scene(count=30)
    misread = read_a_wrist_elsewhere(detections, 0.8)
    for folder in ("unseen", "seen"):
        (tmp_path / folder).mkdir()
    (verdict,) = judge(tmp_path / "unseen", people, measured, cameras, misread)
    assert "high_residual" in verdict.reasons
    (verdict,) = judge(tmp_path / "seen", people, outlined(measured), cameras, misread)
    assert verdict.accepted


def test_who_is_shown_less_than_the_others_is_somewhere_else():
    shares = [{"outline_share": share} for share in (0.8, 0.7, 0.75, None)]
    assert usual_outline(shares) == 0.75
    assert usual_outline(shares[:1]) is None  # nobody to compare with
    assert usual_outline([{"outline_share": share} for share in (0.3, 0.4, 0.5)]) is None  # images that show little
    assert usual_outline([{}] * 5) is None


def test_a_reason_must_be_a_known_one():
    with pytest.raises(ValueError, match="no reason for rejection"):
        Check("feature", 1.0, 2.0, "min", "no_reason")
