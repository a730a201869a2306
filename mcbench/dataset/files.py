"""Deterministic and atomic file writing, and digests: equal content gives equal bytes."""

from __future__ import annotations

import hashlib
import json
import math
import os
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from mcbench.errors import InputError

_T = TypeVar("_T")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip member can carry: keeps archives reproducible


def _plain(value: Any) -> Any:
    """Numpy values to JSON's; a NaN or infinity, which JSON lacks, becomes null (unknown)."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(v) for v in (sorted(value) if isinstance(value, (set, frozenset)) else value)]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Path):
        return str(value)
    return value


def dumps(value: Any, *, indent: int | None = 1) -> str:
    """Canonical JSON text: sorted keys, no NaN, newline at the end."""
    return json.dumps(_plain(value), sort_keys=True, indent=indent, allow_nan=False) + "\n"


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file so that it is either absent (or its old self) or whole."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    write_bytes(Path(path), dumps(value).encode())


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises
    ------
    InputError : with the path; reason `missing_file`, `unreadable`, or `bad_json`.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError("no such file", path=path, reason="missing_file") from error
    except OSError as error:
        raise InputError(f"cannot be read: {os.strerror(error.errno or 0)}", path=path, reason="unreadable") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"not readable as JSON: {error}", path=path, reason="bad_json") from error


def write_npz(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays as a compressed .npz whose bytes depend on nothing but the arrays (no pickles)."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with zipfile.ZipFile(temporary, "w") as archive:
            for name in sorted(arrays):
                array = np.ascontiguousarray(arrays[name]) if np.ndim(arrays[name]) else np.asarray(arrays[name])
                info = zipfile.ZipInfo(f"{name}.npy", date_time=_EPOCH)
                info.compress_type = zipfile.ZIP_DEFLATED
                with archive.open(info, "w", force_zip64=True) as stream:
                    np.lib.format.write_array(stream, array, allow_pickle=False)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_npz(path: Path, wanted: Callable[[str], bool] = lambda name: True) -> dict[str, np.ndarray]:
    """Read an .npz without pickles; raises `InputError` with the path when it cannot be read.

    Arrays whose names are not `wanted` are left alone, whatever they hold.
    """
    try:
        if Path(path).is_file() and not zipfile.is_zipfile(path):
            raise InputError("is no .npz archive", path=path, reason="bad_npz")
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files if wanted(key)}
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError("no such file", path=path, reason="missing_file") from error
    except Exception as error:  # a broken archive may raise nearly anything
        why = "it holds pickled objects" if "allow_pickle" in str(error) else error
        raise InputError(f"not readable as .npz: {why}", path=path, reason="bad_npz") from error


def write_record(path: Path, record: Any, fmt: str) -> None:
    """Write a dataclass of arrays and strings as an .npz that names its format."""
    values = {f.name: np.asarray(getattr(record, f.name)) for f in fields(record)}
    write_npz(path, {"format": np.array(fmt), **values})


def read_record(path: Path, cls: type[_T], fmt: str) -> _T:
    """Read what `write_record` wrote; strings come back as strings. Raises `InputError` with the path."""
    data = read_npz(path)
    if str(data.get("format", "")) != fmt:
        raise InputError(f"format is {str(data.get('format'))!r}, expected {fmt!r}", path=path, reason="bad_format")
    names = [f.name for f in fields(cls)]  # type: ignore[arg-type]
    missing = [name for name in names if name not in data]
    if missing:
        raise InputError(f"lacks {', '.join(missing)}", path=path, reason="bad_format")
    values = {}
    for f in fields(cls):  # type: ignore[arg-type]
        array, text = data[f.name], f.type in ("str", str)
        if array.dtype.kind not in ("U" if text else "biuf") or (text and array.ndim):
            raise InputError(f"{f.name} is not {'a text' if text else 'numbers'}", path=path, reason="bad_format")
        values[f.name] = str(array) if text else array
    return cls(**values)


def require_shapes(
    arrays: Mapping[str, np.ndarray], expected: Mapping[str, tuple[int | None, ...]], path: Path
) -> None:
    """Refuse arrays that do not fit together; None in a shape stands for any length.

    Raises
    ------
    InputError : an array of another shape (reason `bad_format`).
    """
    for name, shape in expected.items():
        found = arrays[name].shape
        if len(found) != len(shape) or any(b not in (None, a) for a, b in zip(found, shape, strict=True)):
            wanted = tuple("any" if side is None else side for side in shape)
            raise InputError(f"{name} has shape {found}, expected {wanted}", path=path, reason="bad_format")


def sha256_file(path: Path) -> str:
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_json(value: Any) -> str:
    return hashlib.sha256(dumps(value, indent=None).encode()).hexdigest()


def digest_tree(folder: Path, *, exclude: Iterable[str] = ()) -> str:
    """SHA-256 over the sorted (relative path, content) pairs of a folder, but the top-level names excluded."""
    folder, skip = Path(folder), set(exclude)
    entries = [
        (path.relative_to(folder).as_posix(), sha256_file(path))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] not in skip
    ]
    return sha256_json(entries)
