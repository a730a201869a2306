"""`mcbench synth`: rendered mannequin clips with exact truth."""

from __future__ import annotations

import os
import re
from pathlib import Path

import click

from mcbench.cli.common import Output, common_options, table
from mcbench.pipelines.synth import SynthSettings, jobs_of, synth
from mcbench.synth.difficulty import DIFFICULTIES
from mcbench.synth.scene import PLANTS
from mcbench.workspace.executors import Executor, InProcess, LocalPool


class _Size(click.ParamType):
    name = "WxH"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"(\d+)x(\d+)", str(value))
        if found is None:
            self.fail(f"{value!r} is not WIDTHxHEIGHT, as in 960x540", param, ctx)
        return int(found[1]), int(found[2])


@click.command("synth")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--scenes", type=click.IntRange(0), default=SynthSettings.scenes, show_default=True, help="Clips.")
@click.option("--people", type=click.IntRange(0, 30), default=None, help="Exactly so many. [default: as drawn]")
@click.option("--frames", type=click.IntRange(2), default=SynthSettings.frames, show_default=True, help="Each clip's.")
@click.option("--size", type=_Size(), default="960x540", show_default=True, help="Width and height, px.")
@click.option(
    "--fps", type=click.IntRange(1, 240), default=SynthSettings.fps, show_default=True, help="Frames a second."
)
@click.option(
    "--seed", type=click.IntRange(0), default=SynthSettings.seed, show_default=True, help="Of all that is drawn."
)
@click.option(
    "--difficulty",
    type=click.Choice(list(DIFFICULTIES)),
    default=SynthSettings.difficulty,
    show_default=True,
    help="How people stand, what hides them, what the picture suffers.",
)
@click.option(
    "--plant", "plants", multiple=True, metavar="NAME", help=f"Add a clip with a planted failure: {', '.join(PLANTS)}."
)
@click.option("--workers", type=click.IntRange(1), default=None, help="Clips at a time. [default: number of cores]")
@common_options
def command(output: Output, folder: Path, workers: int | None, **options: object) -> int:
    """Render clips of people holding still into DIR/clips, and their exact truth into DIR/truth.

    What is there already and whole is not rendered again. Nothing but `audit` and learning reads the truth.

    \b
    Examples:
      mcbench synth demo --scenes 2 --people 3 --seed 1
      mcbench synth demo --scenes 4 --difficulty standard --plant moving_person --plant cut
    """
    settings = SynthSettings(**options)  # type: ignore[arg-type]
    settings.check()
    jobs = jobs_of(folder, settings)
    workers = min(workers or len(os.sched_getaffinity(0)), max(1, len(jobs)))
    with output.stage_progress("clips", len(jobs)) as (progress, advance):
        executor: Executor = InProcess(progress) if workers == 1 else LocalPool(workers, progress)
        summary = synth(folder, settings, executor, advance)
    rows = [[c["clip"], c["planted"], c["people"]] for c in summary["clips"]]
    output.result(
        {**summary, "folder": str(folder)},
        table(None, "clip", "planted", "people", rows=rows),
        f"{len(rows)} clips in {folder / 'clips'} ({summary['rendered_now']} rendered now)",
        f"their truth is in {folder / 'truth'}",
    )
    return 0
