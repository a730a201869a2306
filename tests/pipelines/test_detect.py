"""The stage `detect`: with a detector whose answers are known, and with BlazePose on real photos."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import pytest
from standing import arc_of_cameras, seen, standing_person

from mcbench.cameras.camera import Camera
from mcbench.cameras.views import Views
from mcbench.dataset.cameras_file import FrameCamera, SceneCameras
from mcbench.dataset.detections import Detections
from mcbench.dataset.source import Frame, Source
from mcbench.errors import InputError, Rejected
from mcbench.experts.base import PersonDetection
from mcbench.experts.weights import weight_digest
from mcbench.joints import HOLISTIC143
from mcbench.pipelines import detect, looking
from mcbench.pipelines.detect import DetectSettings
from mcbench.pipelines.looking import spread
from mcbench.pipelines.weights import fetch_weights
from mcbench.workspace.stage import StageContext

LIMBS = np.random.default_rng(0).normal(0, 20, (17, 2))


def person(x: float, score: float = 0.9) -> PersonDetection:
    points = LIMBS + np.array([x, 60.0])
    box = np.concatenate([points.min(0), points.max(0)])
    return PersonDetection(score, box, points, np.ones(17), np.zeros((17, 3)), np.zeros((32, 32), np.uint8))


class Scripted:
    """Finds whom the script says the search finds, and, where a prior points, whom it says is really there.

    A frame's index is its red value. `searched` and `there` hold a frame's people as x coordinates.
    """

    name, version, keypoint_set = "scripted", "1", "coco17"
    searched: ClassVar[dict[int, list[float]]] = {}
    there: ClassVar[dict[int, list[float]]] = {}
    score: ClassVar[float] = 0.9
    calls: ClassVar[list[tuple[int, bool]]] = []

    @staticmethod
    def resources() -> Mapping[str, str]:
        return {"script": "1"}

    def detect(
        self, image: np.ndarray, priors: Sequence[np.ndarray] = (), search: bool = True
    ) -> list[PersonDetection]:
        index = int(image[0, 0, 0])
        self.calls.append((index, search))
        xs = set(self.searched.get(index, []) if search else [])
        for prior in priors:
            xs |= {x for x in self.there.get(index, []) if abs(x - prior[:, 0].mean() + LIMBS[:, 0].mean()) < 5}
        return [person(x, self.score) for x in sorted(xs)]


class PhotosAsVideo(Source):
    """A source of kind "video" whose pictures are photos."""

    def images(self, indices: Sequence[int] | None = None) -> Iterator[tuple[Frame, np.ndarray]]:
        yield from self._photos(set(indices or []))


def make_source(folder: Path, images: Sequence[np.ndarray]) -> Source:
    (folder / "images").mkdir(parents=True)
    frames = []
    for i, image in enumerate(images):
        cv2.imwrite(str(folder / "images" / f"{i:04d}.png"), image[..., ::-1])
        frames.append(Frame(i, f"{i:04d}.png", None, image.shape[1], image.shape[0]))
    source = Source(folder, "test", "images", "images", frames, list(range(len(frames))))
    source.save()
    return source


def run(
    tmp_path: Path, source: Source, cameras: SceneCameras | None = None, **settings: object
) -> tuple[dict[str, object], Detections]:
    """`cameras` of the frames; without, no frame has a pose."""
    out, sfm = tmp_path / "out", tmp_path / "sfm"
    out.mkdir(exist_ok=True)
    sfm.mkdir(exist_ok=True)
    lens = Camera("PINHOLE", 200, 120, (200.0, 200.0, 100.0, 60.0))
    unposed = SceneCameras([FrameCamera(f.index, f.name, lens, None) for f in source.frames])
    (cameras or unposed).save(sfm / "cameras.json")
    inputs = {"source": source.folder, "sfm": sfm}
    summary = detect.run(StageContext("s", inputs, out, DetectSettings(**settings)))  # type: ignore[arg-type]
    return summary, Detections.load(out / "detections.npz")


@pytest.fixture
def scripted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    """Six numbered frames and the scripted detector, with an empty script."""
    monkeypatch.setattr(detect, "detector_class", lambda name: Scripted)
    for attribute, empty in (("searched", {}), ("there", {}), ("calls", [])):
        monkeypatch.setattr(Scripted, attribute, empty)
    return make_source(tmp_path / "source", [np.full((120, 200, 3), i, np.uint8) for i in range(6)])


def test_spread() -> None:
    assert spread(5, 0) == spread(5, 9) == [0, 1, 2, 3, 4]
    assert spread(101, 5) == [0, 25, 50, 75, 100]
    assert len(set(spread(61, 60))) == 60


def test_found_once_then_followed_both_ways(tmp_path: Path, scripted: Source) -> None:
    """The search finds someone in frame 3 only; they are followed while they are there, forward and backward."""
    Scripted.searched = {3: [50.0]}
    Scripted.there = {i: [50.0] for i in range(1, 6)}
    summary, found = run(tmp_path, scripted)
    assert found.frame.tolist() == [1, 2, 3, 4, 5]
    assert summary["frames"] == 6 and summary["frames_with_people"] == 5 and summary["detections"] == 5
    assert found.detector == "scripted 1" and found.keypoint_set == "coco17"


def test_backward_pass_in_small_pieces_is_the_same(
    tmp_path: Path, scripted: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    Scripted.searched = {4: [50.0, 150.0]}
    Scripted.there = {i: [50.0, 150.0] for i in range(6)}
    whole = run(tmp_path, scripted)
    monkeypatch.setattr(looking, "_MEMORY", 2 * 120 * 200 * 3)
    pieces = run(tmp_path, scripted)
    assert whole[0] == pieces[0]
    np.testing.assert_array_equal(whole[1].keypoints, pieces[1].keypoints)


def test_max_frames_and_max_people(tmp_path: Path, scripted: Source) -> None:
    Scripted.searched = {i: [20.0, 100.0, 180.0] for i in range(6)}
    _, found = run(tmp_path, scripted, max_frames=2, max_people=2)
    assert found.frame.tolist() == [0, 0, 5, 5]


def test_video_is_searched_now_and_then_and_people_are_followed(tmp_path: Path, scripted: Source) -> None:
    video = PhotosAsVideo(**{**vars(scripted), "kind": "video"})
    Scripted.searched = {i: [50.0] for i in (0, 5)}
    Scripted.there = {i: [50.0] for i in (0, 1, 4, 5)}
    steps: list[tuple[int, int | None]] = []
    context = StageContext(
        "s", {}, tmp_path, DetectSettings(search_every=5), lambda done, total, label: steps.append((done, total))
    )
    people = detect.find_people(context, video, list(range(6)), Scripted(), Views.from_cameras(SceneCameras([])))
    assert [len(people[i]) for i in range(6)] == [1, 1, 0, 0, 1, 1]
    searched = [(0, True), (0, True), (5, True), (5, True)]  # with whom the first look found, and without
    followed = [(1, False), (2, False), (4, False), (3, False)]
    assert Scripted.calls == searched + followed
    assert steps == [(i, 14) for i in range(1, 15)]


@pytest.mark.parametrize("second_look", [True, False])
def test_the_second_look_can_be_switched_off(
    tmp_path: Path, scripted: Source, monkeypatch: pytest.MonkeyPatch, second_look: bool
) -> None:
    """A woman is found in three of six views far apart: only the cameras tell where she is in the others."""
    cameras, ann = arc_of_cameras(6), standing_person(1.2, 0.5)

    class Knowing(Scripted):
        def detect(
            self, image: np.ndarray, priors: Sequence[np.ndarray] = (), search: bool = True
        ) -> list[PersonDetection]:
            index = int(image[0, 0, 0])
            points = seen(cameras, ann, index)
            near = any(np.abs(prior - points).max() < 2 for prior in priors)
            return [replace(person(0.0), keypoints=points)] if near or (search and index in (0, 2, 5)) else []

    monkeypatch.setattr(detect, "detector_class", lambda name: Knowing)
    _, found = run(tmp_path, scripted, cameras, second_look=second_look)
    assert found.frame.tolist() == ([0, 1, 2, 3, 4, 5] if second_look else [0, 2, 5])


@pytest.mark.parametrize(("score", "frames"), [(0.9, 1), (0.45, 6), (0.9, 0)])
def test_too_little_evidence_is_nobody(
    tmp_path: Path, scripted: Source, monkeypatch: pytest.MonkeyPatch, score: float, frames: int
) -> None:
    """One confident frame of six, or six doubtful ones, is not enough."""
    monkeypatch.setattr(Scripted, "score", score)
    Scripted.searched = {i: [50.0] for i in range(frames)}
    with pytest.raises(Rejected) as caught:
        run(tmp_path, scripted)
    assert caught.value.reason == "no_people"
    assert not (tmp_path / "out" / "detections.npz").exists()


def imported(source: Source, count: int) -> Detections:
    detections = Detections(
        "body25", "openpose", np.arange(count), np.ones(count), np.zeros((count, 4)), np.zeros((count, 25, 2)),
        np.ones((count, 25)), np.full((count, 25, 3), np.nan), np.zeros((count, 0, 0), np.uint8),
    )  # fmt: skip
    detections.save(source.folder / "detections.npz")
    return detections


def test_imported_keypoints_are_used_unless_a_detector_is_named(tmp_path: Path, scripted: Source) -> None:
    imported(scripted, 3)
    Scripted.searched = {i: [50.0] for i in range(6)}
    assert run(tmp_path, scripted)[1].detector == "openpose"
    assert run(tmp_path, scripted, detector="imported")[1].keypoint_set == "body25"
    assert run(tmp_path, scripted, detector="blazepose")[1].detector == "scripted 1"


def test_imported_nobody_and_nothing(tmp_path: Path, scripted: Source) -> None:
    with pytest.raises(InputError, match="no imported keypoints"):
        run(tmp_path, scripted, detector="imported")
    imported(scripted, 0)
    with pytest.raises(Rejected) as caught:
        run(tmp_path, scripted)
    assert caught.value.reason == "no_people"


def test_unknown_detector_is_named(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source", [np.zeros((8, 8, 3), np.uint8)])
    with pytest.raises(InputError, match="blazepose"):
        run(tmp_path, source, detector="nonesuch")


def test_weights_are_resources_of_the_stage() -> None:
    resources, hand = detect.resources(DetectSettings()), "hand_landmark_full.tflite"
    for name in ("pose_detection.tflite", hand, "face_landmark.tflite"):
        assert resources[name] == weight_digest(name)
    assert hand not in detect.resources(DetectSettings(parts=False))
    assert detect.resources(DetectSettings(detector="imported")) == {}


@pytest.mark.parametrize("posed", [True, False])
def test_the_steps_of_hands_and_faces_are_counted(
    tmp_path: Path, scripted: Source, monkeypatch: pytest.MonkeyPatch, posed: bool
) -> None:
    """A detector of `blazepose33` that finds nobody goes through all steps there are."""
    monkeypatch.setattr(Scripted, "keypoint_set", "blazepose33")
    monkeypatch.setattr(detect, "PartReader", object)
    steps: list[tuple[int, int | None]] = []
    context = StageContext("s", {}, tmp_path, DetectSettings(), lambda done, total, label: steps.append((done, total)))
    views = Views.from_cameras(arc_of_cameras(6) if posed else SceneCameras([]))
    detect.find_people(context, scripted, list(range(6)), Scripted(), views)
    total = 6 + 12 + 18 if posed else 6 + 12 + 6
    assert steps == [(i, total) for i in range(1, total + 1)]


class Leading(Scripted):
    """One that gives leads, of nobody."""

    def leads(self, image: np.ndarray) -> list[PersonDetection]:
        return []


@pytest.mark.parametrize("posed", [True, False])
@pytest.mark.parametrize("video", [True, False])
def test_leads_take_the_place_of_following_and_of_looking_behind_people(
    tmp_path: Path, scripted: Source, monkeypatch: pytest.MonkeyPatch, posed: bool, video: bool
) -> None:
    """Somebody is found in frame 0: it is searched again without them, but in a video with cameras."""
    if video:
        scripted = PhotosAsVideo(**{**vars(scripted), "kind": "video"})
    Leading.searched = {0: [50.0]}
    monkeypatch.setattr(looking, "erased", lambda image, people: image)
    steps: list[tuple[int, int | None, str]] = []
    context = StageContext(
        "s",
        {},
        tmp_path,
        DetectSettings(search_every=2, lead_every=3),
        lambda done, total, label: steps.append((done, total, label)),
    )
    views = Views.from_cameras(arc_of_cameras(6) if posed else SceneCameras([]))
    detect.find_people(context, scripted, list(range(6)), Leading(), views)
    assert [(done, total) for done, total, _ in steps] == [(i + 1, len(steps)) for i in range(len(steps))]
    labels = [label for _, _, label in steps]
    led = (2 if video else 6) if posed else 0
    assert labels.count("people, coarsely") == led
    assert labels.count("people, onwards") == (0 if posed else 6)
    searches = [index for index, search in Leading.calls if search]
    assert searches.count(0) == (1 if posed and video else 2)


def test_four_real_photos_of_one_man(tmp_path: Path, test_data: Path) -> None:
    """He is found in every view, best, and a second run writes the same bytes."""
    fetch_weights()
    images = [cv2.imread(str(p))[::2, ::2, ::-1] for p in sorted((test_data / "held_t_pose" / "images").iterdir())]
    source = make_source(tmp_path / "source", images)
    summary, found = run(tmp_path, source)
    assert summary["frames_with_people"] == 4
    assert all(found.score[found.frame == i].max() > 0.9 for i in range(4))
    first = (tmp_path / "out" / "detections.npz").read_bytes()
    run(tmp_path, source)
    assert (tmp_path / "out" / "detections.npz").read_bytes() == first
    assert found.keypoint_set == "holistic143"
    hands = found.keypoint_score[:, HOLISTIC143.index("left_hand_wrist") :].max(axis=1) > 0.5
    assert len(set(found.frame[hands])) >= 3


@pytest.mark.parametrize("kind", ["grey", "noise", "checks"])
def test_a_room_without_people_is_rejected(tmp_path: Path, kind: str) -> None:
    fetch_weights()
    random = np.random.default_rng(0)
    y, x = np.mgrid[:270, :480]
    images = []
    for i in range(3):
        flat = {
            "grey": np.full((270, 480), 128),
            "noise": random.integers(0, 256, (270, 480)),
            "checks": 60 + 120 * (((x + 7 * i) // 40 + y // 40) % 2),
        }[kind]
        images.append(np.repeat(flat[..., None], 3, axis=2).astype(np.uint8))
    with pytest.raises(Rejected) as caught:
        run(tmp_path, make_source(tmp_path / "source", images))
    assert caught.value.reason == "no_people"
