"""BlazePose on real photos: who is found, where, and against keypoints made elsewhere."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pycolmap
import pytest

from mcbench.cameras.colmap import from_colmap
from mcbench.cameras.triangulation import reprojection, triangulate
from mcbench.experts.base import MASK_SIZE, LeadingDetector, Peaks, PersonDetection, detector_class, detector_names
from mcbench.experts.blazepose import Landmarks
from mcbench.experts.body import BlazePoseDetector, prior_from_pose, regions_below, roi_from_keypoints
from mcbench.experts.crops import Roi, search_regions
from mcbench.experts.movenet import MOST, Pose
from mcbench.experts.parts import Part
from mcbench.joints import BLAZEPOSE33, COCO17

LIMBS = [f"{side}_{j}" for side in ("left", "right") for j in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")]


def read(path: Path, step: int = 1) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert image is not None
    return np.ascontiguousarray(image[::step, ::step, ::-1])


@pytest.fixture(scope="module")
def t_pose(test_data: Path, blazepose: BlazePoseDetector) -> dict[str, tuple[np.ndarray, list[PersonDetection]]]:
    """Image and detections of the four views of a man in a T-pose, at half the resolution."""
    images = {p.stem: read(p, 2) for p in sorted((test_data / "held_t_pose" / "images").iterdir())}
    return {name: (image, blazepose.detect(image)) for name, image in images.items()}


def test_is_the_registered_detector() -> None:
    assert "blazepose" in detector_names()
    assert detector_class("blazepose") is BlazePoseDetector
    assert BlazePoseDetector.keypoint_set == BLAZEPOSE33.name
    names = {"pose_detection", "pose_landmark_full", "pose_landmark_heavy", "face_landmark"}
    names |= {"face_detection_short_range", "face_detection_full_range_sparse", "movenet_multipose_lightning"}
    assert set(BlazePoseDetector.resources()) == {f"{name}.tflite" for name in names}


def test_the_region_below_a_face_holds_a_standing_body() -> None:
    corners = np.array([[90.0, 40], [110, 60]])
    face = Part(1.0, corners.ravel(), corners, np.ones(2), np.zeros((2, 3)))
    standing = regions_below(face)[0]
    low, high = standing.to_image(np.array([[0.0, 0.0], [1.0, 1.0]]))
    assert low[1] < 40 and high[1] > 50 + 6.5 * 20  # from above the head to the feet, eight heads below it
    assert low[0] + high[0] == pytest.approx(200)


def test_views_agree_on_one_man(t_pose: dict, test_data: Path) -> None:
    """The best detections of four calibrated views meet in space, with limbs as long as the reference has them."""
    model = pycolmap.Reconstruction(test_data / "held_t_pose" / "cameras")
    images = sorted(model.images.values(), key=lambda image: image.name)
    poses = np.array([image.cam_from_world().matrix() for image in images])
    cameras = [from_colmap(model.cameras[image.camera_id]) for image in images]
    men = [people[0] for _, people in t_pose.values()]
    assert all(man.score > 0.9 for man in men)
    rays = np.array([camera.undistort(2 * man.keypoints) for camera, man in zip(cameras, men, strict=True)])
    projection = np.array([camera.K @ pose for camera, pose in zip(cameras, poses, strict=True)])
    points = triangulate(projection, rays, sigma_px=20.0).points
    errors = np.linalg.norm(reprojection(projection, points) - rays, axis=-1)
    assert np.median(errors[:, [BLAZEPOSE33.index(name) for name in LIMBS]]) < 14
    reference = _reference_lengths(test_data / "held_t_pose" / "reference.trc")
    for (start, end), length in reference.items():
        measured = np.linalg.norm(points[BLAZEPOSE33.index(start)] - points[BLAZEPOSE33.index(end)])
        assert abs(measured / length - 1) < 0.2, (start, end, measured, length)


def _reference_lengths(path: Path) -> dict[tuple[str, str], float]:
    """Lengths in metres of limbs, from the first frame of a .trc file."""
    lines = path.read_text().splitlines()
    names = [name for name in lines[3].split("\t")[2:] if name]
    values = np.array([float(v) for v in lines[5].split("\t")[2:] if v]).reshape(-1, 3)
    limbs = [("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle")]
    return {
        (f"{side}_{a}", f"{side}_{b}"): float(
            np.linalg.norm(
                values[names.index(side[0].upper() + a.capitalize())]
                - values[names.index(side[0].upper() + b.capitalize())]
            )
        )
        for side in ("left", "right")
        for a, b in limbs
    }


def test_detections_are_well_formed(t_pose: dict) -> None:
    for image, people in t_pose.values():
        height, width = image.shape[:2]
        for person in people:
            x0, y0, x1, y1 = person.box
            assert 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height
            assert 0 < person.score <= 1
            assert ((person.keypoint_score >= 0) & (person.keypoint_score <= 1)).all()
            assert person.keypoints.shape == (33, 2) and person.keypoints3d.shape == (33, 3)
            assert person.mask.shape == (MASK_SIZE, MASK_SIZE) and person.mask.dtype == np.uint8


def test_3d_is_metric_upright_and_turned_as_the_image(t_pose: dict) -> None:
    """The man is life-size, and in each view his spread arms point the same way in 3D as in the image."""
    left, right = BLAZEPOSE33.index("left_wrist"), BLAZEPOSE33.index("right_wrist")
    nose, ankle = BLAZEPOSE33.index("nose"), BLAZEPOSE33.index("left_ankle")
    for _, people in t_pose.values():
        man = people[0]
        assert 1.2 < np.linalg.norm(man.keypoints3d[nose] - man.keypoints3d[ankle]) < 1.9
        in_image, in_space = man.keypoints[left] - man.keypoints[right], man.keypoints3d[left] - man.keypoints3d[right]
        cosine = in_image @ in_space[:2] / np.linalg.norm(in_image) / np.linalg.norm(in_space[:2])
        assert cosine > 0.95


def test_mask_lies_on_the_man(t_pose: dict) -> None:
    """The joints of the trunk and legs are on the mask; the corners of the box of a T-pose are not."""
    for _, people in t_pose.values():
        man = people[0]
        names = ("left_shoulder", "right_shoulder", "left_hip", "right_hip", "left_knee", "right_knee")
        points = man.keypoints[[BLAZEPOSE33.index(n) for n in names]]
        column, row = ((points - man.box[:2]) / (man.box[2:] - man.box[:2]) * MASK_SIZE).astype(int).T
        assert (man.mask[row, column] > 127).all()
        assert (man.mask[[-1, -1], [0, -1]] < 128).all()


def test_prior_finds_without_search_and_only_where_someone_is(t_pose: dict, blazepose: BlazePoseDetector) -> None:
    image, people = t_pose["cam01"]
    man = people[0]
    moved = man.keypoints + 0.05 * np.ptp(man.keypoints[:, 1])
    (found,) = blazepose.detect(image, [moved], search=False)
    assert np.median(np.linalg.norm(found.keypoints - man.keypoints, axis=1)) < 0.01 * np.ptp(man.keypoints[:, 1])
    assert blazepose.detect(image, search=False) == []
    empty = np.full_like(image, 110)
    assert blazepose.detect(empty, [man.keypoints], search=False) == []


def test_twice_the_same(t_pose: dict) -> None:
    image, people = t_pose["cam02"]
    again = BlazePoseDetector().detect(image)
    assert len(again) == len(people)
    for a, b in zip(people, again, strict=True):
        assert a.score == b.score
        np.testing.assert_array_equal(a.keypoints, b.keypoints)
        np.testing.assert_array_equal(a.mask, b.mask)


def test_three_people_side_by_side(test_data: Path, blazepose: BlazePoseDetector) -> None:
    """The view of each panoptic instant in which all three are whole: all three, and no one else."""
    for instant in ("panoptic_00005514", "panoptic_00009348"):
        people = blazepose.detect(read(test_data / instant / "images" / "00_06.jpg", 2))
        assert sum(p.score > 0.5 for p in people) == 3
        assert len([p for p in people if p.score > 0.4]) == 3


def test_small_people_are_found_on_tiles(test_data: Path, blazepose: BlazePoseDetector) -> None:
    """Two people, shrunk to a seventh of the image's height, in a wide grey picture."""
    photo = read(test_data / "static_camera" / "frames" / "00001.jpg")
    small = cv2.resize(photo, (256, 144), interpolation=cv2.INTER_AREA)
    wide = np.full((540, 960, 3), 120, np.uint8)
    wide[300:444, 500:756] = small
    people = [p for p in blazepose.detect(wide) if p.score > 0.4]
    assert len(people) == 2
    assert all(p.box[0] > 500 and p.box[2] < 756 and p.box[1] >= 300 for p in people)


@pytest.mark.parametrize(("width", "height"), [(960, 540), (540, 960), (500, 500), (1920, 200)])
def test_tiles_cover_the_image_and_overlap(width: int, height: int) -> None:
    """Every point is well inside some tile of the smallest size."""
    regions = search_regions(width, height)
    size = min(r.size for r in regions)
    tiles = np.array([r.center for r in regions if r.size == size])
    y, x = np.mgrid[:height:7, :width:7] + 0.5
    points = np.stack([x, y], axis=-1).reshape(-1, 1, 2)
    border = np.minimum(points, [width, height] - points)[:, 0]
    off = np.abs(points - tiles).max(-1).min(1)
    assert (off <= size / 2 + 1e-6).all()
    assert (off[(border > size / 4).all(1)] <= size / 4 + 1e-6).all()


def test_region_of_a_prior_holds_the_person_head_up() -> None:
    keypoints = np.full((33, 2), np.nan)
    for name, point in {"shoulder": (10, -30), "hip": (6, 0), "ankle": (7, 45)}.items():
        keypoints[BLAZEPOSE33.index(f"left_{name}")] = point
        keypoints[BLAZEPOSE33.index(f"right_{name}")] = (-point[0], point[1])
    roi = roi_from_keypoints(keypoints)
    assert roi is not None
    np.testing.assert_allclose(roi.center, [0, 0], atol=1e-9)
    assert abs(roi.angle) < 1e-9
    inside = roi.to_crop(keypoints[np.isfinite(keypoints).all(1)])
    assert (np.abs(inside - 0.5) < 0.5).all()
    upside_down = roi_from_keypoints(-keypoints)
    assert upside_down is not None and abs(abs(upside_down.angle) - np.pi) < 1e-9
    assert roi_from_keypoints(np.full((33, 2), np.nan)) is None


def test_looks_that_wander_to_a_neighbour_are_taken_again_more_closely(
    blazepose: BlazePoseDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a region as wide as usual the network sees the man before the woman expected, in a closer one her."""
    rng = np.random.default_rng(0)
    woman = np.array([300.0, 200.0]) + 40 * rng.normal(size=(33, 2))
    man = woman + np.array([60.0, 0.0])
    regions: list[float] = []

    def landmarks(image: object, roi: Roi) -> Landmarks:
        regions.append(roi.size)
        wide = roi_from_keypoints(woman)
        assert wide is not None
        points = man if roi.size > 0.9 * wide.size else woman
        hips = points[[23, 24]].mean(0)
        radius = 1.1 * float(np.linalg.norm(points - hips, axis=1).max())
        mask = np.ones((256, 256), np.float32)
        return Landmarks(
            0.9, points, np.ones(33), np.zeros((33, 3)), mask, roi, hips, hips - [0.0, radius * roi.size / wide.size]
        )

    monkeypatch.setattr(blazepose, "_full", landmarks)
    monkeypatch.setattr(blazepose, "_heavy", landmarks)
    (found,) = blazepose.detect(np.zeros((400, 600, 3), np.uint8), [woman], search=False)
    np.testing.assert_array_equal(found.keypoints, woman)
    assert len(regions) == 2 and regions[1] < regions[0]
    (found,) = blazepose.detect(np.zeros((400, 600, 3), np.uint8), [man], search=False)
    np.testing.assert_array_equal(found.keypoints, man)
    assert len(regions) == 3  # who is where they are expected needs no closer region


@pytest.mark.parametrize("steady", [True, False])
def test_where_the_networks_disagree_the_accurate_one_must_stay_with_it(
    blazepose: BlazePoseDetector, monkeypatch: pytest.MonkeyPatch, steady: bool
) -> None:
    rng = np.random.default_rng(0)
    quick = np.array([300.0, 200.0]) + 40 * rng.normal(size=(33, 2))
    accurate = quick + np.array([50.0, 0.0])
    looks = 0

    def at(points: np.ndarray, roi: Roi) -> Landmarks:
        hips = points[[23, 24]].mean(0)
        radius = 1.1 * float(np.linalg.norm(points - hips, axis=1).max())
        mask = np.ones((256, 256), np.float32)
        return Landmarks(0.9, points, np.ones(33), np.zeros((33, 3)), mask, roi, hips, hips - [0.0, radius])

    def heavy(image: object, roi: Roi) -> Landmarks:
        nonlocal looks
        looks += 1
        return at(accurate if steady else accurate + 40.0 * looks, roi)

    monkeypatch.setattr(blazepose, "_full", lambda image, roi: at(quick, roi))
    monkeypatch.setattr(blazepose, "_heavy", heavy)
    monkeypatch.setattr(blazepose, "_candidates", lambda image: [[Roi(np.array([300.0, 200.0]), 300.0)]])
    (found,) = blazepose.detect(np.zeros((400, 600, 3), np.uint8))
    if steady:
        np.testing.assert_array_equal(found.keypoints, accurate)
        assert found.score > 0.8
    else:
        assert found.score < 0.5


def test_prior_of_a_pose_has_its_keypoints_by_name_where_they_are_seen() -> None:
    score = np.ones(17)
    score[COCO17.index("left_wrist")] = 0.05
    pose = Pose(0.8, np.arange(34.0).reshape(17, 2), score, np.zeros(4))
    prior = prior_from_pose(pose)
    assert prior.shape == (33, 2)
    for name in ("nose", "right_ear", "left_shoulder", "right_ankle"):
        np.testing.assert_array_equal(prior[BLAZEPOSE33.index(name)], pose.keypoints[COCO17.index(name)])
    unknown = {"left_wrist", *BLAZEPOSE33.joints} - (set(COCO17.joints) - {"left_wrist"})
    assert {name for name, p in zip(BLAZEPOSE33.joints, prior, strict=True) if np.isnan(p).all()} == unknown


def test_hips_of_an_opinion_are_where_blazepose_has_them(
    blazepose: BlazePoseDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MultiPose has them lower; where no shoulders tell what is up they stay where they are."""
    points = np.zeros((17, 2))
    shoulders, hips = ([COCO17.index(f"{side}_{name}") for side in ("left", "right")] for name in ("shoulder", "hip"))
    points[hips] = [[-10.0, 100.0], [10.0, 100.0]]
    unknown = np.ones(17)
    unknown[shoulders] = 0.05
    poses = [Pose(0.8, points, known, np.zeros(4)) for known in (np.ones(17), unknown)]
    no_peaks = Peaks(np.zeros(0, np.int64), np.zeros((0, 2)), np.zeros(0))
    monkeypatch.setattr(blazepose._multipose, "around", lambda image, place: (poses, no_peaks))
    (opinion,) = blazepose.opinions(np.zeros((200, 200, 3), np.uint8), [points])
    hip = [BLAZEPOSE33.index(f"{side}_hip") for side in ("left", "right")]
    for person, height in zip(opinion.people, (95.0, 100.0), strict=True):
        np.testing.assert_allclose(person.keypoints[hip], [[-10.0, height], [10.0, height]])


def test_leads_are_coarse_poses_without_a_mask(blazepose: BlazePoseDetector, monkeypatch: pytest.MonkeyPatch) -> None:
    points = np.arange(34.0).reshape(17, 2)
    score = np.full(17, 0.5)
    score[COCO17.index("left_wrist")] = 0.05
    poses = [Pose(0.4, points, score, np.array([0.0, 1.0, 32.0, 33.0])), Pose(0.2, points, score, np.zeros(4))]
    monkeypatch.setattr(blazepose._multipose, "in_tiles", lambda image: poses)
    assert isinstance(blazepose, LeadingDetector)
    lead, weaker = blazepose.leads(np.zeros((40, 40, 3), np.uint8))
    assert (lead.score, weaker.score) == (0.4, 0.2)
    np.testing.assert_array_equal(lead.keypoints, prior_from_pose(poses[0]))
    known = np.isfinite(lead.keypoints).all(axis=1)
    assert known.sum() == 16 and (lead.keypoint_score[known] == 0.5).all() and not lead.keypoint_score[~known].any()
    assert np.isnan(lead.keypoints3d).all() and not lead.mask.any() and lead.mask.shape == (MASK_SIZE, MASK_SIZE)


@pytest.mark.parametrize(("count", "seen", "searched"), [(1, True, False), (1, False, True), (MOST, True, True)])
def test_tiles_are_searched_in_a_crowd_or_where_nobody_is_seen(
    blazepose: BlazePoseDetector, monkeypatch: pytest.MonkeyPatch, count: int, seen: bool, searched: bool
) -> None:
    """Whom MultiPose points to is read there; the candidates of the tiles come in when that cannot be all."""
    body = 30 * np.random.default_rng(0).normal(size=(33, 2)) + np.array([0.0, 200.0])
    step = np.array([200.0, 0.0])
    coco = np.array([body[BLAZEPOSE33.index(name)] for name in COCO17.joints])
    poses = [Pose(0.5, coco + (i + 1) * step, np.ones(17), np.zeros(4)) for i in range(count)]
    tiles = 0

    def landmarks(image: object, roi: Roi) -> Landmarks:
        """Someone every 200 px, here the nearest to the region's middle."""
        points = body + max(1, round(roi.center[0] / 200)) * step
        hips = points[[23, 24]].mean(0)
        radius = 1.1 * float(np.linalg.norm(points - hips, axis=1).max())
        mask = np.ones((256, 256), np.float32)
        presence = 0.9 if seen else 0.1
        return Landmarks(presence, points, np.ones(33), np.zeros((33, 3)), mask, roi, hips, hips - [0.0, radius])

    def candidates(image: object) -> list[list[Roi]]:
        nonlocal tiles
        tiles += 1
        return []

    monkeypatch.setattr(blazepose, "_full", landmarks)
    monkeypatch.setattr(blazepose, "_heavy", landmarks)
    monkeypatch.setattr(blazepose, "_multipose", lambda image: poses)
    monkeypatch.setattr(blazepose, "_candidates", candidates)
    found = blazepose.detect(np.zeros((400, 1500, 3), np.uint8))
    assert len(found) == (count if seen else 0)
    assert tiles == searched
