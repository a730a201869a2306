"""Running stages on scenes: resume by default, counts that add up, one bad scene never stops the rest."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mcbench.errors import McbenchError, known_error
from mcbench.workspace.build import build_result, clean_leftovers, forget_attempt, has_result, scene_lock
from mcbench.workspace.executors import Executor, InProcess, WorkerDied
from mcbench.workspace.integrity import require_intact
from mcbench.workspace.record import FAILED, OK, REJECTED, SKIPPED, StageRecord, stage_key
from mcbench.workspace.stage import Progress, Stage, StageContext, no_progress
from mcbench.workspace.workspace import Scene, Workspace

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """How a stage ended on a scene.

    Attributes
    ----------
    status : "ok", "rejected", "failed", or "skipped" where an input stage has no result to work on.
    reason : typed; of a skipped stage the one of the input, or "not_done", "out_of_date".
    blocked_by : of a skipped stage, the stage before it that ended the scene.
    cached : the result was there already.
    """

    scene: str
    stage: str
    status: str
    reason: str | None = None
    message: str | None = None
    cached: bool = False
    duration_s: float = 0.0
    blocked_by: str | None = None


@dataclass(frozen=True)
class SceneJob:
    """Stages to run, in order, on one scene; picklable."""

    scene_folder: Path
    stages: tuple[tuple[Stage[Any], Any], ...]


@dataclass(frozen=True)
class RunReport:
    """Outcomes of a run and their counts."""

    outcomes: list[Outcome]

    def counts(self) -> dict[str, dict[str, int]]:
        """Number of scenes by stage and status; a stage's numbers add up to the run's scenes."""
        table: dict[str, Counter[str]] = {}
        for outcome in self.outcomes:
            table.setdefault(outcome.stage, Counter({s: 0 for s in (OK, REJECTED, FAILED, SKIPPED)}))[
                outcome.status
            ] += 1
        return {stage: dict(counter) for stage, counter in table.items()}

    @property
    def exit_status(self) -> int:
        """0 when every stage is ok on every scene, else 1."""
        return int(any(outcome.status != OK for outcome in self.outcomes))

    def to_json(self) -> dict[str, Any]:
        return {"counts": self.counts(), "outcomes": [asdict(outcome) for outcome in self.outcomes]}


def run_stage(scene: Scene, stage: Stage[Any], settings: Any, progress: Progress = no_progress) -> Outcome:
    """Run one stage on one scene unless its result is there. Call with the scene's lock held."""
    inputs: dict[str, StageRecord] = {}
    for name in stage.inputs:
        record = scene.record(name)
        if record is None or record.status != OK:
            return _skipped(scene, stage, name, record)
        inputs[name] = record
    digests = {name: record.result_digest for name, record in inputs.items()}
    keyed = stage.keyed_settings(settings)
    resources = stage.resources(settings)
    present = scene.any_record(stage.name)
    key = stage_key(stage.name, stage.version, keyed, digests, resources)
    if present and present.key == key and present.status != FAILED and _is_all_there(scene, present):
        forget_attempt(scene.folder, stage.name)
        return _outcome(present, cached=True)
    folders = {name: scene.stage_folder(name) for name in stage.inputs}

    def run(out: Path) -> dict[str, Any]:
        for name, record in inputs.items():
            require_intact(scene, name, record)
        return stage.run(StageContext(scene.id, folders, out, settings, progress))

    record = build_result(
        scene.folder,
        stage.name,
        run,
        version=stage.version,
        settings=keyed,
        inputs=digests,
        resources=resources,
    )
    return _outcome(record, cached=False)


def _skipped(scene: Scene, stage: Stage[Any], blocked_by: str, ended: StageRecord | Outcome | None) -> Outcome:
    """The outcome of a stage whose input `blocked_by` ended so; None where it has no result that is up to date."""
    if ended is not None:
        how = "failed" if ended.status == FAILED else "was rejected"
        reason, message = ended.reason, f"{blocked_by} {how}: {ended.message}"
    else:
        reason = "not_done" if scene.any_record(blocked_by) is None else "out_of_date"
        what = reason.replace("_", " ")
        message = f"{blocked_by} is {what}: run `mcbench {blocked_by}`, or `mcbench run` for the whole chain"
    return Outcome(scene.id, stage.name, SKIPPED, reason, message, blocked_by=blocked_by)


def _is_all_there(scene: Scene, record: StageRecord) -> bool:
    """Whether no file of a result was deleted; what is in them is `mcbench verify`'s to check, which takes its time."""
    folder = scene.stage_folder(record.stage)
    return all((folder / name).is_file() for name in record.files)


def _outcome(record: StageRecord, *, cached: bool) -> Outcome:
    return Outcome(
        record.scene,
        record.stage,
        record.status,
        record.reason,
        record.message,
        cached,
        0.0 if cached else record.duration_s,
    )


def run_scene(job: SceneJob, progress: Progress = no_progress) -> list[Outcome]:
    """Run a scene's stages in order; a stage after one that is not ok is skipped, with the reason."""
    scene = Scene(job.scene_folder)
    outcomes: dict[str, Outcome] = {}
    try:
        with scene_lock(scene.folder):
            clean_leftovers(scene.folder)
            for stage, settings in job.stages:
                outcomes[stage.name] = _run_or_fail(scene, stage, settings, progress, outcomes)
    except (McbenchError, OSError) as error:  # the scene cannot be held
        return [_failed(scene, stage, error) for stage, _ in job.stages]
    return list(outcomes.values())


def _run_or_fail(
    scene: Scene, stage: Stage[Any], settings: Any, progress: Progress, before: Mapping[str, Outcome]
) -> Outcome:
    """`run_stage`; what goes wrong before the stage starts (no such detector, a hostile body) fails it, too.

    Such a failure is recorded for `status` to tell where there is no result yet; a result is left as it was.

    An input that has just failed leaves its older result in place, which is not what was asked for now: `before`, the
    outcomes of this run so far, tells.
    """
    for earlier in (before[name] for name in stage.inputs if name in before):
        if earlier.status == FAILED:
            return _skipped(scene, stage, earlier.stage, earlier)
        if earlier.status == SKIPPED:
            return replace(earlier, stage=stage.name)
    try:
        return run_stage(scene, stage, settings, progress)
    except Exception as error:  # one scene must never stop the others
        _LOG.info("%s: %s", scene.id, stage.name, exc_info=True)
        outcome = _failed(scene, stage, error)
        if not has_result(scene.stage_folder(stage.name)):
            _record_failure(scene, stage, outcome, error)
        return outcome


def _record_failure(scene: Scene, stage: Stage[Any], outcome: Outcome, cause: Exception) -> None:
    def fail(out: Path) -> dict[str, Any]:
        raise McbenchError(str(outcome.message), reason=outcome.reason) from cause

    try:
        build_result(scene.folder, stage.name, fail, version=stage.version)
    except OSError:  # a full disk has no room for its record, either
        _LOG.info("%s: %s", scene.id, stage.name, exc_info=True)


def _failed(scene: Scene, stage: Stage[Any], error: Exception) -> Outcome:
    known = known_error(error)
    return Outcome(scene.id, stage.name, FAILED, known.reason, str(known))


def run_stages(
    scenes: Sequence[Scene],
    stages: Iterable[tuple[Stage[Any], Any]],
    *,
    executor: Executor | None = None,
    on_scene: Callable[[list[Outcome]], None] | None = None,
) -> RunReport:
    """Run stages on scenes.

    Parameters
    ----------
    stages : (stage, settings) in the order of the chain.
    executor : where scenes are worked on; this process when None.
    on_scene : called with a scene's outcomes as soon as they are known.
    """
    chain = tuple(stages)
    jobs = [SceneJob(scene.folder, chain) for scene in scenes]
    by_scene: dict[str, list[Outcome]] = {}
    for job, result in (executor or InProcess()).map(run_scene, jobs):
        if isinstance(result, WorkerDied):
            outcomes = [Outcome(job.scene_folder.name, s.name, FAILED, "worker_died", str(result)) for s, _ in chain]
        else:
            outcomes = result
        by_scene[job.scene_folder.name] = outcomes
        if on_scene:
            on_scene(outcomes)
    return RunReport([outcome for scene in scenes for outcome in by_scene[scene.id]])


def scene_states(workspace: Workspace, stages: Sequence[str]) -> list[dict[str, Any]]:
    """What is done on every scene: for each stage its status ("stale" and "missing" included), reason and message."""
    states = []
    for scene in workspace.scenes():
        row: dict[str, Any] = {"scene": scene.id, "name": scene.name, "stages": {}}
        for stage in stages:
            record = scene.any_record(stage)
            attempt = scene.failed_attempt(stage)
            if attempt is not None:
                message = f"{attempt.message}; the result before it is kept"
                row["stages"][stage] = {"status": FAILED, "reason": attempt.reason, "message": message}
            elif record is None:
                row["stages"][stage] = {"status": "missing", "reason": None, "message": None}
            else:
                status = record.status if scene.record(stage) else "stale"
                row["stages"][stage] = {"status": status, "reason": record.reason, "message": record.message}
        states.append(row)
    return states
