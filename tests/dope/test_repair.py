"""Labels against what is known: agreeing, repaired, dropped, added, attached, unchecked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from whole_bodies import body, face, hand

from mcbench.dope.people import KINDS, PartPose, WholeBody
from mcbench.dope.repair import repaired
from mcbench.joints import DOPE13

ALL = frozenset(KINDS)


def known(x: float = 0.0, **parts: PartPose | None) -> WholeBody:
    """Somebody expected at x m, all joints visible, with both hands and a face."""
    own = {"body": body(x), "left_hand": hand(x + 0.4).pose, "right_hand": hand(x - 0.55).pose, "face": face(x)}
    seen = {name: replace(part, confidence=np.ones(len(part.pose2d))) for name, part in own.items()}
    return WholeBody.of({name: part for name, part in {**seen, **parts}.items() if part is not None})


def shifted(part: PartPose, by: float) -> PartPose:
    """A part moved along x by a share of its size."""
    return replace(part, pose2d=part.pose2d + np.array([by * part.size, 0]))


def hidden(part: PartPose) -> PartPose:
    return replace(part, confidence=np.full(len(part.pose2d), 0.5))


def test_what_agrees_stays_as_it_was_read() -> None:
    person = WholeBody.of({name: shifted(part, 0.03) for name, part in known().parts.items()})
    (label,), counts = repaired([person], [known()], ALL)
    assert +counts == {"body/agreed": 1, "hand/agreed": 2, "face/agreed": 1}
    for name, part in person.parts.items():
        assert getattr(label, name) is part


def test_a_joint_that_is_off_is_taken_from_the_fit() -> None:
    read = body(0.0)
    wrist = DOPE13.index("left_wrist")
    pose2d = read.pose2d.copy()
    pose2d[wrist] += 60.0
    person = WholeBody.of({"body": replace(read, pose2d=pose2d, pose3d=read.pose3d + 0.01)})
    expected = known(left_hand=None, right_hand=None, face=None)
    (label,), counts = repaired([person], [expected], ALL)
    assert counts["body/joints_repaired"] == 1 and counts["body/agreed"] == 1
    np.testing.assert_array_equal(label.body.pose2d, read.pose2d)
    others = np.arange(13) != wrist
    np.testing.assert_array_equal(label.body.pose3d[others], read.pose3d[others] + 0.01)
    np.testing.assert_array_equal(label.body.pose3d[wrist], expected.body.pose3d[wrist])
    assert label.body.confidence[wrist] == 1.0 and (label.body.confidence[others] == 0.8).all()


def test_a_hand_that_shows_something_else_is_repaired_or_dropped() -> None:
    person = WholeBody.of({**known().parts, "left_hand": shifted(known().left_hand, 0.8)})
    (label,), counts = repaired([person], [known()], ALL)
    assert counts["hand/repaired"] == 1 and counts["hand/agreed"] == 1
    np.testing.assert_array_equal(label.left_hand.pose2d, known().left_hand.pose2d)
    unseen = replace(known(), left_hand=hidden(known().left_hand))
    (label,), counts = repaired([person], [unseen], ALL)
    assert counts["hand/dropped"] == 1 and label.left_hand is None and label.right_hand is not None


def test_who_was_not_found_is_added_if_seen() -> None:
    people, counts = repaired([], [known(0.0), known(3.0, body=hidden(body(3.0)))], ALL)
    assert counts["body/added"] == 1 and counts["hand/added"] == 4 and counts["face/added"] == 2
    assert sorted(len(person.parts) for person in people) == [3, 4]
    (person,), counts = repaired([], [known()], frozenset({"hand"}))
    assert set(person.parts) == {"left_hand", "right_hand"} and set(counts) == {"hand/added"}


def test_a_hand_of_nobodys_goes_to_the_body_that_should_have_it() -> None:
    alone = WholeBody.of({"left_hand": shifted(known().left_hand, 0.05)})
    stranger = WholeBody.of({"right_hand": hand(8.0).pose})
    again = WholeBody.of({"face": face(0.01)})
    person = WholeBody.of({"body": body(0.0), "face": face(0.0)})
    people, counts = repaired([person, alone, stranger, again], [known(right_hand=None)], ALL)
    assert counts["hand/attached"] == 1 and counts["hand/unchecked"] == 1 and counts["face/dropped"] == 1
    label = next(p for p in people if p.body is not None)
    assert label.left_hand is alone.left_hand and len(people) == 2


def test_nothing_is_known_of_strangers() -> None:
    stranger = WholeBody.of({"body": body(6.0), "face": face(6.0)})
    people, counts = repaired([stranger], [known()], ALL)
    assert counts["body/unchecked"] == counts["face/unchecked"] == 1 and len(people) == 2
    for found in (people, repaired([stranger], [], ALL)[0]):
        assert any(p.body is stranger.body and p.face is stranger.face for p in found)
    assert repaired([], [], ALL) == ([], {})


def test_a_part_without_expectation_stays() -> None:
    person = WholeBody.of(known().parts)
    (label,), counts = repaired([person], [known(face=None)], ALL)
    assert label.face is person.face and counts["face/unchecked"] == 1
