"""Mannequin Challenge lists: what is written is read, what is broken is told with its line and column."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mcbench.dataset.mannequin_lists import is_clip_list, nearest_frames, read_clip_list, write_clip_list
from mcbench.errors import InputError

URL = "http://127.0.0.1/clip.mp4"
ROW = "0 0.9 1.6 0.5 0.5 0 0 1 0 0 0.1 0 1 0 0.2 0 0 1 0.3"


def row(**columns: str) -> str:
    """`ROW` with other words in some columns: `c11="nan"`."""
    words = ROW.split()
    for name, word in columns.items():
        words[int(name[1:]) - 1] = word
    return " ".join(words)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    poses = np.tile(np.eye(3, 4), (2, 1, 1))
    poses[1, :, 3] = [1 / 3, -2e-7, 4.5]
    K = np.array([[500.0, 0, 310], [0, 510, 190], [0, 0, 1]])
    write_clip_list(tmp_path / "a.txt", URL, [0, 33_366.7], K, (640, 360), poses)
    assert is_clip_list(tmp_path / "a.txt")
    listed = read_clip_list(tmp_path / "a.txt", "train")
    assert (listed.name, listed.split, listed.url) == ("a", "train", URL)
    assert listed.times_us.tolist() == [0, 33_367]
    assert np.array_equal(listed.cam_from_world, poses)
    assert np.allclose(listed.intrinsics, [500 / 640, 510 / 360, 310 / 640, 190 / 360], atol=0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        (f"{URL}\n", "lists no frame"),
        (f"{ROW}\n{ROW}\n", "line 1 is '0 0.9 .*', not the address"),
        (f"{URL}\n{ROW}\n{ROW} 7\n", "line 3: 20 columns, not 19"),
        (f"{URL}\n{ROW}\n\n{row(c11='nan')}\n", "line 4: column 11 is 'nan', not a finite number"),
        (f"{URL}\n{row(c2='inf')}\n", "line 2: column 2 is 'inf'"),
        (f"{URL}\n{row(c9='0,5')}\n", "line 2: column 9 is '0,5'"),
        (f"{URL}\n{row(c1='-1')}\n", "line 2: the time is '-1'"),
        (f"{URL}\n{row(c1='0.0333')}\n", "line 2: the time is '0.0333', not a whole number of microseconds"),
        (f"{URL}\n{row(c3='0')}\n", "line 2: the focal length"),
        (f"{URL}\n{row(c8='0.5')}\n", "line 2: the matrix .* does not start with a rotation"),
        (f"{URL}\n{row(c8='-1')}\n", "line 2: the matrix .* mirrors"),
    ],
)
def test_what_is_broken_is_told_with_its_place(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "clip.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_clip_list(path)
    assert caught.value.reason == "bad_list" and str(path) in str(caught.value)


def test_times_mean_the_nearest_frame_once() -> None:
    decoded = [i / 30 for i in range(10)]
    assert nearest_frames([0, 66_667, 133_333], decoded) == [0, 2, 4]
    assert nearest_frames([30_000, 33_333, 36_000], decoded) == [None, 1, None]
    assert nearest_frames([300_000, 310_000, 320_000, 9_000_000], decoded) == [9, None, None, None]
    assert nearest_frames([300_000], []) == [None]
