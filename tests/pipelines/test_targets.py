"""Where results go: what is there and is something else is refused, before the work and not after it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mcbench.errors import InputError, UsageError
from mcbench.metrics.protocols import protocol
from mcbench.pipelines.calibrate import calibrate
from mcbench.pipelines.evaluate import evaluate
from mcbench.pipelines.import_source import _remove_empty
from mcbench.workspace.workspace import Workspace

BENCHMARK = cast(Any, SimpleNamespace(index=[], digest=""))


def test_calibration_replaces_nothing_else(tmp_path: Path) -> None:
    workspace = Workspace.open_or_create(tmp_path / "ws")
    thesis = tmp_path / "thesis.txt"
    thesis.write_text("years of work")
    for out in (thesis, tmp_path):
        with pytest.raises(UsageError, match=out.name):
            calibrate(workspace, [tmp_path], out)
    assert thesis.read_text() == "years of work"


def test_calibration_names_the_truth_that_is_not_there(tmp_path: Path) -> None:
    workspace = Workspace.open_or_create(tmp_path / "ws")
    with pytest.raises(InputError, match="absent: no such folder"):
        calibrate(workspace, [tmp_path / "absent"], tmp_path / "out.npz")


def test_evaluation_refuses_a_file_a_body_that_is_absent_and_folders_given_twice(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        evaluate(BENCHMARK, [tmp_path], protocol("mcbench"), out=tmp_path / "file")
    with pytest.raises(InputError, match=r"absent\.npz: no such file"):
        evaluate(BENCHMARK, [tmp_path], protocol("mcbench"), body_path=tmp_path / "absent.npz")
    with pytest.raises(UsageError, match="given twice"):
        evaluate(BENCHMARK, [tmp_path, tmp_path], protocol("mcbench"))


def test_import_takes_away_no_workspace_that_holds_something(tmp_path: Path) -> None:
    """Another process may have imported into it since this one began."""
    workspace = Workspace.open_or_create(tmp_path / "ws")
    workspace.add_source("clip", "/clip.mp4", lambda out: {}, settings={}, content={})
    _remove_empty(workspace.root, False)
    assert [s.id for s in Workspace.open(workspace.root).scenes()] == ["clip"]
    _remove_empty(Workspace.open_or_create(tmp_path / "empty").root, False)
    assert not (tmp_path / "empty").exists()
