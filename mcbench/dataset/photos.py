"""Folders of photos or frames: their order, their sizes as displayed, and whether each is whole."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from mcbench.dataset.media import read_head
from mcbench.errors import InputError

#: Suffixes by which a folder's entry is taken for an image.
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
_SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap width and height
_ORIENTATION = 0x0112


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Sort key that counts: `2.jpg` before `10.jpg`."""
    parts = re.split(r"(\d+)", name)
    return [int(p) if i % 2 else p.casefold() for i, p in enumerate(parts)], name


def list_images(folder: Path) -> list[Path]:
    """The images of a folder (not of its subfolders), hidden ones left out, numbers counted."""
    found = [
        p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and not p.is_dir()
    ]
    return sorted(found, key=lambda p: natural_key(p.name))


def image_size(path: Path) -> tuple[int, int]:
    """Width and height as displayed (EXIF orientation applied) of an image that decodes to its very end.

    Raises
    ------
    InputError : reason `missing_file`, `unreadable`, `empty_file`, `not_image`, or `corrupt` (broken or cut short).
    """
    read_head(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the errors say enough
            with Image.open(path, formats=_FORMATS) as image:
                image.load()  # refuses what is cut short, where OpenCV fills in grey
                size = image.size
                if image.getexif().get(_ORIENTATION, 1) in _SIDEWAYS:
                    size = size[::-1]
    except UnidentifiedImageError as error:
        raise InputError("is not an image", path=path, reason="not_image") from error
    except Image.DecompressionBombError as error:
        raise InputError("is too large an image to be a photo", path=path, reason="corrupt") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"is broken or cut short: {error}", path=path, reason="corrupt") from error
    pixels = cv2.imdecode(np.fromfile(path, dtype=np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise InputError("cannot be decoded as an image", path=path, reason="corrupt")
    if pixels.shape[1::-1] != size:
        raise InputError(
            f"decodes to {pixels.shape[1]}x{pixels.shape[0]}, its header says {size[0]}x{size[1]}",
            path=path,
            reason="corrupt",
        )
    return size
