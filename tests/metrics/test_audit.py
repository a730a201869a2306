"""The audit's numbers on scenes whose answers are known by construction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mcbench.cameras.alignment import Similarity
from mcbench.dataset.truth import SceneTruth
from mcbench.metrics.audit_summary import person_row, summarise
from mcbench.metrics.scene_audit import PartsTrue, SceneAudit, SceneFit, audit_scene, counting_people, joint_coverage

FRAMES, VERTICES = 8, 60


def make_truth(people: int = 3, seed: int = 0) -> SceneTruth:
    rng = np.random.default_rng(seed)
    place = np.arange(people)[:, None, None] * np.array([2.0, 0.0, 0.0])
    joints = rng.normal(scale=0.4, size=(people, 24, 3)) + place
    rotations = Rotation.from_rotvec(rng.normal(scale=0.2, size=(FRAMES, 3))).as_matrix()
    centers = rng.normal(size=(FRAMES, 3)) * [2.0, 1.0, 0.5]
    pose = np.concatenate([rotations, -np.einsum("fij,fj->fi", rotations, centers)[..., None]], axis=-1)
    return SceneTruth(
        clip="room.mp4",
        image_size=(64, 48),
        K=np.tile(np.eye(3), (FRAMES, 1, 1)),
        cam_from_world=pose,
        person_id=np.arange(people) + 10,
        joints=joints,
        joints_visible=np.ones((FRAMES, people, 24), dtype=bool),
        box=np.zeros((FRAMES, people, 4)),
        vertices=rng.normal(scale=0.4, size=(people, VERTICES, 3)) + place,
        vertices_visible=np.full((people, VERTICES), FRAMES, dtype=np.int32),
        hands=joints[:, 20:22, None] + rng.normal(scale=0.05, size=(people, 2, 21, 3)),
        hands_px=np.full((FRAMES, people, 2), 50.0),
        face=joints[:, 15, None] + rng.normal(scale=0.05, size=(people, 51, 3)),
        face_px=np.full((FRAMES, people), 50.0),
        moved=np.zeros((FRAMES, people, 3)),
    )


def make_fit(truth: SceneTruth, fit_from_truth: Similarity, **changes: object) -> SceneFit:
    """The truth itself, seen in another world."""
    pose = truth.cam_from_world
    centers = -np.einsum("fji,fj->fi", pose[..., :3], pose[..., 3])
    people = len(truth.joints)
    fit = SceneFit(
        frame=np.arange(FRAMES),
        centers=fit_from_truth.apply(centers),
        joints=fit_from_truth.apply(truth.joints),
        joints_cov=np.tile(1e-4 * np.eye(3), (people, 24, 1, 1)),
        hands=fit_from_truth.apply(truth.hands),
        face=fit_from_truth.apply(truth.face),
        vertices=fit_from_truth.apply(truth.vertices),
        skin_area=np.ones(VERTICES),
        accepted=np.ones(people, dtype=bool),
        moved=np.full(people, 0.002),
    )
    return replace(fit, **changes)


WORLD = Similarity(1.05, Rotation.from_rotvec([0.3, -0.8, 0.5]).as_matrix(), np.array([4.0, -1.0, 2.0]))
SAME_SCALE = Similarity(1.0, WORLD.R, WORLD.t)


def test_a_perfect_fit_in_another_world() -> None:
    truth = make_truth()
    numbers = summarise([audit_scene("room", make_fit(truth, SAME_SCALE, scale_interval=(0.95, 1.05)), truth, 6.0)])
    assert numbers["recall"] == 1.0 and numbers["accepted_wrong"] == 0
    assert numbers["people_true"] == numbers["people_found"] == numbers["people_accepted"] == 3
    for key in ("pve_mm", "pve_scaled_mm", "pve_all_mm", "pve_scaled_all_mm"):
        assert numbers[key]["median"] == pytest.approx(0.0, abs=1e-6)
    assert numbers["pa_mpjpe_mm"] == pytest.approx(0.0, abs=1e-6)
    assert numbers["camera_center_mm"] == pytest.approx(0.0, abs=1e-6)
    assert numbers["coverage90"] == numbers["coverage90_absolute"] == numbers["scale_coverage90"] == 1.0
    assert numbers["coverage90_by_group"] == {"torso": 1.0, "head": 1.0, "arms": 1.0, "legs": 1.0}
    assert numbers["ellipsoid_mm"] == pytest.approx(10 * np.sqrt(6.2514), rel=1e-4)  # chi2 of 3, 90 %
    assert numbers["seconds_fit_per_person"] == 2.0
    assert numbers["moved_mm"] == {"still": pytest.approx(2.0), "planted": None}
    assert numbers["hand_mm"] == pytest.approx(0.0, abs=1e-6) and numbers["hand_recall"] == 1.0
    assert numbers["face_mm"] == pytest.approx(0.0, abs=1e-6) and numbers["face_recall"] == 1.0


def test_hands_and_faces_are_shifted_and_never_turned() -> None:
    truth = make_truth()
    fit = make_fit(truth, SAME_SCALE)
    fit.hands[0, 0] += [0.1, 0.2, 0.3]  # with its wrist
    fit.hands[0, 1, 1:] += [0.0, 0.0, 0.012]  # without
    fit.hands[1, 0] = np.nan
    turn = Rotation.from_rotvec([0, 0, 0.3]).as_matrix()
    fit.hands[2, 0] = (fit.hands[2, 0] - fit.hands[2, 0, 0]) @ turn.T + fit.hands[2, 0, 0]
    fit.face[0] += [0.0, 0.003, 0.004]
    fit.face[2] = np.nan
    people = audit_scene("room", fit, truth).people
    assert people[0].hands == pytest.approx((0.0, 0.012), abs=1e-9)
    assert people[0].face == pytest.approx((0.005,), abs=1e-9)
    assert np.isnan(people[1].hands[0]) and people[1].hands[1] == pytest.approx(0, abs=1e-9)
    own = truth.hands[2, 0] - truth.hands[2, 0, 0]
    in_fit = own @ WORLD.R.T
    expected = np.linalg.norm(in_fit @ turn.T - in_fit, axis=1)[1:].mean()
    assert people[2].hands[0] == pytest.approx(expected)
    assert person_row("room", people[1])["hands_mm"][0] is None
    numbers = summarise([audit_scene("room", fit, truth)])
    assert numbers["hand_recall"] == pytest.approx(5 / 6) and numbers["face_recall"] == pytest.approx(2 / 3)
    assert numbers["face_mm"] == pytest.approx(2.5)


def test_hands_that_are_small_or_of_rejected_people_are_missed_or_not_asked_for() -> None:
    truth = make_truth()
    truth.hands_px[4:, 0] = 39.0  # large in four frames
    truth.face_px[:, 1] = 30.0
    truth.hands[2, 1] = np.nan
    accepted = np.array([True, False, True])
    numbers = summarise([audit_scene("room", make_fit(truth, SAME_SCALE, accepted=accepted), truth)])
    assert numbers["hand_recall"] == pytest.approx(1 / 3)  # two of the person rejected, one of the third
    assert numbers["face_recall"] == 1.0
    gone = SceneAudit("other", True, 3, parts_true=PartsTrue.of(truth))
    assert (gone.parts_true.hands, gone.parts_true.faces) == (3, 2)
    assert summarise([gone])["hand_recall"] == 0.0


def test_a_wrong_scale_shows_in_pve_and_not_in_pve_scaled() -> None:
    truth = make_truth()
    audit = audit_scene("room", make_fit(truth, WORLD, scale_interval=(0.99, 1.01)), truth)
    numbers = summarise([audit])
    assert numbers["scale_error_pct"] == pytest.approx(5.0)
    assert numbers["scale_coverage90"] == 0.0
    expected = 0.05 * np.linalg.norm(truth.vertices - truth.joints[:, :1], axis=-1).mean(axis=1)
    assert numbers["pve_mm"]["median"] == pytest.approx(1000 * np.median(expected))
    assert numbers["pve_scaled_mm"]["median"] == pytest.approx(0.0, abs=1e-6)
    covered = audit_scene("room", make_fit(truth, WORLD, scale_interval=(0.94, 1.06)), truth)
    assert covered.scale_covered


def test_a_person_turned_on_the_spot_is_wrong() -> None:
    truth = make_truth()
    fit = make_fit(truth, SAME_SCALE)
    root = fit.joints[1, 0]
    turn = Rotation.from_rotvec([0, 0, 0.3]).as_matrix()
    assert fit.vertices is not None
    fit.joints[1] = (fit.joints[1] - root) @ turn.T + root
    fit.vertices[1] = (fit.vertices[1] - root) @ turn.T + root
    audit = audit_scene("room", fit, truth)
    numbers = summarise([audit])
    assert numbers["accepted_wrong"] == 1 and numbers["accepted_wrong_share"] == pytest.approx(1 / 3)
    assert numbers["pa_mpjpe_mm"] == pytest.approx(0.0, abs=1e-6)  # Procrustes cannot see it
    assert numbers["good_accepted_share"] == 1.0
    row = person_row("room", audit.people[1])
    assert row["wrong"] and row["true_person"] == 11 and row["pve_scaled_mm"] > 50


def test_nobody_there_is_wrong_and_rejected_is_missed() -> None:
    truth = make_truth()
    fit = make_fit(truth, SAME_SCALE)
    fit.joints[0] += [0.0, 40.0, 0.0]
    fit.accepted[1] = False
    numbers = summarise([audit_scene("room", fit, truth)])
    assert numbers["people_found"] == 2 and numbers["people_accepted"] == 2
    assert numbers["recall"] == pytest.approx(1 / 3)
    assert numbers["accepted_wrong"] == 1
    assert numbers["good_accepted_share"] == 0.5


def test_a_rejected_scene_misses_its_people() -> None:
    truth = make_truth()
    numbers = summarise([audit_scene("a", make_fit(truth, SAME_SCALE), truth), SceneAudit("b", True, 2)])
    assert numbers["scenes"] == 2 and numbers["scenes_rejected"] == 1
    assert numbers["people_true"] == 5 and numbers["recall"] == pytest.approx(3 / 5)


def test_who_counts() -> None:
    truth = make_truth()
    truth.joints_visible[4:, 0] = False  # in 4 frames only
    truth.joints_visible[:, 1, 16] = False  # a shoulder never
    truth.joints_visible[:, 2, 3:12] = False  # 15 joints left, hips and shoulders among them
    np.testing.assert_array_equal(counting_people(truth), [False, False, True])


def test_only_visible_skin_is_judged() -> None:
    truth = make_truth()
    fit = make_fit(truth, SAME_SCALE)
    assert fit.vertices is not None and fit.skin_area is not None
    truth.vertices_visible[:, :10] = 4
    fit.vertices[:, :10] += 1.0
    fit.skin_area[10:20] = 0.0  # teeth
    fit.vertices[:, 10:20] += 1.0
    numbers = summarise([audit_scene("room", fit, truth)])
    assert numbers["pve_scaled_mm"]["median"] == pytest.approx(0.0, abs=1e-6)
    assert numbers["pve_scaled_all_mm"]["median"] == pytest.approx(1000 * np.sqrt(3) * 10 / 50)


def test_other_topology_leaves_vertices_unmeasured() -> None:
    truth = make_truth()
    fit = make_fit(truth, WORLD)
    for other in (replace(fit, vertices=None, skin_area=None), replace(fit, vertices=np.zeros((3, 7, 3)))):
        numbers = summarise([audit_scene("room", other, truth)])
        assert numbers["pve_mm"] is None and numbers["pve_scaled_all_mm"] is None
        assert numbers["pa_mpjpe_mm"] == pytest.approx(0.0, abs=1e-6)
        assert numbers["coverage90"] == 1.0  # the scene's scale then comes from the joints
        assert numbers["good_accepted_share"] is None


def test_planted_movers_are_told_apart() -> None:
    truth = make_truth()
    truth.moved[3:, 2] = [0.2, 0.0, 0.0]
    numbers = summarise([audit_scene("room", make_fit(truth, SAME_SCALE, moved=np.array([0.001, 0.003, 0.19])), truth)])
    assert numbers["moved_mm"] == {"still": pytest.approx(2.0), "planted": pytest.approx(190.0)}


def test_fewer_cameras_than_frames_and_nobody_found() -> None:
    truth = make_truth()
    fit = make_fit(truth, SAME_SCALE)
    some = np.array([1, 3, 4, 6])
    empty = SceneFit(
        some,
        fit.centers[some],
        np.zeros((0, 24, 3)),
        np.zeros((0, 24, 3, 3)),
        np.zeros((0, 2, 21, 3)),
        np.zeros((0, 51, 3)),
        None,
        None,
        np.zeros(0, bool),
        np.zeros(0),
    )
    numbers = summarise([audit_scene("room", empty, truth)])
    assert numbers["recall"] == 0.0 and numbers["people_accepted"] == 0
    assert numbers["accepted_wrong"] == 0 and numbers["accepted_wrong_share"] is None
    assert numbers["coverage90"] is None and numbers["ellipsoid_mm"] is None
    assert numbers["camera_center_mm"] == pytest.approx(0.0, abs=1e-6)


def test_nothing_audited_is_null() -> None:
    numbers = summarise([])
    assert numbers["scenes"] == 0 and numbers["recall"] is None and numbers["camera_center_mm"] is None


def test_coverage_is_ninety_per_cent_of_honest_error_bars() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(size=(24, 3))
    shape = rng.normal(scale=0.02, size=(24, 3, 3))
    cov = shape @ np.swapaxes(shape, -1, -2) + 1e-5 * np.eye(3)
    turn = Similarity(1.0, WORLD.R, WORLD.t)
    hits: dict[float, list[bool]] = {0.5: [], 1.0: [], 2.0: []}
    absolute = []
    for _ in range(300):
        noise = np.einsum("jab,jb->ja", np.linalg.cholesky(cov), rng.normal(size=(24, 3)))
        fitted = true + noise[0] + noise  # joint 0's own error moves all; the others' are relative to it
        fitted[0] = true[0] + noise[0]
        for inflation, seen in hits.items():
            result = joint_coverage(fitted, inflation**2 * cov, true, np.ones(24, bool), Similarity.identity(), 1.0)
            seen += result.inside.tolist()
            absolute += result.inside_absolute.tolist() if inflation == 1.0 else []
        moved = joint_coverage(
            turn.inverse().apply(fitted),
            turn.R.T @ cov @ turn.R,
            true,
            np.ones(24, bool),
            turn,
            1.0,
        )
        assert moved.inside.tolist() == hits[1.0][-23:]
    assert np.mean(hits[1.0]) == pytest.approx(0.9, abs=0.015)
    assert np.mean(absolute) == pytest.approx(0.9, abs=0.015)
    assert np.mean(hits[0.5]) < 0.5 and np.mean(hits[2.0]) > 0.99
    unknown = joint_coverage(true, np.full_like(cov, np.nan), true, np.ones(24, bool), turn, 1.0)
    assert len(unknown.inside) == 0
