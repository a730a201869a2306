"""`mcbench audit`: fits against exact truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mcbench.cli.common import Output, common_options, counted, table
from mcbench.pipelines.audit import audit
from mcbench.workspace.workspace import Workspace

_OVERALL = (
    "recall",
    "good_accepted_share",
    "accepted_wrong",
    "pve_mm",
    "pve_scaled_mm",
    "pa_mpjpe_mm",
    "scale_error_pct",
    "camera_center_mm",
    "coverage90",
    "coverage90_absolute",
    "ellipsoid_mm",
    "scale_coverage90",
    "moved_mm",
    "seconds_fit_per_person",
)


@click.command("audit")
@click.argument("workspace", type=click.Path())
@click.option("--truth", type=click.Path(), required=True, help="Folder of truth files, as `mcbench synth` writes it.")
@common_options
def command(output: Output, workspace: str, truth: str) -> int:
    """Compare the fits in WORKSPACE with exact truth, where it is known.

    A scene is matched with truth by the name of its clip, else by that of the video it was taken from. Definitions:
    docs/protocols.md.

    \b
    Example:
      mcbench audit ws --truth demo/truth
    """
    opened = Workspace.open(workspace)
    with output.stage_progress("audit", 1) as (progress, _):
        document = audit(opened, Path(truth), progress)
    for scene in document["scenes_without_truth"]:
        output.note(f"{scene}: no truth of its name or of its video's, left out")
    for scene, message in document["scenes_with_unusable_truth"].items():
        output.problem(f"{scene}: left out, as its truth cannot be used: {message}")
    for row in document["per_scene"]:
        if row["message"]:
            output.problem(f"{row['scene']}: {row['message']}")
        if row["same_file"] is False:
            output.note(
                f"{row['scene']}: was not made from the file that its truth was written with. If that was encoded "
                "again, all is well; if it is another rendering of that name, its numbers mean nothing"
            )
    output.result(document, _scenes_table(document), "", _overall_table(document))
    return 0


def _scenes_table(document: dict[str, Any]) -> Any:
    rows = [
        [
            row["scene"],
            row["reason"] or row["status"],
            row["people_true"],
            row["people_accepted"],
            row["accepted_wrong"],
            *(
                None if value is None else round(value, 2)
                for value in (
                    (row["pve_scaled_mm"] or {}).get("median"),
                    row["pa_mpjpe_mm"],
                    row["camera_center_mm"],
                    row["scale_error_pct"],
                )
            ),
        ]
        for row in document["per_scene"]
    ]
    columns = ("true", "kept", "wrong", "PVE*", "PA", "cam", "scale%")
    title = f"{counted(document['scenes'], 'scene')}; PVE* (pve_scaled), PA(-MPJPE) and cam(eras): medians in mm"
    return table(title, "scene", "status", *columns, rows=rows)


def _overall_table(document: dict[str, Any]) -> Any:
    return table("all scenes", "quantity", "value", rows=[[key, describe(document[key])] for key in _OVERALL])


def describe(value: Any) -> str:
    """A number, or a dictionary of numbers, for people."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {describe(part)}" for name, part in value.items())
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
