"""`mcbench verify`: is every file of a workspace what its record says?"""

from __future__ import annotations

from dataclasses import asdict

import click

from mcbench.cli.common import Output, common_options, counted, table
from mcbench.workspace.integrity import verify_workspace
from mcbench.workspace.workspace import Workspace


@click.command("verify")
@click.argument("workspace", type=click.Path())
@common_options
def command(output: Output, workspace: str) -> int:
    """Compare every result in WORKSPACE with the digests in its record.

    \b
    Example:
      mcbench verify ws
    """
    checked, damage = verify_workspace(Workspace.open(workspace))
    document = {"checked": checked, "damage": [asdict(d) for d in damage]}
    rows = [[d.scene, d.stage, d.file, d.problem] for d in damage]
    verdict = f"{counted(checked, 'result')} checked: " + (
        f"{counted(len(damage), 'file')} not as recorded" if damage else "all whole"
    )
    hint = ["delete the stage's folder and run again to have it made anew (a source: import or download it again)"]
    output.result(
        document, verdict, *([table(None, "scene", "stage", "file", "problem", rows=rows), *hint] if rows else [])
    )
    return int(bool(damage))
