"""`mcbench train-reader`: the network that reads people whose place is known, from nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from mcbench.cli.common import Output, common_options, table
from mcbench.cli.stage_command import settings_options
from mcbench.pipelines.train_reader import RECIPES, make_reader
from mcbench.reader.training import ReaderSettings


@click.command("train-reader")
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--recipe",
    type=click.Choice(list(RECIPES)),
    default="full",
    show_default=True,
    help="full: the network that comes along. toy: shows that it runs.",
)
@settings_options(ReaderSettings)
@click.option("--jobs", type=click.IntRange(1), default=None, help="Clips at a time. [default: number of cores]")
@common_options
def command(output: Output, out: Path, recipe: str, jobs: int | None, **options: Any) -> int:
    """Make the network that reads people whose place is known: render, train and score in the folder OUT.

    It is reader.pt there; `detect` uses the one that comes with mcbench. A run that was stopped goes on.

    \b
    Examples:
      mcbench train-reader out --recipe toy --steps 2
      mcbench train-reader out
    """
    settings = ReaderSettings(**{name: value for name, value in options.items() if value is not None})
    with output.stage_progress("train-reader", 1) as (progress, _):
        document = make_reader(out, settings, RECIPES[recipe], jobs or len(os.sched_getaffinity(0)), progress)
    names = ("people", "visible_right", "visible_sure", "hidden_sure", "sure_right", "median_off")
    rows = [[name, *(f"{scores[key]:g}" for key in names)] for name, scores in document["scored"].items()]
    head = ("scenes", "people", "right", "sure", "hidden, sure", "sure, right", "off, of stature")
    output.result(
        document,
        table("limb joints that can be seen, of people not learnt from", *head, rows=rows),
        f"{settings.steps} steps on {document['people']} people: {document['model']}",
    )
    return 0
