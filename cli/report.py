"""`mcbench report`: a workspace as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mcbench.cli.common import Output, common_options, table
from mcbench.cli.stage_command import settings_options
from mcbench.pipelines.report import ReportSettings, report
from mcbench.workspace.workspace import Workspace


@click.command("report")
@click.argument("workspace", type=click.Path())
@click.option("-o", "--out", type=click.Path(), default="report.html", show_default=True, help="The file to write.")
@click.option("--truth", type=click.Path(), help="Folder of truth files: adds the audit against them.")
@click.option("--evaluation", type=click.Path(), help="Folder that `mcbench evaluate --out` wrote: adds its scores.")
@click.option("--whole-bodies", type=click.Path(), help="Folder that `mcbench eval-dope --out` wrote: adds its scores.")
@settings_options(ReportSettings)
@common_options
def command(
    output: Output,
    workspace: str,
    out: str,
    truth: str | None,
    evaluation: str | None,
    whole_bodies: str | None,
    **options: Any,
) -> int:
    """Write a report of WORKSPACE: what was done, the people found, pictures and error bars.

    The report is one HTML file that needs nothing else; an earlier report is replaced.

    \b
    Example:
      mcbench report ws --truth demo/truth --evaluation evaluation -o report.html
    """
    opened = Workspace.open(workspace)
    settings = opened.settings("report", ReportSettings, options)
    with output.stage_progress("report", 1) as (progress, _):
        document = report(
            opened,
            Path(out),
            settings,
            truth=None if truth is None else Path(truth),
            evaluation=None if evaluation is None else Path(evaluation),
            whole_bodies=None if whole_bodies is None else Path(whole_bodies),
            progress=progress,
        )
    for scene in document["scenes"]:
        for note in scene["notes"]:
            output.note(f"{scene['scene']}: {note}")
    rows = [[s["scene"], s["status_text"], s["people_found"], s["people_accepted"]] for s in document["scenes"]]
    title = f"{out} ({document['bytes'] / 1e6:.1f} MB)"
    output.result(document, table(title, "scene", "status", "found", "accepted", rows=rows))
    return 0
