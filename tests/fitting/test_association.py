"""Identities across views: a real studio's geometry with known people, and arcs of a moving camera."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from mcbench.cameras.alignment import Similarity
from mcbench.cameras.camera import Camera
from mcbench.cameras.views import Views
from mcbench.dataset.cameras_file import FrameCamera, SceneCameras
from mcbench.dataset.detections import Detections
from mcbench.fitting.association import Track, associate
from mcbench.joints import joint_set

#: Five HD cameras of the studio that see the whole floor, on all sides.
STUDIO_CAMERAS = ("00_03", "00_12", "00_21", "00_11", "00_06")

#: A standing person in coco17, metres, z up.
STANDING = np.array(
    [
        [0.0, 0.10, 1.62], [0.03, 0.08, 1.65], [-0.03, 0.08, 1.65], [0.07, 0.0, 1.63], [-0.07, 0.0, 1.63],
        [0.18, 0.0, 1.42], [-0.18, 0.0, 1.42], [0.26, 0.02, 1.14], [-0.26, 0.02, 1.14], [0.28, 0.12, 0.90],
        [-0.28, 0.12, 0.90], [0.10, 0.0, 0.94], [-0.10, 0.0, 0.94], [0.11, 0.03, 0.50], [-0.11, 0.03, 0.50],
        [0.12, 0.0, 0.08], [-0.12, 0.0, 0.08],
    ]
)  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """Detections with the person (N,) that each shows, -1 for nobody, -2 for a second one of a person."""

    views: Views
    detections: Detections
    person: np.ndarray
    truth: np.ndarray


class Builder:
    """Draws noisy detections of known people (P, K, 3) in known views."""

    def __init__(self, views: Views, truth: np.ndarray, keypoint_set: str, seed: int, noise_px: float) -> None:
        self.views, self.truth, self.set, self.noise = views, truth, keypoint_set, noise_px
        self.rng = np.random.default_rng(seed)
        self.rows: list[tuple[int, int, np.ndarray, np.ndarray, np.ndarray]] = []

    def image(self, view: int, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        camera, pose = self.views.cameras[view], self.views.cam_from_world[view]
        pixels = camera.project(points @ pose[:, :3].T + pose[:, 3])
        inside = ((pixels > 0) & (pixels < [camera.width, camera.height])).all(axis=-1)
        return pixels, inside

    def add(self, view: int, person: int, label: int | None = None, outliers: float = 0.0, flip: bool = False) -> None:
        pixels, inside = self.image(view, self.truth[person])
        if inside.sum() < 8:
            return
        low, high = pixels[inside].min(axis=0), pixels[inside].max(axis=0)
        pixels = pixels + self.rng.normal(0, self.noise, pixels.shape)
        wrong = self.rng.random(len(pixels)) < outliers
        pixels[wrong] = self.rng.uniform(low, high, (wrong.sum(), 2))
        score = np.where(inside, self.rng.uniform(0.6, 1.0, len(pixels)), 0.0)
        if flip:
            order = list(joint_set(self.set).flip)
            pixels, score = pixels[order], score[order]
        self.rows.append((view, person if label is None else label, pixels, score, np.concatenate([low, high])))

    def add_false(self, view: int) -> None:
        """A person-like figure where nobody is."""
        camera = self.views.cameras[view]
        size = self.rng.uniform(0.2, 0.6) * camera.height
        corner = self.rng.uniform(0, [camera.width - size, camera.height - size])
        pixels = corner + self.rng.uniform(0, size, (self.truth.shape[1], 2))
        score = self.rng.uniform(0.3, 0.8, len(pixels))
        self.rows.append((view, -1, pixels, score, np.concatenate([corner, corner + size])))

    def scene(self) -> Scene:
        self.rng.shuffle(self.rows)
        rows = sorted(self.rows, key=lambda row: row[0])
        count, joints = len(rows), self.truth.shape[1]
        detections = Detections(
            keypoint_set=self.set,
            detector="made up",
            frame=np.array([self.views.frame[row[0]] for row in rows], dtype=np.int64),
            score=np.full(count, 0.9),
            box=np.array([row[4] for row in rows]).reshape(count, 4),
            keypoints=np.array([row[2] for row in rows]).reshape(count, joints, 2),
            keypoint_score=np.array([row[3] for row in rows]).reshape(count, joints),
            keypoints3d=np.full((count, joints, 3), np.nan),
            mask=np.zeros((count, 0, 0), dtype=np.uint8),
        )
        return Scene(self.views, detections, np.array([row[1] for row in rows]), self.truth)


def look_at(center: np.ndarray, target: np.ndarray) -> np.ndarray:
    """cam_from_world (3, 4) of a camera at `center`, z up in the world."""
    forward = (target - center) / np.linalg.norm(target - center)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    return np.column_stack([rotation, -rotation @ center])


def arc(count: int, degrees: float, radius: float = 5.0) -> Views:
    """A camera moving smoothly on an arc round people at the origin."""
    camera = Camera("SIMPLE_PINHOLE", 960, 540, (800.0, 480.0, 270.0))
    frames = []
    for i, angle in enumerate(np.deg2rad(np.linspace(-degrees / 2, degrees / 2, count))):
        center = np.array([radius * np.sin(angle), -radius * np.cos(angle), 1.5 + 0.2 * np.sin(3 * angle)])
        frames.append(FrameCamera(2 * i, f"{i}.jpg", camera, look_at(center, np.array([0, 0, 0.9]))))
    return Views.from_cameras(SceneCameras(frames))


def standing(places: list[tuple[float, float, float]], seed: int = 0) -> np.ndarray:
    """People (P, 17, 3) at places (x, y, heading), each with arms and stature of their own."""
    rng = np.random.default_rng(seed)
    people = []
    for x, y, heading in places:
        body = STANDING + np.where(np.isin(np.arange(17), [7, 8, 9, 10])[:, None], rng.normal(0, 0.12, (17, 3)), 0)
        turn = Rotation.from_euler("z", heading).as_matrix()
        people.append(body @ turn.T * rng.uniform(0.9, 1.1) + [x, y, 0])
    return np.array(people)


CROWD = standing([(-1.2, 0.2, 0.3), (-0.3, -0.6, 2.9), (0.5, 0.5, 0.0), (1.3, -0.1, -1.2)])


def assert_identities(scene: Scene, tracks: list[Track], share: float = 1.0) -> None:
    """Every track shows one person, every person has one track with this share of their detections."""
    owners = []
    for track in tracks:
        people = set(scene.person[track.rows].tolist()) - {-2}
        assert len(people) == 1 and -1 not in people, f"a track mixes {people}"
        frames = scene.detections.frame[track.rows]
        assert len(set(frames.tolist())) == len(frames), "two detections of a frame in a track"
        owners.append(people.pop())
    assert sorted(owners) == list(range(len(scene.truth)))
    for track, owner in zip(tracks, owners, strict=True):
        theirs = (scene.person == owner).sum()
        assert (scene.person[track.rows] == owner).sum() >= share * theirs - 1e-9
    assert [len(track.rows) for track in tracks] == sorted((len(track.rows) for track in tracks), reverse=True)


def joint_errors(scene: Scene, tracks: list[Track]) -> np.ndarray:
    """Distances of the tracks' known joints to the truth, the truth's units."""
    errors = []
    for track in tracks:
        values, counts = np.unique(scene.person[track.rows], return_counts=True)
        errors.append(np.linalg.norm(track.points - scene.truth[values[np.argmax(counts)]], axis=-1))
    flat = np.concatenate(errors)
    return flat[np.isfinite(flat)]


# --- The studio ---------------------------------------------------------------------------------------------------


def studio_views(folder: Path, names: tuple[str, ...]) -> Views:
    calibration = json.loads((folder / "calibration_160906_band1.json").read_text())
    by_name = {camera["name"]: camera for camera in calibration["cameras"]}
    frames = []
    for index, name in enumerate(names):
        c = by_name[name]
        K, (k1, k2, p1, p2, k3) = c["K"], c["distCoef"]
        params = (K[0][0], K[1][1], K[0][2], K[1][2], k1, k2, p1, p2, k3, 0.0, 0.0, 0.0)
        pose = np.column_stack([np.array(c["R"]), np.array(c["t"]).reshape(3)])
        frames.append(FrameCamera(index, name, Camera("FULL_OPENCV", *c["resolution"], params), pose))
    return Views.from_cameras(SceneCameras(frames))


def studio_people(folder: Path, instant: str) -> np.ndarray:
    bodies = json.loads((folder / f"body3DScene_{instant}.json").read_text())["bodies"]
    joints = np.array([body["joints19"] for body in bodies]).reshape(len(bodies), 19, 4)
    return np.where(joints[..., 3:] > 0, joints[..., :3], np.nan)


def studio_scene(folder: Path, instant: str, seed: int, false: int, names: tuple[str, ...] = STUDIO_CAMERAS) -> Scene:
    truth = studio_people(folder, instant)
    builder = Builder(studio_views(folder, names), truth, "panoptic19", seed, noise_px=5.0)
    missed = builder.rng.integers(0, len(names), len(truth))
    for view in range(len(names)):
        for person in range(len(truth)):
            if view != missed[person]:
                builder.add(view, person, outliers=0.2)
        for _ in range(false):
            builder.add_false(view)
    return builder.scene()


@pytest.mark.parametrize("instant", ["00000168", "00000169"])
@pytest.mark.parametrize("false", [0, 2])
def test_studio_identities(test_data, instant, false):
    errors = []
    for seed in range(10):
        scene = studio_scene(test_data / "panoptic_truth", instant, seed, false)
        tracks = associate(scene.views, scene.detections)
        assert_identities(scene, tracks)
        errors.append(joint_errors(scene, tracks))
    assert np.median(np.concatenate(errors)) < 2.5  # centimetres, of 5 px noise


@pytest.mark.parametrize("seed", range(5))
def test_four_views_are_enough(test_data, seed):
    scene = studio_scene(test_data / "panoptic_truth", "00000168", seed, 1, STUDIO_CAMERAS[:4])
    assert_identities(scene, associate(scene.views, scene.detections))


# --- A moving camera ----------------------------------------------------------------------------------------------


def video(seed: int, truth: np.ndarray = CROWD, count: int = 40, degrees: float = 70.0, **faults: float) -> Scene:
    """Detections with faults: shares `missed`, `false`, `duplicate`, `flipped`."""
    share = {"missed": 0.2, "false": 0.1, "duplicate": 0.05, "flipped": 0.05} | faults
    builder = Builder(arc(count, degrees), truth, "coco17", seed, noise_px=3.0)
    for view in range(count):
        for person in range(len(truth)):
            if builder.rng.random() < share["missed"]:
                continue
            builder.add(view, person, outliers=0.05, flip=builder.rng.random() < share["flipped"])
            if builder.rng.random() < share["duplicate"]:
                builder.add(view, person, label=-2, outliers=0.05)
            if builder.rng.random() < share["false"]:
                builder.add_false(view)
    return builder.scene()


@pytest.mark.parametrize("seed", range(5))
def test_video_identities(seed):
    scene = video(seed)
    tracks = associate(scene.views, scene.detections)
    assert_identities(scene, tracks, share=0.9)
    assert np.median(joint_errors(scene, tracks)) < 0.01


def test_flipped_detections_are_told(seed=0):
    scene = video(seed, flipped=0.3, duplicate=0.0)
    tracks = associate(scene.views, scene.detections)
    assert_identities(scene, tracks, share=0.95)
    assert np.median(joint_errors(scene, tracks)) < 0.01
    share = np.concatenate([track.flipped for track in tracks]).mean()
    assert share == pytest.approx(0.3, abs=0.1)


def test_a_narrow_arc():
    scene = video(3, degrees=12.0)
    assert_identities(scene, associate(scene.views, scene.detections), share=0.9)


def test_two_people_at_one_spot_stay_two():
    couple = standing([(0.0, 0.0, 0.0), (0.12, 0.25, np.pi)], seed=4)
    scene = video(1, couple)
    assert_identities(scene, associate(scene.views, scene.detections), share=0.85)


@pytest.mark.parametrize("seed", range(3))
def test_who_is_hidden_in_most_views_is_not_drawn_to_the_one_in_front(seed):
    """Someone seen in the first frames only stands just behind somebody seen in all: two people all the same."""
    builder = Builder(arc(24, 50), standing([(0.0, 0.0, 0.1), (0.08, 0.25, 0.1)]), "coco17", seed, 3.0)
    for view in range(24):
        builder.add(view, 0)
        if view < 7:
            builder.add(view, 1)
    scene = builder.scene()
    assert_identities(scene, associate(scene.views, scene.detections))


def test_someone_who_leaves_and_comes_back_is_one_person():
    scene = video(2, missed=0.1)
    frames = scene.detections.frame
    keep = (scene.person != 0) | (frames < 20) | (frames > 60)
    part = replace(scene, detections=select(scene.detections, keep), person=scene.person[keep])
    assert_identities(part, associate(part.views, part.detections), share=0.9)


@pytest.mark.parametrize(("shown", "people"), [(3, 0), (12, 4)])
def test_few_detections_among_many_views_prove_nothing(shown, people):
    views = arc(30, 60.0)
    builder = Builder(views, CROWD, "coco17", 0, 1.0)
    for view in np.linspace(0, 29, shown).astype(int):
        for person in range(len(CROWD)):
            builder.add(int(view), person)
    scene = builder.scene()
    assert len(associate(scene.views, scene.detections)) == people


def test_frames_without_a_pose_take_no_part():
    scene = video(0)
    detections = replace(scene.detections, frame=scene.detections.frame + 1)
    assert associate(scene.views, detections) == []


def select(detections: Detections, keep: np.ndarray) -> Detections:
    per_row = ("frame", "score", "box", "keypoints", "keypoint_score", "keypoints3d", "mask")
    return replace(detections, **{name: getattr(detections, name)[keep] for name in per_row})


@given(seed=st.integers(0, 10_000), log_scale=st.floats(-4, 4))
@settings(max_examples=5, deadline=None)
def test_the_worlds_units_and_frame_do_not_matter(seed, log_scale):
    scene = video(7, CROWD[:3], count=12)
    rotation = Rotation.random(random_state=seed).as_matrix()
    similarity = Similarity(float(np.exp(log_scale)), rotation, np.random.default_rng(seed).normal(0, 10, 3))
    before = associate(scene.views, scene.detections)
    after = associate(scene.views.transformed(similarity), scene.detections)
    assert [track.rows.tolist() for track in before] == [track.rows.tolist() for track in after]
    for a, b in zip(before, after, strict=True):
        np.testing.assert_allclose(similarity.apply(a.points), b.points, atol=1e-4 * similarity.scale)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_views_give_nobody(count):
    views = arc(3, 40.0)
    builder = Builder(views, CROWD, "coco17", 0, 1.0)
    for view in range(count):
        for person in range(4):
            builder.add(view, person)
    scene = builder.scene()
    assert associate(scene.views, scene.detections) == []


def test_a_camera_that_does_not_move_gives_nobody():
    still = arc(1, 0.0)
    frames = [FrameCamera(i, str(i), still.cameras[0], still.cam_from_world[0]) for i in range(10)]
    builder = Builder(Views.from_cameras(SceneCameras(frames)), CROWD, "coco17", 0, 1.0)
    for view in range(10):
        for person in range(4):
            builder.add(view, person)
    scene = builder.scene()
    assert associate(scene.views, scene.detections) == []


def test_only_false_detections_give_nobody():
    builder = Builder(arc(20, 60.0), CROWD, "coco17", 5, 1.0)
    for view in range(20):
        for _ in range(3):
            builder.add_false(view)
    scene = builder.scene()
    assert associate(scene.views, scene.detections) == []
