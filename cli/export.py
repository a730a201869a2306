"""`mcbench export`: a benchmark from a workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mcbench.cli.common import Output, common_options, table
from mcbench.cli.stage_command import settings_options
from mcbench.pipelines.export import ExportSettings, export
from mcbench.workspace.workspace import Workspace


@click.command("export")
@click.argument("workspace", type=click.Path())
@click.argument("out", type=click.Path())
@settings_options(ExportSettings)
@common_options
def command(output: Output, workspace: str, out: str, **options: Any) -> int:
    """Write the accepted people of WORKSPACE as a benchmark into the folder OUT.

    An earlier benchmark in OUT is replaced. The format is described in docs/formats.md.

    \b
    Example:
      mcbench export ws benchmark --every 2
    """
    opened = Workspace.open(workspace)
    settings = opened.settings("export", ExportSettings, options)
    with output.stage_progress("export", 1) as (progress, _):
        manifest = export(opened, Path(out), settings, progress)
    for scene, why in manifest["left_out"].items():
        output.note(f"{scene}: left out ({why})")
    rows = [[s["id"], len(s["images"]), s["people"]] for s in manifest["scenes"]]
    document = {key: manifest[key] for key in ("format", "digest", "counts", "scenes", "left_out", "licence")}
    output.result({**document, "folder": out}, table(f"benchmark {out}", "scene", "images", "people", rows=rows))
    return 0
