"""`mcbench predict`: baselines on a benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mcbench.cli.common import Output, common_options
from mcbench.cli.stage_command import settings_options
from mcbench.dataset.benchmark import Benchmark
from mcbench.pipelines.predict import PredictSettings, predict


@click.command("predict")
@click.argument("benchmark", type=click.Path())
@click.argument("out", type=click.Path())
@settings_options(PredictSettings)
@common_options
def command(output: Output, benchmark: str, out: str, **options: Any) -> int:
    """Run a baseline on the images of BENCHMARK; predictions go to the folder OUT.

    Baselines see the images alone, no cameras and no people. The format is described in docs/formats.md.

    \b
    Example:
      mcbench predict benchmark predictions/single_image --method single_image
    """
    opened = Benchmark.load(benchmark)
    settings = PredictSettings(**{name: value for name, value in options.items() if value is not None})
    with output.stage_progress("predict", 1) as (progress, _):
        document = predict(opened, Path(out), settings, progress)
    output.result(
        document,
        f"{document['people']} people in {document['images']} images: {out}"
        + (" (done before)" if document["cached"] else ""),
    )
    return 0
