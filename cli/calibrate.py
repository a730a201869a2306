"""`mcbench calibrate`: learn a detector's keypoints where truth is known."""

from __future__ import annotations

from pathlib import Path

import click

from mcbench.cli.common import Output, common_options, table
from mcbench.pipelines.calibrate import calibrate
from mcbench.workspace.workspace import Workspace


@click.command("calibrate")
@click.argument("workspace", type=click.Path())
@click.option("--truth", "truths", type=click.Path(path_type=Path), multiple=True, required=True, metavar="DIR",
              help="Folder with the truth of the workspace's clips; may be repeated.")  # fmt: skip
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="The calibration (.npz) to write.")
@common_options
def command(output: Output, workspace: str, truths: tuple[Path, ...], out: Path) -> None:
    """Learn which points of the body a detector's keypoints are, and how noisy, from clips with known truth.

    The scenes need `sfm` and `detect`. Give the file to `fit` with --keypoint-model; the one that comes with mcbench
    for BlazePose on the open body was made like this.

    \b
    Example:
      mcbench synth learn --scenes 12 --difficulty standard --seed 300
      mcbench import learn/clips ws
      mcbench sfm ws
      mcbench detect ws
      mcbench calibrate ws --truth learn/truth -o blazepose.npz
      mcbench fit other --keypoint-model blazepose.npz
    """
    opened = Workspace.open(workspace)
    with output.stage_progress("scenes", len(opened.scenes())) as (progress, _):
        model = calibrate(opened, truths, out, progress)
    errors = model.provenance["median_error_mm"]
    rows = [[name, errors["own_regressors"][name], error] for name, error in errors["calibrated"].items()]
    output.result(
        {"file": str(out), "provenance": model.provenance},
        table(None, "keypoint", "body's own, mm", "calibrated, mm", rows=rows)
        if rows
        else "too few people to learn a keypoint from: the file holds the body's own ones",
        f"{out}: learnt from {model.provenance['people']} people (errors of people left out)",
    )
