"""A limb as a chain of two bones goes where the body's own skinning puts it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fitting.plain_scene import standing
from scipy.spatial.transform import Rotation

from mcbench.body.mesh import vertex_normals
from mcbench.body.model import BodyModel
from mcbench.body.rotations import exp_so3
from mcbench.fitting.gravity import Floor
from mcbench.fitting.limb_chain import LimbChain, limb_surfaces, pose_cost, poses_from_prior, under_floor
from mcbench.fitting.state import BodyState, stacked
from mcbench.joints import SMPL24

LIMBS = ("left arm", "right arm", "left leg", "right leg")


@pytest.fixture(scope="module")
def state() -> BodyState:
    """Somebody who stands turned, not upright and not at the origin."""
    body = standing()
    rotations = body.rotations.copy()
    rotations[0] = Rotation.from_rotvec([0.2, 0.7, -0.1]).as_matrix()
    return replace(body, rotations=rotations, transl=np.array([0.4, 0.1, -0.3]), betas=np.linspace(-1, 1, 10))


@pytest.mark.parametrize("number", range(4), ids=LIMBS)
def test_a_chain_goes_where_skinning_goes(open_body: BodyModel, state: BodyState, number: int) -> None:
    limb = limb_surfaces(open_body)[number]
    before = open_body.forward(*stacked([state])).vertices[0]
    chain = LimbChain(open_body, state, limb)
    angles = poses_from_prior(np.random.default_rng(number), limb.joints, 1)[0]
    turns = exp_so3(angles)
    normals = vertex_normals(before, open_body.faces)[limb.samples]
    points, turned, ends = chain.place(turns[:1], turns[1:], normals)
    rotations = state.rotations.copy()
    rotations[list(limb.joints[:2])] = turns
    posed = open_body.forward(*stacked([replace(state, rotations=rotations)]))
    np.testing.assert_allclose(points[0], posed.vertices[0, limb.samples], atol=1e-6)
    np.testing.assert_allclose(ends[0], posed.joints[0, list(limb.joints[1:])], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(turned[0], axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(chain.start, posed.joints[0, limb.joints[0]], atol=1e-6)


@pytest.mark.parametrize("number", range(4), ids=LIMBS)
def test_a_chain_reaches_where_it_can(open_body: BodyModel, state: BodyState, number: int) -> None:
    limb = limb_surfaces(open_body)[number]
    chain = LimbChain(open_body, state, limb)
    normals = np.zeros((len(limb.samples), 3))
    turns = exp_so3(poses_from_prior(np.random.default_rng(number), limb.joints, 50))
    wanted = chain.place(turns[:, 0], turns[:, 1], normals)[2]
    reached = exp_so3(chain.reaching(wanted))
    ends = chain.place(reached[:, 0], reached[:, 1], normals)[2]
    np.testing.assert_allclose(ends, wanted, atol=1e-6)


def test_knees_and_elbows_bend_as_hinges_do(open_body: BodyModel, state: BodyState) -> None:
    bent = {"arm": [0.0, -1.2, 0.0], "leg": [1.2, 0.0, 0.0]}
    for number, kind in ((0, "arm"), (2, "leg")):
        limb = limb_surfaces(open_body)[number]
        chain = LimbChain(open_body, state, limb)
        upper = state.rotations[limb.joints[0]][None]
        ends = chain.place(upper, exp_so3(np.array([bent[kind]])), np.zeros((len(limb.samples), 3)))[2]
        found = chain.reaching(ends)
        np.testing.assert_allclose(found[0, 1], bent[kind], atol=0.15)  # bones at rest are not quite in line
        backwards = chain.place(upper, exp_so3(-np.array([bent[kind]])), np.zeros((len(limb.samples), 3)))[2]
        # there is a usual pose for the one, and for the other one that only twists the upper joint
        assert pose_cost(limb, found)[0] < pose_cost(limb, chain.reaching(backwards))[0]


def test_a_swung_limb_keeps_its_upper_bone(open_body: BodyModel, state: BodyState) -> None:
    limb = limb_surfaces(open_body)[2]
    chain = LimbChain(open_body, state, limb)
    turns = exp_so3(chain.swung())
    ends = chain.place(turns[:, 0], turns[:, 1], np.zeros((len(limb.samples), 3)))[2]
    knee = open_body.forward(*stacked([state])).joints[0, SMPL24.index("left_knee")]
    np.testing.assert_allclose(ends[:, 0], np.tile(knee, (len(ends), 1)), atol=1e-6)
    assert np.ptp(ends[:, 1], axis=0).min() > 0.2  # feet all around
    upper, lower = chain.lengths
    np.testing.assert_allclose(np.linalg.norm(ends[:, 0] - chain.start, axis=1), upper, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1), lower, atol=1e-6)


def test_what_is_deep_under_the_floor_costs() -> None:
    floor = Floor(np.array([0.0, 1.0, 0.0]), 0.2, 100)
    points = np.zeros((3, 2, 3))
    points[:, :, 1] = [[0.5, 0.2], [0.5, 0.18], [0.5, -0.1]]
    cost = under_floor(points, floor)
    assert cost[0] == cost[1] == 0.0
    assert cost[2] > 50
