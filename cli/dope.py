"""`mcbench dope`: whole-body people in images and videos."""

from __future__ import annotations

from pathlib import Path

import click

from mcbench.cli.common import Output, common_options, counted, table
from mcbench.dataset.webcam import Webcam
from mcbench.dope.checkpoint import shipped_weights
from mcbench.dope.detector import DopeDetector
from mcbench.dope.engines import ENGINES, open_engine
from mcbench.pipelines.dope import PEOPLE, dope


@click.command("dope")
@click.argument("src")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Folder for people.json, overlays and a 3D view."
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    help="A network: model.pt, a public checkpoint, or a graph (.onnx). [default: the one that comes with mcbench]",
)
@click.option("--engine", type=click.Choice(ENGINES), default="auto", show_default=True, help="What runs the network.")
@click.option("--threads", type=click.IntRange(0), default=0, help="Threads of ONNX Runtime. [default: one a core]")
@click.option("--min-score", type=click.FloatRange(0, 1), default=0.2, show_default=True, help="Leave out parts below.")
@click.option(
    "--draw", type=click.IntRange(0), default=1280, show_default=True, help="Overlays' longest side; 0: none."
)
@click.option(
    "--frames", type=click.IntRange(0), default=0, help="Of a camera: end after so many. [default: at Ctrl-C]"
)
@common_options
def command(
    output: Output,
    src: str,
    out: Path,
    weights: Path | None,
    engine: str,
    threads: int,
    min_score: float,
    draw: int,
    frames: int,
) -> int:
    """Find bodies, hands and faces in SRC: an image, a video, a folder of them, or a camera by its number.

    \b
    Examples:
      mcbench dope photo.jpg --out found
      mcbench dope clips --out found --weights dope/model.pt --json
      mcbench dope 0 --out found --frames 100
    """
    camera = src.isdecimal() and not Path(src).exists()
    pictures = Webcam(int(src), frames) if camera else Path(src)
    detector = DopeDetector(open_engine(weights or shipped_weights(), engine, threads), min_score)
    with output.stage_progress("dope", 1) as (progress, _):
        document = dope(pictures, out, detector, draw, progress)
    for failure in document["failed"]:
        output.problem(failure["message"])
    if document.get("kept"):
        output.problem(f"{out / PEOPLE}: left as it was: no image could be read")
    rows = [
        [image["file"], len(image["people"]), *(sum(p[part] is not None for p in image["people"]) for part in _COUNTED)]
        for image in document["images"][:_SHOWN]
    ]
    output.result(
        document,
        table(None, "image", "people", *_COUNTED, rows=rows),
        f"{counted(len(document['images']), 'image')}, {document['engine']}: {out / PEOPLE}",
    )
    return 1 if document["failed"] else 0


_COUNTED = ("body", "left_hand", "right_hand", "face")
_SHOWN = 40
