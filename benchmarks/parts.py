"""Hands that `detect` reads in rendered scenes, against their truth: where bodies have them, and checked in space.

    python benchmarks/parts.py
    python benchmarks/parts.py --scenes 1 --frames 12 --json

People are found with the true cameras, then their hands and faces are read with and without these cameras. A hand
counts in every frame in which it is visible and its person was detected; its error is the median over its 21 points.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np

from mcbench.cameras.camera import Array, Camera
from mcbench.cameras.triangulation import reprojection, triangulate
from mcbench.cameras.views import Views
from mcbench.cli.common import Output, common_options, table
from mcbench.dataset.cameras_file import FrameCamera, SceneCameras
from mcbench.dataset.source import Source
from mcbench.dataset.truth import SceneTruth
from mcbench.experts.body import BlazePoseDetector
from mcbench.experts.holistic import PARTS, PartReader
from mcbench.joints import mapping
from mcbench.pipelines.detect import DetectSettings, find_people
from mcbench.pipelines.import_source import ImportSettings, import_source
from mcbench.pipelines.looking import People
from mcbench.pipelines.part_looks import look_for_parts
from mcbench.workspace.stage import StageContext
from mcbench.workspace.workspace import Workspace

BODIES, ALONE, CHECKED = "bodies alone", "hands and faces of bodies", "the same, checked in space"
#: Longer side of a visible hand's box, px.
BANDS = ((15, 25), (25, 40), (40, 10_000))
#: A detection is a true person's if their joints lie this near, as a share of the box; a reading is good, or wrong, if
#: it lies nearer, or farther, than this, as a share of the hand's size.
_SAME, _GOOD, _WRONG = 0.06, 0.15, 0.3
_SIGMA = 0.15
_COLUMNS = (*(f"{low} px+: {what}" for low, _ in BANDS for what in ("n", "good", "wrong")), "px", "3D mm", "s a frame")


@dataclass
class Figures:
    """What a variant read.

    Attributes
    ----------
    seconds : of processor time, of every scene's frames.
    errors : of the visible hands of each of `BANDS`, a share of the hand's size; NaN where it was not read.
    pixels : the same in px, of all hands that were read.
    in_space : mm, for every hand of at least 25 px that was read in 5 frames or more, median over its points.
    """

    seconds: float = 0.0
    errors: tuple[list[float], ...] = field(default_factory=lambda: tuple([] for _ in BANDS))
    pixels: list[float] = field(default_factory=list)
    in_space: list[float] = field(default_factory=list)

    def row(self, frames: int) -> list[Any]:
        cells: list[Any] = []
        for errors in map(np.array, self.errors):
            shares = [float(np.mean(errors < _GOOD)), float(np.mean(errors > _WRONG))] if len(errors) else [None, None]
            cells += [len(errors), *(share and round(share, 3) for share in shares)]
        medians = [round(float(np.median(v)), 1) if v else None for v in (self.pixels, self.in_space)]
        return [*cells, *medians, round(self.seconds / frames, 3)]


def scenes(folder: Path, words: tuple[object, ...]) -> Iterator[tuple[Source, SceneTruth]]:
    """Rendered scenes and their truth, rendered unless they are there."""
    command = [sys.executable, "-m", "mcbench.cli.main", "synth", str(folder / "rendered"), *map(str, words)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    import_source(folder / "rendered" / "clips", folder / "workspace", ImportSettings())
    for scene in Workspace.open(folder / "workspace").scenes():
        yield (
            Source.load(scene.stage_folder("source")),
            SceneTruth.load(folder / "rendered" / "truth" / f"{Path(scene.name).stem}.json"),
        )


def true_views(source: Source, truth: SceneTruth) -> Views:
    frames = []
    for frame in source.frames:
        K = truth.K[source.decode_index[frame.index]]
        lens = Camera("PINHOLE", *truth.image_size, (K[0, 0], K[1, 1], K[0, 2], K[1, 2]))
        frames.append(FrameCamera(frame.index, frame.name, lens, truth.cam_from_world[frame.index]))
    return Views.from_cameras(SceneCameras(frames, "metre"))


def measure(figures: Figures, people: People, truth: SceneTruth, views: Views) -> None:
    """Add a scene's hands to the figures."""
    mine, others = np.array(mapping("smpl24", BlazePoseDetector.keypoint_set)).T
    for person, joints in enumerate(truth.joints):
        found = []
        for frame, projection in enumerate(views.projection):
            expected = reprojection(projection[None], joints)[0, mine]
            off = [
                float(np.median(np.linalg.norm(p.keypoints[others] - expected, axis=1))) / float(np.ptp(p.box[1::2]))
                for p in people[frame]
            ]
            if off and min(off) < _SAME:
                found.append((frame, people[frame][int(np.argmin(off))]))
        for side, name in enumerate(("left_hand", "right_hand")):
            where = PARTS[name]
            readings = [(f, p.keypoints[where], p.keypoint_score[where]) for f, p in found]
            _measure_hand(figures, readings, truth.hands[person, side], truth.hands_px[:, person, side], views)


def _measure_hand(
    figures: Figures, readings: list[tuple[int, Array, Array]], hand: Array, size_px: Array, views: Views
) -> None:
    used = []
    for frame, keypoints, score in readings:
        true = reprojection(views.projection[frame][None], hand)[0]
        size = float(np.ptp(true, axis=0).max())
        off = float(np.median(np.linalg.norm(keypoints - true, axis=1)))
        for (low, high), errors in zip(BANDS, figures.errors, strict=True):
            if low <= size_px[frame] < high:
                errors.append(off / size)
        if np.isfinite(off):
            figures.pixels.append(off)
            used.append((frame, keypoints, score, _SIGMA * size))
    if len(used) >= 5 and np.nanmax(size_px) >= BANDS[1][0]:
        frames, keypoints_of, scores, sigma = map(np.array, zip(*used, strict=True))
        points = triangulate(views.projection[frames], keypoints_of, scores, sigma).points
        figures.in_space.append(1e3 * float(np.nanmedian(np.linalg.norm(points - hand, axis=1))))


@click.command()
@click.option("--scenes", "count", type=click.IntRange(1), default=6, show_default=True, help="Clips.")
@click.option("--frames", type=click.IntRange(3), default=48, show_default=True, help="Frames a clip.")
@click.option("--difficulty", default="standard", show_default=True, help="easy, standard or hard.")
@click.option("--seed", type=int, default=201, show_default=True, help="Seed of the clips.")
@click.option("--work", type=click.Path(path_type=Path), help="Keep clips and workspace here, and use those there.")
@common_options
def main(output: Output, count: int, frames: int, difficulty: str, seed: int, work: Path | None) -> None:
    """Read hands in rendered scenes, and compare them with their truth."""
    words = ("--scenes", count, "--frames", frames, "--difficulty", difficulty, "--seed", seed, "--quiet")
    figures = {name: Figures() for name in (BODIES, ALONE, CHECKED)}
    detector, reader = BlazePoseDetector(), PartReader()
    nowhere = Views.from_cameras(SceneCameras([]))
    with tempfile.TemporaryDirectory() as scratch, nullcontext(work or Path(scratch)) as folder:
        for source, truth in scenes(folder, words):
            views, every = true_views(source, truth), range(len(source.frames))
            start = time.process_time()
            context = StageContext(source.name, {}, folder, DetectSettings(parts=False))
            bodies = find_people(context, source, every, detector, views)
            figures[BODIES].seconds += time.process_time() - start
            for name, cameras in ((ALONE, nowhere), (CHECKED, views)):
                start = time.process_time()
                people = look_for_parts(bodies, cameras, source, detector, reader, lambda label: None)
                figures[name].seconds += time.process_time() - start
                measure(figures[name], people, truth, views)
            output.note(f"{source.name}: {sum(map(len, bodies.values()))} bodies")
    rows = [[name, *figure.row(count * frames)] for name, figure in figures.items()]
    title = f"{count} {difficulty} scenes, seed {seed}, {frames} frames; hands within {_GOOD:g} of their size are good"
    output.result({"title": title, "columns": _COLUMNS, "rows": rows}, table(title, "", *_COLUMNS, rows=rows))


if __name__ == "__main__":
    main()
