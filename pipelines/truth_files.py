"""Which file of a truth folder belongs to which scene of a workspace, and whether it really does."""

from __future__ import annotations

from pathlib import Path

from mcbench.dataset.truth import SUMMARY, SceneTruth
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
        problem = "is not a folder" if folder.exists() else "no such folder"
        raise InputError(problem, path=folder, reason="no_truth")
    paths = [p for p in sorted(folder.glob("*.json")) if p.name != SUMMARY]
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


def load_truth(scene: Scene, path: Path) -> SceneTruth:
    """The truth of a scene.

    Raises
    ------
    InputError : the truth cannot be read, or tells of another number of frames than the clip has that the scene was
        made from (reason `other_clip`); of a damaged clip that was salvaged, fewer are right.
    """
    truth = SceneTruth.load(path)
    record = scene.any_record("source")
    if record is None or is_same_file(scene, truth):
        return truth
    frames, told = record.summary.get("frames_in_media"), len(truth.cam_from_world)
    if frames is None or frames == told or (frames < told and record.settings.get("salvage")):
        return truth
    raise InputError(
        f"is the truth of another clip than scene {scene.id}, which was made from one of {frames} frames: "
        f"this one has {told}",
        path=path,
        hint="give the truth that was rendered with the clip, or import that clip",
        reason="other_clip",
    )


def is_same_file(scene: Scene, truth: SceneTruth) -> bool | None:
    """Whether the scene was made from the very file that the truth was written with, by SHA-256; None if unknown.

    Another file of the same name may be the clip encoded again, whose truth this is, or another rendering's.
    """
    record = scene.any_record("source")
    made_from = None if record is None else record.resources.get("video")
    written_with = truth.info.get("clip_sha256")
    return None if made_from is None or written_with is None else made_from == written_with
