"""Files: equal content makes equal bytes, a write is whole or nothing, what cannot be read has a reason."""

from __future__ import annotations

import errno
import hashlib
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcbench.dataset.files import (
    digest_tree,
    dumps,
    read_json,
    read_npz,
    read_record,
    sha256_file,
    sha256_json,
    write_bytes,
    write_json,
    write_npz,
    write_record,
)
from mcbench.errors import InputError


@dataclass(frozen=True)
class Record:
    name: str
    points: np.ndarray
    flags: np.ndarray


def reason(read: Callable[[Path], Any], path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read(path)
    assert caught.value.path == path
    return caught.value.reason


def test_json_knows_numpy_and_has_no_nan() -> None:
    value = {
        "b": np.float64(1.5),
        "a": np.array([[1, 2]]),
        3: (np.int64(4), float("nan"), np.array([np.inf, 0.5])),
        "path": Path("x") / "y",
        "set": {"z", "y"},
        "yes": np.bool_(True),
    }
    text = dumps(value)
    assert text.endswith("\n")
    assert json.loads(text) == {
        "b": 1.5, "a": [[1, 2]], "3": [4, None, [None, 0.5]], "path": "x/y", "set": ["y", "z"], "yes": True,
    }  # fmt: skip
    assert dumps({"a": 1, "b": 2}) == dumps({"b": 2, "a": 1})


def test_json_goes_out_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"ü": [1, None, "x"]})
    assert read_json(path) == {"ü": [1, None, "x"]}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_is_told(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(content)
    assert reason(read_json, tmp_path / "a.json") == "bad_json"
    assert reason(read_json, tmp_path / "absent.json") == "missing_file"


def test_json_that_cannot_be_read_is_not_called_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reason(read_json, tmp_path) == "unreadable"

    def refused(self: Path, **_: Any) -> str:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    (tmp_path / "a.json").write_text("{}")
    monkeypatch.setattr(Path, "read_text", refused)
    assert reason(read_json, tmp_path / "a.json") == "unreadable"


def test_equal_arrays_make_equal_bytes(tmp_path: Path) -> None:
    arrays = {"b": np.arange(6.0).reshape(2, 3), "a": np.array("text"), "none": np.zeros((0, 3), dtype=bool)}
    other = {"none": arrays["none"], "a": arrays["a"], "b": np.asfortranarray(arrays["b"])}
    for name, values in (("one", arrays), ("two", other)):
        write_npz(tmp_path / f"{name}.npz", values)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.npz") as archive:  # the clock leaves no trace
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    read = read_npz(tmp_path / "one.npz")
    assert set(read) == set(arrays)
    for name, array in arrays.items():
        assert np.array_equal(read[name], array) and read[name].dtype == array.dtype and read[name].shape == array.shape
    write_npz(tmp_path / "two.npz", {**arrays, "b": arrays["b"] + 1})
    assert (tmp_path / "one.npz").read_bytes() != (tmp_path / "two.npz").read_bytes()


@pytest.mark.parametrize("write", [write_bytes, write_npz])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(write: Callable[..., None], tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    bad: Any = "text is no bytes" if write is write_bytes else {"a": np.zeros(3), "b": np.array([object()])}
    with pytest.raises((TypeError, ValueError)):
        write(path, bad)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_no_npz_holds_objects(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.array([{}], dtype=object))
    assert reason(read_npz, tmp_path / "a.npz") == "bad_npz"


def test_what_is_no_npz_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    write_npz(path, {"a": np.random.default_rng(0).random(1000)})
    whole = path.read_bytes()
    for content in (b"", b"text", whole[:-100], whole[:200] + b"\0\0\0\0" + whole[204:]):
        path.write_bytes(content)
        assert reason(read_npz, path) == "bad_npz"
    assert reason(read_npz, tmp_path / "absent.npz") == "missing_file"
    assert reason(read_npz, tmp_path) == "bad_npz"


def test_a_record_comes_back_and_another_format_does_not(tmp_path: Path) -> None:
    path = tmp_path / "record.npz"
    write_record(path, Record("ann", np.eye(3), np.array([True, False])), "test-1")
    read = read_record(path, Record, "test-1")
    assert read.name == "ann" and np.array_equal(read.points, np.eye(3)) and read.flags.tolist() == [True, False]
    assert reason(lambda p: read_record(p, Record, "test-2"), path) == "bad_format"
    write_npz(path, {"format": np.array("test-1"), "name": np.array("ann")})
    with pytest.raises(InputError, match="lacks points, flags"):
        read_record(path, Record, "test-1")
    write_npz(path, {"name": np.array("ann")})
    assert reason(lambda p: read_record(p, Record, "test-1"), path) == "bad_format"


def test_digests(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_file(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
    assert sha256_json({"a": np.array([1, 2]), "b": 1}) == sha256_json({"b": 1, "a": [1, 2]})
    assert sha256_json({"a": 1}) != sha256_json({"a": 2})


def test_the_digest_of_a_folder_is_of_names_and_contents(tmp_path: Path) -> None:
    def tree(name: str, **files: str) -> Path:
        for relative, text in files.items():
            path = tmp_path / name / relative.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path / name

    first = digest_tree(tree("first", a="1", sub__b="2"))
    assert digest_tree(tree("same", sub__b="2", a="1")) == first
    assert digest_tree(tree("content", a="1", sub__b="3")) != first
    assert digest_tree(tree("renamed", a="1", sub__c="2")) != first
    assert digest_tree(tree("moved", a="1", b="2")) != first
    # what is left out is left out at the top alone
    more = tree("more", a="1", sub__b="2", record="x", out__c="y")
    assert digest_tree(more) != first
    assert digest_tree(more, exclude=["record", "out"]) == first
    assert digest_tree(tree("deep", a="1", sub__b="2", sub__record="x"), exclude=["record"]) != first
