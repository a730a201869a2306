"""The whole chain on rendered video: results, independence of truth, equal digests however it was interrupted."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from running import mcbench

from mcbench.dataset.truth import SceneTruth
from mcbench.metrics.scene_audit import counting_people
from mcbench.workspace.workspace import Workspace

STAGES = ("source", "sfm", "detect", "fit", "validate")


def digests(root: Path) -> dict[str, str | None]:
    return {
        f"{scene.id}/{stage}": record.result_digest if (record := scene.record(stage)) else None
        for scene in Workspace.open(root).scenes()
        for stage in STAGES
    }


def test_people_are_found_where_they_are(finished: Path, rendered: Path) -> None:
    audit = json.loads(mcbench("audit", finished, "--truth", rendered / "truth", "--json").stdout)
    assert audit["scenes"] == 1
    (truth,) = [SceneTruth.load(path) for path in (rendered / "truth").glob("easy_*.json")]
    assert audit["people_true"] == counting_people(truth).sum() > 0
    assert audit["recall"] >= 0.5
    accepted = [p for p in audit["per_scene"][0]["people"] if p["accepted"]]
    assert accepted and all(p["true_person"] is not None for p in accepted)
    assert audit["accepted_wrong"] == 0
    assert audit["camera_center_mm"] < 20
    assert audit["pve_scaled_mm"]["median"] < 50


def test_status_tells_that_all_is_done(finished: Path) -> None:
    counts = json.loads(mcbench("status", finished, "--json").stdout)["counts"]
    assert counts == {stage: {"ok": 1} for stage in STAGES}


def test_a_second_run_does_nothing(workspace: Path) -> None:
    outcomes = json.loads(mcbench("run", workspace, "--workers", 1, "--json").stdout)["outcomes"]
    assert [o["cached"] for o in outcomes] == [True] * 4


def test_a_wrong_calibration_costs_no_fit(workspace: Path, finished: Path, tmp_path: Path) -> None:
    (tmp_path / "wrong.npz").write_text("no arrays")
    result = mcbench("fit", workspace, "--keypoint-model", tmp_path / "wrong.npz", status=1)
    assert "wrong.npz: is no .npz archive" in result.output
    assert digests(workspace) == digests(finished)


def test_the_chain_does_not_read_truth(finished: Path, rendered: Path, tmp_path: Path) -> None:
    """The clip alone, in a folder without truth, under an equal name: every digest is the same."""
    clips = tmp_path / "clips"
    shutil.copytree(rendered / "clips", clips)
    mcbench("import", clips, tmp_path / "ws")
    mcbench("run", tmp_path / "ws", "--workers", 1)
    assert digests(tmp_path / "ws") == digests(finished)


def test_export_predict_evaluate_report(workspace: Path, rendered: Path, tmp_path: Path) -> None:
    bench = tmp_path / "bench"
    mcbench("export", workspace, bench)
    for method in ("detector3d", "single_image"):
        arguments = ("predict", bench, tmp_path / method, "--method", method, "--json")
        assert json.loads(mcbench(*arguments).stdout)["cached"] is False
        assert json.loads(mcbench(*arguments).stdout)["cached"] is True
    scores = json.loads(mcbench("evaluate", bench, tmp_path / "detector3d", tmp_path / "single_image", "--json").stdout)
    assert len(scores["methods"]) == 2
    mcbench("report", workspace, "--truth", rendered / "truth", "-o", tmp_path / "report.html")
    assert (tmp_path / "report.html").stat().st_size > 50_000


@pytest.mark.slow
def test_three_runs_and_ten_kills_give_equal_digests(rendered: Path, finished: Path, tmp_path: Path) -> None:
    for run in range(2):
        mcbench("import", rendered / "clips", tmp_path / f"run{run}")
        mcbench("run", tmp_path / f"run{run}")
        assert digests(tmp_path / f"run{run}") == digests(finished)
    killed = tmp_path / "killed"
    mcbench("import", rendered / "clips", killed)
    command = [sys.executable, "-m", "mcbench.cli.main", "run", str(killed)]
    for kill in range(10):
        process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
        time.sleep(1 + 2.5 * kill)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    mcbench("run", killed)
    assert digests(killed) == digests(finished)
