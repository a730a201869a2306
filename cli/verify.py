"""`mcbench verify`: is every file of a workspace or a benchmark what its record says?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from mcbench.cli.common import Output, common_options, counted, table
from mcbench.dataset.benchmark import MANIFEST, Benchmark
from mcbench.workspace.integrity import verify_workspace
from mcbench.workspace.workspace import Workspace


@click.command("verify")
@click.argument("folder", type=click.Path())
@common_options
def command(output: Output, folder: str) -> int:
    """Compare every result in a workspace, or every file of a benchmark, with the recorded digests.

    \b
    Examples:
      mcbench verify ws
      mcbench verify benchmark
    """
    if (Path(folder) / MANIFEST).is_file():
        return _verify_benchmark(output, Benchmark.load(folder))
    checked, damage = verify_workspace(Workspace.open(folder))
    rows = [[d.scene, d.stage, d.file, d.problem] for d in damage]
    return _tell(
        output,
        {"checked": checked, "damage": [asdict(d) for d in damage]},
        counted(checked, "result"),
        table(None, "scene", "stage", "file", "problem", rows=rows),
        "delete the stage's folder and run again to have it made anew (a source: import or download it again)",
    )


def _verify_benchmark(output: Output, benchmark: Benchmark) -> int:
    damage, strangers = benchmark.damaged(), benchmark.strangers()
    for name in strangers:
        output.note(f"{name}: is no part of the benchmark")
    return _tell(
        output,
        {"checked": len(benchmark.manifest["files"]), "damage": damage, "strangers": strangers},
        counted(len(benchmark.manifest["files"]), "file"),
        table(None, "file", rows=[[name] for name in damage]),
        "export or fetch the benchmark again",
    )


def _tell(output: Output, document: dict[str, Any], checked: str, rows: Any, advice: str) -> int:
    damaged = len(document["damage"])
    verdict = f"{checked} checked: " + (f"{counted(damaged, 'file')} not as recorded" if damaged else "all whole")
    output.result(document, verdict, *([rows, advice] if damaged else []))
    return int(bool(damaged))
