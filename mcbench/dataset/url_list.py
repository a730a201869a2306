"""Lists of videos: addresses on the web and local files, each with a safe key for what is kept of it."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from mcbench.errors import InputError
from mcbench.workspace.workspace import sanitise

_YOUTUBE_HOSTS = ("youtube.com", "youtu.be", "youtube-nocookie.com")
_YOUTUBE_ID = re.compile(r"[A-Za-z0-9_-]{11}")


@dataclass(frozen=True)
class VideoReference:
    """A video named by a list: `local` is its path if it is a file on this machine, None if it is on the web."""

    address: str
    local: Path | None

    @property
    def key(self) -> str:
        """A safe and readable file name stem; equal videos have equal keys."""
        if (video := youtube_id(self.address)) is not None and self.local is None:
            return f"youtube-{video}"
        text = self.address if self.local is None else self.local.as_uri()
        digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:10]
        name = self.local.stem if self.local is not None else video_name(self.address)
        return f"{sanitise(name)[:40]}-{digest}"


def video_name(address: str) -> str:
    """The file name, without suffix, in an address or path: "clip 1" of "https://host/videos/clip%201.mp4?x=y"."""
    path = unquote(urlsplit(address).path) if "://" in address else address
    return PurePosixPath(path).stem


def youtube_id(url: str) -> str | None:
    """The id in a YouTube address, whatever its form; None for other addresses."""
    parts = urlsplit(url)
    host = (parts.hostname or "").removeprefix("www.").removeprefix("m.").removeprefix("music.")
    if host not in _YOUTUBE_HOSTS:
        return None
    steps = [step for step in parts.path.split("/") if step]
    if host == "youtu.be":
        candidate = steps[0] if steps else ""
    elif steps[:1] in (["embed"], ["shorts"], ["v"], ["live"]) and len(steps) > 1:
        candidate = steps[1]
    else:
        candidate = parse_qs(parts.query).get("v", [""])[0]
    return candidate if _YOUTUBE_ID.fullmatch(candidate) else None


def video_reference(address: str, base: Path) -> VideoReference:
    """What an address means: `http(s)://` is the web; `file://` and anything else is a path, relative to `base`.

    Raises
    ------
    InputError : another scheme (reason `bad_address`).
    """
    address = address.strip()
    scheme = address.split("://", 1)[0].lower() if "://" in address else ""
    if scheme in ("http", "https"):
        try:
            host = urlsplit(address).hostname
        except ValueError:
            host = None
        if not host:
            raise InputError(f"{address!r} names no host", reason="bad_address")
        return VideoReference(address, None)
    if scheme == "file":
        return VideoReference(address, Path(unquote(urlsplit(address).path)))
    if scheme:
        raise InputError(f"{address!r} is neither http(s):// nor file:// nor a path", reason="bad_address")
    if "\0" in address:
        raise InputError(f"{address!r} is no path", reason="bad_address")
    return VideoReference(address, Path(os.path.abspath(base / address)))  # noqa: PTH100 (keeps links)


def read_url_list(path: Path) -> list[tuple[int, str]]:
    """Line numbers and addresses of a list: one a line, empty lines and `#` comments left out.

    Raises `InputError` (reason `bad_list`) for a file that is not text or lists nothing.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read as a text list: {error}", path=path, reason="bad_list") from error
    found = []
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        found.append((number, re.split(r"\s+#", text, maxsplit=1)[0].strip()))
    if not found:
        raise InputError("lists no video", path=path, reason="bad_list")
    return found
