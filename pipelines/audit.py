"""Audit: the fits of a workspace against exact truth, scene by scene and over all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mcbench.cameras.views import Views
from mcbench.dataset.source import Source
from mcbench.dataset.truth import SceneTruth
from mcbench.errors import InputError
from mcbench.metrics.audit_summary import person_row, summarise
from mcbench.metrics.scene_audit import PartsTrue, SceneAudit, SceneFit, audit_scene, counting_people
from mcbench.pipelines.finished import FinishedScene, finished_scene, why_unfinished
from mcbench.pipelines.truth_files import is_same_file, load_truth, truth_files, truth_of
from mcbench.workspace.stage import Progress, no_progress
from mcbench.workspace.workspace import Scene, Workspace


def audit(workspace: Workspace, truth_folder: Path, progress: Progress = no_progress) -> dict[str, Any]:
    """The audit's document: its numbers over all scenes, and `per_scene`.

    A scene without a result (rejected, failed, not run, damaged) has its people counted as missed. Scenes without truth
    or with unusable one (damaged, of another clip of their name), and truth without a scene are named and left out.

    Raises
    ------
    InputError : the folder has no truth of any scene of the workspace (reason `no_truth`), or none that can be used.
    """
    truths = truth_files(Path(truth_folder))
    scenes = workspace.scenes()
    pairs = [(scene, path) for scene in scenes if (path := truth_of(scene, truths)) is not None]
    if not pairs:
        raise InputError("has no truth of any scene of the workspace", path=truth_folder, reason="no_truth")
    audits, rows = [], []
    unusable: dict[str, InputError] = {}
    for done, (scene, path) in enumerate(pairs):
        progress(done, len(pairs), scene.id)
        try:
            truth = load_truth(scene, path)
        except InputError as error:
            unusable[scene.id] = error
            continue
        audited, outcome = _audit_one(scene, truth)
        audits.append(audited)
        rows.append(
            {
                "scene": scene.id,
                "clip": path.stem,
                "same_file": is_same_file(scene, truth),
                **outcome,
                **summarise([audited]),
                "people": [person_row(scene.id, person) for person in audited.people],
            }
        )
    if not audits:
        raise next(iter(unusable.values()))
    used = {path for _, path in pairs}
    return {
        **summarise(audits),
        "per_scene": rows,
        "scenes_without_truth": [s.id for s in scenes if s.id not in {scene.id for scene, _ in pairs}],
        "scenes_with_unusable_truth": {scene: str(error) for scene, error in unusable.items()},
        "truth_without_scene": sorted(path.stem for path in truths.values() if path not in used),
    }


def _audit_one(scene: Scene, truth: SceneTruth) -> tuple[SceneAudit, dict[str, Any]]:
    """A scene's audit, and how the scene ended: status, stage, reason, message."""
    people_true, parts_true = int(counting_people(truth).sum()), PartsTrue.of(truth)

    def missed(rejected: bool) -> SceneAudit:
        return SceneAudit(scene.id, rejected, people_true, parts_true=parts_true)

    try:
        first, stop = _span(scene, len(truth.cam_from_world))
        truth = truth.part(first, stop)
        people_true, parts_true = int(counting_people(truth).sum()), PartsTrue.of(truth)
        finished = finished_scene(scene)
        if finished is None:
            status, stage, reason = why_unfinished(scene)
            return missed(status == "rejected"), _outcome(status, stage, reason)
        return audit_scene(scene.id, _scene_fit(finished, truth, first), truth, finished.seconds_fit), _outcome("ok")
    except InputError as error:  # damaged files: no other scene is kept from its numbers
        return missed(False), _outcome("failed", None, error.reason, str(error))
    except ValueError as error:  # cameras on a line: no alignment, so nobody is recalled
        return missed(False), _outcome("ok", None, f"not alignable: {error}")


def _outcome(
    status: str, stage: str | None = None, reason: str | None = None, message: str | None = None
) -> dict[str, Any]:
    return {"status": status, "stage": stage, "reason": reason, "message": message}


def _span(scene: Scene, frames: int) -> tuple[int, int]:
    """First frame of the clip that the scene uses, and the one after the last: who is elsewhere is not asked for."""
    if not scene.finished("source"):
        return 0, frames
    used = Source.load(scene.stage_folder("source")).decode_index
    return min(used), max(used) + 1


def _scene_fit(finished: FinishedScene, truth: SceneTruth, first: int) -> SceneFit:
    """The scene's fits; `first` is the frame of the clip at which the truth starts."""
    people, source = finished.people, finished.source
    views = Views.from_cameras(finished.cameras)
    # truth counts the frames of the clip, a source those that were kept of it
    frame = np.array([source.decode_index[i] for i in views.frame], dtype=np.int64) - first
    inside = frame < len(truth.cam_from_world)
    vertices = skin_area = None
    if truth.vertices.shape[1]:
        body = finished.body()
        if body.n_vertices == truth.vertices.shape[1]:
            vertices, skin_area = finished.posed(body).vertices, body.vertex_area * body.skin_mask
    moved = [np.nan if (m := p.get("moved_m")) is None else float(m) for p in finished.info["people"]]
    return SceneFit(
        frame[inside],
        views.centers[inside],
        people.joints,
        people.joints_cov,
        people.hands,
        people.face,
        vertices,
        skin_area,
        finished.accepted,
        np.array(moved, dtype=np.float64),
        _scale_interval(finished.info),
    )


def _scale_interval(info: dict[str, Any]) -> tuple[float, float] | None:
    """The stated interval relative to the scale that was chosen; None where the scale was not estimated."""
    if info.get("scale_interval") is None:
        return None
    low, high = info["scale_interval"]
    return float(low) / info["scale"], float(high) / info["scale"]
