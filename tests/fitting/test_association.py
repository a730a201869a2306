"""Identities across views: a real studio's geometry with known people, and arcs of a moving camera."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fitting.studio import STUDIO_CAMERAS, Builder, Scene, studio_scene
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from mcbench.cameras.alignment import Similarity
from mcbench.cameras.camera import Camera
from mcbench.cameras.views import Views
from mcbench.dataset.cameras_file import FrameCamera, SceneCameras
from mcbench.dataset.detections import Detections
from mcbench.fitting.association import Track, associate

#: A standing person in coco17, metres, z up.
STANDING = np.array(
    [
        [0.0, 0.10, 1.62], [0.03, 0.08, 1.65], [-0.03, 0.08, 1.65], [0.07, 0.0, 1.63], [-0.07, 0.0, 1.63],
        [0.18, 0.0, 1.42], [-0.18, 0.0, 1.42], [0.26, 0.02, 1.14], [-0.26, 0.02, 1.14], [0.28, 0.12, 0.90],
        [-0.28, 0.12, 0.90], [0.10, 0.0, 0.94], [-0.10, 0.0, 0.94], [0.11, 0.03, 0.50], [-0.11, 0.03, 0.50],
        [0.12, 0.0, 0.08], [-0.12, 0.0, 0.08],
    ]
)  # fmt: skip


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
@settings(max_examples=5)
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
