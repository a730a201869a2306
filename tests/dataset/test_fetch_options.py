"""Wrong options of `mcbench download` are wrong usage: no video may count as gone because of them."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
from clips import write_video

from mcbench.dataset.fetch import Fetcher, FetchSettings
from mcbench.dataset.url_list import video_reference
from mcbench.errors import UsageError


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"format": "[[["}, "--format '\\[\\[\\['"),
        ({"rate_limit": "abc"}, "^invalid rate limit"),
        ({"backoff_s": float("nan")}, "--backoff"),
        ({"cookies": "not_cookies.txt"}, "cookies cannot be loaded"),
        ({"cookies": "absent.txt"}, "no such file"),
        ({"cookies_from_browser": "firefox:/nowhere"}, "cookies cannot be loaded"),
        ({"cookies": "not_cookies.txt", "cookies_from_browser": "firefox"}, "exclude each other"),
    ],
)
def test_wrong_options_are_told_before_anything_is_fetched(tmp_path: Path, wrong: dict[str, Any], says: str) -> None:
    (tmp_path / "not_cookies.txt").write_text("{}")
    if "cookies" in wrong:
        wrong = {**wrong, "cookies": tmp_path / wrong["cookies"]}
    with pytest.raises(UsageError, match=says):
        Fetcher(tmp_path, FetchSettings(**wrong))


def test_a_full_disk_is_no_fault_of_the_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    clip = write_video(tmp_path / "clip.mp4", 3)
    monkeypatch.setattr("mcbench.dataset.fetch.shutil.copyfile", full)
    record, _ = Fetcher(tmp_path / "downloads", FetchSettings()).fetch(video_reference(str(clip), tmp_path))
    assert record.reason == "disk_full"
    assert list((tmp_path / "downloads" / "partial").iterdir()) == []
