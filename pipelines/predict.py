"""Predict: baselines on a benchmark's images. They see the images and nothing else of the benchmark."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mcbench.body import formats
from mcbench.body.model import load_body
from mcbench.body.rotations import log_so3
from mcbench.cameras.camera import Camera
from mcbench.dataset.benchmark import Benchmark
from mcbench.dataset.files import read_json, sha256_file, sha256_json, write_json
from mcbench.dataset.predictions import FILE, Predictions
from mcbench.dope.checkpoint import shipped_weights
from mcbench.dope.detector import DopeDetector
from mcbench.dope.engines import open_engine
from mcbench.dope.placement import placed
from mcbench.errors import InputError, UsageError
from mcbench.experts.base import PersonDetection, detector_class
from mcbench.fitting.lifting import smpl24_joints, weak_perspective
from mcbench.fitting.single_image import SingleImageFitter
from mcbench.fitting.state import stacked
from mcbench.joints import DOPE139, joint_set
from mcbench.workspace.stage import Progress, no_progress

Array = npt.NDArray[np.float64]

#: Raised whenever the same images would give other predictions.
VERSION = 1
#: Written last, beside the predictions: what they were made of.
RECORD = "predict.json"


@dataclass(frozen=True)
class PredictSettings:
    """What predicts."""

    method: str = field(
        default="detector3d",
        metadata={
            "help": "detector3d: the detector's own 3D, placed by weak perspective. single_image: an SMPL body fitted "
            "to the detector's keypoints, image by image. dope: the same, fitted to what the whole-body network finds.",
            "choices": ("detector3d", "single_image", "dope"),
        },
    )
    detector: str = field(default="blazepose", metadata={"help": "A registered detector."})
    network: str = field(
        default="", metadata={"help": "For dope: checkpoint or graph; empty for the network that comes with mcbench."}
    )
    body: str = field(default="", metadata={"help": "Body model file (SMPL layout); empty for the open body."})


@dataclass(frozen=True)
class _Person:
    """One predicted person in the camera's frame; the SMPL parameters are empty where the method has none."""

    joints: Array
    betas: Array
    global_orient: Array
    body_pose: Array
    transl: Array


class _Looker(Protocol):
    """Finds people in images: a detector as far as baselines need one."""

    name: str
    keypoint_set: str

    def detect(self, image: npt.NDArray[np.uint8]) -> list[PersonDetection]: ...


class WholeBodyLooker:
    """The whole-body network as a detector of the bodies it finds, each with its hands and its face (`dope139`).

    Raises
    ------
    InputError : as `open_engine` and `shipped_weights`.
    """

    keypoint_set = DOPE139.name

    def __init__(self, weights: Path | None = None) -> None:
        path = weights or shipped_weights()
        self.name = f"dope {sha256_file(path)[:16]}"
        self._network = DopeDetector(open_engine(path))

    def detect(self, image: npt.NDArray[np.uint8]) -> list[PersonDetection]:
        camera = default_camera(image.shape[1], image.shape[0])
        return [
            PersonDetection(
                person.body.score,
                person.body.box,
                person.pose2d,
                person.confidence,
                placed(person, camera),
                np.zeros((0, 0), np.uint8),
            )
            for person in self._network.detect(image)
            if person.body is not None
        ]


#: Predicts a person from a detection in an image with these (guessed) intrinsics; None where it cannot.
_Method = Callable[[Camera, PersonDetection], _Person | None]


def predict(
    benchmark: Benchmark, out: Path, settings: PredictSettings | None = None, progress: Progress = no_progress
) -> dict[str, Any]:
    """Run a baseline on all images of a benchmark and write the predictions to the folder `out`.

    Raises
    ------
    UsageError : `out` holds something else than predictions.
    InputError : the detector or the body is not there, the detector has no 3D for `detector3d`, or the benchmark is
        damaged.
    """
    settings = settings or PredictSettings()
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(p.name not in (FILE, RECORD) for p in out.iterdir())):
        raise UsageError("exists and holds something else than predictions", path=out, hint="give a new folder")
    benchmark.require_intact()
    detector: _Looker = (
        WholeBodyLooker(Path(settings.network) if settings.network else None)
        if settings.method == "dope"
        else detector_class(settings.detector)()
    )
    body_digest, method = _method(settings, detector)
    made_of = {"version": VERSION, "settings": asdict(settings), "detector": detector.name, "body": body_digest}
    key = sha256_json({**made_of, "benchmark": benchmark.digest})
    if (done := _done(out, key)) is not None:
        return {**done, "folder": str(out), "cached": True}
    rows: list[tuple[int, PersonDetection, _Person]] = []
    for number, (scene, image) in enumerate(benchmark.index):
        progress(number, len(benchmark.index), benchmark.scenes[scene].id)
        pixels = benchmark.scenes[scene].image(image)
        camera = default_camera(pixels.shape[1], pixels.shape[0])
        for detection in detector.detect(pixels):
            if (person := method(camera, detection)) is not None:
                rows.append((number, detection, person))
    predictions = _collect(settings, benchmark.digest, body_digest, rows)
    (out / RECORD).unlink(missing_ok=True)
    predictions.save(out)
    summary = {"method": predictions.method, "images": len(benchmark.index), "people": len(predictions)}
    write_json(out / RECORD, {"key": key, "sha256": sha256_file(out / FILE), "summary": summary})
    return {**summary, "folder": str(out), "cached": False}


def _done(out: Path, key: str) -> dict[str, Any] | None:
    """The summary of predictions that are there already, whole, of the same images by the same method."""
    try:
        record = read_json(out / RECORD)
        same = record["key"] == key and record["sha256"] == sha256_file(out / FILE)
        return dict(record["summary"]) if same else None
    except (InputError, KeyError, TypeError, OSError):
        return None


def default_camera(width: int, height: int) -> Camera:
    """A pinhole camera with the image's diagonal for a focal length: what is assumed when nothing is known."""
    focal = float(np.hypot(width, height))
    return Camera("SIMPLE_PINHOLE", width, height, (focal, width / 2, height / 2))


def _method(settings: PredictSettings, detector: _Looker) -> tuple[str, _Method]:
    """The digest of the body that the method uses (empty without one), and the method."""
    if settings.method == "detector3d":
        return "", _detector3d(detector)
    body = load_body(settings.body or None)
    fitter = SingleImageFitter(body, detector.keypoint_set)

    def fit(camera: Camera, detection: PersonDetection) -> _Person | None:
        state = fitter.fit(camera, detection.keypoints, detection.keypoint_score, detection.keypoints3d)
        if state is None:
            return None
        joints = body.smpl24_joints(body.forward(*stacked([state])).joints)[0]
        turns = log_so3(state.rotations)
        # SMPL's pose: fingers, of which one image tells little, are as at rest
        body_pose = np.concatenate([turns[1 : formats.N_SHARED], np.zeros((2, 3))]) if len(turns) > 24 else turns[1:]
        return _Person(joints, state.betas, turns[0], body_pose, state.transl)

    return body.digest, fit


def _detector3d(detector: _Looker) -> _Method:
    names = joint_set(detector.keypoint_set)

    def lift(camera: Camera, detection: PersonDetection) -> _Person | None:
        if not np.isfinite(detection.keypoints3d).any():
            raise InputError(f"detector {detector.name!r} gives no 3D", reason="no_depth")
        place = weak_perspective(detection.keypoints3d, detection.keypoints, camera, detection.keypoint_score)
        joints = smpl24_joints(detection.keypoints3d, names)
        if place is None or not np.isfinite(joints).all():
            return None
        return _Person(joints + place, np.zeros(0), np.zeros(3), np.zeros((23, 3)), place)

    return lift


def _collect(
    settings: PredictSettings, benchmark: str, body_digest: str, rows: list[tuple[int, PersonDetection, _Person]]
) -> Predictions:
    people = [person for _, _, person in rows]
    n_betas = len(people[0].betas) if people else 0

    def stacked(name: str, *shape: int) -> Array:
        return np.array([getattr(p, name) for p in people], dtype=np.float64).reshape(len(people), *shape)

    return Predictions(
        method="dope" if settings.method == "dope" else f"{settings.method} ({settings.detector})",
        benchmark=benchmark,
        body_digest=body_digest,
        image=np.array([number for number, _, _ in rows], dtype=np.int64),
        score=np.array([d.score for _, d, _ in rows], dtype=np.float64),
        box=np.array([d.box for _, d, _ in rows], dtype=np.float64).reshape(-1, 4),
        joints=stacked("joints", 24, 3),
        vertices=np.zeros((len(people), 0, 3), dtype=np.float32),
        betas=stacked("betas", n_betas),
        global_orient=stacked("global_orient", 3),
        body_pose=stacked("body_pose", 23, 3),
        transl=stacked("transl", 3),
    )
