"""`import`: videos, photos, known cameras and known keypoints become scenes of a workspace."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mcbench.dataset import photos, video
from mcbench.dataset.files import sha256_file, sha256_json
from mcbench.dataset.keypoints_import import import_keypoints
from mcbench.dataset.known_cameras import known_cameras
from mcbench.dataset.media import read_head
from mcbench.dataset.source import Source
from mcbench.errors import InputError, UsageError, known_error
from mcbench.pipelines.source_scene import (
    readable_name,
    write_cameras,
    write_photo_source,
    write_video_source,
)
from mcbench.workspace.stage import Progress, no_progress
from mcbench.workspace.workspace import CONFIG, Workspace

_LOG = logging.getLogger(__name__)

#: Folder names that say nothing about the scene: their parent's name is used.
_GENERIC_NAMES = ("images", "frames", "imgs", "photos", "rgb", "input")


@dataclass(frozen=True)
class ImportSettings:
    """What of a source is used, and what is known about it.

    Attributes
    ----------
    name : name of the scene, for a source that is one scene; from the file or folder when None.
    selection : the frames to use; photos have no times to select by.
    salvage : use what is readable of damaged media, instead of refusing them.
    link : hard links instead of copies of the media.
    cameras : folder of a COLMAP model. cameras_units : "metre" or "unknown". up : a name of `UP_AXES`.
    keypoints : files, or one folder of them. keypoints_format : a name of `keypoints_import.FORMATS`.
    """

    name: str | None = None
    selection: video.FrameSelection = field(default_factory=video.FrameSelection)
    salvage: bool = False
    link: bool = False
    cameras: Path | None = None
    cameras_units: str = "unknown"
    up: str | None = None
    keypoints: tuple[Path, ...] = ()
    keypoints_format: str | None = None

    def keyed(self) -> dict[str, Any]:
        """The settings that decide a source's content, besides the files named."""
        names = ("salvage", "cameras_units", "up", "keypoints_format")
        return {**asdict(self.selection), **{name: getattr(self, name) for name in names}}


@dataclass(frozen=True)
class ImportOutcome:
    """How one video or folder of photos ended: `status` is "imported", "unchanged" or "failed"."""

    source: str
    status: str
    scene: str | None = None
    frames: int | None = None
    reason: str | None = None
    message: str | None = None
    notes: tuple[str, ...] = ()


def import_source(
    src: Path,
    workspace: Path,
    settings: ImportSettings,
    progress: Progress = no_progress,
    on_outcome: Callable[[ImportOutcome, int], None] = lambda outcome, total: None,
) -> list[ImportOutcome]:
    """Import a video, a folder of videos (a scene each) or a folder of photos (one scene).

    Parameters
    ----------
    on_outcome : called after each scene, with the number of scenes in all.

    Returns
    -------
    One outcome a video or folder of photos. A bad one never stops the others.

    Raises
    ------
    UsageError : the options do not fit the source, or the two folders do not fit each other.
    InputError : there is nothing to import (reason `missing_file`, `no_media`, `unreadable`).
    """
    units = _units(src)
    _check_options(src, workspace, settings, units)
    fresh = not workspace.exists() or (workspace.is_dir() and not any(workspace.iterdir()))
    existed = workspace.exists()
    opened = Workspace.open_or_create(workspace)
    outcomes = []
    for unit in units:
        outcomes.append(_import_one(opened, unit, settings, progress))
        on_outcome(outcomes[-1], len(units))
    if fresh and all(outcome.status == "failed" for outcome in outcomes):
        _remove_empty(workspace, existed)
    return outcomes


def import_counts(outcomes: list[ImportOutcome]) -> dict[str, int]:
    """How many ended how; `total` is their sum."""
    counts = {s: sum(o.status == s for o in outcomes) for s in ("imported", "unchanged", "failed")}
    return {"total": len(outcomes), **counts}


def _units(src: Path) -> list[Path]:
    """What becomes a scene each: video files, or a folder of photos."""
    if not src.is_dir():
        read_head(src)
        if src.suffix.lower() in photos.SUFFIXES:
            raise UsageError("is one image; a scene needs several", path=src, hint="give their folder")
        return [src]
    try:
        entries = sorted((p for p in src.iterdir() if not p.name.startswith(".")),
                         key=lambda p: photos.natural_key(p.name))  # fmt: skip
    except OSError as error:
        raise InputError(f"cannot be read: {os.strerror(error.errno or 0)}", path=src, reason="unreadable") from error
    videos = [p for p in entries if p.suffix.lower() in video.SUFFIXES and not p.is_dir()]
    if videos:
        return videos
    if photos.list_images(src):
        return [src]
    inside = [p.name for p in entries if p.is_dir() and _holds_media(p)]
    hint = f"import its folder {inside[0]!r} instead" if inside else None
    raise InputError("holds no video and no image", path=src, hint=hint, reason="no_media")


def _holds_media(folder: Path) -> bool:
    suffixes = (*video.SUFFIXES, *photos.SUFFIXES)
    try:
        return any(p.suffix.lower() in suffixes for p in folder.iterdir())
    except OSError:
        return False


def _check_options(src: Path, workspace: Path, settings: ImportSettings, units: list[Path]) -> None:
    inside = src.resolve()
    if inside == workspace.resolve() or workspace.resolve() in inside.parents:
        raise UsageError("lies inside the workspace that it is to be imported into", path=src)
    if settings.name is not None and not _is_plain(settings.name):
        raise UsageError(
            f"--name {readable_name(settings.name)!r} is not a plain name",
            path=src,
            hint="leave out /, \\, .. and control characters",
            reason="unsafe_name",
        )
    if len(units) > 1:
        for option in ("name", "cameras", "keypoints"):
            if getattr(settings, option):
                raise UsageError(
                    f"--{option} fits one scene, and this folder has {len(units)} videos",
                    path=src,
                    hint="import one video at a time",
                )
    if settings.cameras is None and (settings.up is not None or settings.cameras_units != "unknown"):
        raise UsageError("--up and --cameras-units say something about --cameras, which is not given")
    if not settings.keypoints and settings.keypoints_format is not None:
        raise UsageError("--keypoints-format says something about --keypoints, which is not given")
    if units[0].is_dir() and (settings.selection.start is not None or settings.selection.end is not None):
        raise UsageError("photos have no times for --start and --end", path=src, hint="use --every or --max-frames")


def _is_plain(name: str) -> bool:
    """Whether a name is one word of a path, or several, and nothing else: no folder, no way up, no line breaks."""
    return bool(name.strip()) and name.isprintable() and not {"/", "\\"} & set(name) and name.strip() not in (".", "..")


def _import_one(workspace: Workspace, unit: Path, settings: ImportSettings, progress: Progress) -> ImportOutcome:
    shown = readable_name(str(unit))
    name = settings.name or _scene_name(unit)
    origin = readable_name(os.path.abspath(unit)) + (f"#{settings.name}" if settings.name else "")  # noqa: PTH100
    try:
        images = photos.list_images(unit) if unit.is_dir() else []
        if not images:
            read_head(unit)
        content = _content(unit, images, settings)

        def build(out: Path) -> dict[str, Any]:
            if images:
                return _build_photos(out, name, unit, images, settings, progress)
            return _build_video(out, name, unit, settings, progress)

        scene, made = workspace.add_source(name, origin, build, settings=settings.keyed(), content=content)
    except Exception as error:  # as in any stage: what nobody foresaw must not stop the batch either
        _LOG.info("import of %s failed", shown, exc_info=True)
        known = known_error(error)
        message = str(known) if known.path else f"{shown}: {known}"
        return ImportOutcome(shown, "failed", reason=known.reason, message=readable_name(message))
    record = scene.any_record("source")
    summary = record.summary if record else {}
    status = "imported" if made else "unchanged"
    notes = list(summary.get("notes", ()))
    if settings.name not in (None, scene.id):
        notes.append(f"scene {scene.id} is named {settings.name!r}: ids are plain letters, short, and each its own")
    return ImportOutcome(shown, status, scene.id, summary.get("frames"), notes=tuple(notes))


def _scene_name(unit: Path) -> str:
    if not unit.is_dir():
        return readable_name(unit.stem)
    folder = unit.resolve()
    named = folder.parent if folder.name.lower() in _GENERIC_NAMES and folder.parent.name else folder
    return readable_name(named.name) or "scene"


def _content(unit: Path, images: list[Path], settings: ImportSettings) -> dict[str, str]:
    """Digests of everything that is read."""
    content = {}
    try:
        if images:
            content["images"] = sha256_json({readable_name(p.name): _digest(p) for p in images})
        else:
            content["video"] = _digest(unit)
        if settings.cameras is not None and settings.cameras.is_dir():
            files = [p for p in sorted(settings.cameras.iterdir()) if p.stem in ("cameras", "images") and p.is_file()]
            content["cameras"] = sha256_json({p.name: _digest(p) for p in files})
        for number, path in enumerate(settings.keypoints):
            files = sorted(path.glob("*.json")) if path.is_dir() else [path]
            content[f"keypoints{number}"] = sha256_json({p.name: _digest(p) for p in files})
    except OSError as error:
        raise InputError(f"cannot be read: {os.strerror(error.errno or 0)}", path=unit, reason="unreadable") from error
    return content


def _digest(path: Path) -> str:
    read_head(path)
    return sha256_file(path)


def _build_video(out: Path, name: str, path: Path, settings: ImportSettings, progress: Progress) -> dict[str, Any]:
    scan = video.scan_video(path, lambda done, total: progress(done, total, name))
    positions = settings.selection.positions(scan.times)
    source, summary, notes = write_video_source(out, name, path, scan, positions, settings.salvage, settings.link)
    return _finish(source, summary, [*notes, *settings.selection.note(scan.times)], settings)


def _build_photos(
    out: Path, name: str, folder: Path, images: list[Path], settings: ImportSettings, progress: Progress
) -> dict[str, Any]:
    order = range(len(images))
    used = [images[i] for i in settings.selection.positions(order)]
    source, summary, notes = write_photo_source(out, name, folder, used, settings.salvage, settings.link, progress)
    summary["frames_in_media"] = len(images)
    return _finish(source, summary, [*notes, *settings.selection.note(order)], settings)


def _finish(source: Source, summary: dict[str, Any], notes: list[str], settings: ImportSettings) -> dict[str, Any]:
    """Cameras and keypoints that are known from elsewhere, and the figures of it all."""
    if (model := settings.cameras) is not None:
        figures, more = write_cameras(
            source, lambda frames: known_cameras(model, frames, settings.cameras_units, settings.up)
        )
        summary |= figures
        notes += more
    if settings.keypoints:
        found = import_keypoints(settings.keypoints, source.frames, settings.keypoints_format)
        found.detections.save(source.folder / "detections.npz")
        summary |= {"detections": len(found.detections), "keypoints_format": found.format}
        if found.without_frame:
            notes.append(f"keypoints of {found.without_frame} images that are no frame here were left out")
        if found.frames_without:
            notes.append(f"{found.frames_without} frames have no keypoints")
    return {**summary, "notes": notes}


def _remove_empty(workspace: Path, keep_folder: bool) -> None:
    """Take away the workspace that was made for sources of which none could be imported.

    Folders go only if they are empty: another process may have imported into it meanwhile.
    """
    with suppress(OSError):
        (workspace / "scenes").rmdir()
        (workspace / CONFIG).unlink()
        if not keep_folder:
            workspace.rmdir()
