"""What a detector has wrong in every view is read as the heatmaps of all views have it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np
from standing import arc_of_cameras, seen, standing_person

from mcbench.cameras.views import Views
from mcbench.dataset.source import Source
from mcbench.experts.base import Detector, Opinion, Peaks, PersonDetection
from mcbench.joints import COCO17
from mcbench.pipelines.looking import Looker, People
from mcbench.pipelines.votes import as_voted

FRAMES = 12
CAMERAS = arc_of_cameras(FRAMES)
VIEWS = Views.from_cameras(CAMERAS)
ANN, BOB = standing_person(-0.6, 0.0), standing_person(0.6, 0.3)
ELBOW, WRIST = COCO17.index("left_elbow"), COCO17.index("left_wrist")
#: Ann points at something with her left arm.
RAISED = ANN.copy()
RAISED[[ELBOW, WRIST]] = ANN[COCO17.index("left_shoulder")] + [[0.1, -0.25, 0.05], [0.1, -0.49, 0.12]]


class Twofold:
    name, version, keypoint_set = "twofold", "1", "coco17"

    def opinions(self, image: np.ndarray, places: Sequence[np.ndarray]) -> list[Opinion]: ...

    def joined(self, reading: PersonDetection, opinion: PersonDetection) -> PersonDetection: ...

    def expected(self, image: np.ndarray, places: Sequence[np.ndarray]) -> list[Opinion]: ...

    def confirmed(self, reading: PersonDetection, expected: PersonDetection, size_px: float) -> PersonDetection: ...

    def alone(self, opinion: PersonDetection) -> PersonDetection:
        return replace(opinion, keypoint_score=opinion.keypoint_score / 2)

    def detect(self, image: np.ndarray) -> list[PersonDetection]: ...

    def resources(self) -> dict[str, str]: ...


LOOKER = Looker(cast(Source, None), cast(Detector, Twofold()), 0.4, lambda label: None)


def reading(keypoints: np.ndarray, doubtful: Sequence[int] = ()) -> PersonDetection:
    score = np.ones(17)
    score[list(doubtful)] = 0.2
    box = np.concatenate([keypoints.min(0), keypoints.max(0)])
    return PersonDetection(0.9, box, keypoints, score, np.zeros((17, 3)), np.zeros((0, 0), np.uint8))


def peaks_of(points: np.ndarray, frame: int, values: dict[int, float]) -> Opinion:
    """Peaks at some keypoints, and weaker ones at the other joints of Ann's, whom nobody takes to be the other way
    round."""
    keypoint = np.arange(5, 17)
    pixels, value = seen(CAMERAS, ANN, frame), np.full(17, 0.3)
    value[[ELBOW, WRIST]] = 0.0
    for k, likely in values.items():
        pixels[k], value[k] = seen(CAMERAS, points, frame)[k], likely
    return Opinion([], Peaks(keypoint, pixels[keypoint], value[keypoint]))


def wrongly_read() -> People:
    """Ann's arm is raised, and read at her side, here and there; Bob is read as he stands."""
    rng = np.random.default_rng(0)
    people: People = {}
    for i in range(FRAMES):
        points = seen(CAMERAS, RAISED, i)
        points[[ELBOW, WRIST]] = seen(CAMERAS, ANN, i)[[ELBOW, WRIST]] + rng.normal(0, 12, (2, 2))
        people[i] = [reading(points, (ELBOW, WRIST)), reading(seen(CAMERAS, BOB, i))]
    return people


def test_an_arm_goes_where_the_heatmaps_of_many_views_have_it() -> None:
    people = wrongly_read()
    shown = (1, 2, 4, 5, 6, 8, 9, 11)
    peaks = {i: [peaks_of(RAISED, i, {ELBOW: 0.4, WRIST: 0.4} if i in shown else {})] for i in range(FRAMES)}
    found = as_voted(people, peaks, VIEWS, LOOKER)
    for i in range(FRAMES):
        ann, bob = found[i]
        assert bob is people[i][1]
        true = seen(CAMERAS, RAISED, i)
        np.testing.assert_allclose(ann.keypoints, true, atol=3.0)
        # as sure as the second network alone; where it shows nothing, not seen
        np.testing.assert_array_equal(ann.keypoint_score[[ELBOW, WRIST]], 0.2 if i in shown else 0.0)
        rest = np.setdiff1d(np.arange(17), [ELBOW, WRIST])
        np.testing.assert_array_equal(ann.keypoint_score[rest], 1.0)


def test_detections_with_left_and_right_exchanged_get_the_limb_of_the_other_name() -> None:
    people = wrongly_read()
    order = list(COCO17.flip)
    for i in (3, 7):
        ann, bob = people[i]
        people[i] = [replace(ann, keypoints=ann.keypoints[order], keypoint_score=ann.keypoint_score[order]), bob]
    peaks = {i: [peaks_of(RAISED, i, {ELBOW: 0.6, WRIST: 0.6})] for i in range(FRAMES)}
    found = as_voted(people, peaks, VIEWS, LOOKER)
    for i in (3, 7):
        np.testing.assert_allclose(found[i][0].keypoints[order], seen(CAMERAS, RAISED, i), atol=3.0)


def test_limbs_that_are_read_where_they_are_stay() -> None:
    people: People = {i: [reading(seen(CAMERAS, RAISED, i)), reading(seen(CAMERAS, BOB, i))] for i in range(FRAMES)}
    elsewhere = ANN + np.array([0.0, 0.0, 0.1])
    for points in (RAISED, elsewhere):
        peaks = {i: [peaks_of(points, i, {ELBOW: 0.9, WRIST: 0.9})] for i in range(FRAMES)}
        found = as_voted(people, peaks, VIEWS, LOOKER)
        assert all(a is b for i in range(FRAMES) for a, b in zip(found[i], people[i], strict=True))


def test_an_arm_is_not_put_on_the_arm_of_a_neighbour() -> None:
    """Who stands within reach is seen well at the place of his arm, and so is Ann's right arm for the left."""
    people = wrongly_read()
    near = BOB - BOB[COCO17.index("right_wrist")] + RAISED[WRIST]
    for i in range(FRAMES):
        people[i][1] = reading(seen(CAMERAS, near, i))
    right = [COCO17.flip[ELBOW], COCO17.flip[WRIST]]
    for points in (near, RAISED):
        its_own = points.copy()
        its_own[[ELBOW, WRIST]] = points[right]
        peaks = {i: [peaks_of(its_own, i, {ELBOW: 0.9, WRIST: 0.9})] for i in range(FRAMES)}
        found = as_voted(people, peaks, VIEWS, LOOKER)
        assert all(found[i][0] is people[i][0] for i in range(FRAMES))


def test_who_is_seen_the_other_way_round_in_every_view_is_turned_round() -> None:
    """BOB is read from the front, and his back is seen; his face is none. ANN is as she is read."""
    order = list(COCO17.flip)
    people: People = {i: [reading(seen(CAMERAS, ANN, i)), reading(seen(CAMERAS, BOB, i))] for i in range(FRAMES)}
    unsure = np.random.default_rng(0)
    peaks: dict[int, list[Opinion]] = {}
    for i in range(FRAMES):
        peaks[i] = []
        for points, right in ((ANN, 0.8), (BOB[order], 0.6)):
            # each view has a joint on both sides, and its own one likelier in most views
            at = seen(CAMERAS, points, i)[5:]
            value = np.clip(unsure.normal(right, 0.2, 12), 0, 1)
            both = Peaks(np.arange(5, 17), at, value), Peaks(np.array(order)[5:], at, 1 - value)
            peaks[i] += [Opinion([], one) for one in both]
    found = as_voted(people, peaks, VIEWS, LOOKER)
    for i in range(FRAMES):
        ann, bob = found[i]
        assert ann is people[i][0]
        np.testing.assert_array_equal(bob.keypoints, people[i][1].keypoints[order])
        np.testing.assert_array_equal(bob.keypoint_score, [*[0.0] * 3, *[1.0] * 14])


def test_an_arm_is_not_put_on_the_arm_of_somebody_whom_the_second_network_alone_reads() -> None:
    """The same arm in the same heatmaps, which is Ann's unless the network counts it to a person beside her."""
    people = wrongly_read()
    beside = BOB - BOB[COCO17.index("right_wrist")] + RAISED[WRIST]
    beside[[ELBOW, WRIST]] = RAISED[[ELBOW, WRIST]]
    for others in (False, True):
        opinions: dict[int, list[Opinion]] = {}
        for i in range(FRAMES):
            alone = peaks_of(RAISED, i, {ELBOW: 0.6, WRIST: 0.6})
            opinions[i] = [replace(alone, people=[reading(seen(CAMERAS, beside, i))] if others else [])]
        found = as_voted(people, opinions, VIEWS, LOOKER)
        assert all((found[i][0] is people[i][0]) is others for i in range(FRAMES))


def test_without_peaks_or_people_nothing_changes() -> None:
    people = wrongly_read()
    assert as_voted(people, {i: [] for i in range(FRAMES)}, VIEWS, LOOKER) == people
    nobody: People = {i: [] for i in range(FRAMES)}
    assert as_voted(nobody, {i: [] for i in range(FRAMES)}, VIEWS, LOOKER) == nobody
