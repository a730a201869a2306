"""First guesses from triangulated keypoints."""

from __future__ import annotations

import numpy as np
import pytest
from fitting import stick_figure as toy

from mcbench.body.rotations import exp_so3
from mcbench.fitting.initial import Initialiser
from mcbench.joints import COCO17, SMPL24


@pytest.fixture
def initialiser():
    return Initialiser(toy.ToyBody(), COCO17)


def posed(state):
    return toy.ToyBody().evaluate(state.betas, state.rotations, state.transl, jacobian=False)


@pytest.mark.parametrize("seed", range(5))
def test_limbs_point_as_seen(initialiser, seed):
    person = toy.person(np.random.default_rng(seed), (0.4, -0.7), spread=1.0)
    truth = posed(person)
    guess = posed(initialiser.guess(truth.points))
    limbs = [5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]
    error = np.linalg.norm(guess.points - truth.points, axis=1)[limbs]
    assert np.median(error) < 0.08 and error.max() < 0.25


@pytest.mark.parametrize("joint, sign", [("left_knee", 1), ("right_knee", 1), ("left_elbow", -1), ("right_elbow", 1)])
def test_hinges_bend_their_way(initialiser, joint, sign):
    axis = 0 if "knee" in joint else 1
    person = toy.person(np.random.default_rng(1), (0.0, 0.0), spread=0.0)
    person.rotations[SMPL24.index(joint)] = exp_so3(np.eye(3)[axis] * sign * 1.3)
    found = initialiser.guess(posed(person).points).rotations[SMPL24.index(joint)]
    np.testing.assert_allclose(found, person.rotations[SMPL24.index(joint)], atol=0.15)


def test_missing_limbs_stay_at_rest(initialiser):
    points = posed(toy.person(np.random.default_rng(2), (0.0, 0.0))).points
    points[[COCO17.index("left_elbow"), COCO17.index("right_ankle")]] = np.nan
    guess = initialiser.guess(points)
    np.testing.assert_array_equal(guess.rotations[SMPL24.index("left_shoulder")], np.eye(3))
    np.testing.assert_array_equal(guess.rotations[SMPL24.index("right_knee")], np.eye(3))
    assert not np.allclose(guess.rotations[SMPL24.index("right_hip")], np.eye(3))


def test_too_little_to_tell_orientation(initialiser):
    points = np.full((17, 3), np.nan)
    points[:2] = [[0, 0, 0], [0, 0, 1]]
    assert initialiser.guess(points) is None


def test_scale_is_the_median_over_tracks(initialiser):
    tracks = [posed(toy.person(np.random.default_rng(s), (0.0, 0.0), 0.0)).points / 2.5 for s in range(5)]
    tracks.append(tracks[0] * 7)  # a wrong one
    assert initialiser.scale(tracks) == pytest.approx(2.5, rel=0.05)
    assert initialiser.scale([np.full((17, 3), np.nan)]) is None
