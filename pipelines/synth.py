"""Synth: rendered mannequin clips (`DIR/clips`) and, apart from them, their exact truth (`DIR/truth`)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mcbench.dataset.files import read_json, sha256_file, sha256_json, write_json
from mcbench.dataset.truth import SUMMARY, SceneTruth
from mcbench.errors import InputError, McbenchError, UsageError
from mcbench.synth.difficulty import DIFFICULTIES
from mcbench.synth.scene import PLANTS
from mcbench.workspace.executors import Executor, WorkerDied
from mcbench.workspace.stage import Progress

SUMMARY_FORMAT = "mcbench-synth/1"
#: Raised whenever the same settings would give other clips or another truth.
VERSION = 8


@dataclass(frozen=True)
class SynthSettings:
    """What is rendered: `people` None lets the difficulty draw its own number; `plants` add a clip each."""

    scenes: int = 2
    people: int | None = None
    frames: int = 48
    size: tuple[int, int] = (960, 540)
    fps: int = 30
    seed: int = 0
    difficulty: str = "easy"
    plants: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise `UsageError` for what cannot be rendered."""
        if self.difficulty not in DIFFICULTIES:
            raise UsageError(f"difficulty {self.difficulty!r} is not one of {', '.join(DIFFICULTIES)}")
        for plant in self.plants:
            if plant not in PLANTS:
                raise UsageError(f"cannot plant {plant!r}; known: {', '.join(PLANTS)}")
        if any(side % 2 or side < 64 for side in self.size):
            raise UsageError(f"size {self.size[0]}x{self.size[1]}: H.264 needs even sides, of 64 or more")
        if self.frames < 2 or self.scenes + len(self.plants) < 1:
            raise UsageError("nothing to render: give at least one scene and two frames")


@dataclass(frozen=True)
class ClipJob:
    """One clip to render."""

    folder: Path
    stem: str
    index: int
    plant: str | None
    settings: SynthSettings

    @property
    def key(self) -> str:
        """Hash of all that decides the clip."""
        made_of = asdict(self.settings)
        for other in ("scenes", "plants"):  # how many clips there are beside it changes nothing in it
            made_of.pop(other)
        return sha256_json({**made_of, "index": self.index, "plant": self.plant, "version": VERSION})

    @property
    def clip(self) -> Path:
        return self.folder / "clips" / f"{self.stem}.mp4"

    @property
    def truth(self) -> Path:
        return self.folder / "truth" / f"{self.stem}.json"

    def is_done(self) -> bool:
        """Whether truth (written last) of this very job and its clip are there, whole."""
        try:
            info = read_json(self.truth)["info"]
            return bool(info["key"] == self.key and info["clip_sha256"] == sha256_file(self.clip))
        except (InputError, KeyError, TypeError, OSError):
            return False


def jobs_of(folder: Path, settings: SynthSettings) -> list[ClipJob]:
    """The clips that these settings ask for."""
    name = f"{settings.difficulty}_{settings.seed:04d}"
    jobs = [ClipJob(folder, f"{name}_{i:03d}", i, None, settings) for i in range(settings.scenes)]
    # planted clips have numbers of their own, so that more scenes do not change them
    return jobs + [ClipJob(folder, f"{name}_{p}", 1000 + PLANTS.index(p), p, settings) for p in settings.plants]


def synth(
    folder: Path, settings: SynthSettings, executor: Executor, on_clip: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Render the clips that are not there yet; returns and writes the summary.

    Raises
    ------
    UsageError : settings that cannot be rendered, or a folder that holds something else.
    McbenchError : a clip could not be rendered (reason `worker_died`).
    """
    settings.check()
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise UsageError("is a file, not a folder", path=folder)
    for part in ("clips", "truth"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    jobs = jobs_of(folder, settings)
    done = [job.is_done() for job in jobs]
    for known in done:
        if known:
            on_clip()
    todo = [job for job, known in zip(jobs, done, strict=True) if not known]
    for job, result in executor.map(render_job, todo):
        if isinstance(result, WorkerDied):
            raise McbenchError(str(result), path=job.clip, hint="run it again with --workers 1", reason="worker_died")
        on_clip()
    summary = _summary(folder, settings, jobs, rendered=len(todo))
    write_json(folder / "truth" / SUMMARY, summary)
    return summary


def render_job(job: ClipJob, progress: Progress) -> str:
    """Render one clip; runs in a process of its own."""
    # imported here: it takes seconds, and a folder that is finished does not need it
    import cv2
    import torch

    from mcbench.synth.clip import render_clip, shortened
    from mcbench.synth.scene import sample_scene

    torch.set_num_threads(1)  # processes share the cores; and sums have one order
    cv2.setNumThreads(1)
    settings, difficulty = job.settings, DIFFICULTIES[job.settings.difficulty]
    rng = np.random.default_rng([settings.seed, job.index])
    sample = functools.partial(
        sample_scene, rng, difficulty, settings.frames, settings.size, settings.fps, settings.people
    )
    scenes = [sample(job.plant)]
    if job.plant == "cut":
        half = settings.frames // 2
        scenes = [shortened(scenes[0], slice(half)), shortened(sample(None), slice(half, None))]
    count = 0

    def on_frame() -> None:
        nonlocal count
        count += 1
        progress(count, settings.frames, job.stem)

    for leftover in job.clip.parent.glob(f".{job.clip.name}.tmp*"):  # of a run that was killed
        leftover.unlink()
    job.truth.unlink(missing_ok=True)
    info = {"difficulty": settings.difficulty, "seed": settings.seed, "planted": job.plant, "fps": settings.fps}
    truth = render_clip(job.clip, scenes, difficulty, settings.fps, rng, {**info, "key": job.key}, on_frame)
    truth.info["clip_sha256"] = sha256_file(job.clip)
    truth.save(job.truth.parent)
    return job.stem


def _summary(folder: Path, settings: SynthSettings, jobs: list[ClipJob], rendered: int) -> dict[str, Any]:
    """What the clips show, measured on what was rendered; planted clips are listed but not counted in."""
    truths = {job.stem: SceneTruth.load(job.truth) for job in jobs}
    usual = [truths[job.stem].info["measured"] for job in jobs if job.plant is None]
    people = sum(m["people"] for m in usual)
    inside = sum(m["joints_inside"] for m in usual)
    heights = [h for m in usual for h in m["heights_px"]]
    scale = 540 / settings.size[1]
    return {
        "format": SUMMARY_FORMAT,
        "settings": asdict(settings),
        "rendered_now": rendered,
        "clips": [
            {
                "clip": job.clip.name,
                "planted": job.plant,
                "people": len(truths[job.stem].person_id),
                **{k: truths[job.stem].info["measured"][k] for k in ("people_cut", "distances_m")},
            }
            for job in jobs
        ],
        "people": people,
        "occluded_share": sum(m["joints_occluded"] for m in usual) / inside if inside else None,
        "cut_share": sum(m["people_cut"] for m in usual) / people if people else None,
        "mostly_whole_share": sum(m["people_mostly_whole"] for m in usual) / people if people else None,
        "median_height_px_at_540": float(np.median(heights)) * scale if heights else None,
        "distance_m": [min(d[0] for d in ds), max(d[2] for d in ds)]
        if (ds := [m["distances_m"] for m in usual if m["distances_m"]])
        else None,
    }
