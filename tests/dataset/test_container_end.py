"""A video cut short anywhere is never taken for a shorter whole one."""

from __future__ import annotations

from pathlib import Path

import pytest
from clips import write_video

from mcbench.dataset.container_end import missing_bytes
from mcbench.dataset.video import scan_video
from mcbench.errors import InputError


@pytest.mark.parametrize(
    ("suffix", "movflags"), [(".mp4", ""), (".mp4", "faststart"), (".mov", ""), (".mkv", ""), (".avi", "")]
)
def test_every_cut_is_noticed(suffix: str, movflags: str, tmp_path: Path) -> None:
    options = {"movflags": movflags} if movflags else {}
    whole = write_video(tmp_path / f"whole{suffix}", 20, options=options)
    data, scan = whole.read_bytes(), scan_video(whole)
    assert scan.fault is None and len(scan.times) == 20
    cut = tmp_path / f"cut{suffix}"
    for size in [*range(len(data) // 30, len(data), len(data) // 30), len(data) - 1]:
        cut.write_bytes(data[:size])
        try:
            fault = scan_video(cut).fault
        except InputError as error:
            assert error.reason in ("corrupt", "not_video")
        else:
            assert fault is not None, size


def test_fragments_are_whole_or_cut(tmp_path: Path) -> None:
    """A fragmented MP4 may end after any fragment, not within one."""
    whole = write_video(tmp_path / "whole.mp4", 20, options={"movflags": "frag_keyframe+empty_moov"})
    data = whole.read_bytes()
    last = data.rindex(b"moof") - 4  # the size comes before the type
    for size in (last + 4, last + 7, last + 12):
        whole.write_bytes(data[:size])
        assert missing_bytes(whole) > 0, size
    whole.write_bytes(data[:last])
    assert missing_bytes(whole) == 0


@pytest.mark.parametrize(
    ("data", "missing"),
    [
        (b"RIFF\x04\0\0\0AVI ", 0),
        (b"RIFF\x05\0\0\0AVI x\0", 0),  # padded to an even length
        (b"RIFF\x06\0\0\0AVI ", 2),
        (b"RIFF\x04\0\0\0AVI RIFF\x0a\0\0\0AVIX", 6),  # a large AVI goes on in a second chunk
        (b"RIFF\x04\0\0\0AVI junk", 0),
        (b"RIFF\0\0\0\0AVI ", 0),  # still being written when it was closed
        (b"RIFF\xff\xff\xff\xffAVI ", 0),
        (b"\0\0\0\x08ftyp\0\0\0", 0),  # padding
        (b"\0\0\0\x08ftyp\0\0\0\x10mda", 1),
        (b"\0\0\0\x08ftyp\0\0\0\x10mdat", 8),
        (b"\0\0\0\x08ftyp\0\0\0\0mdat1234", 0),  # to the end of the file
    ],
)
def test_ends_by_hand(data: bytes, missing: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    assert missing_bytes(path) == missing
