"""`mcbench sfm` beside COLMAP's defaults on rendered clips, in one run on one machine.

    python benchmarks/sfm.py
    python benchmarks/sfm.py --seeds 1 --frames 48 --json

Ours: the stage `sfm` as `mcbench sfm` runs it, from the video to a pose of every frame; decoding is part of its time.
COLMAP: `pycolmap` with its default options on all frames (SIFT, sequential matching, incremental mapping), one camera
for the clip, largest model; writing the frames as images for it is not part of its time. Both may use all cores. Who
goes first alternates. Camera centres are compared with the truth after the similarity that fits them best.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import av
import click
import cv2
import numpy as np
import pycolmap

from mcbench.cameras.alignment import umeyama
from mcbench.cameras.camera import camera_center
from mcbench.cli.common import Output, common_options, table
from mcbench.dataset.cameras_file import SceneCameras
from mcbench.dataset.source import Source
from mcbench.dataset.truth import SceneTruth
from mcbench.errors import InputError
from mcbench.pipelines.import_source import ImportSettings, import_source
from mcbench.pipelines.sfm import STAGE, SfmSettings
from mcbench.workspace.runner import run_stages
from mcbench.workspace.workspace import Workspace

OURS, COLMAP = "mcbench sfm", "COLMAP defaults"


@dataclass(frozen=True)
class Run:
    """One method on one clip.

    Attributes
    ----------
    frames, posed : frames of the clip; those that got a pose.
    seconds : wall time; parts : of its steps, where they are known.
    center_mm : median error of the camera centres after a similarity, mm; None where that is not determined.
    note : why there is no result.
    """

    seed: int
    method: str
    frames: int
    posed: int
    seconds: float
    center_mm: float | None
    parts: dict[str, float]
    note: str | None = None


def render(folder: Path, seed: int, frames: int, people: int, size: str) -> Path:
    """Clips and truth of one scene by `mcbench synth`, unless they are there; returns the clip."""
    if not list((folder / "clips").glob("*.mp4")):
        words = ["synth", folder, "--scenes", 1, "--people", people, "--frames", frames, "--size", size]
        words += ["--difficulty", "easy", "--seed", seed, "--quiet"]
        command = [sys.executable, "-m", "mcbench.cli.main", *map(str, words)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return min((folder / "clips").glob("*.mp4"))


def center_error_mm(poses: dict[int, np.ndarray], truth: SceneTruth) -> float | None:
    """Median distance of the centres of `cam_from_world` (3, 4) by frame of the clip from the true ones, mm."""
    frames = sorted(poses)
    if not frames:
        return None
    found = camera_center(np.stack([poses[i] for i in frames]))
    true = camera_center(truth.cam_from_world[frames])
    try:
        errors = np.linalg.norm(umeyama(found, true).apply(found) - true, axis=1)
    except ValueError:
        return None
    return 1000 * float(np.median(errors))


def run_ours(clip: Path, folder: Path, seed: int, truth: SceneTruth) -> Run:
    [imported] = import_source(clip, folder, ImportSettings())
    if imported.scene is None:
        raise InputError(str(imported.message), path=clip, reason=imported.reason)
    scene = Workspace.open(folder).scene(imported.scene)
    start = time.perf_counter()
    [outcome] = run_stages([scene], [(STAGE, SfmSettings(seed=seed))]).outcomes
    seconds = time.perf_counter() - start
    source = Source.load(scene.stage_folder("source"))
    poses: dict[int, np.ndarray] = {}
    if outcome.status == "ok":
        for camera in SceneCameras.load(scene.stage_folder("sfm") / "cameras.json").posed:
            assert camera.cam_from_world is not None
            poses[source.decode_index[camera.index]] = camera.cam_from_world
    note = None if outcome.status == "ok" else f"{outcome.status} ({outcome.reason})"
    return Run(seed, OURS, len(source.frames), len(poses), seconds, center_error_mm(poses, truth), {}, note)


def run_colmap(clip: Path, folder: Path, seed: int, truth: SceneTruth) -> Run:
    images = folder / "images"
    images.mkdir(parents=True)
    with av.open(str(clip)) as container:
        count = 0
        for count, picture in enumerate(container.decode(video=0), start=1):
            cv2.imwrite(str(images / f"{count - 1:06d}.png"), picture.to_ndarray(format="bgr24"))
    database = folder / "database.db"
    parts = {}
    start = now = time.perf_counter()
    pycolmap.extract_features(database, images, camera_mode=pycolmap.CameraMode.SINGLE, device=pycolmap.Device.cpu)
    parts["features"], now = time.perf_counter() - now, time.perf_counter()
    pycolmap.match_sequential(database, device=pycolmap.Device.cpu)
    parts["matches"], now = time.perf_counter() - now, time.perf_counter()
    models = pycolmap.incremental_mapping(database, images, folder / "models")
    parts["map"] = time.perf_counter() - now
    seconds = time.perf_counter() - start
    poses: dict[int, np.ndarray] = {}
    if models:
        largest = max(models.values(), key=lambda model: model.num_reg_images())
        for image in largest.images.values():
            if image.has_pose:
                poses[int(Path(image.name).stem)] = image.cam_from_world().matrix()
    note = None if models else "no model"
    return Run(seed, COLMAP, count, len(poses), seconds, center_error_mm(poses, truth), parts, note)


def describe(run: Run) -> str:
    """A run in one line."""
    parts = "".join(f", {name} {seconds:.1f} s" for name, seconds in run.parts.items())
    error = "unknown" if run.center_mm is None else f"{run.center_mm:.2f} mm"
    posed = f"{run.posed}/{run.frames} posed, centre error {error}"
    return f"seed {run.seed}: {run.method}: {run.seconds:.1f} s{parts}; {posed} {run.note or ''}".rstrip()


def summary(runs: list[Run], method: str) -> dict[str, Any]:
    """Medians over the seeds."""
    mine = [run for run in runs if run.method == method]
    errors = [run.center_mm for run in mine if run.center_mm is not None]
    return {
        "seconds": median(run.seconds for run in mine),
        "center_mm": median(errors) if errors else None,
        "posed": sum(run.posed for run in mine),
        "frames": sum(run.frames for run in mine),
    }


@click.command()
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="Clips: seeds 1 to N.")
@click.option("--frames", type=click.IntRange(3), default=240, show_default=True, help="Frames a clip, 30 a second.")
@click.option("--people", type=click.IntRange(0), default=3, show_default=True, help="People in a clip.")
@click.option("--size", default="960x540", show_default=True, help="Width x height, px.")
@click.option("--work", type=click.Path(path_type=Path), help="Keep the rendered clips here, and use those there.")
@common_options
def main(output: Output, seeds: int, frames: int, people: int, size: str, work: Path | None) -> None:
    """Time `mcbench sfm` and COLMAP's defaults side by side on rendered clips."""
    runs: list[Run] = []
    with tempfile.TemporaryDirectory() as scratch, nullcontext(work or Path(scratch) / "rendered") as rendered:
        for seed in range(1, seeds + 1):
            clip = render(rendered / f"{size}-{frames}-{people}-seed{seed}", seed, frames, people, size)
            truth = SceneTruth.load(clip.parent.parent / "truth" / f"{clip.stem}.json")
            for runner in (run_ours, run_colmap) if seed % 2 else (run_colmap, run_ours):
                run = runner(clip, Path(scratch) / f"{runner.__name__}{seed}", seed, truth)
                runs.append(run)
                output.note(describe(run))
    ours, colmap = summary(runs, OURS), summary(runs, COLMAP)
    ratio = ours["seconds"] / colmap["seconds"]
    cores = len(os.sched_getaffinity(0))
    document = {
        "settings": {"seeds": seeds, "frames": frames, "people": people, "size": size, "cores": cores},
        "pycolmap": pycolmap.__version__,
        "runs": [asdict(run) for run in runs],
        "medians": {OURS: ours, COLMAP: colmap},
        "seconds_ratio": ratio,
    }
    runs.sort(key=lambda run: (run.seed, run.method != OURS))
    rows = [[str(r.seed), r.method, f"{r.posed}/{r.frames}", r.seconds, r.center_mm, r.note or ""] for r in runs]
    for name, of in ((OURS, ours), (COLMAP, colmap)):
        rows.append(["median", name, f"{of['posed']}/{of['frames']}", of["seconds"], of["center_mm"], ""])
    title = f"{seeds} clips of {frames} frames, {size}; pycolmap {pycolmap.__version__}; {cores} cores"
    columns = ("seed", "method", "posed", "seconds", "centre error mm", "")
    output.result(
        document, table(title, *columns, rows=rows), f"time of {OURS} over that of {COLMAP}: {ratio:.2f} (medians)"
    )


if __name__ == "__main__":
    main()
