"""Videos and photos where they lie."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import pattern, write_video

from mcbench.dataset.media_source import photo_source, video_source
from mcbench.errors import InputError


def test_every_third_frame_of_a_video(tmp_path: Path) -> None:
    source = video_source(write_video(tmp_path / "v.mp4", 8), every=3)
    assert source.decode_index == [0, 3, 6]
    for frame, image in source.images():
        assert abs(float(image[30:, 30:].mean()) - pattern(3 * frame.index)[40, 40, 0]) < 6


def test_photos(tmp_path: Path) -> None:
    for i in range(3):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((20 + i, 30, 3), [0, 0, 40 * i], np.uint8))
    source = photo_source(tmp_path, ["2.png", "0.png"])
    found = [(frame.name, image.shape, int(image[0, 0, 0])) for frame, image in source.images()]
    assert found == [("2.png", (22, 30, 3), 80), ("0.png", (20, 30, 3), 0)]
    (tmp_path / "0.png").write_bytes(b"no image")
    with pytest.raises(InputError) as error:
        photo_source(tmp_path, ["0.png"])
    assert error.value.reason == "not_image"
