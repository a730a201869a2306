"""Small videos for tests, with pictures that tell which frame they are."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

#: Microseconds: fine enough for every timestamp in the tests.
TIME_BASE = Fraction(1, 1_000_000)


def pattern(index: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A picture (height, width, 3) uint8 with a bright top left quarter and a grey that tells `index`."""
    picture = np.full((height, width, 3), 40 + 6 * (index % 32), dtype=np.uint8)
    picture[: height // 4, : width // 4] = 255
    return picture


def write_video(
    path: Path,
    frames: int = 12,
    *,
    times_us: Sequence[int] | None = None,
    size: tuple[int, int] = (64, 48),
    codec: str = "libx264",
    rotation: int | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Encode `frames` patterns at these times (30 a second unless given).

    `rotation` is what a player has to turn the picture by, degrees clockwise. `options` go to the container.
    """
    times = [i * 1_000_000 // 30 for i in range(frames)] if times_us is None else list(times_us)
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=30)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = TIME_BASE
        stream.codec_context.gop_size = 4
        if rotation is not None:
            stream.set_display_rotation(-rotation)
        for index, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(pattern(index, *size), format="rgb24")
            frame.pts, frame.time_base = time, TIME_BASE
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
