"""One command for one stage, its options made from the stage's settings."""

from __future__ import annotations

import os
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields
from typing import Any

import click

from mcbench.cli.common import Output, common_options, table
from mcbench.workspace.catalog import rebuild_catalog
from mcbench.workspace.executors import Executor, InProcess, LocalPool, RayCluster
from mcbench.workspace.runner import Outcome, RunReport, run_stages
from mcbench.workspace.stage import Stage
from mcbench.workspace.workspace import Workspace


def settings_options(settings: type[Any]) -> Callable[[Any], Any]:
    """Click options for the fields of a settings dataclass.

    A field's `metadata` may hold "help", "choices" and "hidden" (no option). Options not given are None, so that
    `Workspace.settings` can tell them from given ones.
    """
    hints = typing.get_type_hints(settings)

    def decorate(function: Any) -> Any:
        for f in reversed(fields(settings)):
            if f.metadata.get("hidden"):
                continue
            kind = hints[f.name]
            if isinstance(kind, types.UnionType):
                kind = next(t for t in typing.get_args(kind) if t is not type(None))
            default = None if f.default is MISSING else f.default
            flag = f.name.replace("_", "-")
            if kind is bool:
                default = flag if default else f"no-{flag}"
            shown = "" if default in ("", None) else f" [default: {default}]"
            text = f"{f.metadata.get('help', '')}{shown}".strip()
            if kind is bool:
                option = click.option(f"--{flag}/--no-{flag}", f.name, default=None, help=text)
            else:
                choices = f.metadata.get("choices")
                option = click.option(
                    f"--{flag}", f.name, type=click.Choice(choices) if choices else kind, default=None, help=text
                )
            function = option(function)
        return function

    return decorate


def executor_options(function: Any) -> Any:
    """--workers and --ray: where scenes are worked on."""
    function = click.option("--ray", metavar="ADDRESS", help="Run on a Ray cluster ('auto' for the running one).")(
        function
    )
    return click.option(
        "--workers", type=click.IntRange(1), default=None, help="Scenes worked on at a time. [default: number of cores]"
    )(function)


def run_on_scenes(
    output: Output,
    workspace: Workspace,
    stages: Sequence[tuple[Stage[Any], Any]],
    scene_ids: Sequence[str],
    workers: int | None,
    ray: str | None,
) -> RunReport:
    """Run stages on the scenes named (all when none is) with a progress bar, then rebuild the catalog."""
    scenes = [workspace.scene(i) for i in dict.fromkeys(scene_ids)] if scene_ids else workspace.scenes()
    workers = min(workers or len(os.sched_getaffinity(0)), max(1, len(scenes)))
    label = stages[0][0].name if len(stages) == 1 else "scenes"
    with output.stage_progress(label, len(scenes)) as (progress, advance):
        executor: Executor
        if ray is not None:
            executor = RayCluster(None if ray == "local" else ray)
        else:
            executor = InProcess(progress) if workers == 1 else LocalPool(workers, progress)

        def on_scene(outcomes: list[Outcome]) -> None:
            advance()
            told = False
            for outcome in outcomes:
                # a stage that is skipped follows from the one before it, unless that was not among those asked for
                if outcome.status in ("rejected", "failed") or (outcome.status == "skipped" and not told):
                    told = True
                    why = "" if outcome.status == "skipped" else f" ({outcome.reason})"
                    output.problem(f"{outcome.scene}: {outcome.stage} {outcome.status}{why}: {outcome.message}")

        report = run_stages(scenes, stages, executor=executor, on_scene=on_scene)
    try:
        rebuild_catalog(workspace)
    except OSError as error:  # an index for those who like SQL: no result is lost with it
        output.problem(f"{workspace.root}: catalog.sqlite could not be written: {error.strerror or error}")
    return report


def print_report(output: Output, report: RunReport) -> int:
    """Print the counts of a run; returns the exit status."""
    rows = []
    for stage, counts in report.counts().items():
        mine = [o for o in report.outcomes if o.stage == stage]
        rows.append([stage, *counts.values(), sum(o.cached for o in mine), round(sum(o.duration_s for o in mine), 1)])
    output.result(
        report.to_json(),
        table(None, "stage", "ok", "rejected", "failed", "skipped", "of these done before", "seconds", rows=rows)
        if rows
        else "nothing to do: the workspace has no scenes",
    )
    return report.exit_status


def stage_command(stage: Stage[Any], help: str) -> click.Command:
    """The command that runs one stage on the scenes of a workspace."""

    @click.command(stage.name, help=help)
    @click.argument("workspace", type=click.Path())
    @click.option("--scene", "scenes", multiple=True, metavar="ID", help="Only this scene; may be repeated.")
    @executor_options
    @settings_options(stage.settings)
    @common_options
    def command(
        output: Output, workspace: str, scenes: tuple[str, ...], workers: int | None, ray: str | None, **options: Any
    ) -> int:
        opened = Workspace.open(workspace)
        settings = opened.settings(stage.name, stage.settings, options)
        return print_report(output, run_on_scenes(output, opened, [(stage, settings)], scenes, workers, ray))

    return command
