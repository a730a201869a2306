"""Integrity of a workspace: do the files on disk still have the digests that their records state?"""

from __future__ import annotations

from dataclasses import dataclass

from mcbench.errors import InputError
from mcbench.workspace.record import RECORD, StageRecord, file_digests, result_digest
from mcbench.workspace.workspace import Scene, Workspace


@dataclass(frozen=True)
class Damage:
    """One thing that is not as its record says: `problem` is "missing", "changed", "extra" or "bad_record"."""

    scene: str
    stage: str
    file: str
    problem: str


def check_result(scene: Scene, stage: str, record: StageRecord) -> list[Damage]:
    """What is not as the stage's record says."""
    present = file_digests(scene.stage_folder(stage))
    found = []
    for name in sorted(set(record.files) | set(present)):
        if name not in present:
            found.append(Damage(scene.id, stage, name, "missing"))
        elif name not in record.files:
            found.append(Damage(scene.id, stage, name, "extra"))
        elif present[name] != record.files[name]:
            found.append(Damage(scene.id, stage, name, "changed"))
    expected = result_digest(record.status, record.reason, record.summary, record.files)
    if expected != record.result_digest:
        found.append(Damage(scene.id, stage, RECORD, "bad_record"))
    return found


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
            damage += check_result(scene, folder.name, record)
    return checked, damage
