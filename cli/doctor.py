"""`mcbench doctor`: can this machine run everything?"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from mcbench.cache import cache_folder
from mcbench.cli.common import Output, common_options, table


@dataclass(frozen=True)
class Check:
    """One finding: `status` is "ok", "missing" (something will not work) or "note" (good to know)."""

    what: str
    status: str
    found: str
    advice: str | None = None


def _requirements() -> list[tuple[str, bool]]:
    """Names of the packages mcbench requires, each with whether it belongs to an optional extra."""
    found = []
    for line in importlib.metadata.requires("mcbench") or []:
        match = re.match(r"[A-Za-z0-9._-]+", line)
        if match:
            found.append((match.group(), "extra ==" in line))
    return found


def _packages() -> list[Check]:
    checks = []
    for name, optional in _requirements():
        try:
            checks.append(Check(name, "ok", importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            status, advice = ("note", "optional") if optional else ("missing", f"pip install {name}")
            checks.append(Check(name, status, "not installed", advice))
    return checks


def _h264() -> Check:
    import av

    try:
        av.codec.Codec("libx264", "w")
    except ValueError:
        return Check("H.264 encoder", "missing", "PyAV has no libx264", "pip install --force-reinstall av")
    return Check("H.264 encoder", "ok", f"libx264 in PyAV {av.__version__}")


def _accelerator() -> Check:
    import torch

    if torch.cuda.is_available():
        return Check("CUDA", "ok", torch.cuda.get_device_name())
    return Check("CUDA", "note", "none", "not needed: everything runs on a CPU")


def _files() -> list[Check]:
    from mcbench.body.model import OPEN_BODY_X, load_body
    from mcbench.errors import McbenchError
    from mcbench.experts.weights import check_weights

    checks = []
    for what, load, advice in (
        ("open body", lambda: load_body().name, "mcbench body"),
        ("open body with hands and face", lambda: load_body(OPEN_BODY_X).name, "mcbench body"),
        ("weights", check_weights, "mcbench weights"),
    ):
        try:
            checks.append(Check(what, "ok", str(load())))
        except McbenchError as error:
            checks.append(Check(what, "missing", str(error), advice))
    return checks


def _cache() -> Check:
    folder = cache_folder()
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    if not os.access(existing, os.W_OK):
        return Check("cache folder", "missing", f"{folder} is not writable", "set MCBENCH_CACHE to a folder that is")
    free = shutil.disk_usage(existing).free / 1e9
    return Check("cache folder", "ok" if free > 2 else "note", f"{folder}, {free:.0f} GB free")


def _machine() -> Check:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    advice = None if memory >= 7 else "8 GiB or more is advised; use --workers 1"
    return Check("machine", "ok" if advice is None else "note", f"{cores} cores, {memory:.0f} GiB memory", advice)


def examine() -> list[Check]:
    """All findings about this machine, the important first."""
    python = Check("Python", "ok", f"{platform.python_version()} at {Path(sys.executable)}")
    return [python, _machine(), _cache(), *_files(), _h264(), _accelerator(), *_packages()]


@click.command("doctor")
@common_options
def command(output: Output) -> int:
    """Tell what this machine has and lacks: packages, weights, the open body, memory, encoder, GPU.

    \b
    Example:
      mcbench doctor
    """
    checks = examine()
    lacking = [c for c in checks if c.status == "missing"]
    rows = [[c.what, c.status, c.found, c.advice or ""] for c in checks]
    verdict = "everything mcbench needs is here" if not lacking else f"lacking: {', '.join(c.what for c in lacking)}"
    output.result(
        {"checks": [asdict(c) for c in checks], "ok": not lacking},
        table(None, "what", "status", "found", "advice", rows=rows),
        verdict,
    )
    return int(bool(lacking))
