"""`mcbench pseudo-label`: the experts' labels of images, videos and workspaces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mcbench.cli.common import Output, common_options, counted, table
from mcbench.cli.stage_command import settings_options
from mcbench.dope.people import KINDS
from mcbench.pipelines.pseudo_label import LabelSettings, pseudo_label


@click.command("pseudo-label")
@click.argument("sources", nargs=-1, required=True, type=click.Path(), metavar="SRC...")
@click.argument("out", type=click.Path())
@settings_options(LabelSettings)
@common_options
def command(output: Output, sources: tuple[str, ...], out: str, **options: Any) -> int:
    """Label the people in SRC... by the experts; tar shards go to the folder OUT, which train-dope reads.

    SRC is an image, a folder of images or videos, a video, or a workspace. In a workspace labels are compared with the
    accepted people of its fits, and repaired from them or dropped where they disagree. The format is described in
    docs/formats.md. A run that was stopped goes on where it was.

    \b
    Example:
      mcbench pseudo-label photos clip.mp4 ws labels --jobs 4
    """
    settings = LabelSettings(**{name: value for name, value in options.items() if value is not None})
    with output.stage_progress("pseudo-label", 1) as (progress, _):
        document = pseudo_label([Path(source) for source in sources], Path(out), settings, progress)
    for failure in document["failed"]:
        output.problem(f"{failure['source']}: {failure['message']}")
    counts = document["counts"]
    summary = f"{counted(counts['images'], 'image')}, {counts['people']} people: {out}"
    rows = [[kind, counts[kind], *document["against_fit"][kind].values()] for kind in KINDS]
    outcomes = [name.replace("_", " ") for name in document["against_fit"][KINDS[0]]]
    output.result(
        document,
        summary + (" (done before)" if document["cached"] else ""),
        table("labels, and what became of them against the fits", "part", "labels", *outcomes, rows=rows),
    )
    return 1 if document["failed"] else 0
