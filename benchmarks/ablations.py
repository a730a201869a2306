"""What each part of the fit is worth: the same rendered scenes with one part left out at a time, audited.

    python benchmarks/ablations.py
    python benchmarks/ablations.py --difficulty easy --scenes 2 --json

The scenes are rendered and run once in full. Every variant then runs on a copy of that workspace, so that only the
stages it changes are done again. Definitions of the figures: docs/protocols.md.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from statistics import median_high
from typing import Any

import click

from mcbench.body.model import load_body
from mcbench.cli.common import Output, common_options, table
from mcbench.fitting.keypoint_model import KeypointModel
from mcbench.workspace.workspace import CONFIG

FULL = "all of it"
#: What is left out, and the options of mcbench.toml that leave it out; {own} stands for the body's own keypoints.
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    FULL: {},
    "without calibration": {"fit": {"keypoint_model": "{own}"}},
    "without the second look": {"detect": {"second_look": False}},
    "without outlines": {"fit": {"outline_views": 0}},
    "without hands and faces": {"detect": {"parts": False}},
    # a thousandth: joints and shapes that no keypoint tells of need some, else there is no answer
    "without priors on pose": {"fit": {"pose_weight": 0.001, "limit_weight": 0.001}},
    "without the prior on shape": {"fit": {"shape_weight": 0.001}},
    "without robustness": {"fit": {"kernel": 1000.0}},
}
_COLUMNS = ("recall", "found", "wrong", "PVE* median", "p90", "all found", "PA", "scale %", "coverage90")


def mcbench(*words: object) -> str:
    """Run a command; returns what it printed. Scenes that are rejected are results."""
    command = [sys.executable, "-m", "mcbench.cli.main", *map(str, words)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        raise click.ClickException(done.stderr.strip())
    return done.stdout


def configured(workspace: Path, options: dict[str, dict[str, Any]], own: Path) -> None:
    """Append the options to a workspace's configuration."""
    lines = []
    for stage, values in options.items():
        lines.append(f"[{stage}]")
        for name, value in values.items():
            lines.append(f"{name} = {json.dumps(value.format(own=own) if isinstance(value, str) else value)}")
    with (workspace / CONFIG).open("a") as stream:
        stream.write("\n".join(["", *lines, ""]))


def own_keypoints(path: Path) -> Path:
    """Write the keypoint model of a body that nobody calibrated."""
    KeypointModel.default(load_body(), "blazepose33").save(path)
    return path


def run_variant(whole: Path, copy: Path, truth: Path, options: dict[str, dict[str, Any]], own: Path) -> dict[str, Any]:
    """Run a variant on a copy of a workspace; returns its audit."""
    shutil.copytree(whole, copy)
    configured(copy, options, own)
    counts = json.loads(mcbench("run", copy, "--quiet", "--json"))["counts"]
    if failed := [stage for stage, count in counts.items() if count["failed"]]:
        raise click.ClickException(f"{', '.join(failed)} failed: the older results would be audited")
    return dict(json.loads(mcbench("audit", copy, "--truth", truth, "--json")))


def figures(audit: dict[str, Any]) -> list[Any]:
    """A row of the table; "all found" is the median over all found people, whether accepted or not."""
    errors = [
        person["pve_scaled_mm"]
        for scene in audit["per_scene"]
        for person in scene["people"]
        if person["pve_scaled_mm"] is not None
    ]
    accepted = audit["pve_scaled_mm"] or {"median": None, "p90": None}
    return [
        audit["recall"],
        f"{audit['people_found']} of {audit['people_true']}",
        audit["accepted_wrong"],
        accepted["median"],
        accepted["p90"],
        median_high(errors) if errors else None,
        audit["pa_mpjpe_mm"],
        audit["scale_error_pct"],
        audit["coverage90"],
    ]


@click.command()
@click.option("--scenes", type=click.IntRange(1), default=12, show_default=True, help="Clips.")
@click.option("--frames", type=click.IntRange(3), default=48, show_default=True, help="Frames a clip.")
@click.option("--difficulty", default="standard", show_default=True, help="easy, standard or hard.")
@click.option("--seed", type=int, default=201, show_default=True, help="Seed of the clips.")
@click.option("--work", type=click.Path(path_type=Path), help="Keep clips and workspaces here, and use those there.")
@common_options
def main(output: Output, scenes: int, frames: int, difficulty: str, seed: int, work: Path | None) -> None:
    """Audit the chain on rendered scenes with one part left out at a time."""
    with tempfile.TemporaryDirectory() as scratch, nullcontext(work or Path(scratch)) as folder:
        options = ("--scenes", scenes, "--frames", frames, "--difficulty", difficulty, "--seed", seed, "--quiet")
        mcbench("synth", folder / "rendered", *options)
        whole, truth = folder / "workspace", folder / "rendered" / "truth"
        mcbench("import", folder / "rendered" / "clips", whole, "--quiet")
        mcbench("run", whole, "--quiet")
        own = own_keypoints(Path(scratch) / "own.npz")
        audits = {}
        for number, (name, changed) in enumerate(VARIANTS.items()):
            audits[name] = run_variant(whole, Path(scratch) / str(number), truth, changed, own)
            output.note(f"{name}: {figures(audits[name])}")
    title = f"{scenes} {difficulty} scenes, seed {seed}, {frames} frames; PVE* (pve_scaled) and PA(-MPJPE) in mm"
    rows = [[name, *figures(audit)] for name, audit in audits.items()]
    output.result({"title": title, "audits": audits}, table(title, "", *_COLUMNS, rows=rows))


if __name__ == "__main__":
    main()
