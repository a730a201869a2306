"""The frames of a video in order, up to its end or to the first damage: the same ones on every machine."""

from __future__ import annotations

from collections.abc import Iterator

import av


class DamagedVideo(Exception):
    """Decoding stopped before the end; its text says why."""


def decoded_frames(container: av.container.InputContainer) -> Iterator[av.VideoFrame]:
    """Yield the frames of the first video stream in order of presentation.

    Raises
    ------
    DamagedVideo : after the last frame before the damage.
    """
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    packets = container.demux(stream)
    while True:
        fault = None
        try:
            packet = next(packets, None)
            if packet is not None and packet.is_corrupt:
                fault = "a packet is cut short"
        except av.error.FFmpegError as error:
            packet, fault = None, error_text(error)
        try:
            # A decoder holds frames back, more of them the more threads it has. What it holds comes before the damage.
            pictures = stream.decode(None) if fault is not None else [] if packet is None else packet.decode()
        except av.error.FFmpegError as error:
            raise DamagedVideo(fault or error_text(error)) from error
        for picture in pictures:
            if picture.is_corrupt:
                raise DamagedVideo(fault or "a frame is damaged")
            yield picture
        if fault is not None:
            raise DamagedVideo(fault)
        if packet is None:
            return


def error_text(error: Exception) -> str:
    """FFmpeg's own words for an error, without the path that it appends."""
    text = getattr(error, "strerror", None) or str(error)
    return str(text).strip().rstrip(".").lower()
