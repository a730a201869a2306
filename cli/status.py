"""`mcbench status`: what is done in a workspace, and why not the rest."""

from __future__ import annotations

from collections import Counter

import click

from mcbench.cli.common import Output, common_options, counted, table
from mcbench.pipelines.chain import CHAIN
from mcbench.workspace.runner import scene_states
from mcbench.workspace.workspace import Workspace


@click.command("status")
@click.argument("workspace", type=click.Path())
@click.option("--why", is_flag=True, help="Tell for every scene that is not ok which stage ended it, and the reason.")
@common_options
def command(output: Output, workspace: str, why: bool) -> int:
    """Show what is done in WORKSPACE.

    \b
    Example:
      mcbench status ws --why
    """
    opened = Workspace.open(workspace)
    stages = ["source", *(stage.name for stage in CHAIN)]
    states = scene_states(opened, stages)
    counts = {s: dict(Counter(row["stages"][s]["status"] for row in states)) for s in stages}
    kinds = ("ok", "rejected", "failed", "stale", "missing")
    overview = table(
        counted(len(states), "scene"),
        "stage",
        *kinds,
        rows=[[s, *(counts[s].get(k, 0) for k in kinds)] for s in stages],
    )
    people: list[object] = [overview]
    if why:
        rows = []
        for row in states:
            first = next(((s, v) for s, v in row["stages"].items() if v["status"] != "ok"), None)
            if first:
                rows.append([row["scene"], first[0], first[1]["status"], first[1]["reason"], first[1]["message"]])
        people += [
            "",
            table("not ok", "scene", "stage", "status", "reason", "message", rows=rows) if rows else "all ok",
        ]
    output.result({"scenes": states, "counts": counts}, *people)
    return 0
