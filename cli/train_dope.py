"""`mcbench train-dope`: a whole-body network from labelled images."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from mcbench.cli.common import Output, common_options
from mcbench.cli.stage_command import settings_options
from mcbench.dope.training import Step, TrainSettings
from mcbench.pipelines.train_dope import train_dope


@click.command("train-dope")
@click.argument("labels", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Folder of the network and its checkpoints."
)
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint in the folder, if there is one.")
@settings_options(TrainSettings)
@common_options
def command(output: Output, labels: tuple[Path, ...], out: Path, resume: bool, **options: Any) -> int:
    """Train DOPE on the LABELS that pseudo-label writes; the network is model.pt in the folder --out.

    On several GPUs: torchrun --nproc-per-node 4 -m mcbench.cli.main train-dope …

    \b
    Examples:
      mcbench train-dope labels --out dope --backbone small --steps 2000 --seed 1
      mcbench train-dope labels --out dope --steps 2000 --seed 1 --resume
      mcbench train-dope labels --out plain --steps 2000 --seed 1 --no-distillation
    """
    settings = TrainSettings(**{name: value for name, value in options.items() if value is not None})
    with output.stage_progress("train", settings.steps) as (progress, advance):

        def on_step(step: Step) -> None:
            advance()
            progress(step.step, settings.steps, f"loss {step.terms['loss']:.3f}")

        summary = train_dope(labels, out, settings, resume, on_step)
    if int(os.environ.get("RANK", 0)):
        return 0  # one of several processes speaks
    output.result(
        summary,
        f"{summary['steps']} steps on {summary['images']} images, last loss {summary['loss']:.3f}, "
        f"{summary['images_per_second']:.1f} images/s: {summary['model']}",
    )
    return 0
