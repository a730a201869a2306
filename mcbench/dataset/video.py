"""Video files: what they really decode to, and which of their frames to use."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av

from mcbench.dataset.container_end import missing_bytes
from mcbench.dataset.decode import DamagedVideo, decoded_frames, error_text
from mcbench.dataset.media import read_head
from mcbench.dataset.source import Frame
from mcbench.errors import InputError, UsageError

#: Suffixes by which a folder's entry is taken for a video.
SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".flv", ".wmv", ".ogv",
            ".3gp")  # fmt: skip
# Containers that hold their own frames. FFmpeg's playlists and scripts (hls, concat, …) name other files and hosts:
# a text file must never make the decoder open those.
_CONTAINERS = "mov,matroska,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,h264,hevc,m4v,ivf,mxf"
_OPTIONS = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}


@dataclass(frozen=True)
class VideoScan:
    """What a video decodes to, found by decoding all of it: containers lie about it.

    Attributes
    ----------
    width, height : px, as displayed (after `rotation`).
    rotation : clockwise rotation in degrees (0, 90, 180, 270) that displays the decoded frames upright.
    times : presentation time of each decoded frame in seconds after the first frame's.
    start_s : presentation time of the first frame in the container's clock.
    declared_frames : the number of frames the container states, or None.
    fault : what stops the decoding before the end, or None for a whole file.
    notes : what a user should know about the file, for people.
    """

    width: int
    height: int
    rotation: int
    times: tuple[float, ...]
    start_s: float
    declared_frames: int | None
    fault: str | None
    notes: tuple[str, ...] = ()

    def frames(self, positions: Sequence[int]) -> list[Frame]:
        """Source frames for these positions in the decoded stream."""
        return [
            Frame(index, f"{position:06d}", self.times[position], self.width, self.height)
            for index, position in enumerate(positions)
        ]


def scan_video(path: Path, progress: Callable[[int, int | None], None] = lambda done, total: None) -> VideoScan:
    """Decode a video to its end.

    Parameters
    ----------
    progress : called with the frames decoded and the number the container states.

    Raises
    ------
    InputError : reason `missing_file`, `not_a_file`, `unreadable`, `empty_file`, `not_video` (no video container),
        `no_video_stream`, or `corrupt` (a video container of which no frame decodes).
    """
    head = read_head(path)
    try:
        container = av.open(str(path), options=_OPTIONS)
    except (av.error.FFmpegError, OSError, UnicodeError) as error:
        raise _open_error(path, head, error) from error
    with container:
        if not container.streams.video:
            if missing := missing_bytes(path):
                raise InputError(f"ends {missing} bytes early, before any video stream", path=path, reason="corrupt")
            raise InputError("has no video stream", path=path, reason="no_video_stream")
        stream = container.streams.video[0]
        decoded = _Decoded()
        decoded.read(container, stream, progress)
        if decoded.fault is None and (missing := missing_bytes(path)):
            decoded.fault = f"the file ends {missing} bytes early"
        if not decoded.pts:
            why = f": {decoded.fault}" if decoded.fault else ""
            raise InputError(f"no frame of it can be decoded{why}", path=path, reason="corrupt")
        return decoded.scan(stream)


class _Decoded:
    """Collects what the decoder gives until the end or the first fault."""

    def __init__(self) -> None:
        self.pts: list[int | None] = []
        self.sizes: set[tuple[int, int]] = set()
        self.size = (0, 0)
        self.rotation = 0
        self.fault: str | None = None

    def read(
        self,
        container: av.container.InputContainer,
        stream: av.VideoStream,
        progress: Callable[[int, int | None], None],
    ) -> None:
        try:
            for frame in decoded_frames(container):
                size = (frame.width, frame.height)
                if not self.pts:
                    self.size = size
                    self.rotation = round(-frame.rotation / 90) * 90 % 360
                elif size != self.size:
                    self.fault = f"frames change size from {self.size} to {size}"
                    return
                self.pts.append(frame.pts)
                progress(len(self.pts), stream.frames or None)
        except DamagedVideo as damage:
            self.fault = str(damage)

    def scan(self, stream: av.VideoStream) -> VideoScan:
        notes: list[str] = []
        times, start = self._times(stream, notes)
        declared = stream.frames or None
        if declared is not None and declared != len(times) and self.fault is None:
            notes.append(f"the container states {declared} frames, {len(times)} decode")
        aspect = stream.sample_aspect_ratio
        if aspect and aspect != 1:
            notes.append(f"pixels are {aspect} as wide as high; they are used as they are stored")
        width, height = self.size if self.rotation % 180 == 0 else self.size[::-1]
        return VideoScan(width, height, self.rotation, times, start, declared, self.fault, tuple(notes))

    def _times(self, stream: av.VideoStream, notes: list[str]) -> tuple[tuple[float, ...], float]:
        if all(p is not None for p in self.pts) and stream.time_base is not None:
            base, pts = stream.time_base, [p for p in self.pts if p is not None]
            times = tuple(float((p - pts[0]) * base) for p in pts)
            if all(a < b for a, b in pairwise(times)):
                return times, float(pts[0] * base)
            notes.append("its timestamps do not rise; an even frame rate is assumed")
        else:
            notes.append("it has no timestamps; an even frame rate is assumed")
        rate = float(stream.average_rate or stream.guessed_rate or 30)
        return tuple(i / rate for i in range(len(self.pts))), 0.0


@dataclass(frozen=True)
class FrameSelection:
    """Which frames of a video or folder to use.

    Attributes
    ----------
    start, end : keep the frames with start <= time < end, seconds after the first frame.
    every : of those, keep the first and every n-th after it.
    max_frames : if more are left, thin them evenly, both ends kept; 0 for no limit.

    Raises `UsageError` for values that make no sense.
    """

    start: float | None = None
    end: float | None = None
    every: int = 1
    max_frames: int = 600

    def __post_init__(self) -> None:
        if self.every < 1:
            raise UsageError("--every must be at least 1")
        if self.max_frames < 0 or self.max_frames == 1:
            raise UsageError("--max-frames must be 0 (no limit) or at least 2")
        for name, value in (("--start", self.start), ("--end", self.end)):
            if value is not None and not value >= 0:  # NaN is not, either
                raise UsageError(f"{name} must be 0 or more, is {value}")
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise UsageError(f"--end {self.end} must come after --start {self.start}")

    def within(self, times: Sequence[float]) -> list[int]:
        """Positions left by `start`, `end` and `every`."""
        low, high = -math.inf if self.start is None else self.start, math.inf if self.end is None else self.end
        return [i for i, t in enumerate(times) if low <= t < high][:: self.every]

    def positions(self, times: Sequence[float]) -> list[int]:
        """Positions of the frames to use, rising."""
        kept = self.within(times)
        if self.max_frames and len(kept) > self.max_frames:
            step = (len(kept) - 1) / (self.max_frames - 1)
            kept = [kept[round(i * step)] for i in range(self.max_frames)]
        return kept

    def note(self, times: Sequence[float]) -> list[str]:
        """What to tell a user when `max_frames` took frames away."""
        kept, within = len(self.positions(times)), len(self.within(times))
        return [f"{kept} of {within} frames used, evenly spread (--max-frames)"] if kept < within else []


def _open_error(path: Path, head: bytes, error: Exception) -> InputError:
    if _looks_like_video(head):
        return InputError(
            f"is damaged or cut short, nothing of it can be decoded ({error_text(error)})", path=path, reason="corrupt"
        )
    return InputError("is not a video", path=path, reason="not_video")


def _looks_like_video(head: bytes) -> bool:
    """Whether a file starts as the common containers do."""
    return (
        head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip")
        or head[:4] in (b"\x1a\x45\xdf\xa3", b"OggS", b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3", b"\x30\x26\xb2\x75")
        or (head[:4] == b"RIFF" and head[8:12] == b"AVI ")
        or head[:3] == b"FLV"
        or (len(head) > 376 and head[0] == head[188] == head[376] == 0x47)
    )
