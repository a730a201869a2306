"""Photos: natural order, size as displayed, and images that are broken."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import pattern
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mcbench.dataset.photos import image_size, list_images, natural_key
from mcbench.errors import InputError


@given(st.lists(st.integers(0, 10**6), unique=True))
def test_numbers_are_counted(numbers: list[int]) -> None:
    names = sorted((f"frame{n}.jpg" for n in numbers), key=natural_key)
    assert names == [f"frame{n}.jpg" for n in sorted(numbers)]


@given(st.lists(st.text("aA01", max_size=5), unique=True))
def test_the_order_does_not_depend_on_where_it_starts(names: list[str]) -> None:
    assert sorted(names, key=natural_key) == sorted(reversed(names), key=natural_key)


def test_only_visible_images_of_the_folder_itself(tmp_path: Path) -> None:
    for name in ("10.jpg", "9.JPG", ".hidden.jpg", "notes.txt", "b.png"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "loop.png").symlink_to("loop.png")
    assert [p.name for p in list_images(tmp_path)] == ["9.JPG", "10.jpg", "b.png", "loop.png"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_size_is_that_of_the_displayed_image(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "a.jpg"
    Image.fromarray(pattern(0)).save(path, exif=exif)
    expected = (64, 48) if orientation < 5 else (48, 64)
    assert image_size(path) == expected
    assert cv2.imread(str(path), cv2.IMREAD_COLOR).shape[1::-1] == expected


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "I;16"])
def test_kinds_of_png(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.png"
    picture = Image.fromarray(pattern(0))
    (Image.fromarray(np.full((48, 64), 300, np.uint16)) if mode == "I;16" else picture.convert(mode)).save(path)
    assert image_size(path) == (64, 48)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tif"])
@pytest.mark.parametrize("share", [0.3, 0.8, 0.95])
def test_a_broken_tail_is_noticed(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"a{suffix}"
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    assert image_size(path) == (64, 48)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError) as caught:
        image_size(path)
    assert caught.value.reason in ("corrupt", "not_image")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_middle_of_a_png_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)).save(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match="broken or cut short"):
        image_size(path)


@pytest.mark.parametrize(("content", "reason"), [(b"", "empty_file"), (b"text" * 99, "not_image")])
def test_what_is_no_image(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        image_size(path)
    assert caught.value.reason == reason


def test_a_link_to_itself(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.symlink_to(path)
    with pytest.raises(InputError) as caught:
        image_size(path)
    assert caught.value.reason == "unreadable"
