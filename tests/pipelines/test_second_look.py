"""The second look: people stand in a room, cameras are known, and a scripted detector sees them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from standing import HEIGHT, WIDTH, arc_of_cameras, seen, standing_person

from mcbench.cameras.views import Views
from mcbench.dataset.source import Frame, Source
from mcbench.experts.base import Opinion, Peaks, PersonDetection, TwofoldDetector
from mcbench.joints import COCO17
from mcbench.pipelines.looking import Looker, People
from mcbench.pipelines.second_look import second_look

FRAMES = 8
CAMERAS = arc_of_cameras(FRAMES)
NO_PEAKS = Peaks(np.zeros(0, np.int64), np.zeros((0, 2)), np.zeros(0))
ANN, BOB = standing_person(-0.6, 0.0), standing_person(0.6, 0.3)


def reading(keypoints: np.ndarray, score: float = 0.9) -> PersonDetection:
    box = np.concatenate([keypoints.min(0), keypoints.max(0)])
    return PersonDetection(score, box, keypoints, np.ones(17), np.zeros((17, 3)), np.full((32, 32), 255, np.uint8))


class Scripted:
    """Reads, at a prior, the people of the script whose limbs lie within 8 px of it (median); a frame's index is its
    red value.

    there : by frame, who is to be seen there.
    mistakes : by frame, what is read at any prior besides.
    priors : those it was given, by frame.
    """

    name, version, keypoint_set = "scripted", "1", "coco17"

    def __init__(self, there: People, mistakes: People | None = None) -> None:
        self.there, self.mistakes = there, mistakes or {}
        self.priors: dict[int, list[np.ndarray]] = {i: [] for i in range(FRAMES)}

    @staticmethod
    def resources() -> Mapping[str, str]:
        return {}

    def detect(
        self, image: np.ndarray, priors: Sequence[np.ndarray] = (), search: bool = True
    ) -> list[PersonDetection]:
        assert not search
        index = int(image[0, 0, 0])
        self.priors[index] += priors
        here = [
            person
            for person in self.there.get(index, [])
            if any(np.median(np.linalg.norm(person.keypoints - prior, axis=1)) < 8 for prior in priors)
        ]
        return here + (self.mistakes.get(index, []) if len(priors) else [])


class PhotosAsVideo(Source):
    """A source of kind "video" whose pictures are photos."""

    def images(self, indices: Sequence[int] | None = None) -> Iterator[tuple[Frame, np.ndarray]]:
        yield from self._photos(set(indices or []))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Source:
    folder = tmp_path_factory.mktemp("source")
    (folder / "images").mkdir()
    frames = [Frame(i, f"{i:04d}.png", None, WIDTH, HEIGHT) for i in range(FRAMES)]
    for frame in frames:
        cv2.imwrite(str(folder / "images" / frame.name), np.full((HEIGHT, WIDTH, 3), frame.index, np.uint8))
    return Source(Path(folder), "test", "images", "images", frames, list(range(FRAMES)))


@pytest.fixture(scope="module")
def source(photos: Source) -> Source:
    return PhotosAsVideo(**{**vars(photos), "kind": "video"})


def look(source: Source, detector: Scripted, found: People, reader: bool = False) -> People:
    views = Views.from_cameras(CAMERAS)
    steps: list[str] = []
    people = second_look(found, {}, range(FRAMES), views, Looker(source, detector, 0.4, steps.append, reader), 0.3)
    rounds = 3 + (1 + 2 * reader) * isinstance(detector, TwofoldDetector) if source.kind == "video" else 1
    assert len(steps) == len(found) + rounds * FRAMES
    return people


def everywhere(*people: np.ndarray) -> People:
    return {i: [reading(seen(CAMERAS, points, i)) for points in people] for i in range(FRAMES)}


def places(people: People, frame: int) -> list[np.ndarray]:
    return [p.keypoints for p in people[frame]]


def test_found_in_three_frames_seen_in_all_at_the_projected_place(source: Source) -> None:
    there = everywhere(ANN, BOB)
    detector = Scripted(there)
    people = look(source, detector, {i: there[i] for i in (0, 3, 7)})
    assert [len(people[i]) for i in range(FRAMES)] == [2] * FRAMES
    for i in (1, 2, 4, 5, 6):
        true = [seen(CAMERAS, points, i) for points in (ANN, BOB)]
        assert len(detector.priors[i]) == 2
        for prior in detector.priors[i]:
            assert min(np.abs(prior - points).max() for points in true) < 0.5
    assert detector.priors[0] == detector.priors[7] == []  # found well enough


def test_two_views_that_agree_find_the_others(photos: Source) -> None:
    """Everyone is searched for in every photo, and found in two."""
    there = everywhere(ANN)
    people = look(photos, Scripted(there), {i: there[i] if i in (1, 6) else [] for i in range(FRAMES)})
    assert [len(people[i]) for i in range(FRAMES)] == [1] * FRAMES


def test_a_frame_without_a_pose_keeps_what_it_has(source: Source) -> None:
    there = everywhere(ANN)
    views = Views.from_cameras(CAMERAS)
    views = Views(views.frame[:-1], views.cameras[:-1], views.K[:-1], views.cam_from_world[:-1])
    looker = Looker(source, Scripted({i: there[i] for i in range(7)}), 0.4, lambda label: None)
    people = second_look({i: there[i] for i in (0, 3, 6, 7)}, {}, range(FRAMES), views, looker, 0.3)
    assert [len(people[i]) for i in range(FRAMES)] == [1] * FRAMES


def test_a_reading_of_a_neighbour_is_not_the_one_expected(source: Source) -> None:
    """Where Bob is hidden, the detector reads Ann at his place, more surely than before: once Ann, no Bob."""
    there = everywhere(ANN, BOB)
    there[5] = there[5][:1]
    again = reading(seen(CAMERAS, ANN, 5) + 6.0, 1.0)
    people = look(source, Scripted(there, {5: [again]}), {i: there[i] for i in (0, 3, 7)})
    assert [len(people[i]) for i in range(FRAMES)] == [2, 2, 2, 2, 2, 1, 2, 2]
    np.testing.assert_array_equal(people[5][0].keypoints, seen(CAMERAS, ANN, 5))  # the one that agrees better


def test_a_mixture_of_two_people_gives_way_to_the_right_reading(source: Source) -> None:
    """The search read Bob with Ann's legs in frame 3, with a better score than the right one has."""
    there = everywhere(ANN, BOB)
    right = there[3][1].keypoints
    mixed = right.copy()
    mixed[13:] = there[3][0].keypoints[13:]
    there[3][1] = reading(right, 0.5)
    found = {i: list(there[i]) for i in (0, 3, 5, 7)}
    found[3][1] = reading(mixed, 0.95)
    people = look(source, Scripted(there), found)
    assert len(people[3]) == 2
    assert any(np.array_equal(points, right) for points in places(people, 3))


class DrawnToTheFront(Scripted):
    """Reads Ann wherever her pixels, brighter than the frame's own, are to be seen, whoever is asked for."""

    def detect(
        self, image: np.ndarray, priors: Sequence[np.ndarray] = (), search: bool = True
    ) -> list[PersonDetection]:
        index = int(image[0, 0, 0])
        here = super().detect(image, priors, search)
        x, y = seen(CAMERAS, ANN, index).mean(0).astype(int)
        return [self.there[index][0]] if here and image[y, x, 0] > 128 else here


def test_who_is_behind_is_seen_when_the_one_in_front_is_erased(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bob is found in three frames; in the others the detector reads Ann for him until she is out of the picture."""
    there = everywhere(ANN, BOB)
    plain = PhotosAsVideo.images

    def with_ann(self: PhotosAsVideo, indices: Sequence[int] | None = None) -> Iterator[tuple[Frame, np.ndarray]]:
        for frame, image in plain(self, indices):
            low, high = np.split(there[frame.index][0].box.astype(int), 2)
            image[low[1] : high[1], low[0] : high[0]] = 255
            yield frame, image

    monkeypatch.setattr(PhotosAsVideo, "images", with_ann)
    people = look(source, DrawnToTheFront(there), {i: list(there[i]) for i in (0, 3, 7)})
    assert [len(people[i]) for i in range(FRAMES)] == [2] * FRAMES


def test_doubtful_readings_are_believed_down_to_the_lower_score(source: Source) -> None:
    there = everywhere(ANN)
    there[1], there[2] = ([reading(there[i][0].keypoints, score)] for i, score in ((1, 0.35), (2, 0.25)))
    people = look(source, Scripted(there), {i: there[i] for i in (0, 3, 7)})
    assert [len(people[i]) for i in range(4)] == [1, 1, 0, 1]


def test_who_walks_is_followed_and_kept(source: Source) -> None:
    """No still skeleton explains someone who walks; the frames beside the one searched show them all the same."""
    ann = everywhere(ANN)
    walk = [seen(CAMERAS, standing_person(0.6 + 0.03 * i, 0.3 + 0.3 * i), i) for i in range(FRAMES)]
    start = reading(walk[3], 0.6)
    beside = {i: [reading(walk[3] + 3.0 * (i - 3), 0.6)] for i in (2, 4)}
    there = {i: ann[i] + beside.get(i, []) for i in range(FRAMES)}
    people = look(source, Scripted(there), {0: ann[0], 3: [*ann[3], start], 7: ann[7]})
    assert [len(people[i]) for i in range(FRAMES)] == [1, 1, 2, 2, 2, 1, 1, 1]


def test_in_photos_nobody_is_followed(photos: Source) -> None:
    """Neighbouring photos need not be taken from neighbouring places: only cameras tell where to look."""
    there = everywhere(ANN)
    detector = Scripted(there)
    people = look(photos, detector, {i: there[i] if i == 3 else [] for i in range(FRAMES)})
    assert [len(people[i]) for i in range(FRAMES)] == [0, 0, 0, 1, 0, 0, 0, 0]
    assert not any(detector.priors.values())


def test_left_and_right_exchanged_give_way_to_the_right_sides(source: Source) -> None:
    there = everywhere(ANN)
    right = seen(CAMERAS, ANN, 3)
    found = {i: there[i] for i in (0, 3, 5, 7)}
    found[3] = [reading(right[list(COCO17.flip)], 0.95)]
    there[3] = [reading(right + 2.0, 0.6)]  # not quite as near
    people = look(source, Scripted(there), found)
    assert [p.score for p in people[3]] == [0.6]


class Leading(Scripted):
    """One that gives leads: the people of `leading` by frame."""

    def __init__(self, there: People, leading: People) -> None:
        super().__init__(there)
        self.leading = leading

    def leads(self, image: np.ndarray) -> list[PersonDetection]:
        return self.leading[int(image[0, 0, 0])]


def test_whom_no_search_finds_is_read_where_coarse_poses_agree(source: Source) -> None:
    """Ann is found, Bob is not: coarse poses of him in five frames, off by 4 px an axis, lead to him in every frame;
    those of nobody lead nowhere, and none of them is a person of any frame."""
    noise = np.random.default_rng(1)
    there = everywhere(ANN, BOB)
    coarse = {i: reading(there[i][1].keypoints + noise.normal(0, 4, (17, 2)), 0.3) for i in (0, 2, 4, 5, 7)}
    nobody = {i: reading(there[i][1].keypoints + noise.uniform(-150, 150, 2), 0.3) for i in range(FRAMES)}
    leading = {i: [there[i][0], *([coarse[i]] if i in coarse else []), nobody[i]] for i in range(FRAMES)}
    looker = Looker(source, Leading(there, leading), 0.4, lambda label: None)
    found = {i: there[i][:1] for i in (0, 3, 7)}
    leads = looker.leads(range(FRAMES), found)
    assert [len(leads[i]) for i in (0, 1, 3)] == [2, 2, 1]  # of Ann there is none where she was found
    people = second_look(found, leads, range(FRAMES), Views.from_cameras(CAMERAS), looker, 0.3)
    for i in range(FRAMES):
        true = sorted(seen(CAMERAS, points, i)[0, 0] for points in (ANN, BOB))
        np.testing.assert_allclose(sorted(p.keypoints[0, 0] for p in people[i]), true)


def test_a_detector_without_leads_gives_none(source: Source) -> None:
    assert Looker(source, Scripted({}), 0.4, lambda label: None).leads(range(FRAMES), {}) == {}


class Twofold(Leading):
    """One with a second network, which reads the people of `second` by frame where they are asked for, and whose
    readings make those of the first one surer; and a reader of those of `third`."""

    def __init__(
        self, there: People, second: People, leading: People | None = None, third: People | None = None
    ) -> None:
        super().__init__(there, leading or {i: [] for i in range(FRAMES)})
        self.second, self.third = second, third or {}
        self.sizes: list[float] = []

    def opinions(self, image: np.ndarray, places: Sequence[np.ndarray]) -> list[Opinion]:
        here = self.second[int(image[0, 0, 0])]
        near = [[one for one in here if np.abs(one.keypoints - place).mean() < 60] for place in places]
        return [Opinion(people, NO_PEAKS) for people in near]

    def joined(self, reading: PersonDetection, opinion: PersonDetection) -> PersonDetection:
        return replace(reading, score=1.0)

    def alone(self, opinion: PersonDetection) -> PersonDetection:
        return replace(opinion, score=0.5)

    def expected(self, image: np.ndarray, places: Sequence[np.ndarray]) -> list[Opinion]:
        here = self.third.get(int(image[0, 0, 0]), [])
        near = [[one for one in here if np.abs(one.keypoints - place).mean() < 60] for place in places]
        return [Opinion(people[:1], NO_PEAKS) for people in near]

    def confirmed(self, reading: PersonDetection, expected: PersonDetection, size_px: float) -> PersonDetection:
        self.sizes.append(size_px)
        return replace(reading, score=0.95)


def scores(people: People, points: np.ndarray) -> list[list[float]]:
    """The scores of those who stand where a person is seen, by frame."""
    near = {i: [p for p in people[i] if np.abs(p.keypoints - seen(CAMERAS, points, i)).mean() < 10] for i in people}
    return [[p.score for p in near[i]] for i in range(FRAMES)]


def test_everyone_confirmed_is_read_by_a_second_network_and_who_is_read_by_it_alone_is_seen(source: Source) -> None:
    """The first network never reads Bob in frames 1 and 6; the second reads both people everywhere but Ann in 2."""
    there = everywhere(ANN, BOB)
    first = {i: there[i][: 1 if i in (1, 6) else 2] for i in range(FRAMES)}
    second = {i: there[i][1 if i == 2 else 0 :] for i in range(FRAMES)}
    people = look(source, Twofold(first, second), {i: first[i] for i in (0, 3, 7)})
    assert scores(people, ANN) == [[1.0], [1.0], [0.9], *[[1.0]] * 5]
    assert scores(people, BOB) == [[1.0], [0.5], *[[1.0]] * 4, [0.5], [1.0]]


def test_a_reader_that_says_what_the_others_are_sure_of_is_heard(source: Source) -> None:
    """It alone reads Bob in frames 1 and 6, and is told how high an adult would be where people are."""
    there = everywhere(ANN, BOB)
    first = {i: there[i][: 1 if i in (1, 6) else 2] for i in range(FRAMES)}
    detector = Twofold(first, {i: [] for i in range(FRAMES)}, third=there)
    unheard = look(source, detector, {i: first[i] for i in (0, 3, 7)})
    assert scores(unheard, ANN) == [[0.9]] * FRAMES  # nobody asked for it
    people = look(source, detector, {i: first[i] for i in (0, 3, 7)}, reader=True)
    assert scores(people, ANN) == [[0.95]] * FRAMES
    assert scores(people, BOB) == [[0.95]] * FRAMES  # alone in the first reading, confirmed in the second
    standing = [np.ptp(seen(CAMERAS, points, i)[:, 1]) for points in (ANN, BOB) for i in range(FRAMES)]
    assert 0.8 < np.mean(detector.sizes) / np.mean(standing) < 1.4


def test_a_reader_that_sees_people_elsewhere_is_not_heard(source: Source) -> None:
    there = everywhere(ANN, BOB)
    first = {i: there[i][: 1 if i in (1, 6) else 2] for i in range(FRAMES)}
    third = {i: [replace(one, keypoints=one.keypoints + 40.0) for one in there[i]] for i in range(FRAMES)}
    detector = Twofold(first, {i: [] for i in range(FRAMES)}, third=third)
    people = look(source, detector, {i: first[i] for i in (0, 3, 7)}, reader=True)
    assert scores(people, ANN) == [[0.9]] * FRAMES
    assert scores(people, BOB) == [[0.9], [], *[[0.9]] * 4, [], [0.9]]


def test_in_photos_nobody_is_asked_for_a_second_opinion(photos: Source) -> None:
    there = everywhere(ANN)
    people = look(photos, Twofold(there, there), {i: there[i] for i in (0, 3, 7)})
    assert scores(people, ANN) == [[0.9]] * FRAMES


def test_who_is_read_by_the_second_network_alone_is_nobody(source: Source) -> None:
    """What makes up a track of coarse poses, and is read by nothing else, is no person, however often it is read."""
    there = everywhere(ANN, BOB)
    first = {i: there[i][:1] for i in range(FRAMES)}
    leading = {i: [there[i][1]] for i in range(FRAMES)}
    looker = Looker(source, Twofold(first, there, leading), 0.4, lambda label: None)
    people = second_look(first, leading, range(FRAMES), Views.from_cameras(CAMERAS), looker, 0.3)
    assert scores(people, ANN) == [[1.0]] * FRAMES
    assert scores(people, BOB) == [[]] * FRAMES


def test_an_opinion_of_somebody_else_is_none(source: Source) -> None:
    """Where Bob is hidden, the second network reads Ann, who stands beside him, a second time."""
    there = everywhere(ANN, BOB)
    first = {i: there[i][: 1 if i == 4 else 2] for i in range(FRAMES)}
    people = look(source, Twofold(first, first), {i: first[i] for i in (0, 3, 7)})
    assert [len(people[i]) for i in range(FRAMES)] == [2, 2, 2, 2, 1, 2, 2, 2]
