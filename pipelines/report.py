"""Report: what a workspace holds, as one HTML file to read: counts, scenes, people, pictures, errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import mcbench
from mcbench.cameras.camera import transform
from mcbench.cameras.views import Views
from mcbench.dataset.cameras_file import SceneCameras
from mcbench.dataset.detections import Detections
from mcbench.dataset.files import read_json, write_bytes
from mcbench.dataset.source import Source
from mcbench.dataset.verdicts import Check
from mcbench.dope.people import KINDS
from mcbench.errors import InputError, McbenchError, UsageError
from mcbench.joints import SMPL24, joint_set
from mcbench.metrics.audit_summary import GOOD_M, WRONG_M
from mcbench.metrics.ellipsoid import ellipsoid_radius
from mcbench.pipelines.audit import audit
from mcbench.pipelines.eval_dope import FORMAT as DOPE_FORMAT
from mcbench.pipelines.evaluate import FORMAT as EVALUATION_FORMAT
from mcbench.pipelines.finished import STAGES, FinishedScene, finished_scene
from mcbench.viz.frames import choose_frames
from mcbench.viz.html import between, jpeg_uri, number, render, svg_uri
from mcbench.viz.overlay import People, Points, View, overlay
from mcbench.viz.palette import hex_colour, person_colour
from mcbench.viz.plots import PersonError, error_plot, score_plot, top_view
from mcbench.viz.raycast import MeshScene
from mcbench.viz.visibility import in_image
from mcbench.workspace.stage import Progress, no_progress
from mcbench.workspace.workspace import Scene, Workspace

#: Half-width of a 90 % interval in standard deviations.
_SD_90 = 1.645
_ERRORS = {"mpjpe_mm": "MPJPE", "pa_mpjpe_mm": "PA-MPJPE", "pve_mm": "PVE", "pa_pve_mm": "PA-PVE"}
#: Of whole bodies: shares, shown in per cent, and errors in millimetres.
_SHARES = {"recall": "recall", "precision": "precision", "ap": "AP", "pck": "PCK", "error_2d": "2D error", "auc": "AUC"}
_LENGTHS = {"mpjpe_mm": "MPJPE", "pa_mpjpe_mm": "PA-MPJPE"}
#: What the audit measured over all scenes, in the order of the table.
_AUDITED = (
    "scenes", "scenes_rejected", "people_true", "people_found", "people_accepted", "recall", "good_accepted_share",
    "accepted_wrong", "accepted_wrong_share", "pve_mm", "pve_scaled_mm", "pve_all_mm", "pve_scaled_all_mm",
    "pa_mpjpe_mm", "scale_error_pct", "camera_center_mm", "coverage90", "coverage90_absolute", "coverage90_by_group",
    "ellipsoid_mm", "ellipsoid_mm_by_group", "scale_coverage90", "hand_mm", "hand_recall", "face_mm", "face_recall",
    "moved_mm", "seconds_fit_per_person",
)  # fmt: skip
_NO_POINTS = Points(np.zeros((0, 0, 2)), np.zeros((0, 0)), np.zeros(0, dtype=np.int64))


@dataclass(frozen=True)
class ReportSettings:
    """How much a report shows."""

    pictures: int = field(default=3, metadata={"help": "Pictures a scene; 0 for none."})
    size: int = field(default=960, metadata={"help": "Longest side of a picture at most, px."})


@dataclass
class _Scene:
    """A scene's part of the report: `row` as in the document, the pictures as data URIs, people of the audit."""

    row: dict[str, Any]
    frames: list[dict[str, Any]] = field(default_factory=list)
    top_view: str | None = None
    latest: str = ""


def report(
    workspace: Workspace,
    out: Path,
    settings: ReportSettings | None = None,
    *,
    truth: Path | None = None,
    evaluation: Path | None = None,
    whole_bodies: Path | None = None,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Write the report to the file `out`; returns its numbers as JSON values.

    Whatever is wrong with a scene is told in its section and breaks nothing.

    Parameters
    ----------
    truth : folder of truth files, for the audit's part. evaluation : folder that `mcbench evaluate --out` wrote.
    whole_bodies : folder that `mcbench eval-dope --out` wrote.

    Raises
    ------
    UsageError : `out` is a folder or a file that is no report.
    InputError : there is no truth, or no evaluation, in the folder given.
    """
    settings = settings or ReportSettings()
    if settings.pictures < 0 or settings.size < 16:
        raise UsageError("pictures must be 0 or more and size 16 or more")
    out = Path(out)
    _check_target(out)
    scores = None if evaluation is None else _evaluation(Path(evaluation))
    dope = None if whole_bodies is None else _whole_bodies(Path(whole_bodies))
    audited = None if truth is None else audit(workspace, Path(truth), progress)
    scenes = workspace.scenes()
    parts = []
    for done, scene in enumerate(scenes):
        progress(done, len(scenes), scene.id)
        parts.append(_scene(scene, settings))
    rows = [part.row for part in parts]
    counts = _counts(rows)
    nothing_run = all(row["stages"][stage]["status"] == "missing" for row in rows for stage in STAGES[1:])
    text = render(
        "report.html",
        title=workspace.root.resolve().name,
        version=mcbench.__version__,
        latest=max((part.latest for part in parts), default=""),
        counts=counts,
        stages=STAGES,
        scenes=rows,
        nothing_run=nothing_run,
        pictures={part.row["scene"]: {"frames": part.frames, "top_view": part.top_view} for part in parts},
        audit=None if audited is None else _audit_section(audited),
        evaluation=scores,
        dope=dope,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(out, text.encode())
    return {
        "report": str(out),
        "bytes": out.stat().st_size,
        "nothing_run": nothing_run,
        "counts": counts,
        "scenes": rows,
        "audit": audited,
        "evaluation": None if scores is None else {"protocol": scores["protocol"], "methods": scores["methods"]},
        "whole_bodies": None if dope is None else {"images": dope["images"], "methods": dope["methods"]},
    }


def _check_target(out: Path) -> None:
    """Refuse to overwrite what is not a report."""
    if out.is_dir():
        raise UsageError("is a folder", path=out, hint="name a file, such as report.html", reason="not_a_report")
    if out.exists():
        with out.open("rb") as stream:
            if b'content="mcbench report"' not in stream.read(400):
                raise UsageError("exists and is not a report", path=out, hint="name a new file", reason="not_a_report")


def _counts(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Counts over all scenes; the parts of each add up to its whole."""
    status = Counter(row["status"] for row in rows)
    frames = sum(row["frames"] or 0 for row in rows)
    solved = [row for row in rows if row["registered"] is not None]
    registered = sum(row["registered"] for row in solved)
    people = [person for row in rows for person in row["people"]]
    reasons = Counter(check["reason"] for person in people for check in person["broken"])
    ended = Counter(row["reason"] for row in rows if row["status"] in ("rejected", "failed"))
    accepted = sum(person["accepted"] for person in people)
    return {
        "scenes": {
            "total": len(rows),
            **{name: status[name] for name in ("ok", "rejected", "failed")},
            "unfinished": status["stale"] + status["missing"],
        },
        "frames": {
            "total": frames,
            "registered": registered,
            "unregistered": sum(row["frames"] for row in solved) - registered,
            "unsolved": sum(row["frames"] or 0 for row in rows if row["registered"] is None),
        },
        "people": {"found": len(people), "accepted": accepted, "rejected": len(people) - accepted},
        "reasons": dict(sorted(reasons.items())),
        "scene_reasons": dict(sorted(ended.items())),
    }


def _scene(scene: Scene, settings: ReportSettings) -> _Scene:
    """A scene's part; what cannot be read becomes a note."""
    stages = {stage: _stage(scene, stage) for stage in STAGES}
    first = next(((name, s) for name, s in stages.items() if s["status"] != "ok"), None)
    status = "ok" if first is None else first[1]["status"]
    part = _Scene(
        {
            "scene": scene.id,
            "name": scene.id,
            "status": status,
            "stage": None if first is None else first[0],
            "reason": None if first is None else first[1]["reason"],
            "message": None if first is None else first[1]["message"],
            "status_text": _status_text(first),
            "stages": {name: {"status": s["status"], "reason": s["reason"]} for name, s in stages.items()},
            "frames": None,
            "registered": None,
            "people_found": None,
            "people_accepted": None,
            "people": [],
            "scale_interval_pct": None,
            "up_source": None,
            "notes": [],
        },
        latest=max(s["started_at"] for s in stages.values()),
    )
    try:
        part.row["name"] = scene.name
        source = Source.load(scene.stage_folder("source"))
        part.row["frames"] = len(source.frames)
        for stage in stages:
            if (attempt := scene.failed_attempt(stage)) is not None:
                part.row["notes"].append(
                    f"The latest attempt at {stage} failed ({attempt.reason}); what is shown was there before it."
                )
        finished = finished_scene(scene)
        if finished is None:
            _unfinished(part, scene, source, settings)
        else:
            _finished(part, finished, settings)
    except (McbenchError, OSError) as error:
        part.row["notes"].append(f"Not all of this scene can be shown: {_told(error)}.")
    return part


def _stage(scene: Scene, stage: str) -> dict[str, Any]:
    """Status ("stale" and "missing" included), typed reason, message and start of a stage."""
    try:
        record = scene.any_record(stage)
        if record is None:
            return {"status": "missing", "reason": None, "message": None, "started_at": ""}
        status = record.status if scene.record(stage) else "stale"
        return {
            "status": status, "reason": record.reason, "message": record.message, "started_at": record.started_at
        }  # fmt: skip
    except (McbenchError, OSError) as error:
        reason = error.reason if isinstance(error, McbenchError) else "io_error"
        return {"status": "failed", "reason": reason, "message": _told(error), "started_at": ""}


def _told(error: Exception) -> str:
    """An error without the paths of the machine that it happened on: the report goes to others."""
    return error.message if isinstance(error, McbenchError) else type(error).__name__


def _status_text(first: tuple[str, dict[str, Any]] | None) -> str:
    if first is None:
        return "ok"
    stage, state = first
    if state["status"] == "missing":
        return f"not finished: {stage} has not run"
    if state["status"] == "stale":
        return f"not finished: {stage} is out of date"
    return f"{state['status']} by {stage} ({state['reason']})"


def _unfinished(part: _Scene, scene: Scene, source: Source, settings: ReportSettings) -> None:
    """What there is of a scene that did not come to its end: cameras, detections."""
    for stage in ("fit", "sfm"):
        if scene.finished(stage):
            cameras = SceneCameras.load(scene.stage_folder(stage) / "cameras.json")
            part.row["registered"] = len(cameras.posed)
            break
    if not scene.finished("detect"):
        return
    detections = Detections.load(scene.stage_folder("detect") / "detections.npz")
    found = np.bincount(detections.frame, minlength=len(source.frames))
    chosen = choose_frames(found, settings.pictures)
    for frame, image in source.images(chosen):
        points = _points(detections, frame.index, None)
        part.frames.append(
            {
                "index": frame.index,
                "caption": f"frame {frame.index} ({frame.name}): {len(points.person)} detected",
                "uri": jpeg_uri(overlay(image, settings.size, points)),
            }
        )


def _finished(part: _Scene, finished: FinishedScene, settings: ReportSettings) -> None:
    fitted, accepted, cameras = finished.people, finished.accepted, finished.cameras
    part.row |= {
        "registered": len(cameras.posed),
        "people_found": len(fitted),
        "people_accepted": int(accepted.sum()),
        "people": [_person(finished, person) for person in range(len(fitted))],
        "scale_interval_pct": _scale_interval_pct(finished.info),
        "up_source": finished.info.get("up_source"),
    }
    try:
        body = finished.body()
        meshes = MeshScene(finished.posed(body).vertices, body.faces)
    except InputError as error:
        meshes = None
        part.row["notes"].append(f"Bodies are drawn as sticks: {_told(error)}.")
    people = People(meshes, fitted.joints, fitted.joints_cov, SMPL24.bones, accepted)
    views = Views.from_cameras(cameras)
    if len(views) and len(fitted):
        part.top_view = svg_uri(
            top_view(views.cam_from_world, fitted.joints, fitted.joints_cov, SMPL24.bones, accepted)
        )
    score = _joints_in_view(views, fitted.joints, accepted)
    chosen = views.frame[choose_frames(score, settings.pictures)].tolist()
    for frame, image in finished.source.images(chosen):
        at = int(np.searchsorted(views.frame, frame.index))
        view = View(views.cameras[at], views.cam_from_world[at])
        points = _points(finished.detections, frame.index, fitted.detection_person)
        part.frames.append(
            {
                "index": frame.index,
                "caption": f"frame {frame.index} ({frame.name})",
                "uri": jpeg_uri(overlay(image, settings.size, points, (people, view))),
            }
        )


def _joints_in_view(
    views: Views, joints: npt.NDArray[np.float64], accepted: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """How much each view (F,) shows: its joints inside the image, those of accepted people counted twice."""
    weight = np.where(accepted, 2.0, 1.0)
    return np.array(
        [
            float((in_image(camera.project(transform(pose, joints)), camera).sum(axis=1) * weight).sum())
            for camera, pose in zip(views.cameras, views.cam_from_world, strict=True)
        ]
    )


def _points(detections: Detections, frame: int, person: npt.NDArray[np.int64] | None) -> Points:
    """The detections of a frame; `person` (N,) tells whose the scene's detections are, None where nobody knows."""
    rows = np.flatnonzero(detections.frame == frame)
    if not len(rows):
        return _NO_POINTS
    who = np.full(len(rows), -1, dtype=np.int64) if person is None else person[rows]
    # lines would hide the bodies: dots alone say how well those agree
    bones = joint_set(detections.keypoint_set).bones if person is None else ()
    return Points(detections.keypoints[rows], detections.keypoint_score[rows], who, bones)


def _person(finished: FinishedScene, person: int) -> dict[str, Any]:
    fitted, verdict = finished.people, finished.verdicts[person]
    measured = finished.info["people"][person]
    rows = fitted.detection_person == person
    moved, moved_sd = measured.get("moved_m"), measured.get("moved_sd_m")
    radius = ellipsoid_radius(fitted.joints_cov[person, 1:])
    residual = float(fitted.residual_px[person])
    return {
        "person": person,
        "accepted": verdict.accepted,
        "colour": hex_colour(person_colour(person, verdict.accepted)),
        "broken": [
            {"reason": c.reason, "feature": c.feature, "text": _check_text(c)} for c in verdict.checks if not c.passed
        ],
        "residual_px": residual if np.isfinite(residual) else None,
        "views": len(np.unique(finished.detections.frame[rows])),
        "stature_m": measured.get("stature_m"),
        "moved_mm": None if moved is None else 1000 * moved,
        "moved_error_mm": None if moved_sd is None else 1000 * _SD_90 * moved_sd,
        "error_radius_mm": float(1000 * np.nanmean(radius)) if np.isfinite(radius).any() else None,
    }


def _check_text(check: Check) -> str:
    sign = "<" if check.bound == "min" else ">"
    return f"{check.feature} {check.value:.3g} {sign} {check.threshold:.3g}"


def _scale_interval_pct(info: dict[str, Any]) -> tuple[float, float] | None:
    """The scale's 90 % interval around the chosen scale, per cent; None where the scale was given."""
    if info.get("scale_interval") is None:
        return None
    low, high = info["scale_interval"]
    return 100 * (low / info["scale"] - 1), 100 * (high / info["scale"] - 1)


def _audit_section(document: dict[str, Any]) -> dict[str, Any]:
    people = [
        PersonError(f"{row['scene']} {p['person']}", p["accepted"], p["pve_scaled_mm"])
        for row in document["per_scene"]
        for p in row["people"]
        if p["true_person"] is None or p["pve_scaled_mm"] is not None
    ]
    rows = []
    for key in _AUDITED:
        digits = 2 if any(word in key for word in ("coverage", "share", "recall", "pct")) else 1
        interval = between(document.get(f"{key}_interval90"), digits)
        rows.append({"name": key, "value": number(document[key], digits), "interval": interval})
    return {
        "rows": rows,
        "plot": svg_uri(error_plot(people, 1000 * GOOD_M, 1000 * WRONG_M)) if people else None,
        "scenes": document["per_scene"],
        "left_out": [*document["scenes_without_truth"], *document["scenes_with_unusable_truth"]],
    }


def _document(folder: Path, expected: str) -> tuple[Path, dict[str, Any]]:
    """The `evaluation.json` of a folder, and where it lies."""
    path = folder / "evaluation.json"
    document = read_json(path)
    if not isinstance(document, dict) or document.get("format") != expected:
        raise InputError(f"is not a {expected} file", path=path, reason="bad_format")
    return path, document


def _whole_bodies(folder: Path) -> dict[str, Any]:
    """The scores that `mcbench eval-dope --out` wrote: a row for each kind of part and method."""
    path, document = _document(folder, DOPE_FORMAT)
    try:
        return {
            "images": int(document["images"]),
            "min_box": float(document["settings"]["min_box"]),
            "columns": {**_SHARES, **_LENGTHS},
            "shares": list(_SHARES),
            "methods": [
                {
                    "name": str(m["name"]),
                    "kind": kind,
                    **{key: m[kind].get(key) for key in ("true", *_SHARES, *_LENGTHS)},
                }
                for kind in KINDS
                for m in document["methods"]
            ],
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"not a valid {DOPE_FORMAT} file: {error!r}", path=path, reason="bad_format") from error


def _evaluation(folder: Path) -> dict[str, Any]:
    """The scores that `mcbench evaluate --out` wrote, with a plot."""
    path, document = _document(folder, EVALUATION_FORMAT)
    try:
        methods = [
            {
                **{key: m[key] for key in ("name", "method", "items", "recall", "recall_interval90")},
                **{key: m[key] for name in _ERRORS for key in (name, f"{name}_interval90")},
            }
            for m in document["methods"]
        ]
        measured = {key: title for key, title in _ERRORS.items() if any(m[key] is not None for m in methods)}
        return {
            "protocol": str(document["protocol"]),
            "description": str(document["protocol_description"]),
            "benchmark": str(document["benchmark"]),
            "columns": _ERRORS,
            "methods": methods,
            "plot": svg_uri(score_plot(methods, measured)) if measured else None,
        }
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"not a valid {EVALUATION_FORMAT} file: {error!r}", path=path, reason="bad_format") from error
