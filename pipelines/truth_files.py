"""Which file of a truth folder belongs to which scene of a workspace."""

from __future__ import annotations

from pathlib import Path

from mcbench.dataset.url_list import video_name
from mcbench.errors import InputError
from mcbench.workspace.workspace import Scene, sanitise


def truth_files(folder: Path) -> dict[str, Path]:
    """Truth files by the id that a scene made from their clip has.

    Raises
    ------
    InputError : no folder, or one without truth (reason `no_truth`).
    """
    if not folder.is_dir():
        raise InputError("is not a folder", path=folder, reason="no_truth")
    paths = [p for p in sorted(folder.glob("*.json")) if p.with_suffix(".npz").exists()]
    if not paths:
        raise InputError("has no truth in it (<clip>.json with <clip>.npz)", path=folder, reason="no_truth")
    return {sanitise(path.stem): path for path in paths}


def truth_of(scene: Scene, truths: dict[str, Path]) -> Path | None:
    """The scene's truth, by the original name of its clip, else of the video that the clip was taken from.

    A clip of a Mannequin Challenge list has the list's name, an imported one the name it was given (`--name`).
    """
    names = [scene.name, Path(scene.name).stem]
    record = scene.any_record("source")
    if record is not None:
        given = str(record.provenance.get("origin", "")).removesuffix(f"#{scene.name}")
        names.append(video_name(str(record.provenance.get("address", given))))
    return next((truths[id_] for name in names if (id_ := sanitise(name)) in truths), None)
