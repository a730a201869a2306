"""One scene's source folder, made from a video file or from photos: what `import` and `download` share."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mcbench.dataset.cameras_file import SceneCameras
from mcbench.dataset.photos import image_size
from mcbench.dataset.source import Frame, Source
from mcbench.dataset.video import VideoScan
from mcbench.errors import InputError
from mcbench.workspace.stage import Progress, no_progress

#: A scene needs two views of it.
MIN_FRAMES = 2


def readable_name(name: str) -> str:
    """A file name as text; bytes that are not UTF-8 become the replacement character."""
    return os.fsencode(name).decode("utf-8", "replace")


def place(source: Path, target: Path, link: bool) -> None:
    """Put a file into a scene, as a hard link if asked for and possible, else as a copy.

    Raises `InputError` with the path of a source that cannot be read; what the target's disk refuses is an `OSError`.
    """
    if link:
        try:
            os.link(source, target)
            return
        except OSError:
            pass  # another file system, or one without links
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise OSError(error.errno, os.strerror(error.errno), str(target)) from error
        raise InputError(f"cannot be copied: {os.strerror(error.errno or 0)}", path=source,
                         reason="unreadable") from error  # fmt: skip


def write_video_source(
    out: Path,
    name: str,
    path: Path,
    scan: VideoScan,
    positions: Sequence[int],
    salvage: bool = False,
    link: bool = False,
) -> tuple[Source, dict[str, Any], list[str]]:
    """Fill a source folder from a scanned video.

    Parameters
    ----------
    positions : the frames to use, as positions in the decoded stream, rising.
    salvage : accept a video of which only the beginning decodes.

    Returns
    -------
    The source, figures for the record, and notes for people.
    """
    notes = list(scan.notes)
    if scan.fault is not None:
        readable = f"its first {len(scan.times)} frames decode, then {scan.fault}"
        if not salvage:
            raise InputError(
                f"is damaged or cut short: {readable}", path=path, hint="--salvage imports those", reason="corrupt"
            )
        notes.append(f"damaged: {readable}")
    if len(positions) < MIN_FRAMES:
        raise InputError(
            f"gives {len(positions)} frame{'s' * (len(positions) != 1)} of the {len(scan.times)} that it has; "
            f"a scene needs {MIN_FRAMES}",
            path=path,
            reason="too_few_frames",
        )
    media = f"video{path.suffix.lower() if path.suffix.isascii() else ''}"
    place(path, out / media, link)
    source = Source(out, name, "video", media, scan.frames(list(positions)), list(positions), scan.rotation)
    source.save()
    summary = {
        "kind": "video",
        "frames": len(positions),
        "frames_in_media": len(scan.times),
        "size": [scan.width, scan.height],
        "rotation": scan.rotation,
        "first_timestamp_s": scan.start_s,
        "duration_s": source.frames[-1].time_s,
    }
    return source, summary, notes


def write_photo_source(
    out: Path,
    name: str,
    folder: Path,
    images: Sequence[Path],
    salvage: bool = False,
    link: bool = False,
    progress: Progress = no_progress,
) -> tuple[Source, dict[str, Any], list[str]]:
    """Fill a source folder from images, in the order given.

    Returns
    -------
    The source, figures for the record, and notes on what was left out.
    """
    frames: list[Frame] = []
    notes: list[str] = []
    (out / "images").mkdir()
    for done, path in enumerate(images):
        progress(done, len(images), name)
        try:
            width, height = image_size(path)
        except InputError as error:
            if not salvage:
                raise InputError(
                    error.message,
                    path=error.path,
                    hint="--salvage leaves unreadable images out",
                    reason=error.reason,
                ) from error
            notes.append(f"left out {readable_name(path.name)!r}: {error.message}")
            continue
        file_name = _unused(out / "images", readable_name(path.name))
        place(path, out / "images" / file_name, link)
        frames.append(Frame(len(frames), file_name, None, width, height))
    if len(frames) < MIN_FRAMES:
        raise InputError(
            f"gives {len(frames)} readable image{'s' * (len(frames) != 1)}; a scene needs {MIN_FRAMES}",
            path=folder,
            reason="too_few_frames",
        )
    source = Source(out, name, "images", "images", frames, list(range(len(frames))))
    source.save()
    sizes = sorted({(f.width, f.height) for f in frames})
    if len(sizes) > 1:
        notes.append("sizes differ: " + ", ".join(f"{w}x{h}" for w, h in sizes))
    summary = {"kind": "images", "frames": len(frames), "frames_in_media": len(images), "size": list(sizes[0])}
    return source, summary, notes


def write_cameras(source: Source, make: Callable[[Sequence[Frame]], SceneCameras]) -> tuple[dict[str, Any], list[str]]:
    """Put cameras that are known from elsewhere beside the source; returns figures and notes."""
    cameras = make(source.frames)
    cameras.save(source.folder / "cameras.json")
    notes = []
    if lacking := len(source.frames) - len(cameras.posed):
        notes.append(f"{lacking} frames have no known camera pose")
    if differing := cameras.info.get("size_differs"):
        notes.append(f"calibrated at another size, intrinsics kept as they are: {', '.join(differing)}")
    return {"cameras": len(cameras.posed), "cameras_units": cameras.units}, notes


def _unused(folder: Path, name: str) -> str:
    """`name`, or, where replaced bytes made two names equal, a numbered form of it."""
    candidate, number = name, 1
    while (folder / candidate).exists():
        number += 1
        stem, dot, suffix = name.rpartition(".")
        candidate = f"{stem}-{number}{dot}{suffix}"
    return candidate
