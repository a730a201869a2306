"""One small rendered scene that the tests of the chain share, whichever of their processes comes first."""

from __future__ import annotations

import fcntl
import shutil
from pathlib import Path

import pytest
from running import mcbench


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with `clips/` and `truth/` of one easy scene: 2 people, 32 frames, 640x360."""
    shared = tmp_path_factory.getbasetemp().parent / "rendered"
    shared.mkdir(exist_ok=True)
    with (shared / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        mcbench(
            *("synth", shared / "easy", "--scenes", 1, "--people", 2, "--frames", 32, "--size", "640x360"),
            *("--difficulty", "easy", "--seed", 11),
        )
    return shared / "easy"


@pytest.fixture(scope="session")
def finished(rendered: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which every stage has run on the rendered scene. Read only: copy it to change it."""
    shared = rendered.parent
    with (shared / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        mcbench("import", rendered / "clips", shared / "ws")
        mcbench("run", shared / "ws", "--workers", 1)
    return shared / "ws"


@pytest.fixture
def workspace(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished workspace that a test may change."""
    # another test may be writing the index, which is made anew from the folders anyway
    return Path(shutil.copytree(finished, tmp_path / "ws", ignore=shutil.ignore_patterns("*catalog.sqlite*")))
