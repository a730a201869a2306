"""Hands and faces of the people that `detect` has found.

They are read at the place that each body tells. People stand still and cameras are known, so the readings of a person
triangulate to one hand and one face: where the first reading is missing or far from them they are read again at their
projection, and what is read of somebody else's hand, or of the other one, is dropped; so is a hand that agrees with
itself but not with the wrist, or that somebody else claims with more right. Whom no cameras place keeps the readings
that the body alone led to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mcbench.cameras.camera import Array, transform
from mcbench.cameras.triangulation import triangulate
from mcbench.cameras.views import Views
from mcbench.dataset.source import Source
from mcbench.experts.base import Detector, PersonDetection
from mcbench.experts.crops import Pyramid
from mcbench.experts.holistic import PARTS, PartReader, part_score, with_parts
from mcbench.experts.parts import SAME, Part, distance
from mcbench.fitting.association import associate
from mcbench.fitting.expected import image_points
from mcbench.joints import BLAZEPOSE33, joint_set
from mcbench.pipelines.hand_search import FRAMES, Arm, loose_hands, owners, with_hand
from mcbench.pipelines.looking import People, flatten, rows_of, spread
from mcbench.pipelines.second_opinion import has_second_opinions

#: Scale of the robust cost of a triangulated keypoint, a share of the part's size in the image.
_SIGMA = 0.15
#: A reading agrees with the projection up to this median distance, as a share of the part's size: nothing better is
#: looked for. Beyond the larger one it shows something else.
_AGREES, _OTHER = 0.12, 0.35
#: A projection is believed when the scores of the readings that agree with it add up to this: three readings at least.
_SUPPORT = 2.0
#: Readings below this score are none.
_MIN_SCORE = 0.25
#: A hand begins at the body's wrist: projected, they lie this near, as a share of the hand's size. Between two people
#: who claim a hand, that distance counts as it would in a normal distribution of the smaller deviation.
_AT_WRIST, _WRIST_SIGMA = 1.0, 0.18
#: An arm ends where so many views have its wrist with such a score, no farther than this share of the person's box from
#: where they put it together.
_SURE_VIEWS, _SURE_SCORE, _SAME_WRIST = 4, 0.7, 0.05
_HANDS = ("left_hand", "right_hand")
_OTHER_HAND = dict(zip(_HANDS, _HANDS[::-1], strict=True))

#: The parts read of one detection, by name: the person's own left and right, whatever the detection calls them.
Reading = dict[str, Part]
#: Those of all detections, by frame, in the order of the detections.
Readings = dict[int, list[Reading]]


@dataclass(frozen=True)
class _Member:
    """A detection of a person: the n-th of a frame, and whether its left and right are exchanged."""

    frame: int
    n: int
    flipped: bool


@dataclass(frozen=True)
class _Person:
    """The detections of a person, and of each hand the wrist, the shoulder and the hip (3,) in the world, NaN where
    unknown."""

    members: list[_Member]
    wrists: dict[str, Array]
    shoulders: dict[str, Array]
    hips: dict[str, Array]


def look_for_parts(
    people: People,
    views: Views,
    source: Source,
    detector: Detector,
    reader: PartReader,
    step: Callable[[str], None],
) -> People:
    """The same people with the keypoints of `holistic143`.

    Parameters
    ----------
    people : of the frames looked at, with the detector's keypoints, `blazepose33`.
    step : called with a label after every frame read, which each is once, and where there are `views` twice and, of
        `searched_frames`, three times.
    """
    readings: Readings = {}
    for frame, image in source.images(list(people)):
        pyramid = Pyramid(image)
        readings[frame.index] = [_read(reader, pyramid, body) for body in people[frame.index]]
        step("hands and faces")
    tracked = _tracked(people, views, detector) if len(views) else []
    flipped = {(m.frame, m.n) for person in tracked for m in person.members if m.flipped}
    for frame_index, n in flipped:
        readings[frame_index][n] = _exchanged(readings[frame_index][n])
    for here in readings.values():
        _one_owner(here)
    if len(views):
        skeletons = _skeletons(tracked, readings, views)
        sure = _HANDS if has_second_opinions(source, detector) else ()
        ended = [{name for name in sure if _surely_ends(person, name, people, views)} for person in tracked]
        _adopt(tracked, skeletons, ended, readings, searched_frames(list(people)), views, source, reader, step)
        for frame, image in source.images(list(people)):
            _read_again(frame.index, Pyramid(image), tracked, skeletons, readings, views, reader)
            step("hands and faces, again")
        skeletons = _skeletons(tracked, readings, views)
        people = {i: list(here) for i, here in people.items()}
        for person, skeleton in zip(tracked, skeletons, strict=True):
            _judge(person, skeleton, readings, views)
            _reach(person, skeleton, readings, people, views)
    return {
        i: [
            with_parts(body, {k: p for k, p in parts.items() if p.score >= _MIN_SCORE}, (i, n) in flipped)
            for n, (body, parts) in enumerate(zip(people[i], readings[i], strict=True))
        ]
        for i in people
    }


def _read(reader: PartReader, image: Pyramid, body: PersonDetection) -> Reading:
    return {name: found for name in PARTS if (found := reader.of_body(image, body, name)) is not None}


def _exchanged(reading: Reading) -> Reading:
    """What was read of a body whose left and right are exchanged, by the person's own."""
    return {_OTHER_HAND.get(name, name): found for name, found in reading.items()}


def _tracked(people: People, views: Views, detector: Detector) -> list[_Person]:
    rows = rows_of(people)
    joints = joint_set(detector.keypoint_set)
    return [
        _Person(
            [_Member(rows[r][0], rows[r][1], flipped) for r, flipped in zip(track.rows, track.flipped, strict=True)],
            *(
                {name: track.points[joints.index(f"{name.removesuffix('_hand')}_{joint}")] for name in _HANDS}
                for joint in ("wrist", "shoulder", "hip")
            ),
        )
        for track in associate(views, flatten(detector, people))
    ]


def _surely_ends(person: _Person, name: str, people: People, views: Views) -> bool:
    """Whether two networks agree on the wrist of an arm in several views: then its hand is there, read or not."""
    sure = 0
    for member in person.members:
        view, body = views.of_frame(member.frame), people[member.frame][member.n]
        side = (_OTHER_HAND[name] if member.flipped else name).removesuffix("_hand")
        wrist = BLAZEPOSE33.index(f"{side}_wrist")
        if view is not None and body.keypoint_score[wrist] >= _SURE_SCORE:
            off = np.linalg.norm(_projected(person.wrists[name][None], view, views)[0] - body.keypoints[wrist])
            sure += bool(off < _SAME_WRIST * float((body.box[2:] - body.box[:2]).max()))
    return sure >= _SURE_VIEWS


def _adopt(
    people: Sequence[_Person],
    skeletons: Sequence[dict[str, Array]],
    ended: Sequence[set[str]],
    readings: Readings,
    frames: Sequence[int],
    views: Views,
    source: Source,
    reader: PartReader,
    step: Callable[[str], None],
) -> None:
    """Find hands by themselves for those whose own was not read at the end of their arms (in place), if these are not
    known to have `ended` elsewhere."""
    arms = []
    for index, (person, skeleton, known_ends) in enumerate(zip(people, skeletons, ended, strict=True)):
        trunk = float(np.nanmean([np.linalg.norm(person.shoulders[n] - person.hips[n]) for n in _HANDS]))
        for name in _HANDS:
            if name not in {*skeleton, *known_ends} and np.isfinite([*person.shoulders[name], trunk]).all():
                arms.append(Arm(index, name, person.shoulders[name], trunk))
    known = [skeleton[name] for skeleton in skeletons for name in _HANDS if name in skeleton]
    hands = loose_hands(source, frames, views, arms, known, reader, lambda: step("hands by themselves"))
    for arm, hand in owners(hands, arms):
        person = people[arm.person]
        skeletons[arm.person][arm.part] = hand.points
        person.wrists[arm.part] = hand.points[0]
        for member in person.members:
            if member.frame in hand.readings:
                part = hand.readings[member.frame]
                readings[member.frame][member.n][arm.part] = _scored(part, part_score(part, arm.part))


def _one_owner(here: Sequence[Reading]) -> None:
    """Score the readings of a frame's people by side, and leave each hand to the one who has it best (in place)."""
    found = [(name, reading) for reading in here for name in PARTS if name in reading]
    for name, reading in found:
        reading[name] = _scored(reading[name], part_score(reading[name], name))
    taken: list[Part] = []
    for name, reading in sorted(found, key=lambda item: -item[1][item[0]].score):
        if name in _HANDS and any(distance(reading[name], other.keypoints) < SAME for other in taken):
            del reading[name]
        elif name in _HANDS:
            taken.append(reading[name])


def _scored(part: Part, score: float, agreement: Array | float = 1.0) -> Part:
    """The part with another score, its keypoints' scores times their agreement."""
    seen = part.keypoint_score > 0
    return replace(part, score=score, keypoint_score=np.where(seen, score * np.asarray(agreement), 0.0))


@dataclass(frozen=True)
class _Found:
    """What a person's readings of a part agree on: keypoints (K, 3) in the world, NaN where unknown.

    agreeing : the detections whose readings agree with them. support : the sum of the scores of these.
    off_wrist : how far a hand is from the end of the person's arm, as a share of its size.
    """

    person: int
    name: str
    points: Array
    agreeing: list[_Member]
    support: float
    off_wrist: float

    @property
    def claim(self) -> float:
        """How strongly the person claims the part."""
        return self.support * float(np.exp(-0.5 * (self.off_wrist / _WRIST_SIGMA) ** 2))


def _skeletons(people: Sequence[_Person], readings: Readings, views: Views) -> list[dict[str, Array]]:
    """For each person the parts that the readings agree on: keypoints (K, 3) in the world by name.

    Readings that agree on a hand that is not at the person's wrist, or somebody else's, are dropped (in place).
    """
    while True:
        skeletons: list[dict[str, Array]] = [{} for _ in people]
        found = [_triangulated(n, name, people, readings, views) for n in range(len(people)) for name in PARTS]
        hands: list[Array] = []
        refused: list[_Found] = []
        for one in sorted((f for f in found if f.support >= _SUPPORT), key=lambda f: -f.claim):
            if one.name in _HANDS:
                if one.off_wrist > _AT_WRIST or any(_same_place(one.points, hand) for hand in hands):
                    refused.append(one)
                    continue
                hands.append(one.points)
            skeletons[one.person][one.name] = one.points
        if not refused:
            return skeletons
        for one in refused:
            for member in one.agreeing:
                del readings[member.frame][member.n][one.name]


def _triangulated(index: int, name: str, people: Sequence[_Person], readings: Readings, views: Views) -> _Found:
    read = [
        (member, view, part)
        for member in people[index].members
        if (view := views.of_frame(member.frame)) is not None
        and (part := readings[member.frame][member.n].get(name)) is not None
    ]
    if len(read) < 2:
        return _Found(index, name, np.full((0, 3), np.nan), [], 0.0, 0.0)
    view_of = np.array([v for _, v, _ in read])
    pixels = np.array([views.undistort(v, part.keypoints) for _, v, part in read])
    weight = np.array([part.keypoint_score for _, _, part in read])
    size = np.array([part.size for _, _, part in read])
    points = triangulate(views.projection[view_of], pixels, weight, _SIGMA * size).points
    agreeing = [(m, part) for m, v, part in read if distance(part, _projected(points, v, views)) < _AGREES]
    members = [m for m, _ in agreeing]
    off_wrist = _off_wrist(points, members, people[index].wrists[name], views) if name in _HANDS else 0.0
    return _Found(index, name, points, members, float(sum(part.score for _, part in agreeing)), off_wrist)


def _off_wrist(points: Array, members: Sequence[_Member], wrist: Array, views: Views) -> float:
    """How far a hand (21, 3) is from the end of the arm where both are projected, a share of its size; 0 if unknown."""
    view = views.of_frames([member.frame for member in members])
    hand = views.project(points)[view]
    off = np.linalg.norm(hand[:, 0] - views.project(wrist)[view], axis=-1)
    placed = np.isfinite(points).all(axis=1)
    size = np.ptp(hand[:, placed], axis=1).max(axis=-1) if placed.any() else np.zeros(len(hand))
    known = np.isfinite(off) & (size > 0)
    return float(np.median(off[known]) / np.median(size[known])) if known.any() else 0.0


def _same_place(a: Array, b: Array) -> bool:
    """Whether two hands (21, 3) are one: half their points lie nearer than a share of the smaller one's size."""
    size = min(float(np.nanmax(np.nanmax(p, axis=0) - np.nanmin(p, axis=0))) for p in (a, b))
    gap = np.linalg.norm(a - b, axis=1)
    return bool(np.isfinite(gap).any() and np.nanmedian(gap) < SAME * size)


def _projected(points: Array, view: int, views: Views) -> Array:
    return image_points(views.cameras[view], transform(views.cam_from_world[view], points))


def _read_again(
    frame: int,
    image: Pyramid,
    people: Sequence[_Person],
    skeletons: Sequence[dict[str, Array]],
    readings: Readings,
    views: Views,
    reader: PartReader,
) -> None:
    """Read the parts of a frame's people where they should be, if they were not read there (in place)."""
    view = views.of_frame(frame)
    if view is None:
        return
    for person, skeleton in zip(people, skeletons, strict=True):
        for member in (m for m in person.members if m.frame == frame):
            reading = readings[frame][member.n]
            for name, points in skeleton.items():
                expected = _projected(points, view, views)
                if name in reading and distance(reading[name], expected) < _AGREES:
                    continue
                again = reader.expected(image, expected, name)
                if again is not None:
                    again = _scored(again, part_score(again, name))
                    reading[name] = better_reading(reading.get(name), again, expected)


def _reach(person: _Person, skeleton: dict[str, Array], readings: Readings, people: People, views: Views) -> None:
    """Let the arms of a person's bodies end where the hands are (in place)."""
    for member in person.members:
        view = views.of_frame(member.frame)
        for name in _HANDS if view is not None else ():
            if name in skeleton:
                assert view is not None
                side = _OTHER_HAND[name] if member.flipped else name
                body = people[member.frame][member.n]
                people[member.frame][member.n] = with_hand(
                    body,
                    side.removesuffix("_hand"),
                    _projected(skeleton[name], view, views),
                    readings[member.frame][member.n].get(name),
                )


def searched_frames(frames: Sequence[int]) -> list[int]:
    """The frames in which hands are looked for by themselves, of those that are looked at."""
    return [frames[i] for i in spread(len(frames), FRAMES)]


def better_reading(first: Part | None, again: Part, expected: Array) -> Part:
    """The one of two readings that lies nearer to where the keypoints (K, 2) px are expected."""
    if first is None or distance(again, expected) < distance(first, expected):
        return again
    return first


def _judge(person: _Person, skeleton: dict[str, Array], readings: Readings, views: Views) -> None:
    """Score a person's readings by how they agree with the parts, and drop those of something else (in place)."""
    for member in person.members:
        view = views.of_frame(member.frame)
        if view is None:
            continue
        reading = readings[member.frame][member.n]
        for name, points in skeleton.items():
            if name in reading:
                judged = agreeing(reading.pop(name), _projected(points, view, views))
                if judged is not None:
                    reading[name] = judged


def agreeing(part: Part, expected: Array) -> Part | None:
    """A reading scored by how its keypoints agree with those expected (K, 2) px; None where it shows another part."""
    if distance(part, expected) > _OTHER:
        return None
    off = np.linalg.norm(part.keypoints - expected, axis=1) / part.size
    agreement = 1.0 / (1.0 + (np.where(np.isfinite(off), off, np.nanmedian(off)) / _SIGMA) ** 2)
    return _scored(part, part.score * float(np.median(agreement)), agreement / np.median(agreement))
