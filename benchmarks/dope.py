"""What the student costs beside the experts that it learnt from, on images with few and many people.

    python benchmarks/dope.py --weights student/model.pt
    python benchmarks/dope.py --weights student/model.pt --people 1 --people 15 --images 4 --json

Every method runs in a process of its own, with so many threads, on the same rendered images; an image's time is the
median over `--repeat` runs after one that does not count, and memory is the process's peak above that before the method
was loaded. The time of `network` is that of the graph alone, without scaling, integration and assembly.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click
import numpy as np

from mcbench.cli.common import Output, common_options, table
from mcbench.dataset.media_source import video_source

EXPERTS, STUDENT, NETWORK = "experts", "student", "network alone"


def rendered(folder: Path, people: int, images: int, seed: int) -> list[np.ndarray]:
    """Images of so many people, rendered unless they are there."""
    words = ("--scenes", 1, "--people", people, "--frames", max(2, images), "--seed", seed, "--workers", 1, "--quiet")
    target = folder / f"people{people}"
    command = [sys.executable, "-m", "mcbench.cli.main", "synth", str(target), *map(str, words)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (clip,) = (target / "clips").iterdir()
    return [image for _, image in video_source(clip).images()][:images]


def finder(name: str, weights: Path, threads: int) -> Callable[[np.ndarray], Any]:
    """What looks at an image."""
    if name == EXPERTS:
        from mcbench.experts.ensemble import Ensemble

        return Ensemble()
    from mcbench.dope.detector import DopeDetector, prepared
    from mcbench.dope.engines import open_engine

    engine = open_engine(weights, threads=threads)
    if name == STUDENT:
        return DopeDetector(engine).detect
    config = engine.config

    def run(image: np.ndarray) -> Any:
        picture, size, _ = prepared(image, config.min_size, config.max_size)
        return engine.run(picture, size)

    return run


def measure(name: str, weights: Path, threads: int, repeat: int, images: list[np.ndarray]) -> dict[str, float]:
    """Milliseconds an image and peak memory; runs in a process of its own."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    find = finder(name, weights, threads)
    times = []
    for image in images:
        find(image)
        runs = []
        for _ in range(repeat):
            start = time.perf_counter()
            find(image)
            runs.append(time.perf_counter() - start)
        times.append(np.median(runs))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"ms": round(1e3 * float(np.mean(times)), 1), "mib": round((peak - before) / 1024)}


@click.command()
@click.option("--weights", required=True, type=click.Path(path_type=Path), help="The student: model.pt or a graph.")
@click.option(
    "--people", multiple=True, type=click.IntRange(0), default=(1, 5, 15), show_default=True, help="An image."
)
@click.option("--images", type=click.IntRange(1), default=4, show_default=True, help="Of each number of people.")
@click.option("--repeat", type=click.IntRange(1), default=5, show_default=True, help="Runs of each image.")
@click.option("--threads", type=click.IntRange(1), default=2, show_default=True, help="Of each method.")
@click.option("--seed", type=int, default=301, show_default=True, help="Of the images.")
@click.option("--work", type=click.Path(path_type=Path), help="Keep rendered images here, and use those there.")
@common_options
def main(
    output: Output,
    weights: Path,
    people: tuple[int, ...],
    images: int,
    repeat: int,
    threads: int,
    seed: int,
    work: Path | None,
) -> None:
    """Time the student and the experts on the same images."""
    os.environ["OMP_NUM_THREADS"] = str(threads)  # of the processes below
    fresh = multiprocessing.get_context("spawn")
    rows = []
    with tempfile.TemporaryDirectory() as scratch, nullcontext(work or Path(scratch)) as folder:
        for count in people:
            shown = rendered(folder, count, images, seed)
            found = {}
            for name in (EXPERTS, STUDENT, NETWORK):
                with fresh.Pool(1) as pool:
                    found[name] = pool.apply(measure, (name, weights, threads, repeat, shown))
                rows.append([count, name, found[name]["ms"], found[name]["mib"]])
                output.note(f"{count} people, {name}: {found[name]['ms']:.1f} ms")
            rows[-2].append(round(found[EXPERTS]["ms"] / found[STUDENT]["ms"], 2))
            rows[-3].append(None)
            rows[-1].append(None)
    columns = ("people", "method", "ms an image", "MiB", "times faster")
    title = f"{images} images of 960x540 each, {threads} threads"
    output.result({"title": title, "columns": columns, "rows": rows}, table(title, *columns, rows=rows))


if __name__ == "__main__":
    main()
