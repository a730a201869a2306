"""Integrity of a workspace: do the files on disk still have the digests that their records state?"""

from __future__ import annotations

from dataclasses import dataclass

from mcbench.errors import InputError
from mcbench.workspace.record import RECORD, SOURCE, StageRecord, damaged_files, result_digest
from mcbench.workspace.workspace import Scene, Workspace


@dataclass(frozen=True)
class Damage:
    """One thing that is not as its record says: `problem` is "missing", "changed", "extra" or "bad_record"."""

    scene: str
    stage: str
    file: str
    problem: str


def require_intact(scene: Scene, stage: str, record: StageRecord) -> None:
    """Refuse to build on damaged files: what came of it would look like a result. Files too many do no harm.

    Raises
    ------
    InputError : a file is missing or was changed (reason `damaged`).
    """
    folder = scene.stage_folder(stage)
    for name, problem in damaged_files(folder, record).items():
        if problem == "extra":
            continue
        if stage == SOURCE:
            hint = "import or download it again"
        else:
            hint = f"delete the folder {stage}/ that it is in and run `mcbench {stage}` again"
        raise InputError(
            f"{'is missing' if problem == 'missing' else 'was changed'} since {stage} made its result",
            path=folder / name,
            hint=f"{hint}; `mcbench verify` lists all damage",
            reason="damaged",
        )


def verify_workspace(workspace: Workspace) -> tuple[int, list[Damage]]:
    """Check every finished stage. Returns the number of results checked, and all damage."""
    checked, damage = 0, []
    for scene in workspace.scenes():
        for folder in sorted(p for p in scene.folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
            if not (folder / RECORD).exists():
                continue
            try:
                record = StageRecord.read(folder)
            except InputError:
                damage.append(Damage(scene.id, folder.name, RECORD, "bad_record"))
                continue
            checked += 1
            damage += [Damage(scene.id, folder.name, *found) for found in damaged_files(folder, record).items()]
            if result_digest(record.status, record.reason, record.summary, record.files) != record.result_digest:
                damage.append(Damage(scene.id, folder.name, RECORD, "bad_record"))
    return checked, damage
