"""`mcbench eval-dope`: whole-body people of several methods against truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mcbench.cli.common import Output, common_options, counted, table
from mcbench.cli.stage_command import settings_options
from mcbench.pipelines.dope_methods import EXPERTS, method
from mcbench.pipelines.eval_dope import EvalDopeSettings, eval_dope

#: Columns of the table: name there, key, decimals, and whether it is a share shown in per cent.
_COLUMNS = (
    ("true", "true", 0, False),
    ("recall", "recall", 1, True),
    ("prec.", "precision", 1, True),
    ("AP", "ap", 1, True),
    ("PCK", "pck", 1, True),
    ("2D err", "error_2d", 1, True),
    ("MPJPE", "mpjpe_mm", 0, False),
    ("PA", "pa_mpjpe_mm", 0, False),
    ("AUC", "auc", 1, True),
)


@click.command("eval-dope")
@click.argument("data", nargs=-1, required=True, type=click.Path())
@click.option(
    "--method",
    "methods",
    multiple=True,
    default=(EXPERTS,),
    show_default=True,
    metavar="[NAME=]METHOD",
    help="experts, shipped (the network that comes along), a network (.pt, .onnx), or a .json file of people as "
    "`mcbench dope` writes it; repeat to compare.",
)
@click.option("--truth", type=click.Path(), help="Folder of the clips' truth, where it is not beside them.")
@click.option("--out", type=click.Path(), help="Folder for evaluation.json and every method's predictions.")
@settings_options(EvalDopeSettings)
@common_options
def command(
    output: Output, data: tuple[str, ...], methods: tuple[str, ...], truth: str | None, out: str | None, **options: Any
) -> int:
    """Score whole-body people on DATA: bodies, hands and faces, in 2D and 3D.

    DATA is a folder of rendered clips with truth, as `mcbench synth` writes it, a COCO-WholeBody annotation file with
    its images beside it, or a folder of labels made by pseudo-label. Definitions: docs/protocols.md.

    \b
    Example:
      mcbench eval-dope demo --method experts --method student=dope/model.pt
    """
    settings = EvalDopeSettings(**{name: value for name, value in options.items() if value is not None})
    with output.stage_progress("eval-dope", 1) as (progress, _):
        document = eval_dope(
            [Path(source) for source in data],
            [method(text) for text in methods],
            settings,
            truth=None if truth is None else Path(truth),
            out=None if out is None else Path(out),
            progress=progress,
        )
    output.result(document, *tables(document))
    return 0


def tables(document: dict[str, Any]) -> tuple[Any, ...]:
    """What an evaluation is shown as."""
    rows = [
        [row["name"], kind, *(_shown(row[kind].get(key), decimals, percent) for _, key, decimals, percent in _COLUMNS)]
        for kind in ("body", "hand", "face")
        for row in document["methods"]
    ]
    whole = [
        [row["name"], _shown(row["whole_body_ap"], 1, True), _shown(row["hand"]["side_accuracy"], 1, True),
         _shown(row["seconds_per_image"], 3, False)]
        for row in document["methods"]
    ]  # fmt: skip
    title = f"{counted(document['images'], 'image')}; shares in %, errors in 3D in mm, 2D errors in % of the diagonal"
    notes = [
        f"{row['name']} says nothing of {counted(row['unknown_images'], 'image')}: nobody is in them"
        for row in document["methods"]
        if row.get("unknown_images")
    ]
    return (
        table(title, "method", "part", *(name for name, *_ in _COLUMNS), rows=rows),
        "",
        table(None, "method", "whole-body AP", "side of hands", "s an image", rows=whole),
        *notes,
    )


def _shown(value: float | None, decimals: int, percent: bool) -> str:
    if value is None:
        return "-"
    return f"{100 * value if percent else value:.{decimals}f}"
