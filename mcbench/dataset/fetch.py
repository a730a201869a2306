"""Fetching one video through yt-dlp, or from a local path, into a folder of downloads, once.

A folder of downloads holds `<key>.<suffix>` and, beside each and for each that failed, the record `<key>.json`, in
`docs/formats.md` as mcbench-download/1. What is not complete lies in `partial/` and is resumed from there.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from optparse import OptParseError
from pathlib import Path
from typing import Any

import yt_dlp
from yt_dlp.cookies import CookieLoadError
from yt_dlp.utils import DownloadCancelled, YoutubeDLError

from mcbench.dataset.fetch_errors import NEVER, NEXT_RUN, NOW, Failure, classify
from mcbench.dataset.files import read_json, sha256_file, write_json
from mcbench.dataset.media import read_head
from mcbench.dataset.url_list import VideoReference
from mcbench.dataset.video import VideoScan, scan_video
from mcbench.errors import InputError, McbenchError, UsageError

FORMAT = "mcbench-download/1"
OK, FAILED = "ok", "failed"
PARTIAL = "partial"

#: Pictures are all we need, so a stream without sound is fine and nothing needs to be merged by an `ffmpeg` program.
DEFAULT_FORMAT = "bv*[vcodec^=avc1][height<=1080]/bv*[height<=1080]/bv*/b"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FetchSettings:
    """How to fetch.

    Attributes
    ----------
    format : yt-dlp's format selection.
    retries : further attempts after a temporary failure; attempts that got more of the video do not count.
    backoff_s : seconds before the first further attempt; doubled each time, at most `max_wait_s`.
    max_wait_s : a server that asks (Retry-After) for longer than this is left for the next run.
    rate_limit, cookies, cookies_from_browser : passed on to yt-dlp, as its options of these names take them.
    retry_failed : also try again what failed for good before.
    salvage : keep a video that is damaged but decodes in part.
    """

    format: str = DEFAULT_FORMAT
    retries: int = 4
    backoff_s: float = 2.0
    max_wait_s: float = 120.0
    rate_limit: str | None = None
    cookies: Path | None = None
    cookies_from_browser: str | None = None
    retry_failed: bool = False
    salvage: bool = False


@dataclass(frozen=True)
class VideoRecord:
    """How fetching one video ended.

    Attributes
    ----------
    key, address : of the `VideoReference`.
    status : "ok" or "failed"; reason (one of `fetch_errors.RETRY` or of `scan_video`) and message if failed.
    retry : "now", "next_run" or "never": when it makes sense to try again.
    attempts : connections that the last run made.
    file : name in the folder of downloads; sha256, bytes of it; frames that it decodes to.
    source : what yt-dlp knows of the origin: extractor, id, title, uploader, licence, upload date, format, …
    fetched_at : when, UTC.
    """

    key: str
    address: str
    status: str
    reason: str | None = None
    message: str | None = None
    retry: str | None = None
    attempts: int = 0
    file: str | None = None
    sha256: str | None = None
    bytes: int | None = None
    frames: int | None = None
    source: dict[str, Any] = field(default_factory=dict)
    fetched_at: str | None = None

    def save(self, folder: Path) -> None:
        write_json(folder / f"{self.key}.json", {"format": FORMAT, **asdict(self)})

    @classmethod
    def load(cls, folder: Path, key: str) -> VideoRecord | None:
        """The record of a video, or None where there is none that can be read: it is then fetched again."""
        try:
            data = read_json(folder / f"{key}.json")
            if data["format"] != FORMAT:
                return None
            return cls(**{f.name: data[f.name] for f in fields(cls)})
        except (InputError, KeyError, TypeError):
            return None


class Stopped(McbenchError):
    """The run was interrupted; what is fetched so far is kept and resumed."""

    default_reason = "interrupted"


#: Called with bytes fetched and bytes in all (None where unknown).
BytesProgress = Callable[[int, int | None], None]


class Fetcher:
    """Fetches videos into a folder; one object may serve several threads, each with videos of its own."""

    def __init__(self, folder: Path, settings: FetchSettings) -> None:
        self.folder = folder
        self.partial = folder / PARTIAL
        self.settings = settings
        self.stop = threading.Event()
        self._options = _ytdlp_options(settings)
        _check(self._options)
        self.partial.mkdir(parents=True, exist_ok=True)

    def known(self, reference: VideoReference) -> VideoRecord | None:
        """The record of an earlier run, if it spares another attempt."""
        record = VideoRecord.load(self.folder, reference.key)
        if record is None:
            return None
        if record.status == OK:
            path = self.folder / (record.file or "")
            if not path.is_file() or path.stat().st_size != record.bytes:
                return None
            return None if reference.local is not None and self._changed(reference.local, record) else record
        if reference.local is not None or self.settings.retry_failed or record.retry != NEVER:
            return None
        return record

    def fetch(
        self, reference: VideoReference, progress: BytesProgress = lambda done, total: None
    ) -> tuple[VideoRecord, VideoScan | None]:
        """Fetch a video, check that it decodes, and write its record.

        Returns
        -------
        The record, and what the video decodes to if it is ok. Raises nothing but `Stopped` and, for options that
        yt-dlp refuses, `UsageError`.
        """
        record: VideoRecord
        scan: VideoScan | None
        try:
            if reference.local is not None:
                record, scan = self._copy(reference, reference.local)
            else:
                record, scan = self._download(reference, progress)
        except InputError as error:
            record, scan = self._failed(reference, Failure("not_video", error.message), 1), None
            record = replace(record, reason=error.reason, retry=NEVER)
        record.save(self.folder)
        return record, scan

    def _copy(self, reference: VideoReference, path: Path) -> tuple[VideoRecord, VideoScan]:
        read_head(path)
        scan = self._scan(path)
        name = f"{reference.key}{path.suffix.lower()}"
        temporary = self.partial / name
        try:
            shutil.copyfile(path, temporary)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            why = "disk_full" if error.errno == errno.ENOSPC else "unreadable"
            raise InputError(f"cannot be copied: {os.strerror(error.errno or 0)}", path=path, reason=why) from error
        source = {"extractor": "local", "title": path.stem, "modified_ns": path.stat().st_mtime_ns}
        return self._keep(reference, temporary, scan, source, attempts=1), scan

    def _changed(self, path: Path, record: VideoRecord) -> bool:
        try:
            status = path.stat()
        except OSError:
            return False  # the copy that we have is still good
        return (status.st_size, status.st_mtime_ns) != (record.bytes, record.source.get("modified_ns"))

    def _download(self, reference: VideoReference, progress: BytesProgress) -> tuple[VideoRecord, VideoScan | None]:
        attempts = fruitless = 0
        while True:
            before = self._partial_bytes(reference)
            attempts += 1
            try:
                info, path = self._attempt(reference, progress)
            except (YoutubeDLError, OSError) as error:
                if self.stop.is_set():
                    raise Stopped("interrupted") from error
                failure = classify(error)
                _log.info("%s: attempt %d: %s: %s", reference.address, attempts, failure.reason, failure.message)
                if failure.retry != NOW:
                    return self._failed(reference, failure, attempts), None
                fruitless = 0 if self._partial_bytes(reference) > before else fruitless + 1
                if fruitless > self.settings.retries or (failure.retry_after_s or 0) > self.settings.max_wait_s:
                    return self._failed(reference, failure, attempts), None
                self._wait(failure, fruitless)
                continue
            try:
                scan = self._scan(path)
            except InputError:
                path.unlink()
                if before:  # the part that we resumed was of something else: once more, from the start
                    continue
                raise
            return self._keep(reference, path, scan, _source_data(info), attempts), scan

    def _attempt(self, reference: VideoReference, progress: BytesProgress) -> tuple[dict[str, Any], Path]:
        """One pass of yt-dlp over an address; returns what it knows of the video, and the file."""

        def hook(status: dict[str, Any]) -> None:
            if self.stop.is_set():
                raise DownloadCancelled("interrupted")
            if status.get("status") == "downloading":
                progress(int(status.get("downloaded_bytes") or 0), status.get("total_bytes"))

        options = {
            **self._options,
            "outtmpl": {"default": f"{_literal(str((self.partial / reference.key).absolute()))}.%(ext)s"},
            "progress_hooks": [hook],
        }
        with yt_dlp.YoutubeDL(options) as session:
            try:
                info = session.extract_info(reference.address, download=True)
            except CookieLoadError as error:
                raise UsageError(f"cookies cannot be loaded: {error}") from error
        if not info or info.get("_type", "video") != "video" or not info.get("requested_downloads"):
            raise InputError("is a list of videos, not one: name its videos", reason="playlist")
        return info, Path(info["requested_downloads"][0]["filepath"])

    def _scan(self, path: Path) -> VideoScan:
        scan = scan_video(path)
        if scan.fault is not None and not self.settings.salvage:
            raise InputError(
                f"is damaged or cut short: its first {len(scan.times)} frames decode, then {scan.fault}",
                path=path,
                reason="corrupt",
            )
        return scan

    def _keep(
        self, reference: VideoReference, path: Path, scan: VideoScan, source: dict[str, Any], attempts: int
    ) -> VideoRecord:
        """Move a complete video to its place."""
        digest, size = sha256_file(path), path.stat().st_size
        suffix = path.suffix if path.suffix.isascii() else ""
        for old in self.folder.glob(f"{reference.key}.*"):
            old.unlink()
        path.replace(self.folder / f"{reference.key}{suffix}")
        return VideoRecord(
            reference.key,
            reference.address,
            OK,
            attempts=attempts,
            file=f"{reference.key}{suffix}",
            sha256=digest,
            bytes=size,
            frames=len(scan.times),
            source=source,
            fetched_at=_now(),
        )

    def _failed(self, reference: VideoReference, failure: Failure, attempts: int) -> VideoRecord:
        retry = NEXT_RUN if failure.retry == NOW else failure.retry
        if retry == NEVER:
            for leftover in self.partial.glob(f"{reference.key}.*"):
                leftover.unlink()
        message = failure.message
        if failure.retry_after_s:
            message += f"; the server asks to wait {failure.retry_after_s:.0f} s"
        return VideoRecord(
            reference.key,
            reference.address,
            FAILED,
            failure.reason,
            message,
            retry,
            attempts,
            fetched_at=_now(),
        )

    def _wait(self, failure: Failure, fruitless: int) -> None:
        backoff = min(self.settings.backoff_s * 2.0 ** max(0, fruitless - 1), self.settings.max_wait_s)
        if self.stop.wait(max(backoff, failure.retry_after_s or 0.0)):
            raise Stopped("interrupted")

    def _partial_bytes(self, reference: VideoReference) -> int:
        return sum(p.stat().st_size for p in self.partial.glob(f"{reference.key}.*") if p.is_file())


def _ytdlp_options(settings: FetchSettings) -> dict[str, Any]:
    """Options of `yt_dlp.YoutubeDL`; what users give in the words of yt-dlp's command line is parsed by it."""
    if settings.cookies is not None and settings.cookies_from_browser is not None:
        raise UsageError("--cookies and --cookies-from-browser exclude each other")
    if not 0 <= settings.backoff_s < float("inf"):  # NaN is not, either
        raise UsageError(f"--backoff must be a number of seconds, is {settings.backoff_s}")
    words = ["--format", settings.format]
    if settings.rate_limit is not None:
        words += ["--limit-rate", settings.rate_limit]
    if settings.cookies is not None:
        if not settings.cookies.is_file():
            raise UsageError("no such file with cookies", path=settings.cookies)
        words += ["--cookies", str(settings.cookies)]
    if settings.cookies_from_browser is not None:
        words += ["--cookies-from-browser", settings.cookies_from_browser]
    try:
        parsed = yt_dlp.parse_options(words).ydl_opts
    except OptParseError as error:
        raise UsageError(str(error).strip().splitlines()[-1].split("error: ", 1)[-1]) from error
    return {
        **{name: parsed[name] for name in ("format", "ratelimit", "cookiefile", "cookiesfrombrowser")},
        # Attempts are ours to count: each looks the address up afresh and resumes the partial file.
        "retries": 0,
        "fragment_retries": 3,
        "extractor_retries": 0,
        "continuedl": True,
        "overwrites": True,
        "noplaylist": True,
        "playlist_items": "1",
        "match_filter": _no_lists,
        "socket_timeout": 30,
        "updatetime": False,
        "fixup": "never",
        "quiet": True,
        "noprogress": True,
        "color": "never",
        "logger": _QuietLogger(),
    }


def _check(options: dict[str, Any]) -> None:
    """Try what each attempt would stumble over: wrong options must not count as videos that cannot be had."""
    try:
        with yt_dlp.YoutubeDL(options) as session:
            if options["cookiefile"] or options["cookiesfrombrowser"]:
                _ = session.cookiejar
    except SyntaxError as error:
        raise UsageError(f"--format {options['format']!r}: {str(error.msg).splitlines()[0]}") from error
    except (YoutubeDLError, OSError) as error:
        raise UsageError(f"cookies cannot be loaded: {str(error).removeprefix('ERROR: ')}") from error


def _no_lists(info: dict[str, Any], *, incomplete: bool = False) -> str | None:
    """yt-dlp's filter: skip the entries of playlists, of which an address should name one."""
    return "an entry of a list" if info.get("playlist") is not None else None


class _QuietLogger:
    """What yt-dlp says goes to Python's logging; its errors come as exceptions, too."""

    def debug(self, message: str) -> None:
        _log.debug(message)

    def warning(self, message: str) -> None:
        _log.info(message)

    def error(self, message: str) -> None:
        _log.debug(message)


def _source_data(info: dict[str, Any]) -> dict[str, Any]:
    """What is worth keeping of yt-dlp's knowledge; what it does not know is left out."""
    names = (
        *("extractor", "id", "title", "uploader", "uploader_id", "uploader_url", "channel", "channel_id", "license"),
        *("upload_date", "webpage_url", "duration", "format_id", "ext", "vcodec", "width", "height", "fps"),
    )
    return {name: info[name] for name in names if info.get(name) is not None}


def _literal(text: str) -> str:
    """Text that yt-dlp's output template takes as it is."""
    return text.replace("%", "%%").replace("$", "$$")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
