"""`mcbench distil`: from nothing, or from photos, to a trained and measured whole-body network."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import click

from mcbench.cli.common import Output, common_options, counted, table
from mcbench.cli.eval_dope import tables
from mcbench.pipelines.distil import RECIPES, distil


@click.command("distil")
@click.argument("out", type=click.Path(path_type=Path))
@click.argument("photos", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--recipe",
    type=click.Choice(list(RECIPES)),
    default="small",
    show_default=True,
    help="small: the network that comes along. short: some minutes of training. sets: for --pairs, sets of images that "
    "have labels of one kind of part alone; an hour and a half. toy: shows that it runs.",
)
@click.option("--steps", type=click.IntRange(1), help="Steps of one training. [default: the recipe's, or two]")
@click.option(
    "--pairs",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Compare with and without distillation: train networks of both kinds, of so many seeds.",
)
@click.option("--jobs", type=click.IntRange(1), default=None, help="Clips at a time. [default: number of cores]")
@common_options
def command(
    output: Output, out: Path, photos: tuple[Path, ...], recipe: str, steps: int | None, pairs: int, jobs: int | None
) -> int:
    """Make a whole-body network in the folder OUT: render, label, train, export and evaluate, by a recipe.

    It learns from rendered scenes, labelled by their truth, and from PHOTOS, labelled by the experts, if there are any;
    it is scored on rendered scenes of other seeds. A run that was stopped goes on.

    \b
    Examples:
      mcbench distil out --recipe toy
      mcbench distil out photos
      mcbench distil out --recipe toy --steps 100 --pairs 3
      mcbench distil out --recipe sets --pairs 3
    """
    made = RECIPES[recipe]
    if steps is not None:
        common = None if made.common is None else replace(made.common, steps=steps)
        made = replace(made, training=replace(made.training, steps=steps), common=common, further=None)
    with output.stage_progress("distil", 1) as (progress, _):
        document = distil(out, photos, made, pairs, jobs or len(os.sched_getaffinity(0)), progress)
    trained = document["training"]["student"]
    shown = [
        *tables(document["evaluation"]),
        f"{trained['steps']} steps on {trained['images']} images, last loss {trained['loss']:.3f}: {trained['model']}",
    ]
    if document["distillation"] is not None:
        rows = [
            [kind, number, *(_number(one[key]) for key in ("with", "without", "lower_by"))]
            for kind, numbers in document["distillation"].items()
            for number, one in numbers.items()
        ]
        title = f"distillation, on images like those without labels of the part; means of {counted(pairs, 'seed')}"
        shown += ["", table(title, "part", "number", "with", "without", "lower by", rows=rows)]
    shown += [f"not used: {row['source']}: {row['message']}" for row in document["failed"]]
    output.result(document, *shown)
    return 1 if document["failed"] else 0


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
