"""People of parts: every part once, sides respected."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import toy_people as toy

from mcbench.dope.assemble import assemble
from mcbench.dope.integration import Candidate
from mcbench.joints import DOPE13, HAND21


def candidates(count: int = 1) -> tuple[list[Candidate], list[Candidate], list[Candidate]]:
    rng = np.random.default_rng(0)
    bodies, hands, faces = [], [], []
    for number in range(count):
        person = toy.person(np.array([100 + 300 * number, 50, 200 + 300 * number, 250.0]), rng)
        assert person.body and person.left_hand and person.right_hand and person.face
        bodies.append(Candidate(person.body))
        hands += [Candidate(person.right_hand), Candidate(person.left_hand, left=True)]
        faces.append(Candidate(person.face))
    return bodies, hands, faces


def test_each_part_goes_to_its_person() -> None:
    bodies, hands, faces = candidates(3)
    people = assemble(bodies, hands[::-1], faces[::-1])
    assert len(people) == 3
    for person in people:
        assert person.body is not None
        for side in ("left", "right"):
            hand = getattr(person, f"{side}_hand")
            wrist = person.body.pose2d[DOPE13.index(f"{side}_wrist")]
            assert np.linalg.norm(hand.pose2d[HAND21.index("wrist")] - wrist) < 20
        assert person.face is not None and person.box[0] <= person.face.box[0] <= person.box[2]


def test_one_hand_is_never_given_to_both_wrists() -> None:
    bodies, hands, _ = candidates()
    pose2d = bodies[0].pose.pose2d.copy()
    left, right = DOPE13.index("left_wrist"), DOPE13.index("right_wrist")
    pose2d[left] = pose2d[right]  # wrists that touch
    (person,) = assemble([Candidate(replace(bodies[0].pose, pose2d=pose2d))], hands[:1], [])
    assert person.right_hand is hands[0].pose and person.left_hand is None


def test_a_left_hand_at_a_right_wrist_stays_alone() -> None:
    bodies, hands, _ = candidates()
    people = assemble(bodies, [replace(hands[0], left=True)], [])
    assert [set(person.parts) for person in people] == [{"body"}, {"left_hand"}]


def test_two_hands_at_one_wrist_the_nearer_is_taken() -> None:
    bodies, hands, _ = candidates()
    away = replace(hands[0].pose, pose2d=hands[0].pose.pose2d + 8)
    people = assemble(bodies, [Candidate(away), hands[0]], [])
    assert people[0].right_hand is hands[0].pose or people[1].right_hand is hands[0].pose
    assert sorted(len(person.parts) for person in people) == [1, 2]


def test_nobody_and_parts_alone() -> None:
    _, hands, faces = candidates()
    assert assemble([], [], []) == []
    assert sorted(next(iter(p.parts)) for p in assemble([], hands, faces)) == ["face", "left_hand", "right_hand"]
