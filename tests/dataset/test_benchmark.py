"""A benchmark's manifest: what it vouches for, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcbench.dataset.benchmark import MANIFEST, Benchmark, is_benchmark, write_manifest
from mcbench.dataset.files import read_json, write_json
from mcbench.errors import InputError

CONTENT = {
    "scenes": [{"id": "a", "images": ["0.jpg", "1.jpg"]}, {"id": "b", "images": ["0.jpg"]}],
    "body": {"digest": "d"},
}


def make(root: Path) -> Benchmark:
    root.mkdir()
    (root / "one").write_text("1")
    (root / "two").write_text("2")
    write_manifest(root, CONTENT)
    return Benchmark.load(root)


def test_images_are_numbered_scene_by_scene(tmp_path: Path) -> None:
    assert make(tmp_path / "b").index == [(0, 0), (0, 1), (1, 0)]


def test_damage_is_found(tmp_path: Path) -> None:
    benchmark = make(tmp_path / "b")
    assert benchmark.damaged() == []
    (tmp_path / "b" / "one").write_text("!")
    (tmp_path / "b" / "two").unlink()
    assert benchmark.damaged() == ["one", "two"]


def test_the_digest_is_of_the_content(tmp_path: Path) -> None:
    first, second = make(tmp_path / "a"), make(tmp_path / "b")
    assert first.digest == second.digest
    (tmp_path / "b" / "one").write_text("!")
    write_manifest(tmp_path / "b", CONTENT)
    assert Benchmark.load(tmp_path / "b").digest != first.digest


def test_what_is_no_benchmark(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        Benchmark.load(tmp_path)
    make(tmp_path / "b")
    manifest = read_json(tmp_path / "b" / MANIFEST)
    for broken in ([], {**manifest, "format": "coco"}, {k: v for k, v in manifest.items() if k != "digest"}):
        write_json(tmp_path / "b" / MANIFEST, broken)
        with pytest.raises(InputError):
            Benchmark.load(tmp_path / "b")
        assert not is_benchmark(tmp_path / "b")
