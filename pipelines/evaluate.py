"""Evaluate: score prediction folders on a benchmark under a named protocol."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mcbench.body.model import OPEN_BODIES, BodyModel, load_body
from mcbench.body.rotations import exp_so3
from mcbench.cameras.camera import transform
from mcbench.dataset.benchmark import Benchmark
from mcbench.dataset.files import write_bytes, write_json
from mcbench.dataset.predictions import Predictions
from mcbench.errors import InputError, UsageError
from mcbench.metrics.evaluation import (
    METRICS,
    ImagePrediction,
    ImageTruth,
    ItemScores,
    score_image,
    summarise_items,
)
from mcbench.metrics.protocols import Protocol
from mcbench.workspace.stage import Progress, no_progress

FORMAT = "mcbench-evaluation/1"


def evaluate(
    benchmark: Benchmark,
    folders: Sequence[Path],
    protocol: Protocol,
    *,
    body_path: Path | None = None,
    out: Path | None = None,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Score predictions; returns the document that `evaluation.json` holds.

    Parameters
    ----------
    folders : a prediction folder each.
    body_path : body model of SMPL parameters in the predictions, or an open body's name; None for `open_smpl`.
    out : folder for `evaluation.json` and `items.csv` (a row a person and image), or None.

    Raises
    ------
    UsageError : `out` is a file, or a folder given twice.
    InputError : predictions of another benchmark or body, arrays that do not fit, or a damaged benchmark.
    """
    if out is not None and out.exists() and not out.is_dir():
        raise UsageError("is a file, not a folder", path=out)
    if body_path is not None and str(body_path) not in OPEN_BODIES and not body_path.is_file():
        raise InputError("no such file", path=body_path, reason="missing_file")
    names = _distinct_names(folders)
    benchmark.require_intact()
    documents, rows = [], []
    for done, (name, folder) in enumerate(names.items()):
        progress(done, len(names), name)
        predictions = _load(benchmark, folder)
        body = _body_of(predictions, folder, body_path)
        items = _score(benchmark, predictions, body, protocol)
        documents.append({"name": name, "method": predictions.method, **summarise_items(items)})
        rows += _item_rows(name, benchmark, items)
    document = {
        "format": FORMAT,
        "protocol": protocol.name,
        "protocol_description": protocol.description,
        "benchmark": benchmark.digest,
        "methods": documents,
    }
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / "evaluation.json", document)
        write_bytes(out / "items.csv", _csv(rows))
    return document


def _distinct_names(folders: Sequence[Path]) -> dict[str, Path]:
    """A name for each folder: its own, with its parents' where two are alike."""
    resolved = [Path(folder).resolve() for folder in folders]
    for depth in range(1, 1 + max((len(p.parts) for p in resolved), default=1)):
        names = ["/".join(p.parts[-depth:]) for p in resolved]
        if len(set(names)) == len(names):
            return dict(zip(names, folders, strict=True))
    raise UsageError("given twice", path=folders[0], reason="duplicate")


def _load(benchmark: Benchmark, folder: Path) -> Predictions:
    predictions = Predictions.load(folder, len(benchmark.index))
    if predictions.benchmark != benchmark.digest:
        raise InputError(
            "are predictions on another benchmark",
            path=folder,
            hint="its images or people have changed since: predict again",
            reason="other_benchmark",
        )
    vertices, own = predictions.vertices.shape[1], len(benchmark.skin_area)
    if vertices not in (0, own):
        raise InputError(
            f"has bodies of {vertices} vertices, the benchmark's have {own}", path=folder, reason="bad_format"
        )
    return predictions


def _body_of(predictions: Predictions, folder: Path, path: Path | None) -> BodyModel | None:
    """The body that turns SMPL parameters into vertices; None where none is needed."""
    if predictions.has_vertices or not predictions.has_parameters:
        return None
    body = load_body(path)
    if body.digest != predictions.body_digest:
        raise InputError(
            f"has SMPL parameters of another body model than {body.name!r}",
            path=folder,
            hint="name its file with --body, or give vertices",
            reason="other_body",
        )
    if (given := predictions.betas.shape[1]) > body.n_betas:
        raise InputError(f"has {given} betas, the body has {body.n_betas}", path=folder, reason="bad_format")
    return body


def _score(benchmark: Benchmark, predictions: Predictions, body: BodyModel | None, protocol: Protocol) -> ItemScores:
    parts, first_person = [], 0
    image = 0
    for scene in benchmark.scenes:
        people = scene.people
        person = first_person + np.arange(len(people))
        for i, camera in enumerate(scene.cameras.frames):
            if camera.cam_from_world is None:
                raise InputError(f"image {camera.name} has no pose", path=scene.folder / "cameras.json")
            truth = ImageTruth(
                image,
                person,
                people.box[i],
                people.visible[i],
                transform(camera.cam_from_world, people.joints),
                transform(camera.cam_from_world, people.vertices),
            )
            parts.append(score_image(truth, _image_prediction(predictions, image, body), protocol, benchmark.skin_area))
            image += 1
        first_person += len(people)
    return ItemScores.concatenate(parts)


def _image_prediction(predictions: Predictions, image: int, body: BodyModel | None) -> ImagePrediction:
    rows = np.flatnonzero(predictions.image == image)
    vertices = None
    if predictions.has_vertices:
        vertices = predictions.vertices[rows].astype(np.float64)
    elif body is not None:
        p = predictions
        betas = np.pad(p.betas[rows], ((0, 0), (0, body.n_betas - p.betas.shape[1])))
        turns = exp_so3(np.concatenate([p.global_orient[rows, None], p.body_pose[rows]], axis=1))
        vertices = body.forward(betas, body.rotations_from_smpl24(turns), p.transl[rows]).vertices
    return ImagePrediction(predictions.box[rows], predictions.joints[rows].astype(np.float64), vertices)


def _item_rows(name: str, benchmark: Benchmark, items: ItemScores) -> list[list[Any]]:
    rows = []
    for k, (image, person) in enumerate(zip(items.image.tolist(), items.person.tolist(), strict=True)):
        scene = benchmark.scenes[benchmark.index[image][0]]
        values = [items.iou[k], *(1000 * items.errors[m][k] for m in METRICS)]
        numbers = [f"{v:.3f}" if np.isfinite(v) else "" for v in values]
        rows.append([name, scene.id, scene.images[benchmark.index[image][1]], person, *numbers])
    return rows


def _csv(rows: list[list[Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["method", "scene", "image", "person", "iou", *(f"{m}_mm" for m in METRICS)])
    writer.writerows(rows)
    return text.getvalue().encode()
