"""`mcbench run`: every stage on every scene."""

from __future__ import annotations

import click

from mcbench.cli.common import Output, common_options
from mcbench.cli.stage_command import executor_options, print_report, run_on_scenes
from mcbench.pipelines.chain import CHAIN
from mcbench.workspace.workspace import Workspace


@click.command("run")
@click.argument("workspace", type=click.Path())
@click.option("--scene", "scenes", multiple=True, metavar="ID", help="Only this scene; may be repeated.")
@executor_options
@common_options
def command(output: Output, workspace: str, scenes: tuple[str, ...], workers: int | None, ray: str | None) -> int:
    """Run all stages on the scenes of WORKSPACE: sfm, detect, fit, validate.

    What is done already is kept; a run that was stopped goes on where it was. Options of the stages are read from
    the workspace's mcbench.toml.

    \b
    Example:
      mcbench run ws
    """
    opened = Workspace.open(workspace)
    stages = [(stage, opened.settings(stage.name, stage.settings)) for stage in CHAIN]
    return print_report(output, run_on_scenes(output, opened, stages, scenes, workers, ray))
