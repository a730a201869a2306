"""A limb that nothing tells of is said to be unknown, and its error bars say so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fitting import stick_figure as toy

from mcbench.body.rotations import exp_so3
from mcbench.dataset.detections import Detections
from mcbench.fitting.energy import PersonEnergy
from mcbench.fitting.limb_chain import LIMBS
from mcbench.fitting.motion_ranges import smpl_ranges
from mcbench.fitting.priors import Priors
from mcbench.fitting.scene_fit import PersonFit, SceneFitter
from mcbench.fitting.settings import FitSettings
from mcbench.fitting.unknown_limbs import without_limbs
from mcbench.joints import BLAZEPOSE33, COCO17, SMPL24, JointSet
from mcbench.metrics.ellipsoid import ellipsoid_radius, in_ellipsoid


def guessed(detections: Detections, names: tuple[str, ...], score: float, views: int) -> Detections:
    """Keypoints of the first `views` detections guessed at: all in one place of the image, with a score."""
    keypoints, scores = detections.keypoints.copy(), detections.keypoint_score.copy()
    for name in names:
        keypoints[:views, COCO17.index(name)] = (480.0, 100.0)
        scores[:views, COCO17.index(name)] = score
    return replace(detections, keypoints=keypoints, keypoint_score=scores)


def fitted(names: tuple[str, ...], score: float, views: int) -> PersonFit:
    rng = np.random.default_rng(11)
    people, cameras = [toy.person(rng, (0.0, 0.0))], toy.arc_cameras(12)
    detections, tracks = toy.detect(cameras, people, rng)
    fitter = SceneFitter(toy.ToyBody(), toy.keypoint_model(), FitSettings())
    found = fitter.fit(toy.views(cameras), guessed(detections, names, score, views), tracks, metric=True)
    return found.people[0]


def deviations(person: PersonFit) -> np.ndarray:
    return np.sqrt(np.trace(person.joints_cov, axis1=1, axis2=2) / 3)


def test_a_limb_that_is_guessed_at_is_unknown() -> None:
    known, unknown = fitted((), 1.0, 0), fitted(("left_elbow", "left_wrist"), 0.1, 12)
    assert known.unknown_limbs == () and unknown.unknown_limbs == ("left_arm",)
    arm = [SMPL24.index(f"left_{name}") for name in ("elbow", "wrist")]
    assert deviations(known)[arm].max() < 0.02 and deviations(unknown)[arm].min() > 0.1
    others = [SMPL24.index(name) for name in ("left_knee", "right_ankle", "right_elbow", "right_wrist")]
    assert deviations(unknown)[others].max() < 0.02
    # it hangs as the prior has it
    joint = SMPL24.index("left_elbow")
    relaxed = smpl_ranges().mean[joint - 1]
    from_prior = np.linalg.norm(exp_so3(relaxed) - unknown.state.rotations[joint])
    assert from_prior < 0.05 < np.linalg.norm(exp_so3(relaxed) - known.state.rotations[joint])


def test_error_bars_of_an_unknown_limb_hold_where_limbs_are() -> None:
    """Nine in ten of everybody's arms at least, though joints move along arcs, which their derivatives do not show; and
    hardly more space than an arm reaches."""
    person = fitted(("left_elbow", "left_wrist"), 0.1, 12)
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


@pytest.mark.parametrize("views, expected", [(9, ()), (10, ("right_leg",))])
def test_three_views_that_agree_make_a_limb_known(views: int, expected: tuple[str, ...]) -> None:
    assert fitted(("right_knee", "right_ankle"), 0.1, views).unknown_limbs == expected


def test_one_joint_of_a_limb_makes_it_known() -> None:
    assert fitted(("left_wrist",), 0.1, 12).unknown_limbs == ()


@pytest.mark.parametrize(
    "limb, names",
    [
        (0, {"left_elbow", "left_wrist", "left_pinky", "left_index", "left_thumb"}),
        (3, {"right_knee", "right_ankle", "right_heel", "right_foot_index"}),
    ],
)
def test_what_hangs_on_a_limb_goes_with_it(limb: int, names: set[str]) -> None:
    energy = energy_of(BLAZEPOSE33)
    left = without_limbs(energy, [limb], [], BLAZEPOSE33).observations.weight
    gone = {name for k, name in enumerate(BLAZEPOSE33.joints) if not left[:, k].any()}
    assert gone == names
    assert without_limbs(energy, [], [], BLAZEPOSE33) is energy


def energy_of(joints: JointSet) -> PersonEnergy:
    """In which every one of some keypoints is read."""
    person = fitted((), 1.0, 0)
    count = len(joints)
    observations = replace(
        person.observations,
        **{name: np.ones((12, count)) for name in ("weight", "sigma", "doubt")},
        pixels=np.zeros((12, count, 2)),
    )
    return PersonEnergy(toy.ToyBody(), observations, Priors(), 3.0, np.ones(count))
