"""`mcbench import`: videos and photos become scenes."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from mcbench.cli.common import SOME_FAILED, Output, common_options, table
from mcbench.dataset.keypoints_import import FORMATS
from mcbench.dataset.known_cameras import UP_AXES
from mcbench.dataset.video import FrameSelection
from mcbench.pipelines.import_source import ImportOutcome, ImportSettings, import_counts, import_source
from mcbench.workspace.catalog import rebuild_catalog
from mcbench.workspace.workspace import Workspace


@click.command("import")
@click.argument("src", type=click.Path(path_type=Path))
@click.argument("workspace", type=click.Path(path_type=Path))
@click.option("--name", help="Name of the scene; SRC must be one scene.")
@click.option("--start", type=float, metavar="SECONDS", help="Skip what comes before, counted from the first frame.")
@click.option("--end", type=float, metavar="SECONDS", help="Stop here, counted from the first frame.")
@click.option("--every", type=click.IntRange(1), default=1, show_default=True, help="Use each N-th frame.")
@click.option("--max-frames", type=click.IntRange(0), default=FrameSelection.max_frames, show_default=True,
              help="Thin longer scenes evenly to N frames; 0: no limit.")  # fmt: skip
@click.option("--salvage", is_flag=True, help="Use what is readable of damaged videos and folders of photos.")
@click.option("--link", is_flag=True, help="Hard-link the media instead of copying them.")
@click.option("--cameras", type=click.Path(path_type=Path), metavar="MODEL",
              help="Folder of a COLMAP model (text or binary) with the frames' cameras.")  # fmt: skip
@click.option("--cameras-units", type=click.Choice(["metre", "unknown"]), default="unknown", show_default=True,
              help="Units of the model; with 'metre' the scale is taken from it.")  # fmt: skip
@click.option("--up", type=click.Choice(list(UP_AXES)), help="The model's axis that points against gravity.")
@click.option("--keypoints", type=click.Path(path_type=Path), multiple=True, metavar="PATH",
              help="Folder of keypoint files, or a file (may be repeated): used instead of detections.")  # fmt: skip
@click.option("--keypoints-format", type=click.Choice(list(FORMATS)), help="Told from the files where they tell it.")
@common_options
def command(
    output: Output,
    src: Path,
    workspace: Path,
    start: float | None,
    end: float | None,
    every: int,
    max_frames: int,
    **options: Any,
) -> int:
    """Import SRC into WORKSPACE, which is made if need be.

    SRC is a video, a folder of videos (a scene each), or a folder of photos or frames (one scene, in natural order
    of their names; folders called `images` or `frames` give the scene their parent's name). What was imported before
    and has not changed is left as it is.

    \b
    Examples:
      mcbench import holiday.mp4 ws --start 2 --end 8
      mcbench import clips/ ws
      mcbench import rig/images ws --cameras rig/model --cameras-units metre --up z \\
          --keypoints rig/openpose --keypoints-format openpose_body25
    """
    settings = ImportSettings(selection=FrameSelection(start, end, every, max_frames), **options)
    with output.stage_progress("import", 1) as (progress, advance):

        def report(outcome: ImportOutcome, total: int) -> None:
            for note in outcome.notes:
                output.note(f"{outcome.scene}: {note}")
            if outcome.status == "failed":
                output.problem(f"error: {outcome.message}")

        outcomes = import_source(src, workspace, settings, progress, report)
        advance()
    counts = import_counts(outcomes)
    if counts["total"] > counts["failed"]:
        rebuild_catalog(Workspace.open(workspace))
    rows = [[o.source, o.status, o.scene, o.frames, o.reason] for o in outcomes]
    document = {"workspace": str(workspace), "counts": counts, "sources": [asdict(o) for o in outcomes]}
    output.result(
        document,
        table(None, "source", "status", "scene", "frames", "reason", rows=rows),
        ", ".join(f"{n} {status}" for status, n in counts.items() if status != "total" and n)
        + f" of {counts['total']}",
    )
    return SOME_FAILED if counts["failed"] else 0
