"""`download`: the videos that a list names become scenes, each video fetched once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mcbench.dataset.fetch import OK, Fetcher, FetchSettings, VideoRecord
from mcbench.dataset.files import sha256_json
from mcbench.dataset.locks import lock
from mcbench.dataset.mannequin_lists import (
    ClipList,
    clip_cameras,
    find_clip_lists,
    is_clip_list,
    nearest_frames,
    read_clip_list,
)
from mcbench.dataset.media import read_head
from mcbench.dataset.url_list import VideoReference, read_url_list, video_reference
from mcbench.dataset.video import FrameSelection, VideoScan, scan_video
from mcbench.errors import InputError, McbenchError
from mcbench.pipelines.source_scene import MIN_FRAMES, readable_name, write_cameras, write_video_source
from mcbench.workspace.workspace import Workspace

DOWNLOADS = "downloads"
#: Reason of a listed frame that the video does not have.
NO_FRAME = "no_frame_at_time"


@dataclass(frozen=True)
class DownloadSettings:
    """How a list is worked through.

    Attributes
    ----------
    limit : only the first clips of the list. jobs : videos fetched at a time.
    selection : the frames to use of whole videos; a clip's list names its own.
    fetch : how to fetch one video.
    """

    limit: int | None = None
    jobs: int = 2
    selection: FrameSelection = field(default_factory=FrameSelection)
    fetch: FetchSettings = field(default_factory=FetchSettings)


@dataclass(frozen=True)
class Clip:
    """One entry of a list: a whole video, or the frames of one that a Mannequin Challenge list names."""

    name: str | None
    reference: VideoReference
    frames: ClipList | None = None


@dataclass(frozen=True)
class ClipOutcome:
    """How one entry of a list ended: `status` is "imported", "unchanged" or "failed".

    Attributes
    ----------
    frames, frames_listed : frames of the scene; frames that the list names (None for whole videos).
    """

    clip: str
    status: str
    video: str | None = None
    scene: str | None = None
    frames: int = 0
    frames_listed: int | None = None
    reason: str | None = None
    message: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class DownloadReport:
    """All that a run of `download` did: unreadable entries first, then video by video in the list's order."""

    clips: list[ClipOutcome] = field(default_factory=list)
    videos: list[VideoRecord] = field(default_factory=list)

    def coverage(self) -> dict[str, Any]:
        """Counts of videos, clips and frames that are there, and of what is missing by reason."""
        failed_videos = Counter(v.reason for v in self.videos if v.status != OK)
        failed_clips = Counter(c.reason for c in self.clips if c.status == "failed")
        missing: Counter[str | None] = Counter()
        for clip in self.clips:
            lacking = (clip.frames_listed or 0) - clip.frames
            if lacking > 0:
                missing[clip.reason if clip.status == "failed" else NO_FRAME] += lacking
        frames = sum(c.frames for c in self.clips)
        return {
            "videos": _counts(len(self.videos), failed_videos),
            "clips": _counts(len(self.clips), failed_clips),
            "frames": _counts(frames + sum(missing.values()), missing),
        }

    @property
    def complete(self) -> bool:
        return all(clip.status != "failed" for clip in self.clips)

    def to_json(self) -> dict[str, Any]:
        return {
            "coverage": self.coverage(),
            "clips": [asdict(clip) for clip in self.clips],
            "videos": [asdict(video) for video in self.videos],
        }


def download(
    source: Path,
    workspace: Path,
    settings: DownloadSettings,
    on_video: Callable[[VideoRecord, list[ClipOutcome], int], None] = lambda record, clips, total: None,
) -> DownloadReport:
    """Fetch the videos that a list names and add their clips as scenes.

    Parameters
    ----------
    source : a Mannequin Challenge folder or file, or a text file of addresses and paths.
    on_video : called after each video with its record, its clips' outcomes and the number of videos.

    Returns
    -------
    Outcomes that add up to the list's entries; one dead video never stops the others.

    Raises
    ------
    InputError : the list itself cannot be read (reason `missing_file`, `bad_list`, …).
    McbenchError : another process downloads into this workspace (reason `locked`).
    """
    clips, unreadable = read_list(source)
    clips, unreadable = _limited(clips, unreadable, settings.limit)
    videos: dict[str, list[Clip]] = {}
    for clip in clips:
        videos.setdefault(clip.reference.key, []).append(clip)
    opened = Workspace.open_or_create(workspace)
    report = DownloadReport(clips=list(unreadable))
    folder = opened.root / DOWNLOADS
    with lock(folder / ".lock", "another process downloads into this workspace", shown=folder):
        fetcher = Fetcher(folder, settings.fetch)
        with _fetching(fetcher, [group[0].reference for group in videos.values()], settings.jobs) as fetched:
            for future, group in zip(fetched, videos.values(), strict=True):
                record, scan = future.result()
                outcomes = _add_clips(opened, fetcher, record, scan, group, settings)
                report.videos.append(record)
                report.clips.extend(outcomes)
                on_video(record, outcomes, len(videos))
    return report


def read_list(source: Path) -> tuple[list[Clip], list[ClipOutcome]]:
    """The entries of a list, and the outcomes of those that cannot be read.

    Raises `InputError` where nothing at all can be read.
    """
    if source.is_dir():
        lists = find_clip_lists(source)
        if not lists:
            raise InputError(
                "holds no Mannequin Challenge lists (train/, validation/, test/ with .txt files)",
                path=source,
                hint="`mcbench import` takes folders of videos",
                reason="bad_list",
            )
        clips, unreadable = [], []
        for split, path in lists:
            try:
                clips.append(_clip_of_list(path, split))
            except InputError as error:
                shown = readable_name(path.relative_to(source).as_posix())
                unreadable.append(ClipOutcome(shown, "failed", reason=error.reason, message=str(error)))
        return clips, unreadable
    read_head(source)
    if is_clip_list(source):
        return [_clip_of_list(source, "")], []
    clips, unreadable = [], []
    for number, address in read_url_list(source):
        try:
            reference = video_reference(address, source.parent)
        except InputError as error:
            message = f"{source}: line {number}: {error.message}"
            unreadable.append(ClipOutcome(address, "failed", reason=error.reason, message=message))
            continue
        clips.append(Clip(None, reference))
    return clips, unreadable


def _clip_of_list(path: Path, split: str) -> Clip:
    listed = read_clip_list(path, split)
    return Clip(readable_name(listed.name), video_reference(listed.url, path.parent), listed)


def _limited(
    clips: list[Clip], unreadable: list[ClipOutcome], limit: int | None
) -> tuple[list[Clip], list[ClipOutcome]]:
    if limit is None:
        return clips, unreadable
    return clips[:limit], unreadable[: max(0, limit - len(clips))]


@contextmanager
def _fetching(
    fetcher: Fetcher, references: Sequence[VideoReference], jobs: int
) -> Iterator[list[Future[tuple[VideoRecord, VideoScan | None]]]]:
    """Fetch in the background, in order; leaving early stops what runs and keeps what is there to resume."""

    def fetch(reference: VideoReference) -> tuple[VideoRecord, VideoScan | None]:
        record = fetcher.known(reference)
        return (record, None) if record is not None else fetcher.fetch(reference)

    pool = ThreadPoolExecutor(max_workers=jobs)
    try:
        yield [pool.submit(fetch, reference) for reference in references]
    finally:
        fetcher.stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _add_clips(
    workspace: Workspace,
    fetcher: Fetcher,
    record: VideoRecord,
    scan: VideoScan | None,
    clips: list[Clip],
    settings: DownloadSettings,
) -> list[ClipOutcome]:
    if record.status != OK:
        return [
            ClipOutcome(
                _label(clip, record),
                "failed",
                record.key,
                frames_listed=_listed(clip),
                reason=record.reason,
                message=f"{record.address}: {record.message}",
            )
            for clip in clips
        ]
    media = _Media(fetcher.folder / str(record.file), record, scan)
    return [_add_clip(workspace, media, clip, settings) for clip in clips]


@dataclass
class _Media:
    """A fetched video, decoded at most once for all its clips."""

    path: Path
    record: VideoRecord
    scanned: VideoScan | None

    def scan(self) -> VideoScan:
        if self.scanned is None:
            self.scanned = scan_video(self.path)
        return self.scanned


def _add_clip(workspace: Workspace, media: _Media, clip: Clip, settings: DownloadSettings) -> ClipOutcome:
    record, name = media.record, _label(clip, media.record)
    salvage = settings.fetch.salvage
    content = {"video": str(record.sha256)}
    if (frames := clip.frames) is None:
        origin, keyed = _origin(clip), {**asdict(settings.selection), "salvage": salvage}
    else:
        origin, keyed = f"{_origin(clip)}#{frames.split}/{frames.name}", {"salvage": salvage}
        content["clip"] = sha256_json([frames.times_us, frames.intrinsics, frames.cam_from_world])

    def build(out: Path) -> dict[str, Any]:
        scan = media.scan()
        if frames is not None:
            return _build_listed(out, name, media.path, scan, frames, salvage)
        positions = settings.selection.positions(scan.times)
        _, summary, notes = write_video_source(out, name, media.path, scan, positions, salvage, link=True)
        return {**summary, "notes": [*notes, *settings.selection.note(scan.times)]}

    provenance = {"address": record.address, "download": f"{record.key}.json", "source": record.source}
    try:
        scene, made = workspace.add_source(name, origin, build, settings=keyed, content=content, provenance=provenance)
    except McbenchError as error:
        return ClipOutcome(
            name,
            "failed",
            record.key,
            frames_listed=_listed(clip),
            reason=error.reason,
            message=readable_name(str(error)),
        )
    done = scene.any_record("source")
    summary = done.summary if done else {}
    return ClipOutcome(
        name,
        "imported" if made else "unchanged",
        record.key,
        scene.id,
        summary.get("frames", 0),
        _listed(clip),
        notes=tuple(summary.get("notes", ())),
    )


def _build_listed(out: Path, name: str, path: Path, scan: VideoScan, listed: ClipList, salvage: bool) -> dict[str, Any]:
    """A source of the frames that a list names, with the list's cameras beside it."""
    found = nearest_frames(listed.times_us, scan.times)
    rows = sorted((position, row) for row, position in enumerate(found) if position is not None)
    if len(rows) < MIN_FRAMES <= len(found):
        first, last = listed.times_us.min() / 1e6, listed.times_us.max() / 1e6
        raise InputError(
            f"has {len(rows)} of the {len(found)} listed frames: they are at {first:.3f} to {last:.3f} s, its frames "
            f"at 0 to {scan.times[-1]:.3f} s; a scene needs {MIN_FRAMES}",
            path=path,
            hint="another version of the video?",
            reason=NO_FRAME,
        )
    source, summary, notes = write_video_source(
        out, name, path, scan, [position for position, _ in rows], salvage, link=True
    )
    figures, more = write_cameras(source, lambda frames: clip_cameras(listed, [row for _, row in rows], frames))
    if lacking := len(found) - len(rows):
        notes.append(f"{lacking} of {len(found)} listed frames are not in the video ({NO_FRAME})")
    return {**summary, **figures, "frames_listed": len(found), "notes": [*notes, *more]}


def _label(clip: Clip, record: VideoRecord) -> str:
    """Name of a clip's scene: the list's, else the local file's, else the video's title."""
    if clip.name is not None:
        return clip.name
    if clip.reference.local is not None:
        return readable_name(clip.reference.local.stem)
    return str(record.source.get("title") or record.key)


def _origin(clip: Clip) -> str:
    local = clip.reference.local
    return clip.reference.address if local is None else readable_name(str(local))


def _listed(clip: Clip) -> int | None:
    return None if clip.frames is None else len(clip.frames.times_us)


def _counts(total: int, reasons: Counter[str | None]) -> dict[str, Any]:
    lost = sum(reasons.values())
    return {
        "total": total,
        "ok": total - lost,
        "failed": lost,
        "by_reason": {str(reason): n for reason, n in sorted(reasons.items(), key=lambda item: str(item[0]))},
    }
