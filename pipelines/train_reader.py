"""Train the reader of people whose place is known: from nothing to a network that is trained and scored.

Renders scenes, cuts squares round their people, trains and scores. What is there already is not done again, so a run
that was stopped goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcbench.body.model import OPEN_BODY, load_body
from mcbench.dataset.truth import SceneTruth
from mcbench.errors import UsageError
from mcbench.fitting.keypoint_model import KeypointModel
from mcbench.joints import BLAZEPOSE33
from mcbench.pipelines.distil import Images, rendered_clips
from mcbench.pipelines.synth import SynthSettings
from mcbench.pipelines.truth_files import truth_files
from mcbench.reader.training import MODEL, ReaderSettings, score_reader, train_reader
from mcbench.reader.training_data import People, people_of
from mcbench.workspace.stage import Progress, no_progress


@dataclass(frozen=True)
class Recipe:
    """What is rendered to learn from and to be scored on."""

    learnt: tuple[Images, ...]
    scored: tuple[Images, ...]


#: Crowds in bad light above all: who stands alone in a bright room is read well without it.
RECIPES = {
    "full": Recipe(
        (
            *(Images(SynthSettings(12, None, 48, seed=seed, difficulty="standard"), 6) for seed in (201, 301, 611)),
            Images(SynthSettings(6, None, 48, seed=402, difficulty="hard"), 5),
            *(Images(SynthSettings(30, None, 4, seed=seed, difficulty="hard"), 1) for seed in (2411, 2412, 2413, 2414)),
            *(
                Images(SynthSettings(15, None, 4, seed=seed, difficulty="standard"), 1)
                for seed in (2421, 2422, 2423, 2424)
            ),
        ),
        (
            Images(SynthSettings(12, None, 2, seed=909, difficulty="hard"), 1),
            Images(SynthSettings(12, None, 2, seed=910, difficulty="standard"), 1),
        ),
    ),
    "toy": Recipe(
        (Images(SynthSettings(1, None, 2, (640, 360), seed=511, difficulty="standard"), 1),),
        (Images(SynthSettings(1, None, 2, (640, 360), seed=909, difficulty="standard"), 1),),
    ),
}


def make_reader(
    out: Path,
    settings: ReaderSettings,
    recipe: Recipe = RECIPES["full"],
    jobs: int = 1,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Make a reader in the folder `out`; returns where it is, and how well it reads people it has not learnt from.

    Parameters
    ----------
    jobs : processes that render at a time.

    Raises
    ------
    UsageError : `out` is a file, or holds a training of something else.
    InputError, McbenchError : as `synth`, `people_of` and `train_reader`.
    """
    settings.check()
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise UsageError("is a file, not a folder", path=out)
    learnt, scored = (
        [_people(out, scenes, jobs, progress) for scenes in lots] for lots in (recipe.learnt, recipe.scored)
    )

    def on_step(step: int, loss: float) -> None:
        progress(step, settings.steps, f"reader, loss {loss:.3f}")

    made = {"rendered": [scenes.name for scenes in recipe.learnt]}
    network = train_reader(People.joined(learnt), out, settings, made, on_step)
    by_scenes = {one.name: score_reader(network, lot) for one, lot in zip(recipe.scored, scored, strict=True)}
    return {"model": str(out / MODEL), "people": sum(map(len, learnt)), "scored": by_scenes}


def _people(out: Path, scenes: Images, jobs: int, progress: Progress) -> People:
    """The people of some scenes, rendered unless their squares are there."""
    path = out / "people" / f"{scenes.name}.npz"
    if not path.exists():
        folder = rendered_clips(out, scenes, jobs, progress)
        model = KeypointModel.for_body(load_body(OPEN_BODY), BLAZEPOSE33.name)
        found = []
        for truth_path in truth_files(folder / "truth").values():
            truth = SceneTruth.load(truth_path)
            found.append(people_of(truth, folder / "clips" / truth.clip, model, scenes.every))
        path.parent.mkdir(parents=True, exist_ok=True)
        People.joined(found).save(path)
    return People.load(path)
