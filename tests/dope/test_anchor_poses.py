"""Anchor poses: clusters are found, kinds of bodies and sides of hands are told apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import toy_people as toy

from mcbench.dope.anchor_poses import anchor_poses, collect, distances, k_means, mirrored
from mcbench.dope.network import DopeConfig
from mcbench.dope.people import WholeBody

UNITS = DopeConfig().units


def test_clusters_are_found() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 1, (3, 13, 5))
    poses = [truth[i % 3] + rng.normal(0, 0.02, (13, 5)) for i in range(90)] + [truth[0]] * 10
    centres = k_means(poses, 3, "body", rng)
    gaps = distances(truth, centres)
    assert gaps.min(axis=1).max() < 0.05 and sorted(gaps.argmin(axis=1)) == [0, 1, 2]
    assert gaps[0].argmin() == 0  # the largest cluster comes first


def test_unknown_joints_do_not_count() -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(0, 1, (2, 13, 5))
    poses = [truth[i % 2].copy() for i in range(40)]
    for pose in poses:
        pose[rng.integers(0, 13, 4)] = np.nan
    centres = k_means(poses, 2, "body", rng)
    assert np.isfinite(centres).all() and distances(truth, centres).min(axis=1).max() < 1e-6


def test_as_many_as_asked_for_whatever_there_is() -> None:
    rng = np.random.default_rng(2)
    assert k_means([], 4, "hand", rng).shape == (4, 21, 5)
    assert k_means([np.zeros((21, 5))], 4, "hand", rng).shape == (4, 21, 5)
    assert k_means([], 0, "hand", rng).shape == (0, 21, 5)


def test_left_hands_are_right_ones_mirrored() -> None:
    people = [person for i in range(12) for person in toy.labelled(i).people]
    config, poses = anchor_poses(collect(people, UNITS), DopeConfig())
    half = config.left_from
    assert config.classes["hand"] == 2 * half == len(poses["hand"])
    np.testing.assert_allclose(poses["hand"][half:], mirrored(poses["hand"][:half]))
    np.testing.assert_allclose(mirrored(mirrored(poses["hand"])), poses["hand"])


def test_upper_bodies_have_anchor_poses_of_their_own() -> None:
    rng = np.random.default_rng(3)
    whole = [WholeBody.of({"body": toy.body(np.array([0.0, 0.0, 80.0, 200.0]), rng)}) for _ in range(40)]
    cut = []
    for person in whole[:30]:
        assert person.body is not None
        confidence = person.body.confidence.copy()
        confidence[:4] = 0  # ankles and knees
        cut.append(WholeBody.of({"body": replace(person.body, confidence=confidence)}))
    config, _ = anchor_poses(collect(whole + cut, UNITS), DopeConfig())
    assert config.upper_from == config.classes["body"] * 4 // 5
    config, _ = anchor_poses(collect(whole, UNITS), DopeConfig())
    assert config.upper_from == config.classes["body"]
