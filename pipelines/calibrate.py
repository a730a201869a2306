"""Calibrate: a detector's keypoints on the open body, learnt on rendered people with known truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mcbench.body.model import load_body
from mcbench.cameras.camera import camera_center
from mcbench.cameras.triangulation import reprojection, triangulate
from mcbench.dataset.detections import Detections
from mcbench.dataset.source import Source
from mcbench.dataset.truth import SceneTruth
from mcbench.errors import InputError, UsageError
from mcbench.fitting.calibration import CalibrationSample, learn_keypoints
from mcbench.fitting.keypoint_model import STATURE, KeypointModel
from mcbench.fitting.parts import part_of
from mcbench.joints import joint_set
from mcbench.pipelines.fit import default_body
from mcbench.pipelines.truth_files import load_truth, truth_files, truth_of
from mcbench.workspace.integrity import require_intact
from mcbench.workspace.stage import Progress, no_progress
from mcbench.workspace.workspace import Workspace

#: A detection is a true person's if their keypoints lie this near, as a share of a standing adult's height.
_SAME = 0.06
#: Keypoints are triangulated from readings with this score at least, and their noise is that of such readings.
_SURE = 0.8
_MIN_VIEWS = 8
#: Scale of the robust cost of a triangulated keypoint, of a body and of a hand or face, as a share of that height.
_SCALE, _PART_SCALE = 0.015, 0.006


def calibrate(
    workspace: Workspace, truth_folders: Sequence[Path], out: Path, progress: Progress = no_progress
) -> KeypointModel:
    """Learn a keypoint model from the workspace's detections and write it to `out`.

    Only `sfm` and `detect` need have run: the truth's own cameras are used.

    Raises
    ------
    UsageError : `out` is a folder, or a file that is no calibration.
    InputError : a folder has no truth, or no scene has both detections and truth (reason `no_truth`), a scene's
        is that of another clip (`other_clip`), or a file is damaged (`damaged`).
    """
    _check_target(Path(out))
    truths = {name: path for folder in truth_folders for name, path in truth_files(Path(folder)).items()}
    detected = [scene for scene in workspace.scenes() if scene.finished("detect")]
    pairs = [(scene, path) for scene in detected if (path := truth_of(scene, truths)) is not None]
    if not pairs:
        raise InputError("has no scene with detections and truth", path=workspace.root, reason="no_truth")
    samples: list[CalibrationSample] = []
    seeds: list[dict[str, Any]] = []
    keypoint_set = detector = ""
    for done, (scene, path) in enumerate(pairs):
        progress(done, len(pairs), scene.id)
        for stage in ("source", "detect"):
            if (record := scene.record(stage)) is not None:
                require_intact(scene, stage, record)
        detections = Detections.load(scene.stage_folder("detect") / "detections.npz")
        keypoint_set, detector = detections.keypoint_set, detections.detector
        truth = load_truth(scene, path)
        seeds.append({k: truth.info.get(k) for k in ("difficulty", "seed")})
        source = Source.load(scene.stage_folder("source"))
        decoded = np.array(source.decode_index)
        body = load_body(default_body(keypoint_set))
        own = KeypointModel.default(body, keypoint_set)
        samples += _samples(detections, decoded[detections.frame], truth, own)
    unique = [dict(t) for t in sorted({tuple(sorted(s.items())) for s in seeds})]
    model = learn_keypoints(
        load_body(default_body(keypoint_set)),
        keypoint_set,
        samples,
        {"source": "learnt on rendered people", "detector": detector, "clips": len(pairs), "rendered": unique},
    )
    model.save(Path(out))
    return model


def _check_target(out: Path) -> None:
    """Refuse to overwrite what is not a calibration, before the work and not after it."""
    if out.is_dir():
        raise UsageError("is a folder", path=out, hint="name a file, such as keypoints.npz")
    if out.exists():
        try:
            KeypointModel.load(out)
        except InputError as error:
            raise UsageError("exists and is not a calibration", path=out, hint="name a new file") from error
    out.parent.mkdir(parents=True, exist_ok=True)


def _samples(
    detections: Detections, frame: np.ndarray, truth: SceneTruth, own: KeypointModel
) -> list[CalibrationSample]:
    """A sample for every true person who was detected often enough and stood still."""
    found = []
    projections = truth.K @ truth.cam_from_world
    of_body = np.array([part_of(name) == "body" for name in joint_set(own.keypoint_set).joints])
    robust = np.where(of_body, _SCALE, _PART_SCALE)
    for person, vertices in enumerate(truth.vertices):
        if np.linalg.norm(truth.moved[:, person], axis=-1).max() > 0:
            continue
        keypoints = own.of(vertices)
        centre = truth.joints[person].mean(0)
        rows, sizes = [], []
        for f in np.unique(frame):
            mine = np.flatnonzero(frame == f)
            pose = truth.cam_from_world[f]
            size = truth.K[f, 0, 0] * STATURE / (pose[:, :3] @ centre + pose[:, 3])[2]
            expected = reprojection(projections[f][None], keypoints)[0]
            off = np.linalg.norm(detections.keypoints[mine] - expected, axis=-1)[:, of_body]
            off = np.nanmedian(off, axis=1)
            if np.isfinite(off).any() and np.nanmin(off) < _SAME * size:
                rows.append(mine[np.nanargmin(off)])
                sizes.append(size)
        if len(rows) < _MIN_VIEWS:
            continue
        row, size_px = np.array(rows), np.array(sizes)
        read, score = detections.keypoints[row].astype(np.float64), detections.keypoint_score[row].astype(np.float64)
        pixels = np.where((score >= _SURE)[..., None], read, np.nan)
        P = projections[frame[row]]
        points = triangulate(P, pixels, sigma_px=robust * size_px[:, None]).points
        seen = np.isfinite(pixels).all(-1).sum(0)
        points = np.where((seen >= _MIN_VIEWS)[:, None], points, np.nan)
        residual = np.abs(pixels - reprojection(P, points)) / size_px[:, None, None]
        spread = np.full(len(points), np.nan)
        for k in np.flatnonzero(np.isfinite(residual).any((0, 2))):
            spread[k] = 1.4826 * np.nanmedian(residual[:, k])
        rays = points - camera_center(truth.cam_from_world[frame[row]])[:, None]
        rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
        across = np.eye(3) - rays[..., None] * rays[..., None, :]
        used = np.asarray(np.isfinite(pixels).all(-1))[..., None, None]
        seen_across = np.where(used, across, 0.0).sum(0) / np.maximum(used.sum(0), 1)
        seen_across = np.nan_to_num(seen_across)
        found.append(CalibrationSample(vertices, points, seen_across, spread, P, read, score, size_px))
    return found
