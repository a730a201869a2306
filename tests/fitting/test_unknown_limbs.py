"""A limb that nothing tells of is said to be unknown, and its error bars say so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fitting import stick_figure as toy

from mcbench.body.rotations import exp_so3
from mcbench.dataset.detections import Detections
from mcbench.fitting import scene_fit
from mcbench.fitting.contour_energy import ContourTerm
from mcbench.fitting.energy import PersonEnergy
from mcbench.fitting.limb_chain import LIMBS
from mcbench.fitting.motion_ranges import smpl_ranges
from mcbench.fitting.outlines import Outline
from mcbench.fitting.priors import Priors
from mcbench.fitting.scene_fit import PersonFit, SceneFitter
from mcbench.fitting.settings import FitSettings
from mcbench.fitting.state import BodyState
from mcbench.fitting.unknown_limbs import unknown_limbs, without_limbs
from mcbench.joints import BLAZEPOSE33, COCO17, SMPL24, JointSet
from mcbench.metrics.ellipsoid import ellipsoid_radius, in_ellipsoid


def guessed(detections: Detections, names: tuple[str, ...], score: float, views: int) -> Detections:
    """Keypoints of the first `views` detections guessed at: all in one place of the image, with a score."""
    keypoints, scores = detections.keypoints.copy(), detections.keypoint_score.copy()
    for name in names:
        keypoints[:views, COCO17.index(name)] = (480.0, 100.0)
        scores[:views, COCO17.index(name)] = score
    return replace(detections, keypoints=keypoints, keypoint_score=scores)


def fitted(
    monkeypatch: pytest.MonkeyPatch, unknown: list[int], guessed_at: tuple[str, ...] = ()
) -> tuple[PersonFit, BodyState]:
    """Somebody some of whose limbs are said to be unknown, and the truth."""
    rng = np.random.default_rng(11)
    people, cameras = [toy.person(rng, (0.0, 0.0))], toy.arc_cameras(12)
    detections, tracks = toy.detect(cameras, people, rng)
    monkeypatch.setattr(scene_fit, "unknown_limbs", lambda *_: unknown)
    fitter = SceneFitter(toy.ToyBody(), toy.keypoint_model(), FitSettings())
    found = fitter.fit(toy.views(cameras), guessed(detections, guessed_at, 0.1, 12), tracks, metric=True)
    return found.people[0], people[0]


def seen(shares: tuple[float, ...]) -> Outline:
    """An outline of which the images show these shares of the limbs."""
    nothing = np.zeros(0)
    none = np.zeros((0, 3))
    term = ContourTerm(toy.ToyBody(), none, none, none, nothing, np.zeros(0, int), nothing, nothing)
    return Outline(term, 0.8, 500, np.array(shares))


def deviations(person: PersonFit) -> np.ndarray:
    return np.sqrt(np.trace(person.joints_cov, axis1=1, axis2=2) / 3)


def test_an_unknown_limb_is_left_to_the_prior(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the detector guesses at it, all views alike."""
    (known, truth), (unknown, _) = (
        fitted(monkeypatch, limbs, names) for limbs, names in (([], ()), ([0], ("left_elbow", "left_wrist")))
    )
    assert known.unknown_limbs == () and unknown.unknown_limbs == ("left_arm",)
    arm = [SMPL24.index(f"left_{name}") for name in ("elbow", "wrist")]
    assert deviations(known)[arm].max() < 0.02 and deviations(unknown)[arm].min() > 0.1
    others = [SMPL24.index(name) for name in ("left_knee", "right_ankle", "right_elbow", "right_wrist")]
    assert deviations(unknown)[others].max() < 0.02
    there, true = (toy.ToyBody().evaluate(s.betas, s.rotations, s.transl, jacobian=False).joints[others]
                   for s in (unknown.state, truth))  # fmt: skip
    assert np.linalg.norm(there - true, axis=1).max() < 0.03
    joint = SMPL24.index("left_elbow")
    relaxed = exp_so3(smpl_ranges().mean[joint - 1])
    assert np.linalg.norm(relaxed - unknown.state.rotations[joint]) < 0.05
    assert np.linalg.norm(relaxed - known.state.rotations[joint]) > 0.05


@pytest.mark.parametrize(
    "shares, known, expected",
    [
        ((0.9, 0.9, 0.9, 0.9), [], []),
        ((0.3, 0.9, 0.9, np.nan), [], [0, 3]),
        ((0.3, 0.9, 0.9, np.nan), ["left_hand"], [3]),
        ((0.3, 0.9, 0.9, np.nan), ["right_hand", "face"], [0, 3]),
    ],
)
def test_a_limb_is_known_by_its_outline_or_its_hand(
    shares: tuple[float, ...], known: list[str], expected: list[int]
) -> None:
    assert unknown_limbs(np.zeros((9, 17), bool), seen(shares), known, COCO17) == expected


def test_a_limb_is_known_by_three_views_of_either_joint() -> None:
    agreeing = np.zeros((9, 17), bool)
    outline = seen((0.9, 0.9, 0.9, 0.2))
    agreeing[:2, COCO17.index("right_knee")] = agreeing[1:2, COCO17.index("right_ankle")] = True
    assert unknown_limbs(agreeing, outline, [], COCO17) == [3]
    agreeing[2, COCO17.index("right_ankle")] = True
    assert unknown_limbs(agreeing, outline, [], COCO17) == []


def test_who_says_what_images_do_not_show_must_have_seen_the_rest() -> None:
    outline = seen((0.1, 0.1, 0.1, 0.1))
    for unseen in (None, replace(outline, term=None)):
        assert unknown_limbs(np.zeros((9, 17), bool), unseen, [], COCO17) == []


def test_error_bars_of_an_unknown_limb_hold_where_limbs_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine in ten of everybody's arms at least, though joints move along arcs, which their derivatives do not show; and
    hardly more space than an arm reaches."""
    person, _ = fitted(monkeypatch, [0])
    state, ranges = person.state, smpl_ranges()
    upper, lower, end = LIMBS[0]
    rng, inside = np.random.default_rng(12), []
    body = toy.ToyBody()
    here = body.evaluate(state.betas, state.rotations, state.transl, jacobian=False).joints
    for _ in range(200):
        rotations = state.rotations.copy()
        for joint in (upper, lower):
            angles = rng.normal(ranges.mean[joint - 1], ranges.deviation[joint - 1])
            rotations[joint] = exp_so3(np.clip(angles, ranges.low[joint - 1], ranges.high[joint - 1]))
        there = body.evaluate(state.betas, rotations, state.transl, jacobian=False).joints
        inside.append(in_ellipsoid((there - here)[[lower, end]], person.joints_cov[[lower, end]]))
    assert np.mean(inside) > 0.9
    reach = np.linalg.norm(here[[lower, end]] - here[upper], axis=1)
    assert (ellipsoid_radius(person.joints_cov[[lower, end]]) < 2 * reach).all()


@pytest.mark.parametrize(
    "limb, names",
    [
        (0, {"left_elbow", "left_wrist", "left_pinky", "left_index", "left_thumb"}),
        (3, {"right_knee", "right_ankle", "right_heel", "right_foot_index"}),
    ],
)
def test_what_hangs_on_a_limb_goes_with_it(limb: int, names: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    energy = energy_of(fitted(monkeypatch, [])[0], BLAZEPOSE33)
    left = without_limbs(energy, [limb], [], BLAZEPOSE33).observations.weight
    gone = {name for k, name in enumerate(BLAZEPOSE33.joints) if not left[:, k].any()}
    assert gone == names
    assert without_limbs(energy, [], [], BLAZEPOSE33) is energy


def energy_of(person: PersonFit, joints: JointSet) -> PersonEnergy:
    """In which every one of some keypoints is read."""
    count = len(joints)
    observations = replace(
        person.observations,
        **{name: np.ones((12, count)) for name in ("weight", "sigma", "doubt")},
        pixels=np.zeros((12, count, 2)),
    )
    return PersonEnergy(toy.ToyBody(), observations, Priors(), 3.0, np.ones(count))
