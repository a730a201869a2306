"""Limbs that keypoints have put in the wrong place are found in the images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fitting.plain_scene import arc, photographed, standing

from mcbench.body.model import BodyModel
from mcbench.body.reduced import ReducedBody
from mcbench.body.rotations import exp_so3
from mcbench.fitting.energy import PersonEnergy
from mcbench.fitting.gravity import Floor
from mcbench.fitting.keypoint_model import KeypointModel
from mcbench.fitting.limb_chain import LIMBS, limb_surfaces
from mcbench.fitting.limbs_found import with_limbs_found
from mcbench.fitting.observations import PersonObservations
from mcbench.fitting.outlines import LIMB_LOST, Look, Outlines
from mcbench.fitting.person_solver import PersonSolver, SolvedPerson
from mcbench.fitting.priors import Priors
from mcbench.fitting.state import BodyState, PersonState
from mcbench.joints import BLAZEPOSE33, SMPL24, joint_set

LEFT_ARM = 0


def unread(body: BodyModel, count: int) -> PersonEnergy:
    """The energy of somebody of whom no keypoint is read in `count` views."""
    model = KeypointModel.for_body(body, BLAZEPOSE33.name)
    views, ones = arc(count), np.ones((count, 33))
    rows = np.arange(count)
    nothing = PersonObservations(
        rows, rows, rows, views.K, views.cam_from_world, np.zeros((count, 33, 2)), 0 * ones, ones, ones
    )
    return PersonEnergy(ReducedBody(body, model.regressor), nothing, Priors(), 3.0, np.full(33, 0.01))


def elbow_and_wrist(body: BodyModel, state: BodyState) -> np.ndarray:
    joints = body.forward(state.betas[None], state.rotations[None], state.transl[None]).joints[0]
    return joints[[SMPL24.index("left_elbow"), SMPL24.index("left_wrist")]]


@pytest.fixture(scope="module")
def raised() -> BodyState:
    """A body that raises its left forearm."""
    state = standing()
    rotations = state.rotations.copy()
    rotations[SMPL24.index("left_shoulder")] = exp_so3(np.array([-0.9, 0.0, -0.3]))
    rotations[SMPL24.index("left_elbow")] = exp_so3(np.array([0.0, -1.3, 0.0]))
    return replace(state, rotations=rotations)


def test_a_limb_is_its_own_skin(open_body: BodyModel) -> None:
    limbs = limb_surfaces(open_body)
    assert len(limbs) == len(LIMBS) == 4
    left, right = (open_body.v_template[limb.samples] for limb in limbs[:2])
    assert (left[:, 0] > 0.1).all() and (right[:, 0] < -0.1).all()
    assert all(40 <= len(limb.samples) <= 60 for limb in limbs)
    legs = open_body.v_template[limbs[2].samples]
    assert legs[:, 1].max() < open_body.joint_template[0, 1] + 0.1


def test_an_arm_is_found_where_the_images_show_it(open_body: BodyModel, raised: BodyState) -> None:
    fitted = standing()  # with the arm hanging: as far as half a metre off
    outlines = Outlines.of_body(open_body, photographed(open_body, [raised], arc()))
    look: Look = outlines.before([fitted])
    shares = look.outline(0, 8).limb_shares
    assert shares[LEFT_ARM] < 0.5 < shares[1]
    energy, state = unread(open_body, 6), PersonState.without_offsets(fitted, 33)
    search = look.limb_search(0, energy, state, joint_set(BLAZEPOSE33.name), look.colours())
    candidates = search.search(outlines.limbs[LEFT_ARM])
    off = [
        np.linalg.norm(elbow_and_wrist(open_body, body) - elbow_and_wrist(open_body, raised), axis=1).max()
        for body in candidates
    ]
    was = np.linalg.norm(elbow_and_wrist(open_body, fitted) - elbow_and_wrist(open_body, raised), axis=1).max()
    assert was > 0.4
    assert min(off) < 0.25  # near enough for outlines to lead on
    # nothing but the limb has moved
    others = np.delete(np.arange(24), [SMPL24.index("left_shoulder"), SMPL24.index("left_elbow")])
    np.testing.assert_array_equal(candidates[0].rotations[others], fitted.rotations[others])


def test_an_arm_whose_colours_no_view_tells_is_not_looked_for(open_body: BodyModel, raised: BodyState) -> None:
    away = replace(raised, transl=np.array([9.0, 0.0, 0.0]))
    outlines = Outlines.of_body(open_body, photographed(open_body, [raised], arc()))
    look = outlines.before([away])
    energy, state = unread(open_body, 6), PersonState.without_offsets(away, 33)
    search = look.limb_search(0, energy, state, joint_set(BLAZEPOSE33.name), look.colours())
    assert search.search(outlines.limbs[LEFT_ARM]) == []


@pytest.mark.parametrize("mirrored", [True, False], ids=["colours of the other side", "colours of the place"])
def test_a_limb_is_found_that_only_two_views_read(open_body: BodyModel, raised: BodyState, mirrored: bool) -> None:
    fitted = standing()
    views, energy = arc(), unread(open_body, 6)
    columns = [joint_set(BLAZEPOSE33.name).index(f"left_{name}") for name in ("elbow", "wrist")]
    ends = elbow_and_wrist(open_body, raised)
    cam = ends @ views.cam_from_world[:, :, :3].swapaxes(1, 2) + views.cam_from_world[:, None, :, 3]
    pixels, weight = energy.observations.pixels.copy(), energy.observations.weight.copy()
    pixels[:, columns] = 420.0 * cam[..., :2] / cam[..., 2:] + [180.0, 240.0]
    pixels[2:, columns] = np.random.default_rng(0).uniform(0, 360, (4, 2, 2))  # the rest are another's
    weight[:, columns] = 1.0
    read = replace(energy, observations=replace(energy.observations, pixels=pixels, weight=weight))
    outlines = Outlines.of_body(open_body, photographed(open_body, [raised], views))
    look = outlines.before([fitted])
    state = PersonState.without_offsets(fitted, 33)
    search = look.limb_search(0, read, state, joint_set(BLAZEPOSE33.name), look.colours())
    off = [
        np.linalg.norm(elbow_and_wrist(open_body, body) - ends, axis=1).max()
        for body in search.search(outlines.limbs[LEFT_ARM], mirrored)
    ]
    assert min(off) < 0.12


def test_no_limb_reaches_under_the_floor(open_body: BodyModel) -> None:
    fitted = standing()
    outlines = Outlines.of_body(open_body, photographed(open_body, [fitted], arc()))
    lowest = open_body.forward(fitted.betas[None], fitted.rotations[None], fitted.transl[None]).vertices[0, :, 1].min()
    up = np.array([0.0, 1.0, 0.0])
    on_floor, sunk = (replace(outlines, floor=Floor(up, lowest + depth, 100)) for depth in (0.0, 0.4))
    assert not on_floor.before([fitted]).limbs_under_floor(0).any()
    assert sunk.before([fitted]).limbs_under_floor(0).tolist() == [False, False, True, True]
    assert not outlines.before([fitted]).limbs_under_floor(0).any()


@pytest.mark.parametrize("parts", [[], ["left_hand"]], ids=["hand unknown", "hand known"])
def test_a_lost_limb_is_put_where_its_outline_is(open_body: BodyModel, raised: BodyState, parts: list[str]) -> None:
    fitted = standing()
    outlines = Outlines.of_body(open_body, photographed(open_body, [raised], arc()))
    person = SolvedPerson(unread(open_body, 6), 1.0, PersonState.without_offsets(fitted, 33))
    seen = {7: outlines.before([fitted]).outline(0, 8)}
    found = with_limbs_found({7: person}, {7: parts}, outlines, seen, PersonSolver(20), joint_set(BLAZEPOSE33.name))
    if parts:  # an arm ends at its hand, whatever else has an outline
        assert found[7] is person
    else:
        there = found[7].state.body
        elbow, wrist = np.linalg.norm(elbow_and_wrist(open_body, there) - elbow_and_wrist(open_body, raised), axis=1)
        # outlines alone, all from one side, leave open how far a forearm bends towards it
        assert elbow < 0.06 and wrist < 0.2
        before, after = (outlines.before([body]).outline(0, 5).limb_shares[LEFT_ARM] for body in (fitted, there))
        assert before < 0.4 and after > LIMB_LOST
