"""Building one result folder so that it is absent or whole, whenever the process dies."""

from __future__ import annotations

import shutil
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mcbench
from mcbench.dataset.files import write_bytes
from mcbench.dataset.locks import lock
from mcbench.errors import InputError, Rejected, known_error
from mcbench.workspace.record import (
    FAILED,
    OK,
    REJECTED,
    StageRecord,
    file_digests,
    result_digest,
    stage_key,
)

LOCK = ".lock"
_TEMPORARY = ".tmp-"
_REPLACED = ".old-"
_ATTEMPT = ".failed-"


@contextmanager
def scene_lock(scene_folder: Path) -> Iterator[None]:
    """Hold a scene for this process. The kernel lets go of the lock when the process dies, however it dies.

    Raises
    ------
    McbenchError : another process works on the scene (reason `locked`).
    """
    with lock(scene_folder / LOCK, "another process works on this scene", shown=scene_folder):
        yield


def clean_leftovers(scene_folder: Path) -> None:
    """Remove what killed processes left half-built. Call with the scene's lock held."""
    for path in scene_folder.glob(".*"):
        if path.name.startswith((_TEMPORARY, _REPLACED)):
            shutil.rmtree(path, ignore_errors=True)


def failed_attempt(scene_folder: Path, stage: str) -> Path:
    """Where an attempt that failed is kept while an older result of the stage stands in its place."""
    return scene_folder / f"{_ATTEMPT}{stage}"


def forget_attempt(scene_folder: Path, stage: str) -> None:
    """Remove what `failed_attempt` tells of, once the stage has a result. Call with the scene's lock held."""
    shutil.rmtree(failed_attempt(scene_folder, stage), ignore_errors=True)


def build_result(
    scene_folder: Path,
    stage: str,
    run: Callable[[Path], dict[str, Any]],
    *,
    version: int = 1,
    settings: dict[str, Any] | None = None,
    inputs: dict[str, str] | None = None,
    resources: dict[str, str] | None = None,
    provenance: dict[str, Any] | None = None,
    raise_errors: bool = False,
) -> StageRecord:
    """Run a stage in a temporary sibling, write its record last and rename it into place.

    A failure takes the place of another failure, never that of a result: beside one it is put at `failed_attempt`.

    Parameters
    ----------
    run : is given the empty folder to fill and returns the summary.
    raise_errors : let errors through and leave nothing behind, instead of recording them.

    Call with the scene's lock held.
    """
    settings, inputs, resources = settings or {}, inputs or {}, resources or {}
    target = scene_folder / stage
    out = scene_folder / f"{_TEMPORARY}{stage}"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    started_at, start = datetime.now(UTC).isoformat(timespec="seconds"), time.perf_counter()
    status, reason, message, summary = OK, None, None, {}
    try:
        summary = run(out)
    except Exception as error:
        if raise_errors:
            shutil.rmtree(out, ignore_errors=True)
            raise
        status = REJECTED if isinstance(error, Rejected) else FAILED
        known = known_error(error)
        reason, message = known.reason, str(known)
        if status == FAILED:
            write_bytes(out / "error.log", traceback.format_exc().encode())
    files = file_digests(out)
    record = StageRecord(
        stage=stage,
        scene=scene_folder.name,
        status=status,
        reason=reason,
        message=message,
        key=stage_key(stage, version, settings, inputs, resources),
        version=version,
        settings=settings,
        inputs=inputs,
        resources=resources,
        summary=summary,
        files=files,
        result_digest=result_digest(status, reason, summary, files),
        started_at=started_at,
        duration_s=round(time.perf_counter() - start, 3),
        mcbench_version=mcbench.__version__,
        provenance=provenance or {},
    )
    record.save(out)
    if status == FAILED and has_result(target):
        _move(out, failed_attempt(scene_folder, stage))
    else:
        _move(out, target)
        forget_attempt(scene_folder, stage)
    return record


def has_result(folder: Path) -> bool:
    """Whether a stage's folder holds what a failure must not replace: any record but that of another failure."""
    try:
        record = StageRecord.load(folder)
    except InputError:  # another release's, which is not ours to overwrite
        return True
    return record is not None and record.status != FAILED


def _move(out: Path, target: Path) -> None:
    """Rename a built folder into place; there is no moment at which a half of one is seen there."""
    if target.exists():
        old = target.with_name(f"{_REPLACED}{target.name}")
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
        out.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    else:
        out.rename(target)
