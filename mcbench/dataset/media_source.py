"""Videos and photos where they lie, as sources that are in no workspace."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mcbench.dataset import photos, video
from mcbench.dataset.source import Frame, Source


def video_source(path: Path, every: int = 1) -> Source:
    """Every so many of a video's frames, the first one among them, up to its end or to where it is damaged.

    Raises
    ------
    InputError : as `scan_video`.
    """
    scan = video.scan_video(path)
    positions = list(range(0, len(scan.times), every))
    return Source(path.parent, path.name, "video", path.name, scan.frames(positions), positions, scan.rotation)


def photo_source(folder: Path, names: Sequence[str]) -> Source:
    """Some of a folder's photos.

    Raises
    ------
    InputError : one of them is no whole image; as `image_size`.
    """
    frames = [Frame(i, name, None, *photos.image_size(folder / name)) for i, name in enumerate(names)]
    return Source(folder, folder.name, "images", ".", frames, list(range(len(frames))))
