"""Where a video file says that it ends: FFmpeg takes the end of a file that was cut short for the end of the video."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

#: Bytes of a box's size and type.
_BOX_HEAD = 8


def missing_bytes(path: Path) -> int:
    """How much of an MP4, QuickTime, Matroska, WebM or AVI file is lacking at its end; 0 where it does not say."""
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        head = stream.read(12)
        stream.seek(0)
        if head[4:8] in (b"ftyp", b"moov", b"styp"):
            end = _boxes_end(stream, size)
        elif head[:4] == b"RIFF":
            end = _riff_end(stream, size)
        else:
            end = _matroska_end(stream)
    return max(0, (end or 0) - size)


def _boxes_end(stream: BinaryIO, size: int) -> int | None:
    """End of the last top-level box (ISO/IEC 14496-12, section 4.2), each a 32-bit size and a type."""
    at = 0
    while at < size:
        stream.seek(at)
        head = stream.read(16)
        if at and len(head) < _BOX_HEAD and head.strip(b"\0"):  # cut within the head of a box (zeros are padding)
            return at + _BOX_HEAD
        length, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if length == 1:  # a 64-bit size follows the type
            length = int.from_bytes(head[8:16], "big")
        if length < 8 or len(kind) < 4 or not all(32 <= byte < 127 for byte in kind):
            return None  # to the end of the file (0), or not a box
        at += length
    return at


def _riff_end(stream: BinaryIO, size: int) -> int | None:
    """End of the last RIFF chunk: an identifier, a 32-bit size and the content, padded to an even length. A large AVI
    has several, one after another; one whose writer never came to state the size has 0 or the largest number there."""
    at = 0
    while at < size:
        stream.seek(at)
        head = stream.read(8)
        length = int.from_bytes(head[4:8], "little")
        if head[:4] != b"RIFF" or length in (0, 0xFFFFFFFF):
            return at or None
        at += 8 + length + length % 2
    return at


def _matroska_end(stream: BinaryIO) -> int | None:
    """End of the segment: a file is an EBML header and a segment, each an identifier, a size and the content
    (RFC 8794, section 6.2)."""
    end = 0
    for identifier in (b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"):
        stream.seek(end)
        head = stream.read(12)
        if head[:4] != identifier or len(head) < 12 or head[4] == 0:
            return None
        width = 9 - head[4].bit_length()
        content = int.from_bytes(head[4 : 4 + width], "big") - (1 << 7 * width)
        if content == (1 << 7 * width) - 1:  # "unknown", as live streams have it
            return None
        end += 4 + width + content
    return end
