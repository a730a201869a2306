"""Labelled images in tar shards as WebDataset reads them, in `docs/formats.md` as mcbench-labels/1.

A folder holds `labels-000000.tar`, … and `index.json`. A shard is whole or absent; the index, written last, names them.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from mcbench.dataset.files import dumps, read_json
from mcbench.dope.people import KINDS, WholeBody, from_json, to_json
from mcbench.errors import InputError

FORMAT = "mcbench-labels/1"
INDEX = "index.json"
_QUALITY = 95


class Labelled(NamedTuple):
    """An image and the people in it.

    Attributes
    ----------
    image : (height, width, 3) uint8 RGB.
    people : those found.
    labelled : of "body", "hand", "face" what was looked for at all: nothing is known of the others.
    key : name of the image within all shards, without a dot.
    """

    image: npt.NDArray[np.uint8]
    people: list[WholeBody]
    labelled: frozenset[str]
    key: str


def shard_name(number: int) -> str:
    return f"labels-{number:06d}.tar"


def write_shard(path: Path, samples: Iterable[tuple[Labelled, dict[str, Any]]]) -> list[dict[str, Any]]:
    """Write labelled images, each with what else its record tells; returns the records.

    The file is whole or absent, and equal samples give equal bytes.

    Parameters
    ----------
    samples : the image with its people, and further entries of its JSON (`file`, `source`, …).
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    records = []
    try:
        with tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as archive:
            for sample, info in samples:
                height, width = sample.image.shape[:2]
                record = {
                    **info,
                    "size": [width, height],
                    "labelled": [kind for kind in KINDS if kind in sample.labelled],
                    "people": to_json(sample.people),
                }
                done, jpeg = cv2.imencode(
                    ".jpg", np.ascontiguousarray(sample.image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
                )
                if not done:
                    raise InputError(f"image {sample.key} of {width}x{height} does not fit a JPEG", path=path)
                _add(archive, f"{sample.key}.jpg", jpeg.tobytes())
                _add(archive, f"{sample.key}.json", dumps(record, indent=None).encode())
                records.append(record)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return records


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)  # its date and owner are the same everywhere
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def shard_paths(folder: Path) -> list[Path]:
    """The shards of a finished folder.

    Raises
    ------
    InputError : no such folder, a file (reason `not_a_folder`), no labels in it (`missing_file`), another format, an
        index that names no shards (`bad_json`), a run that was not finished (`unfinished`), a shard gone.
    """
    if folder.is_file():
        raise InputError("is a file, not a folder", path=folder, reason="not_a_folder")
    path, hint = folder / INDEX, "name a folder that mcbench pseudo-label wrote"
    if not path.exists():
        raise InputError("no such file", path=path, hint=hint, reason="missing_file")
    index = read_json(path)
    found = index.get("format") if isinstance(index, dict) else None
    if found != FORMAT:
        raise InputError(f"format is {found!r}, expected {FORMAT!r}", path=path, hint=hint, reason="bad_format")
    if not index.get("complete"):
        raise InputError(
            "is not finished", path=folder, hint="run the same mcbench pseudo-label again", reason="unfinished"
        )
    try:
        paths = [folder / row["file"] for row in index["shards"]]
    except (KeyError, TypeError) as error:
        raise InputError(f"names no shards: {error!r}", path=path, reason="bad_json") from error
    for shard in paths:
        if not shard.is_file():
            raise InputError("no such file", path=shard, reason="missing_file")
    return paths


def parse_record(text: bytes) -> dict[str, Any]:
    """The record of an image; raises ValueError for what is none."""
    record = json.loads(text)
    lists = [record.get(name) for name in ("people", "labelled")] if isinstance(record, dict) else [None]
    if not all(isinstance(value, list) for value in lists):
        raise ValueError("a record lacks people or labelled")
    if any(kind not in KINDS for kind in record["labelled"]):
        raise ValueError(f"labelled names other kinds than {', '.join(KINDS)}")
    return record


def read(source: Path) -> Iterator[Labelled]:
    """The labelled images of a folder, or of one shard, in order.

    Raises
    ------
    InputError : as `shard_paths`, or a shard that is damaged (reason `bad_shard`).
    """
    for path in shard_paths(source) if source.is_dir() else [source]:
        yield from _read_shard(path)


def read_records(path: Path) -> list[dict[str, Any]]:
    """The records of a shard's images, in order, as JSON has them; no image is decoded. Raises as `read`."""
    return [record for _, record, _ in _members(path)]


def _read_shard(path: Path) -> Iterator[Labelled]:
    for key, record, jpeg in _members(path):
        yield labelled_image(path, key, record, jpeg)


def labelled_image(path: Path, key: str, record: dict[str, Any], jpeg: bytes) -> Labelled:
    """What a shard says of an image; raises `InputError` (reason `bad_shard`), which names the shard."""
    bgr = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) if jpeg else None
    if bgr is None:
        raise InputError(f"image {key} cannot be decoded", path=path, reason="bad_shard")
    image = np.ascontiguousarray(bgr[..., ::-1]).astype(np.uint8, copy=False)
    return Labelled(image, labelled_people(path, key, record), frozenset(record["labelled"]), key)


def labelled_people(path: Path, key: str, record: dict[str, Any]) -> list[WholeBody]:
    """The people of a record; raises as `labelled_image`."""
    try:
        return from_json(record["people"])
    except InputError as error:
        raise InputError(f"record {key}: {error.message}", path=path, reason="bad_shard") from error


def _members(path: Path) -> Iterator[tuple[str, dict[str, Any], bytes]]:
    """Key, record and JPEG of a shard's images."""
    try:
        with tarfile.open(path) as archive:
            held: dict[str, bytes] = {}
            for member in archive:
                stream = archive.extractfile(member)
                key, _, suffix = member.name.partition(".")
                if stream is None or suffix not in ("jpg", "json"):
                    continue
                held[suffix] = stream.read()
                if suffix == "json":
                    yield key, parse_record(held["json"]), held.pop("jpg")
    except FileNotFoundError as error:
        raise InputError("no such file", path=path, reason="missing_file") from error
    except (tarfile.TarError, OSError, KeyError, ValueError) as error:
        raise InputError(f"is not a whole shard of labels: {error!r}", path=path, reason="bad_shard") from error
