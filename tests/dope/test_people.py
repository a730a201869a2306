"""Whole-body people: JSON and back, roots, boxes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcbench.dope.people import (
    JOINTS,
    PARTS,
    PartPose,
    WholeBody,
    about_root,
    box_round,
    from_json,
    kind_of,
    to_json,
)
from mcbench.errors import InputError
from mcbench.joints import DOPE139


def made_part(rng: np.random.Generator, part: str, unknown: float = 0.2) -> PartPose:
    """A part with random joints, some unknown."""
    count = len(JOINTS[kind_of(part)])
    lost = rng.random(count) < unknown
    pose2d, pose3d = rng.uniform(0, 100, (count, 2)), rng.normal(0, 0.2, (count, 3))
    pose2d[lost], pose3d[lost] = np.nan, np.nan
    return PartPose(rng.random(), pose2d, pose3d, np.where(lost, 0.0, rng.random(count)), box_round(pose2d))


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sets(st.sampled_from(PARTS), min_size=1))
def test_json_and_back(seed: int, names: set[str]) -> None:
    rng = np.random.default_rng(seed)
    person = WholeBody.of({name: made_part(rng, name) for name in names})
    (back,) = from_json(json.loads(json.dumps(to_json([person]), allow_nan=False)))
    assert back.score == person.score and set(back.parts) == names
    np.testing.assert_array_equal(back.box, person.box)
    for name, part in person.parts.items():
        for field in ("score", "pose2d", "pose3d", "confidence", "box"):
            np.testing.assert_array_equal(getattr(back.parts[name], field), getattr(part, field))


def test_a_part_without_confidence_and_box() -> None:
    """As the least that a method may give."""
    pose2d = [[float(i), 2.0 * i] for i in range(20)] + [[None, None]]
    part = {"score": 0.5, "pose2d": pose2d, "pose3d": [[0.0, 0.0, 0.1]] * 21}
    (person,) = from_json([{"score": 0.5, "box": [0, 0, 19, 38], "left_hand": part, "face": None}])
    assert person.left_hand is not None and list(person.parts) == ["left_hand"]
    np.testing.assert_array_equal(person.left_hand.box, [0, 0, 19, 38])
    np.testing.assert_array_equal(person.left_hand.confidence, [0.5] * 20 + [0.0])


@pytest.mark.parametrize(
    "rows",
    [
        [{"score": 0.5}],
        [{"score": 0.5, "box": [0, 0, 1]}],
        [{"score": 0.5, "box": [0, 0, 1, 1], "face": {"score": 1, "pose2d": [[0, 0]], "pose3d": [[0, 0, 0]]}}],
        [{"score": "high", "box": [0, 0, 1, 1]}],
        7,
    ],
)
def test_what_is_not_people_is_refused(rows: object) -> None:
    with pytest.raises(InputError, match="not as they should be"):
        from_json(rows)


def test_all_joints_in_one_row() -> None:
    rng = np.random.default_rng(0)
    hand = made_part(rng, "right_hand", unknown=0.0)
    person = WholeBody.of({"right_hand": hand})
    first = DOPE139.index("right_hand_wrist")
    assert person.pose2d.shape == (139, 2) and person.confidence.shape == (139,)
    np.testing.assert_array_equal(person.pose2d[first : first + 21], hand.pose2d)
    assert np.isnan(person.pose2d).all(axis=1).sum() == 118 and (person.confidence > 0).sum() == 21


def test_roots_are_hips_wrist_and_eyes() -> None:
    rng = np.random.default_rng(1)
    for kind, joints in JOINTS.items():
        moved = about_root(kind, rng.normal(size=(5, len(joints), 3)))
        names = {"body": ["right_hip", "left_hip"], "hand": ["wrist"], "face": [f"face_{i}" for i in range(36, 48)]}
        root = moved[:, [joints.index(name) for name in names[kind]]].mean(axis=1)
        np.testing.assert_allclose(root, 0, atol=1e-15)


def test_boxes_leave_out_what_is_unsure_or_unknown() -> None:
    points = np.array([[0.0, 5.0], [10.0, 1.0], [50.0, 50.0], [np.nan, np.nan]])
    np.testing.assert_array_equal(box_round(points), [0, 1, 50, 50])
    np.testing.assert_array_equal(box_round(points, np.array([0.4, 1.0, 0.0, 0.0])), [0, 1, 10, 5])
    np.testing.assert_array_equal(box_round(points, np.zeros(4)), [0, 1, 50, 50])
    assert np.isnan(box_round(np.full((3, 2), np.nan))).all()
