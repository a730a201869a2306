"""Looking at a part until it stays, with a network whose answers are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mcbench.experts.crops import Pyramid, Roi
from mcbench.experts.parts import MAX_LOOKS, Part, PartLandmark, distance

IMAGE = Pyramid(np.zeros((80, 100, 3), np.uint8))
SQUARE = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 10.0], [0.0, 10.0]])


def square(x: float, score: float = 0.9) -> Part:
    return Part.of(IMAGE, score, SQUARE + np.array([x, 20.0]), np.zeros((4, 3)))


class Scripted(PartLandmark):
    """Answers one look after another as the script says."""

    def __init__(self, script: Sequence[Part]) -> None:
        self.script = list(script)
        self.centers: list[float] = []

    def look(self, image: Pyramid, region: Roi) -> Part:
        self.centers.append(float(region.center[0]))
        return self.script.pop(0)

    @staticmethod
    def region(keypoints: np.ndarray) -> Roi:
        return Roi(keypoints.mean(axis=0), 20.0)


def test_looks_until_the_points_stay() -> None:
    network = Scripted([square(30.0), square(40.0), square(40.1), square(99.0)])
    part = network.read(IMAGE, Roi(np.array([33.0, 25.0]), 20.0))
    assert part is not None and part.keypoints[0, 0] == 40.1
    assert network.centers == [33.0, 35.0, 45.0]


def test_gives_up_where_there_is_nothing_or_it_wanders_off() -> None:
    assert Scripted([square(30.0, 0.1)]).read(IMAGE, Roi(np.zeros(2), 9.0)) is None
    assert Scripted([square(30.0), square(40.0, 0.4)]).read(IMAGE, Roi(np.zeros(2), 9.0)) is None
    wandering = Scripted([square(5.0 * i) for i in range(9)])
    assert wandering.read(IMAGE, Roi(np.zeros(2), 9.0)) is not None
    assert len(wandering.centers) == MAX_LOOKS


def test_everything_is_found_once() -> None:
    looks = [square(x, s) for x, s in ((30.0, 0.6), (31.0, 0.8), (50.0, 0.7)) for _ in range(2)]
    found = Scripted(looks).read_all(IMAGE, [Roi(np.zeros(2), 9.0)] * 3)
    assert [(p.keypoints[0, 0], p.score) for p in found] == [(31.0, 0.8), (50.0, 0.7)]


def test_keypoints_outside_the_image_are_not_seen() -> None:
    part = square(95.0)
    np.testing.assert_array_equal(part.keypoint_score, [0.9, 0.0, 0.0, 0.9])
    np.testing.assert_array_equal(part.box, [95, 20, 105, 30])


def test_distance_is_a_share_of_the_size_and_of_what_is_known() -> None:
    part, moved = square(30.0), square(32.0).keypoints
    assert distance(part, moved) == 0.2
    assert distance(part, np.where(np.arange(4)[:, None] < 3, np.nan, moved)) == 0.2
    assert distance(part, np.full((4, 2), np.nan)) == np.inf
