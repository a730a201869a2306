"""`mcbench evaluate`: scores of predictions on a benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mcbench.cli.common import Output, common_options, table
from mcbench.dataset.benchmark import Benchmark
from mcbench.metrics.protocols import PROTOCOLS, protocol
from mcbench.pipelines.evaluate import evaluate

COLUMNS = {
    "mpjpe_mm": "MPJPE",
    "pa_mpjpe_mm": "PA-MPJPE",
    "pve_mm": "PVE",
    "pa_pve_mm": "PA-PVE",
    "recall": "recall",
}


@click.command("evaluate")
@click.argument("benchmark", type=click.Path())
@click.argument("predictions", nargs=-1, required=True, type=click.Path())
@click.option(
    "--protocol",
    "protocol_name",
    default="mcbench",
    show_default=True,
    metavar="NAME",
    help=f"Scoring protocol: {', '.join(PROTOCOLS)}; see docs/protocols.md.",
)
@click.option("--out", type=click.Path(), help="Folder for evaluation.json and items.csv.")
@click.option("--body", type=click.Path(), help="Body model file of SMPL parameters in the predictions.")
@common_options
def command(
    output: Output, benchmark: str, predictions: tuple[str, ...], protocol_name: str, out: str | None, body: str | None
) -> int:
    """Score the folders PREDICTIONS on BENCHMARK.

    Errors are means over the people found, in millimetres; recall tells how many were. In brackets: 90 % intervals
    from a bootstrap over people.

    \b
    Example:
      mcbench evaluate benchmark predictions/* --protocol mcbench --out evaluation
    """
    opened = Benchmark.load(benchmark)
    chosen = protocol(protocol_name)
    with output.stage_progress("evaluate", 1) as (progress, _):
        document = evaluate(
            opened,
            [Path(p) for p in predictions],
            chosen,
            body_path=None if body is None else Path(body),
            out=None if out is None else Path(out),
            progress=progress,
        )
    rows = [[m["name"], m["items"], *(_with_interval(m, key) for key in COLUMNS)] for m in document["methods"]]
    title = f"protocol {chosen.name}: {chosen.description}"
    output.result(document, table(title, "method", "items", *COLUMNS.values(), rows=rows))
    return 0


def _with_interval(method: dict[str, Any], key: str) -> str | tuple[str, str]:
    value, interval = method[key], method[f"{key}_interval90"]
    if value is None:
        return "-"
    digits, bound_digits = (2, 2) if key == "recall" else (1, 0)
    text = f"{value:.{digits}f}"
    # under the value: side by side, the columns need more than a terminal's 80
    return text if interval is None else (text, f"({interval[0]:.{bound_digits}f}-{interval[1]:.{bound_digits}f})")
