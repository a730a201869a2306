"""What DOPE is scored on: rendered clips with truth, COCO-WholeBody annotations, labels of `pseudo-label`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mcbench.body.model import load_body
from mcbench.dataset import label_shards
from mcbench.dataset.coco_wholebody import read_annotations
from mcbench.dataset.files import read_json
from mcbench.dataset.media_source import photo_source
from mcbench.dataset.truth import SceneTruth
from mcbench.dope.truth_labels import TruthLabels, labelled_frames
from mcbench.errors import InputError
from mcbench.metrics.whole_body import ImageTruth
from mcbench.pipelines.truth_files import truth_files


@dataclass(frozen=True)
class Example:
    """An image with what is true of it.

    Attributes
    ----------
    file : its name, by which predictions tell it: of a frame `<clip>_<position>`.
    image : (height, width, 3) uint8 RGB.
    """

    file: str
    image: np.ndarray
    truth: ImageTruth


def examples(data: Path, truth: Path | None = None, every: int = 15) -> Iterator[Example]:
    """The images of what `data` names.

    Parameters
    ----------
    data : a folder of rendered clips, or the one that `mcbench synth` writes; a COCO-WholeBody annotation file with the
        images beside it; a folder of labels.
    truth : folder of the clips' truth; beside or in `data` when None.
    every : of clips every so many frames.

    Raises
    ------
    InputError : it is none of these (reason `no_truth`), or a file of it cannot be used.
    """
    if data.suffix.lower() == ".json":
        yield from _annotated(data)
    elif (data / label_shards.INDEX).is_file():
        for sample in label_shards.read(data):
            yield Example(sample.key, sample.image, ImageTruth(sample.people, sample.labelled))
    elif data.is_dir():
        clips = data / "clips" if (data / "clips").is_dir() else data
        beside = clips.parent / "truth"
        if truth is None and not beside.is_dir():
            raise InputError(
                "has neither labels in it nor rendered clips with their truth beside them",
                path=data,
                hint="--truth names the folder of the truth",
                reason="no_truth",
            )
        yield from _rendered(clips, truth or beside, every)
    else:
        problem = "is neither a folder nor an annotation file" if data.exists() else "no such file or folder"
        raise InputError(problem, path=data, reason="no_truth")


def _annotated(path: Path) -> Iterator[Example]:
    for annotated in read_annotations(path):
        ((_, image),) = photo_source(path.parent, [Path(annotated.file).name]).images()
        yield Example(annotated.file, image, ImageTruth(annotated.people, ignored=annotated.unlabelled))


def _rendered(clips: Path, truth_folder: Path, every: int) -> Iterator[Example]:
    labels = TruthLabels(load_body())
    for path in truth_files(truth_folder).values():
        info: dict[str, Any] = read_json(path)
        clip = clips / str(info.get("clip"))
        if not clip.is_file():
            raise InputError(f"its truth is in {truth_folder}, but there is no such clip", path=clip, reason="no_truth")
        truth = SceneTruth.load(path)
        for sample in labelled_frames(labels, truth, clip, every):
            unlabelled = labels.unlabelled(truth, int(sample.key.rpartition("_")[2]))
            yield Example(sample.key, sample.image, ImageTruth(sample.people, sample.labelled, unlabelled))
