"""Hands and faces of the people that `detect` has found.

They are read at the place that each body tells. People stand still and cameras are known, so the readings of a person
triangulate to one hand and one face: where the first reading is missing or far from them they are read again at their
projection, and what is read of somebody else's hand, or of the other one, is dropped. Whom no cameras place keeps the
readings that the body alone led to.
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
from mcbench.pipelines.looking import People, flatten

#: Scale of the robust cost of a triangulated keypoint, a share of the part's size in the image.
_SIGMA = 0.15
#: A reading agrees with the projection up to this median distance, as a share of the part's size: nothing better is
#: looked for. Beyond the larger one it shows something else.
_AGREES, _OTHER = 0.12, 0.35
#: A projection is believed when the scores of the readings that agree with it add up to this: three readings at least.
_SUPPORT = 2.0
#: Readings below this score are none.
_MIN_SCORE = 0.25
_HANDS = ("left_hand", "right_hand")

#: The parts read of one detection, by name: the person's own left and right, whatever the detection calls them.
Reading = dict[str, Part]


@dataclass(frozen=True)
class _Member:
    """A detection of a person: the n-th of a frame, and whether its left and right are exchanged."""

    frame: int
    n: int
    flipped: bool


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
    step : called with a label after every frame read, which each is once, and twice where there are `views`.
    """
    readings: dict[int, list[Reading]] = {}
    for frame, image in source.images(list(people)):
        pyramid = Pyramid(image)
        readings[frame.index] = [_read(reader, pyramid, body) for body in people[frame.index]]
        step("hands and faces")
    tracks = _tracks(people, views, detector) if len(views) else []
    flipped = {(m.frame, m.n) for track in tracks for m in track if m.flipped}
    for frame_index, n in flipped:
        readings[frame_index][n] = _exchanged(readings[frame_index][n])
    for here in readings.values():
        _one_owner(here)
    if len(views):
        skeletons = _skeletons(tracks, readings, views)
        for frame, image in source.images(list(people)):
            _read_again(frame.index, Pyramid(image), tracks, skeletons, readings, views, reader)
            step("hands and faces, again")
        skeletons = _skeletons(tracks, readings, views)
        for track, skeleton in zip(tracks, skeletons, strict=True):
            _judge(track, skeleton, readings, views)
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
    other = dict(zip(_HANDS, _HANDS[::-1], strict=True))
    return {other.get(name, name): found for name, found in reading.items()}


def _tracks(people: People, views: Views, detector: Detector) -> list[list[_Member]]:
    rows = [(i, n) for i in sorted(people) for n in range(len(people[i]))]
    return [
        [_Member(rows[row][0], rows[row][1], flipped) for row, flipped in zip(track.rows, track.flipped, strict=True)]
        for track in associate(views, flatten(detector, people))
    ]


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


def _skeletons(
    tracks: Sequence[Sequence[_Member]], readings: dict[int, list[Reading]], views: Views
) -> list[dict[str, Array]]:
    """For each track the parts that its readings agree on: keypoints (K, 3) in the world by name."""
    supported: list[tuple[float, int, str, Array]] = []
    for index, track in enumerate(tracks):
        for name in PARTS:
            points, support = _triangulated(track, name, readings, views)
            if support >= _SUPPORT:
                supported.append((support, index, name, points))
    skeletons: list[dict[str, Array]] = [{} for _ in tracks]
    hands: list[Array] = []
    for _, index, name, points in sorted(supported, key=lambda item: (-item[0], item[1], item[2])):
        if name in _HANDS:
            if any(_same_place(points, other) for other in hands):
                continue
            hands.append(points)
        skeletons[index][name] = points
    return skeletons


def _triangulated(
    track: Sequence[_Member], name: str, readings: dict[int, list[Reading]], views: Views
) -> tuple[Array, float]:
    """A part's keypoints (K, 3) in the world, NaN where unknown, and the sum of the scores that agree with them."""
    found = [(views.of_frame(m.frame), readings[m.frame][m.n].get(name)) for m in track]
    seen = [(view, part) for view, part in found if view is not None and part is not None]
    if len(seen) < 2:
        return np.full((0, 3), np.nan), 0.0
    view = np.array([v for v, _ in seen])
    pixels = np.array([views.undistort(v, part.keypoints) for v, part in seen])
    weight = np.array([part.keypoint_score for _, part in seen])
    size = np.array([part.size for _, part in seen])
    points = triangulate(views.projection[view], pixels, weight, _SIGMA * size).points
    agrees = [_distance(part, v, points, views) < _AGREES for v, part in seen]
    return points, float(sum(part.score for (_, part), a in zip(seen, agrees, strict=True) if a))


def _same_place(a: Array, b: Array) -> bool:
    """Whether two hands (21, 3) are one: half their points lie nearer than a share of the smaller one's size."""
    size = min(float(np.nanmax(np.nanmax(p, axis=0) - np.nanmin(p, axis=0))) for p in (a, b))
    gap = np.linalg.norm(a - b, axis=1)
    return bool(np.isfinite(gap).any() and np.nanmedian(gap) < SAME * size)


def _projected(points: Array, view: int, views: Views) -> Array:
    return image_points(views.cameras[view], transform(views.cam_from_world[view], points))


def _distance(part: Part, view: int, points: Array, views: Views) -> float:
    return distance(part, _projected(points, view, views))


def _read_again(
    frame: int,
    image: Pyramid,
    tracks: Sequence[Sequence[_Member]],
    skeletons: Sequence[dict[str, Array]],
    readings: dict[int, list[Reading]],
    views: Views,
    reader: PartReader,
) -> None:
    """Read the parts of a frame's people where they should be, if they were not read there (in place)."""
    view = views.of_frame(frame)
    if view is None:
        return
    for track, skeleton in zip(tracks, skeletons, strict=True):
        for member in (m for m in track if m.frame == frame):
            reading = readings[frame][member.n]
            for name, points in skeleton.items():
                expected = _projected(points, view, views)
                if name in reading and distance(reading[name], expected) < _AGREES:
                    continue
                again = reader.expected(image, expected, name)
                if again is not None:
                    again = _scored(again, part_score(again, name))
                    reading[name] = better_reading(reading.get(name), again, expected)


def better_reading(first: Part | None, again: Part, expected: Array) -> Part:
    """The one of two readings that lies nearer to where the keypoints (K, 2) px are expected."""
    if first is None or distance(again, expected) < distance(first, expected):
        return again
    return first


def _judge(
    track: Sequence[_Member], skeleton: dict[str, Array], readings: dict[int, list[Reading]], views: Views
) -> None:
    """Score a track's readings by how they agree with its parts, and drop those of something else (in place)."""
    for member in track:
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
