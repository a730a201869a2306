"""Distil: from nothing, or from photos, to a trained and measured whole-body network, by a recipe.

Renders scenes, labels them by their truth and the photos by the experts, trains, exports and evaluates. What is there
already is not done again, so a run that was stopped goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from mcbench.dope.checkpoint import load_network
from mcbench.dope.engines import export_onnx
from mcbench.dope.people import KINDS
from mcbench.dope.training import Step, TrainSettings
from mcbench.errors import UsageError
from mcbench.pipelines.dope_methods import EXPERTS, method
from mcbench.pipelines.eval_dope import EvalDopeSettings, eval_dope
from mcbench.pipelines.pseudo_label import LabelSettings, pseudo_label
from mcbench.pipelines.synth import SynthSettings, synth
from mcbench.pipelines.train_dope import train_dope
from mcbench.workspace.executors import Executor, InProcess, LocalPool
from mcbench.workspace.stage import Progress, no_progress


@dataclass(frozen=True)
class Images:
    """Rendered clips, of which every n-th frame is an image.

    Attributes
    ----------
    labelled : the kinds of parts that images like these have labels of, where each set of images has some alone, as
        published data sets have: what a network without distillation learns from them. Empty: one kind an image, drawn.
    around : a kind of part round which close-ups are cut from the frames, as published sets of hands show them. Empty:
        whole frames.
    """

    clips: SynthSettings
    every: int
    labelled: tuple[str, ...] = ()
    around: str = ""

    @property
    def name(self) -> str:
        return f"{self.clips.difficulty}_{self.clips.seed:04d}"


@dataclass(frozen=True)
class Recipe:
    """What is rendered to learn from and to be scored on, and how the network is trained.

    Attributes
    ----------
    common : where networks with and without distillation are compared, a training without it, on the labels that they
        have without it, from which all of them start: else most of their steps go into what both must learn first, and
        what few images show is found by neither.
    further : a second training, that starts from the network of the first one. photos : how often the photos are
        counted in it, which are few beside the rendered images, and most unlike them.
    """

    learnt: tuple[Images, ...]
    scored: tuple[Images, ...]
    training: TrainSettings
    common: TrainSettings | None = None
    further: TrainSettings | None = None
    photos: int = 1


#: Many scenes of two frames show more than many frames of a scene; the long clips are such as a benchmark is made of.
RECIPES = {
    "toy": Recipe(
        (Images(SynthSettings(2, None, 2, (640, 360), seed=511, difficulty="close"), 2),),
        (Images(SynthSettings(1, None, 2, (640, 360), seed=907, difficulty="close"), 2),),
        TrainSettings(steps=4, batch=2, side=128, learning_rate=2e-3, ema=0.9, frozen=2, seed=1),
        common=TrainSettings(
            steps=2, batch=2, side=128, learning_rate=2e-3, ema=0.9, frozen=2, seed=9, distillation=False
        ),
    ),
    "short": Recipe(
        (Images(SynthSettings(130, None, 2, seed=502, difficulty="close"), 2),),
        (Images(SynthSettings(12, None, 2, seed=907, difficulty="close"), 2),),
        TrainSettings(steps=200, batch=8, side=288, look=448, learning_rate=2e-3, ema=0.97, frozen=2, seed=1),
    ),
    "sets": Recipe(
        (
            Images(SynthSettings(130, None, 2, seed=502, difficulty="close"), 2, ("body",)),
            Images(SynthSettings(64, None, 2, seed=505, difficulty="close"), 2, ("hand",), around="hand"),
            Images(SynthSettings(12, None, 48, seed=301, difficulty="standard"), 5, ("face",)),
        ),
        (
            Images(SynthSettings(40, None, 2, seed=907, difficulty="close"), 2, ("body",)),
            Images(SynthSettings(12, None, 2, seed=908, difficulty="standard"), 2, ("face",)),
        ),
        TrainSettings(
            steps=600, batch=6, side=256, look=448, learning_rate=1.5e-3, ema=0.97, frozen=2, seed=1, save_every=50
        ),
        common=TrainSettings(
            steps=400,
            batch=6,
            side=256,
            look=448,
            learning_rate=2e-3,
            ema=0.98,
            frozen=2,
            seed=9,
            distillation=False,
            save_every=50,
        ),
    ),
    "small": Recipe(
        (
            Images(SynthSettings(12, None, 48, seed=201, difficulty="standard"), 5),
            Images(SynthSettings(12, None, 48, seed=301, difficulty="standard"), 5),
            Images(SynthSettings(12, None, 48, seed=611, difficulty="standard"), 5),
            Images(SynthSettings(6, None, 48, seed=402, difficulty="hard"), 5),
            Images(SynthSettings(24, None, 5, seed=501, difficulty="close"), 2),
            Images(SynthSettings(130, None, 2, seed=502, difficulty="close"), 2),
            Images(SynthSettings(70, None, 2, seed=504, difficulty="close"), 2),
        ),
        (
            Images(SynthSettings(12, None, 2, seed=907, difficulty="close"), 2),
            Images(SynthSettings(12, None, 2, seed=908, difficulty="standard"), 2),
        ),
        TrainSettings(
            steps=1200, batch=8, side=384, look=512, learning_rate=2e-3, ema=0.99, frozen=2, seed=1, save_every=50
        ),
        further=TrainSettings(
            steps=1900, batch=8, side=384, look=512, learning_rate=1.5e-3, ema=0.995, frozen=2, seed=2, save_every=50
        ),
        photos=4,
    ),
}  # fmt: skip

GRAPH = "model.onnx"
#: What networks are compared in: errors, and how many parts they find, which stands beside them.
_COMPARED = ("recall", "error_2d", "mpjpe_mm")


def distil(
    out: Path,
    photos: Sequence[Path] = (),
    recipe: Recipe = RECIPES["small"],
    pairs: int = 0,
    jobs: int = 1,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Make a network; returns what training and evaluation say.

    Parameters
    ----------
    out : folder for `rendered`, `labels`, `common` (for pairs, if there is a common start), `first` (if there is a
        further training), `student`, `evaluation`, and `model.onnx`.
    photos : images or folders of them, labelled by the experts; without any, rendered images teach alone.
    pairs : of so many seeds, the recipe's and those after it, a network is trained with distillation and one without.
    jobs : processes that render at a time.

    Raises
    ------
    UsageError : `out` is a file or holds labels or a training of something else.
    InputError, McbenchError : as `synth`, `pseudo_label`, `train_dope`, `export_onnx` and `eval_dope`.
    """
    out = Path(out).resolve()  # a training remembers where it started from
    if out.exists() and not out.is_dir():
        raise UsageError("is a file, not a folder", path=out)
    labels, partial = [], []
    unusable: list[dict[str, Any]] = []
    for images in recipe.learnt:
        rendered, folder = rendered_clips(out, images, jobs, progress), out / "labels" / images.name
        by_truth = LabelSettings(every=images.every, truth=str(rendered / "truth"), around=images.around)
        pseudo_label([rendered / "clips"], folder, by_truth, progress)
        labels.append(folder)
        if pairs and images.labelled:
            folder = folder.with_name("_".join([images.name, *images.labelled]))
            pseudo_label([rendered / "clips"], folder, replace(by_truth, parts=",".join(images.labelled)), progress)
        partial.append(folder)
    if photos:
        photographed = out / "labels" / "photos"
        unusable = pseudo_label(photos, photographed, LabelSettings(), progress)["failed"]
        labels.append(photographed)
        partial.append(photographed)

    def trained_by(name: str, how: TrainSettings, again: Sequence[Path] = ()) -> dict[str, Any]:
        def on_step(step: Step) -> None:
            progress(step.step, how.steps, f"{name}, loss {step.terms['loss']:.3f}")

        return train_dope([*(labels if how.distillation else partial), *again], out / name, how, True, on_step)

    training = recipe.training
    if pairs and recipe.common is not None:
        training = replace(training, start=str(trained_by("common", recipe.common)["model"]))
    first = "student" if recipe.further is None else "first"
    students = {first: training}
    for seed in range(training.seed, training.seed + pairs):
        students |= {
            name: replace(training, seed=seed, distillation=distillation)
            for name, distillation in ((f"student_{seed}", True), (f"plain_{seed}", False))
            if (seed, distillation) != (training.seed, True)
        }
    trained = {name: trained_by(name, how) for name, how in students.items()}
    if recipe.further is not None:
        further = replace(recipe.further, start=str(trained[first]["model"]))
        again = [labels[-1]] * (recipe.photos - 1) if photos else []
        trained["student"] = trained_by("student", further, again)
    export_onnx(load_network(Path(trained["student"]["model"])), out / GRAPH)
    scored = [rendered_clips(out, images, jobs, progress) for images in recipe.scored]
    networks = {name: made["model"] for name, made in trained.items()} | {"student": str(out / GRAPH)}
    methods = [method(EXPERTS), *(method(f"{name}={path}") for name, path in networks.items())]
    evaluated = eval_dope(scored, methods, EvalDopeSettings(), out=out / "evaluation", progress=progress)
    gain = None
    if pairs:
        found = [method(f"{name}={out / 'evaluation' / name}.json") for name in students]
        evaluated_by = {
            kind: eval_dope(
                [f for f, images in zip(scored, recipe.scored, strict=True) if kind not in images.labelled], found
            )
            for kind in KINDS
        }
        gain = distillation_gain(evaluated_by, {name: how.distillation for name, how in students.items()})
    return {
        "training": trained,
        "evaluation": evaluated,
        "distillation": gain,
        "graph": str(out / GRAPH),
        "failed": unusable,
    }


def rendered_clips(out: Path, images: Images, jobs: int, progress: Progress) -> Path:
    """The folder of clips and their truth, rendered unless it is there."""
    folder = out / "rendered" / images.name
    executor: Executor = InProcess(progress) if jobs == 1 else LocalPool(jobs, progress)
    synth(folder, images.clips, executor)
    return folder


def distillation_gain(evaluated: Mapping[str, Any], distilled: Mapping[str, bool]) -> dict[str, dict[str, Any]]:
    """Recall and errors with distillation and without, by kind of part: of each network, means over them, and by how
    much the error is lower with it, as a share of that without.

    Parameters
    ----------
    evaluated : by kind, what `eval_dope` says of the networks on images like those that had no labels of it.
    distilled : the names of the networks, and whether they learnt by distillation.
    """
    gains: dict[str, dict[str, Any]] = {}
    for kind in KINDS:
        rows = {row["name"]: row for row in evaluated[kind]["methods"]}
        gains[kind] = {}
        for number in _COMPARED:
            each = {name: rows[name][kind][number] for name in distilled}
            with_it, without = (
                _mean([each[name] for name, so in distilled.items() if so is it]) for it in (True, False)
            )
            lower = 1 - with_it / without if number != "recall" and with_it is not None and without else None
            gains[kind][number] = {"with": with_it, "without": without, "lower_by": lower, "networks": each}
    return gains


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None
