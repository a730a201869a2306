"""MultiPose: the geometry of its input, and whom it finds on real photos."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from mcbench.experts.movenet import (
    AROUND,
    LEAST_HEAT,
    LONG_SIDES,
    MIN_SCORE,
    MULTIPOSE,
    TILE_SIDE,
    Letterbox,
    MultiPose,
    Pose,
    same_pose,
    tile_starts,
)
from mcbench.experts.weights import MOVENET, weight_digest
from mcbench.joints import COCO17
from mcbench.pipelines.weights import fetch_weights

SIZES = [(960, 540), (540, 960), (500, 500), (1920, 200), (5000, 10), (37, 61), (1, 1)]


@pytest.fixture(scope="module")
def multipose() -> MultiPose:
    fetch_weights()
    return MultiPose()


def read(path: Path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert image is not None
    return np.ascontiguousarray(image[..., ::-1])


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("long_side", LONG_SIDES)
def test_the_image_lies_at_the_top_left_of_the_smallest_input(width: int, height: int, long_side: int) -> None:
    box = Letterbox.of(width, height, long_side)
    assert max(box.shape) == max(box.inside) == long_side
    for side, inside in zip(box.shape, box.inside, strict=True):
        assert side % 32 == 0 and side - 32 < inside <= side
    filled = box.fill(np.full((height, width, 3), 200, np.uint8))
    assert filled.shape == (*box.shape, 3)
    assert (filled[: box.inside[0], : box.inside[1]] == 200).all()
    assert filled.sum() == 3 * 200 * box.inside[0] * box.inside[1]


@pytest.mark.parametrize(("width", "height"), SIZES[:4])
def test_a_mark_is_found_again_where_it_was(width: int, height: int) -> None:
    """The middle of a white square in the input leads back to its middle in the image."""
    image = np.zeros((height, width, 3), np.uint8)
    x, y, half = 0.7 * width, 0.4 * height, max(4, width // 40)
    image[round(y) - half : round(y) + half, round(x) - half : round(x) + half] = 255
    box = Letterbox.of(width, height, 512)
    heat = box.fill(image)[..., 0].astype(float)
    rows, columns = np.indices(heat.shape) + 0.5
    middle = np.array([(rows * heat).sum(), (columns * heat).sum()]) / heat.sum()
    np.testing.assert_allclose(box.to_image(middle / box.shape), [round(x), round(y)], atol=0.5)


def test_corners_of_the_input_are_those_of_the_padded_image() -> None:
    box = Letterbox.of(1000, 500, 512)
    assert box.shape == (256, 512)
    np.testing.assert_allclose(box.to_image(np.array([[0.0, 0.0], [1.0, 1.0]])), [[0, 0], [1000, 500]])
    padded = Letterbox.of(1000, 510, 512)
    assert padded.shape == (288, 512) and padded.inside == (261, 512)
    assert padded.to_image(np.array([1.0, 1.0]))[1] == pytest.approx(510 * 288 / 261)


def test_its_weights_are_known() -> None:
    assert weight_digest(MULTIPOSE) == MOVENET.file(MULTIPOSE).sha256


@pytest.mark.parametrize(("width", "height"), [(960, 540), (31, 47), (1, 1), (1000, 10)])
def test_nobody_in_a_grey_image(multipose: MultiPose, width: int, height: int) -> None:
    assert multipose(np.full((height, width, 3), 128, np.uint8)) == []


def test_three_people_each_once(multipose: MultiPose, test_data: Path) -> None:
    """In either size and in both together; their heads are above their hips, in their boxes, in the image."""
    image = read(test_data / "panoptic_00005514" / "images" / "00_06.jpg")
    height, width = image.shape[:2]
    people = multipose(image)
    assert len([pose for pose in people if pose.score > 0.3]) == 3
    assert [pose.score for pose in people] == sorted((pose.score for pose in people), reverse=True)
    nose, hips = COCO17.index("nose"), [COCO17.index(f"{side}_hip") for side in ("left", "right")]
    for pose in people[:3]:
        assert pose.keypoints.shape == (17, 2) and pose.keypoint_score.shape == (17,)
        assert ((pose.keypoint_score >= 0) & (pose.keypoint_score <= 1)).all()
        assert pose.keypoints[nose, 1] < pose.keypoints[hips, 1].min()
        x0, y0, x1, y1 = pose.box
        assert -0.05 * width < x0 < x1 < 1.05 * width and -0.05 * height < y0 < y1 < 1.05 * height
        seen = pose.keypoints[pose.keypoint_score > 0.3]
        slack = 0.1 * (y1 - y0)
        assert ((seen > [x0 - slack, y0 - slack]) & (seen < [x1 + slack, y1 + slack])).all()
    for long_side in LONG_SIDES:
        assert all(any(same_pose(p, q) for q in people) for p in multipose.read(image, long_side))


@pytest.mark.parametrize("scale", [0.25, 3.0])
def test_small_and_large_images_give_the_same_man(multipose: MultiPose, test_data: Path, scale: float) -> None:
    """A photo shrunk and enlarged: he is found at the same share of it."""
    photo = read(sorted((test_data / "held_t_pose" / "images").iterdir())[0])
    photo = cv2.resize(photo, (640, 640 * photo.shape[0] // photo.shape[1]), interpolation=cv2.INTER_AREA)
    size = (int(scale * photo.shape[1]), int(scale * photo.shape[0]))
    resized = cv2.resize(photo, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    (man, *_), (other, *_) = multipose(photo), multipose(resized)
    back = replace(other, keypoints=other.keypoints / np.array(size) * photo.shape[1::-1])
    assert man.score > 3 * MIN_SCORE and same_pose(man, back)


def test_sizes_in_turn_give_what_each_gives_alone(multipose: MultiPose, test_data: Path) -> None:
    image = read(test_data / "panoptic_00009348" / "images" / "00_06.jpg")
    for long_side in (*LONG_SIDES, *LONG_SIDES):
        alone, in_turn = MultiPose().read(image, long_side), multipose.read(image, long_side)
        assert len(alone) == len(in_turn) > 0
        for a, b in zip(alone, in_turn, strict=True):
            assert a.score == b.score
            np.testing.assert_array_equal(a.keypoints, b.keypoints)


def test_same_pose_knows_neighbours_apart() -> None:
    points = 40 * np.random.default_rng(0).normal(size=(17, 2))
    pose = Pose(0.9, points, np.ones(17), np.zeros(4))
    assert same_pose(pose, replace(pose, score=0.2, keypoints=points + 3))
    assert not same_pose(pose, replace(pose, keypoints=points + 60))


@pytest.mark.parametrize(("length", "side"), [(540, 324), (960, 324), (324, 324), (100, 324), (7, 1), (1920, 648)])
def test_tiles_cover_a_side_and_overlap_by_half(length: int, side: int) -> None:
    starts = tile_starts(length, side)
    assert starts[0] == 0 and starts[-1] == max(0, length - side)
    assert all(b - a <= side / 2 + 1 for a, b in itertools.pairwise(starts))
    assert len(starts) == 1 or (starts[-1] - starts[0]) / (len(starts) - 1) > side / 4  # no more than it takes


def test_who_is_seen_in_several_tiles_is_there_once_at_their_place(
    multipose: MultiPose, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A white spot is read as a pose about it in each tile that shows it, in the tile's pixels."""
    offsets = 20 * np.random.default_rng(0).normal(size=(17, 2))
    seen: list[float] = []

    def read(tile: np.ndarray, long_side: int) -> list[Pose]:
        assert long_side == TILE_SIDE and tile.shape[:2] == (180, 180)
        at = np.argwhere(tile[..., 0] == 255)
        seen.extend([0.2 + 0.01 * len(seen)] * len(at))
        return [Pose(seen[-1], offsets + p[::-1], np.ones(17), np.tile(p[::-1], 2).astype(float)) for p in at]

    monkeypatch.setattr(multipose, "read", read)
    image = np.zeros((300, 500, 3), np.uint8)
    image[140, 210] = image[20, 470] = 255
    one, other = multipose.in_tiles(image)
    assert len(seen) > 4 and one.score >= other.score
    assert sorted(tuple(np.round(pose.box).astype(int)) for pose in (one, other)) == [
        (210, 140, 210, 140),
        (470, 20, 470, 20),
    ]
    for pose in (one, other):
        np.testing.assert_allclose(pose.keypoints, offsets + pose.box[:2])


def test_three_people_are_seen_in_tiles_too(multipose: MultiPose, test_data: Path) -> None:
    image = read(test_data / "panoptic_00005514" / "images" / "00_06.jpg")
    whole = [pose for pose in multipose(image) if pose.score > 0.3]
    tiles = multipose.in_tiles(image)
    assert all(any(same_pose(pose, other) for other in tiles) for pose in whole)


@pytest.mark.parametrize("middle", [(40, 20), (250, 150), (480, 290), (900, 900)])
def test_the_square_round_a_place_is_read_at_its_place(
    multipose: MultiPose, monkeypatch: pytest.MonkeyPatch, middle: tuple[int, int]
) -> None:
    """At the edges of the image, too, and where there is none of it."""
    image = np.random.default_rng(0).integers(1, 255, (300, 500, 3), dtype=np.uint8)
    place = np.array(middle) + np.array([[-30.0, -50.0], [np.nan, np.nan], [30.0, 50.0]])
    squares: list[np.ndarray] = []
    fill = Letterbox.fill

    def kept(self: Letterbox, square: np.ndarray) -> np.ndarray:
        squares.append(square)
        return fill(self, square)

    def model(filled: np.ndarray) -> list[np.ndarray]:
        heat = np.zeros((64, 64, 17))
        heat[0, 0, 3] = 0.5
        return [np.pad(np.zeros((1, 55)), [(0, 0), (0, 1)], constant_values=0.5), heat, np.zeros((64, 64, 34))]

    monkeypatch.setattr(Letterbox, "fill", kept)
    monkeypatch.setattr(multipose, "_model", model)
    poses, peaks = multipose.around(image, place)
    if middle == (900, 900):
        assert poses == squares == [] and len(peaks.keypoint) == 0
        return
    (square,), (pose,) = squares, poses
    np.testing.assert_array_equal(peaks.pixels, pose.keypoints[:1])
    assert peaks.keypoint.tolist() == [3] and peaks.value.tolist() == [0.5]
    side = round(AROUND * 100)
    assert square.shape == (side, side, 3)
    left, top = pose.keypoints[0].astype(int)
    np.testing.assert_allclose(np.array([left, top]) + side / 2, middle, atol=1)
    rows, columns = np.mgrid[top : top + side, left : left + side]
    inside = (rows >= 0) & (rows < 300) & (columns >= 0) & (columns < 500)
    np.testing.assert_array_equal(square[inside], image[rows[inside], columns[inside]])
    assert not square[~inside].any()


def test_who_is_seen_in_the_image_is_seen_in_the_square_round_them(multipose: MultiPose, test_data: Path) -> None:
    image = read(test_data / "panoptic_00005514" / "images" / "00_06.jpg")
    for pose in (pose for pose in multipose(image) if pose.score > 0.3):
        assert any(same_pose(pose, other) for other in multipose.around(image, pose.keypoints)[0])


def test_heatmaps_peak_where_poses_have_their_keypoints(multipose: MultiPose, test_data: Path) -> None:
    """To a cell: poses take the likeliest one near where they expect it, which may lie beside the peak."""
    image = read(test_data / "panoptic_00005514" / "images" / "00_06.jpg")
    (place, *_) = multipose(image)
    poses, peaks = multipose.around(image, place.keypoints)
    cell = AROUND * np.ptp(place.keypoints, axis=0).max() / (TILE_SIDE / 4)
    assert (np.bincount(peaks.keypoint, minlength=17) <= 6).all() and peaks.value.min() >= LEAST_HEAT
    for pose in (pose for pose in poses if pose.score > 0.3):
        for k in np.flatnonzero(pose.keypoint_score > 0.4):
            away = np.linalg.norm(peaks.pixels - pose.keypoints[k], axis=1)
            nearest = np.flatnonzero(peaks.keypoint == k)[away[peaks.keypoint == k].argmin()]
            assert away[nearest] < cell
            assert peaks.value[nearest] > pose.keypoint_score[k] - 0.01
