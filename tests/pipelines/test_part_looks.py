"""Hands by geometry: a man stands still before cameras on an arc, and a reader shows him hands as the script says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from standing import HEIGHT, WIDTH, arc_of_cameras, standing_person

from mcbench.cameras.camera import transform
from mcbench.cameras.views import Views
from mcbench.dataset.cameras_file import SceneCameras
from mcbench.dataset.source import Frame, Source
from mcbench.experts.base import Opinion, PersonDetection
from mcbench.experts.crops import Pyramid, Roi
from mcbench.experts.holistic import PARTS
from mcbench.experts.parts import Part
from mcbench.joints import BLAZEPOSE33, COCO17, HAND21, HOLISTIC143
from mcbench.pipelines.part_looks import agreeing, better_reading, look_for_parts

CAMERAS = arc_of_cameras(6)
VIEWS = Views.from_cameras(CAMERAS)
UNPOSED = Views.from_cameras(SceneCameras([]))
MAN = standing_person(0.3, 0.2)
FRAMES = range(6)
IMAGE = Pyramid(np.zeros((HEIGHT, WIDTH, 3), np.uint8))


def hand_of(side: str) -> np.ndarray:
    """Points (21, 3), metres, of a hand that hangs from the man's wrist, its palm to the front."""
    away = 1.0 if side == "left" else -1.0
    points = [[0.0, 0.0, 0.0]]
    for finger in range(5):
        points += [[away * 0.02 * (2 - finger), -0.01, -0.08 - 0.025 * joint] for joint in range(4)]
    return np.array(points) + MAN[COCO17.index(f"{side}_wrist")]


HANDS = {f"{side}_hand": hand_of(side) for side in ("left", "right")}
#: Another hand: that of somebody who stands half a metre beside him.
ANOTHER = HANDS["left_hand"] + [0.0, 0.5, 0.2]


def in_frame(points: np.ndarray, frame: int) -> np.ndarray:
    pose = CAMERAS.frames[frame].cam_from_world
    assert pose is not None
    return CAMERAS.frames[frame].camera.project(transform(pose, points))


def reading(points: np.ndarray, frame: int, right: bool) -> Part:
    at = in_frame(points, frame)
    return Part.of(IMAGE, 0.9, at, np.zeros((len(at), 3)), 0.95 if right else 0.05)


def man_in(frame: int, man: np.ndarray = MAN) -> PersonDetection:
    keypoints = np.full((33, 2), np.nan)
    for name, point in zip(COCO17.joints, in_frame(man, frame), strict=True):
        keypoints[BLAZEPOSE33.index(name)] = point
    known = np.isfinite(keypoints).all(axis=1)
    box = np.concatenate([np.nanmin(keypoints, axis=0), np.nanmax(keypoints, axis=0)])
    return PersonDetection(0.9, box, keypoints, known * 0.9, np.full((33, 3), np.nan), np.zeros((0, 0), np.uint8))


class Numbered(Source):
    """Images of one colour, whose red value is the frame's number."""

    def images(self, indices: Sequence[int] | None = None) -> Iterator[tuple[Frame, np.ndarray]]:
        for i in sorted(indices or []):
            image = np.full((HEIGHT, WIDTH, 3), 150, np.uint8)
            image[..., 0] = i
            yield self.frames[i], image


SOURCE = Numbered(
    Path(), "test", "images", "", [Frame(i, f"{i}.png", None, WIDTH, HEIGHT) for i in FRAMES], list(FRAMES)
)


class Scripted:
    """Reads at first what `first` says, of (frame, part), and at a projection what `there` says, if it is near;
    `loose` are the hands that are found by themselves, by frame."""

    def __init__(
        self,
        first: Mapping[tuple[int, str], Part],
        there: Mapping[tuple[int, str], Part],
        loose: Mapping[int, list[Part]] | None = None,
    ) -> None:
        self.first, self.there, self.loose = first, there, loose or {}
        self.asked: list[tuple[int, str]] = []
        self.searched: dict[int, list[Roi]] = {}

    def of_body(self, image: Pyramid, body: PersonDetection, part: str) -> Part | None:
        return self.first.get((number(image), part))

    def expected(self, image: Pyramid, prior: np.ndarray, part: str) -> Part | None:
        self.asked.append((number(image), part))
        found = self.there.get((number(image), part))
        near = found is not None and np.linalg.norm(found.keypoints - prior, axis=1).max() < 3.0
        return found if near else None

    def hands(self, image: Pyramid, regions: Sequence[Roi]) -> list[Part]:
        self.searched[number(image)] = list(regions)
        return self.loose.get(number(image), [])


def number(image: Pyramid) -> int:
    return int(image.crop(Roi(np.array([50.0, 50.0]), 4.0), 4)[1, 1, 0])


class Detector:
    name, version, keypoint_set = "scripted", "1", "blazepose33"


class Twofold(Detector):
    def opinions(self, image: np.ndarray, places: Sequence[np.ndarray]) -> list[Opinion]: ...

    def joined(self, reading: PersonDetection, opinion: PersonDetection) -> PersonDetection: ...

    def expected(self, image: np.ndarray, places: Sequence[np.ndarray]) -> list[Opinion]: ...

    def confirmed(self, reading: PersonDetection, expected: PersonDetection, size_px: float) -> PersonDetection: ...

    def alone(self, opinion: PersonDetection) -> PersonDetection: ...

    def detect(self, image: np.ndarray) -> list[PersonDetection]: ...

    def resources(self) -> Mapping[str, str]: ...


def look(
    reader: Scripted,
    views: Views = VIEWS,
    people: dict[int, list[PersonDetection]] | None = None,
    source: Source = SOURCE,
    detector: Detector | None = None,
) -> dict[int, list[PersonDetection]]:
    people = people or {i: [man_in(i)] for i in FRAMES}
    steps: list[str] = []
    detector = detector or Detector()
    found = look_for_parts(people, views, source, detector, reader, steps.append)  # type: ignore[arg-type]
    assert len(steps) == len(people) * (3 if len(views) else 1)
    return found


def hand(person: PersonDetection, name: str) -> np.ndarray:
    return person.keypoints[PARTS[name]]


ALL = {(i, name): reading(points, i, name == "right_hand") for i in FRAMES for name, points in HANDS.items()}


def test_hands_that_agree_stay_as_they_were_read() -> None:
    reader = Scripted(ALL, {})
    found = look(reader)
    for (i, name), part in ALL.items():
        np.testing.assert_array_equal(hand(found[i][0], name), part.keypoints)
        np.testing.assert_allclose(found[i][0].keypoint_score[PARTS[name]], 0.9 * 0.95, rtol=1e-3)
        np.testing.assert_array_equal(found[i][0].keypoints[:33], man_in(i).keypoints)
    assert reader.asked == [] and reader.searched == {}


LOST = MAN.copy()
LOST[COCO17.index("left_wrist")] += [-0.25, -0.2, 0.35]  # the detector takes his left arm to be bent before him


def test_a_hand_found_by_itself_is_the_end_of_an_arm_that_was_lost() -> None:
    """No hand is where his left arm seems to end; it is found, with his right one, which has an owner already."""
    there = {key: part for key, part in ALL.items() if key[1] == "right_hand"}
    loose = {i: [ALL[i, name] for name in HANDS] for i in (0, 2, 3, 5)}
    reader = Scripted(there, ALL, loose)
    found = look(reader, people={i: [man_in(i, LOST)] for i in FRAMES})
    wrist, elbow = BLAZEPOSE33.index("left_wrist"), BLAZEPOSE33.index("left_elbow")
    for i in FRAMES:
        np.testing.assert_array_equal(hand(found[i][0], "left_hand"), ALL[i, "left_hand"].keypoints)
        np.testing.assert_array_equal(hand(found[i][0], "right_hand"), ALL[i, "right_hand"].keypoints)
        np.testing.assert_array_equal(found[i][0].keypoints[wrist], ALL[i, "left_hand"].keypoints[0])
        assert found[i][0].keypoint_score[elbow] == pytest.approx(0.3 * 0.9)
        shown = [region.to_crop(in_frame(HANDS["left_hand"], i)) for region in reader.searched[i]]
        assert any(((points > 0.1) & (points < 0.9)).all() for points in shown)


@pytest.mark.parametrize("sure", [6, 3])
def test_an_arm_whose_wrist_two_networks_agree_on_has_no_other_end(sure: int) -> None:
    """In four views of a video, that is; the hand that is found is another's then, or his other one."""
    there = {key: part for key, part in ALL.items() if key[1] == "right_hand"}
    reader = Scripted(there, ALL, {i: [ALL[i, "left_hand"]] for i in (0, 2, 3, 5)})
    people = {i: [man_in(i, LOST)] for i in FRAMES}
    for i in range(sure, len(FRAMES)):
        people[i][0].keypoint_score[BLAZEPOSE33.index("left_wrist")] = 0.6
    video = Numbered(**{**vars(SOURCE), "kind": "video"})
    found = look(reader, people=people, source=video, detector=Twofold())
    for i in FRAMES:
        assert np.isnan(hand(found[i][0], "left_hand")).all() == (sure == 6)


def test_an_arm_whose_hand_is_known_but_not_seen_ends_nowhere() -> None:
    """In frame 2 somebody stands before his left hand, and the body's wrist is a guess."""
    people = {i: [man_in(i, LOST if i == 2 else MAN)] for i in FRAMES}
    first = {key: part for key, part in ALL.items() if key != (2, "left_hand")}
    found = look(Scripted(first, {}), people=people)
    wrist = BLAZEPOSE33.index("left_wrist")
    assert np.isnan(found[2][0].keypoints[wrist]).all() and found[2][0].keypoint_score[wrist] == 0.0
    for i in (0, 1, 3, 4, 5):
        np.testing.assert_array_equal(found[i][0].keypoints[:33], people[i][0].keypoints)


@pytest.mark.parametrize(
    "points",
    [HANDS["right_hand"] + [0.05, -0.25, 0.3], HANDS["left_hand"] + [0.6, 0.0, 0.3], HANDS["left_hand"][:, [0, 2, 1]]],
    ids=["the other side", "too far", "not of this arm"],
)
def test_a_hand_that_is_not_his_stays_without_an_owner(points: np.ndarray) -> None:
    there = {key: part for key, part in ALL.items() if key[1] == "right_hand"}
    right = bool(points[0, 0] < MAN[:, 0].mean())
    loose = {i: [reading(points, i, right)] for i in FRAMES}
    found = look(Scripted(there, {}, loose), people={i: [man_in(i, LOST)] for i in FRAMES})
    assert all(np.isnan(hand(found[i][0], "left_hand")).all() for i in FRAMES)


def test_a_hand_that_was_not_read_is_read_at_its_projection() -> None:
    first = {key: part for key, part in ALL.items() if key not in ((2, "left_hand"), (4, "right_hand"))}
    reader = Scripted(first, ALL)
    found = look(reader)
    assert reader.asked == [(2, "left_hand"), (4, "right_hand")]
    np.testing.assert_array_equal(hand(found[2][0], "left_hand"), ALL[2, "left_hand"].keypoints)
    np.testing.assert_array_equal(hand(found[4][0], "right_hand"), ALL[4, "right_hand"].keypoints)


@pytest.mark.parametrize("seen", [True, False])
def test_somebody_elses_hand_is_replaced_or_dropped(seen: bool) -> None:
    first = {**ALL, (1, "left_hand"): reading(ANOTHER, 1, right=False)}
    found = look(Scripted(first, ALL if seen else {}))
    if seen:
        np.testing.assert_array_equal(hand(found[1][0], "left_hand"), ALL[1, "left_hand"].keypoints)
    else:
        assert np.isnan(hand(found[1][0], "left_hand")).all()
        assert not found[1][0].keypoint_score[PARTS["left_hand"]].any()


def test_one_hand_read_for_both_sides_is_the_one_of_its_side() -> None:
    """In every frame the right hand's place shows the left hand."""
    first = {(i, name): ALL[i, "left_hand"] for i in FRAMES for name in HANDS}
    for views in (VIEWS, UNPOSED):
        found = look(Scripted(first, {}), views)
        for i in FRAMES:
            np.testing.assert_array_equal(hand(found[i][0], "left_hand"), ALL[i, "left_hand"].keypoints)
            assert np.isnan(hand(found[i][0], "right_hand")).all()


def test_a_detection_with_exchanged_sides_has_exchanged_hands() -> None:
    """In frame 3 the man seems to be turned round; `flip` must set all of him right."""
    body_flip, flip = list(BLAZEPOSE33.flip), list(HOLISTIC143.flip)
    turned = replace(
        man_in(3),
        keypoints=man_in(3).keypoints[body_flip],
        keypoint_score=man_in(3).keypoint_score[body_flip],
    )
    people = {i: [turned if i == 3 else man_in(i)] for i in FRAMES}
    swapped = {(3, "left_hand"): ALL[3, "right_hand"], (3, "right_hand"): ALL[3, "left_hand"]}
    found = look(Scripted({**ALL, **swapped}, {}), people=people)
    straight = look(Scripted(ALL, {}))
    np.testing.assert_array_equal(found[3][0].keypoints[flip], straight[3][0].keypoints)
    assert np.isfinite(hand(found[3][0], "left_hand")).all()


def test_without_cameras_the_readings_stand() -> None:
    first = {**ALL, (1, "left_hand"): reading(ANOTHER, 1, right=False)}
    found = look(Scripted(first, {}), UNPOSED)
    for (i, name), part in first.items():
        np.testing.assert_array_equal(hand(found[i][0], name), part.keypoints)


def test_a_hand_of_the_wrong_side_alone_is_none() -> None:
    found = look(Scripted({(i, "left_hand"): ALL[i, "right_hand"] for i in FRAMES}, {}))
    assert all(np.isnan(hand(found[i][0], "left_hand")).all() for i in FRAMES)


def test_a_hand_that_is_not_at_the_wrist_is_none() -> None:
    """All readings agree, but on a hand half a metre behind him."""
    found = look(Scripted({(i, "left_hand"): reading(ANOTHER, i, right=False) for i in FRAMES}, {}))
    assert all(np.isnan(hand(found[i][0], "left_hand")).all() for i in FRAMES)


def test_a_hand_is_of_the_one_whose_arm_it_ends() -> None:
    """A woman's left wrist is next to his left hand; hers is hidden, and his is read for her, too."""
    wrist = COCO17.index("left_wrist")
    woman = standing_person(-0.6, 0.6)
    woman[wrist] = HANDS["left_hand"][0] + [0.0, 0.06, 0.0]
    people = {i: [man_in(i), man_in(i, woman)] for i in FRAMES}

    class Both(Scripted):
        def of_body(self, image: Pyramid, body: PersonDetection, part: str) -> Part | None:
            his = np.array_equal(body.keypoints, man_in(number(image)).keypoints, equal_nan=True)
            odd = number(image) % 2 == 1  # the same reading twice in a frame would be given to one of them at once
            return ALL[number(image), part] if part == "left_hand" and his != odd else None

    found = look(Both({}, ALL), people=people)
    for i in FRAMES:
        np.testing.assert_array_equal(hand(found[i][0], "left_hand"), ALL[i, "left_hand"].keypoints)
        assert np.isnan(hand(found[i][1], "left_hand")).all()


def test_two_readings_are_too_few_to_judge_a_third() -> None:
    first = {key: part for key, part in ALL.items() if key[1] == "left_hand" and key[0] in (0, 5)}
    first[1, "left_hand"] = reading(ANOTHER, 1, right=False)
    found = look(Scripted(first, ALL))
    assert [bool(np.isfinite(hand(found[i][0], "left_hand")).all()) for i in FRAMES] == [True, True, *[False] * 3, True]


def test_the_better_of_two_readings_is_nearer() -> None:
    right, other = reading(HANDS["left_hand"], 0, right=False), reading(ANOTHER, 0, right=False)
    expected = right.keypoints + 1.0
    assert better_reading(None, other, expected) is other
    assert better_reading(right, other, expected) is right
    assert better_reading(other, right, expected) is right


def test_scores_tell_how_well_each_point_agrees() -> None:
    part = reading(HANDS["left_hand"], 0, right=False)
    expected = part.keypoints.copy()
    tip = HAND21.index("index_4")
    expected[tip, 0] += 0.15 * part.size
    judged = agreeing(part, expected)
    assert judged is not None
    assert judged.keypoint_score[tip] == pytest.approx(0.45)
    np.testing.assert_allclose(np.delete(judged.keypoint_score, tip), 0.9)
    assert agreeing(part, part.keypoints + part.size) is None
