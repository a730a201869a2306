"""Eval-dope: methods that find whole-body people, side by side on the same images."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcbench.dataset.files import write_json
from mcbench.dope.people import WholeBody, to_json
from mcbench.errors import InputError, UsageError
from mcbench.metrics.whole_body import MIN_BOX_PX, WholeBodyScores
from mcbench.pipelines.dope_methods import Method
from mcbench.pipelines.dope_truth import examples
from mcbench.workspace.stage import Progress, no_progress

FORMAT = "mcbench-dope-evaluation/1"
EVALUATION = "evaluation.json"


@dataclass(frozen=True)
class EvalDopeSettings:
    """What is scored, and how."""

    every: int = field(default=15, metadata={"help": "Score every n-th frame of a clip."})
    min_box: float = field(
        default=MIN_BOX_PX, metadata={"help": "Ask for true parts whose box has a longer side of so many px."}
    )

    def __post_init__(self) -> None:
        if self.every < 1:
            raise UsageError(f"--every must be 1 or more, is {self.every}")
        if not 0 <= self.min_box < math.inf:
            raise UsageError(f"--min-box must be 0 or more, is {self.min_box}")


def eval_dope(
    data: Sequence[Path],
    methods: Sequence[Method],
    settings: EvalDopeSettings | None = None,
    *,
    truth: Path | None = None,
    out: Path | None = None,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Score methods; returns the document that `evaluation.json` holds.

    Parameters
    ----------
    data : each a folder of rendered clips, a COCO-WholeBody annotation file, or a folder of labels; see `examples`.
    truth : folder of the clips' truth, where it is not beside them.
    out : folder for `evaluation.json` and a file of predictions a method, or None.

    Raises
    ------
    UsageError : `out` is a file, or two methods have one name, or one has a name that no file can have.
    InputError : no images, a file that cannot be used, or predictions of none of the images (reason `other_images`).
    """
    settings = settings or EvalDopeSettings()
    if out is not None and out.exists() and not out.is_dir():
        raise UsageError("is a file, not a folder", path=out)
    names = [method.name for method in methods]
    if len(set(names)) < len(names):
        raise UsageError(f"two methods have one name: {', '.join(names)}", hint="give names: NAME=FILE")
    for name in names:
        if Path(name).name != name or name in ("", "..", EVALUATION.removesuffix(".json")):
            raise UsageError(f"a method cannot be called {name!r}: its predictions go to a file of that name")
    scores = {name: WholeBodyScores(settings.min_box) for name in names}
    found: dict[str, list[tuple[str, list[WholeBody]]]] = {name: [] for name in names}
    seconds, unknown = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0)
    images = 0
    for source in data:
        for example in examples(source, truth, settings.every):
            progress(images, None, example.file)
            images += 1
            for method in methods:
                start = time.perf_counter()
                people = method.find(example.file, example.image)
                seconds[method.name] += time.perf_counter() - start
                unknown[method.name] += not method.knows(example.file)
                scores[method.name].add(example.truth, people)
                found[method.name].append((example.file, people))
    if not images:
        raise InputError("has no images", path=data[0], reason="no_media")
    if strangers := [name for name in names if unknown[name] == images]:
        raise InputError(
            f"the predictions of {', '.join(strangers)} tell of none of the images",
            path=data[0],
            hint="images are told by their names; frames of a clip are called <clip>_<position>",
            reason="other_images",
        )
    document = {
        "format": FORMAT,
        "data": [str(source) for source in data],
        "images": images,
        "settings": vars(settings),
        "methods": [
            {
                "name": method.name,
                "provenance": method.provenance,
                "unknown_images": unknown[method.name],
                "seconds_per_image": seconds[method.name] / images if method.computes else None,
                **scores[method.name].summary(),
            }
            for method in methods
        ],
    }
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        for name, rows in found.items():
            write_json(
                out / f"{name}.json", {"images": [{"file": file, "people": to_json(people)} for file, people in rows]}
            )
        write_json(out / EVALUATION, document)
    return document
