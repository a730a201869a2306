"""Which file of a truth folder belongs to which scene of a workspace, and whether it really does."""

from __future__ import annotations

from pathlib import Path

from mcbench.dataset.truth import SUMMARY, SceneTruth
from mcbench.dataset.url_list import video_name
from mcbench.errors import InputError
from mcbench.workspace.workspace import Scene, sanitise

OTHER_CLIP = "other_clip"


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

    Names tell little: two renderings may give their clips the same ones. The clip's SHA-256 settles it where truth and
    source both state one; a clip that was encoded again has another, but as many frames as the truth tells of (fewer
    where a damaged one was salvaged).

    Raises
    ------
    InputError : the truth cannot be read, or is of another clip than the scene (reason `other_clip`).
    """
    truth = SceneTruth.load(path)
    record = scene.any_record("source")
    known = truth.info.get("clip_sha256")
    if record is None or (known is not None and record.resources.get("video") == known):
        return truth
    frames, told = record.summary.get("frames_in_media"), len(truth.cam_from_world)
    if frames is None or frames == told or (frames < told and record.settings.get("salvage")):
        return truth
    raise InputError(
        f"is the truth of another clip than scene {scene.id}, which was made from one of {frames} frames: "
        f"this one has {told}",
        path=path,
        hint="give the truth that was rendered with the clip, or import that clip",
        reason=OTHER_CLIP,
    )
