"""Hands to wrists and faces to heads."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from whole_bodies import body, face, hand

from mcbench.dope.joining import join
from mcbench.dope.people import PartPose, WholeBody


def of(people: list[WholeBody], given_body: PartPose) -> WholeBody:
    return next(person for person in people if person.body is given_body)


def test_everything_finds_its_person() -> None:
    bodies = [body(0.0), body(2.0, score=0.7)]
    hands = [hand(2.42, right=0.1), hand(-0.38), hand(1.62), hand(0.41, right=0.02)]
    people = join(bodies, hands, [face(2.05), face(0.02)])
    assert [person.body for person in people] == bodies  # by falling score
    first, second = people
    np.testing.assert_array_equal(first.left_hand.pose2d, hands[3].pose.pose2d)
    np.testing.assert_array_equal(first.right_hand.pose2d, hands[1].pose.pose2d)
    np.testing.assert_array_equal(second.left_hand.pose2d, hands[0].pose.pose2d)
    np.testing.assert_array_equal(second.right_hand.pose2d, hands[2].pose.pose2d)
    assert second.left_hand.score == 0.9 * (1 - 0.1) and first.left_hand.score == 0.9 * (1 - 0.02)
    np.testing.assert_allclose([p.face.pose2d[:, 0].mean() for p in people], [2, 205], atol=1)


def test_crossed_hands_go_by_their_side() -> None:
    """Both wrists in one place: the nearer hand is of the other side."""
    crossed = body(0.0, left_wrist=(0.0, 0.0), right_wrist=(0.02, 0.0))
    left, right = hand(0.03, right=0.03), hand(-0.01, right=0.97)
    (person,) = join([crossed], [left, right], [])
    np.testing.assert_array_equal(person.left_hand.pose2d, left.pose.pose2d)
    np.testing.assert_array_equal(person.right_hand.pose2d, right.pose.pose2d)


def test_a_hand_of_the_other_side_stays_alone() -> None:
    person, alone = join([body(0.0)], [hand(0.4, right=0.9)], [])
    assert list(person.parts) == ["body"] and list(alone.parts) == ["right_hand"]
    assert alone.score == alone.right_hand.score == 0.9 * 0.9


def test_a_wrist_takes_one_hand_and_other_readings_of_it_go() -> None:
    sure, unsure = hand(-0.4, score=0.9), hand(-0.39, score=0.6)
    for hands in ([sure, unsure], [unsure, sure]):
        (person,) = join([body(0.0)], hands, [])
        np.testing.assert_array_equal(person.right_hand.pose2d, sure.pose.pose2d)


def test_one_hand_between_two_wrists_goes_to_the_nearer() -> None:
    bodies = [body(0.0), body(-0.75)]  # the right wrist of the first, the left one of the second: 0.05 m apart
    people = join(bodies, [hand(-0.36, right=0.5)], [])
    assert of(people, bodies[1]).left_hand is not None and of(people, bodies[0]).right_hand is None
    people = join(bodies, [hand(-0.36, right=0.5), hand(-0.5, y=0.05, right=0.5)], [])
    assert sum(len(person.parts) for person in people) == 4 and len(people) == 2


def test_what_is_nobodys_is_kept_alone_and_once() -> None:
    people = join([body(0.0)], [hand(5.0), hand(5.01, score=0.7)], [face(7.0, score=0.6), face(7.01)])
    assert [list(person.parts) for person in people] == [["body"], ["face"], ["right_hand"]]
    assert people[1].score == 0.9 and join([], [], []) == []


def test_a_face_goes_to_one_head() -> None:
    bodies = [body(0.0), body(0.15)]
    people = join(bodies, [], [face(0.12)])
    assert of(people, bodies[1]).face is not None and of(people, bodies[0]).face is None
    assert len(join([body(0.0)], [], [face(0.3)])) == 2


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_no_part_is_used_twice(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bodies = [body(x) for x in rng.uniform(0, 1.5, rng.integers(0, 4))]
    hands = [hand(x, y, r, s) for x, y, r, s in rng.uniform([-0.5, -0.1, 0, 0.5], [2, 0.1, 1, 1], (5, 4))]
    faces = [face(x, -0.7, s) for x, s in rng.uniform([-0.1, 0.5], [1.7, 1], (3, 2))]
    people = join(bodies, hands, faces)
    used = [part.pose2d.tobytes() for person in people for part in person.parts.values()]
    assert len(set(used)) == len(used)
    assert sum(person.body is not None for person in people) == len(bodies)
    given = {p.pose2d.tobytes() for p in [*bodies, *faces, *(h.pose for h in hands)]}
    assert set(used) <= given
    for person in people:
        for side, right in (("left", 0), ("right", 1)):
            if (found := getattr(person, f"{side}_hand")) is not None:
                source = next(h for h in hands if h.pose.pose2d is found.pose2d)
                assert abs(source.right - right) <= 0.75
