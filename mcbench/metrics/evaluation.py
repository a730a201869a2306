"""Scoring predictions on a benchmark: matching by boxes, errors under a protocol, intervals over people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mcbench.metrics.matching import box_iou, match
from mcbench.metrics.protocols import Protocol
from mcbench.metrics.statistics import bootstrap_interval, share

Array = npt.NDArray[np.float64]

#: A predicted box must overlap the true one by this much to be matched.
MIN_IOU = 0.3
#: A person is asked for in the images that show at least so many of the 24 joints; elsewhere they may be missed.
MIN_VISIBLE_JOINTS = 8
#: Coordinates beyond this (m) are no place of a person.
_FARTHEST = 1e6
METRICS = ("mpjpe", "pa_mpjpe", "pve", "pa_pve")


@dataclass(frozen=True)
class ImageTruth:
    """The P people of one image, in its camera's axes.

    Attributes
    ----------
    image : number of the image in the benchmark.
    person : (P,) int64, an id unique in the benchmark.
    box : (P, 4) px, NaN where out of the image. visible : (P, 24) bool.
    joints : (P, 24, 3), vertices : (P, V, 3), metres.
    """

    image: int
    person: npt.NDArray[np.int64]
    box: Array
    visible: npt.NDArray[np.bool_]
    joints: Array
    vertices: Array


@dataclass(frozen=True)
class ImagePrediction:
    """The N people predicted in one image: box (N, 4), joints (N, 24, 3), vertices (N, V, 3) or None."""

    box: Array
    joints: Array
    vertices: Array | None


@dataclass(frozen=True)
class ItemScores:
    """One row a person and image that the benchmark asks for.

    Attributes
    ----------
    image : (M,) number of the image. person : (M,) id of the person.
    iou : (M,) overlap of the matched boxes; NaN where the person was missed.
    errors : (M,) of each of `METRICS`, metres; NaN where missed or not given.
    unmatched : number of predictions left without a person. They are not errors: a benchmark does not label everyone.
    """

    image: npt.NDArray[np.int64]
    person: npt.NDArray[np.int64]
    iou: Array
    errors: dict[str, Array]
    unmatched: int

    @property
    def matched(self) -> npt.NDArray[np.bool_]:
        return np.isfinite(self.iou)

    @classmethod
    def concatenate(cls, parts: Sequence[ItemScores]) -> ItemScores:
        return cls(
            np.concatenate([np.zeros(0, dtype=np.int64), *(p.image for p in parts)]),
            np.concatenate([np.zeros(0, dtype=np.int64), *(p.person for p in parts)]),
            np.concatenate([np.zeros(0), *(p.iou for p in parts)]),
            {m: np.concatenate([np.zeros(0), *(p.errors[m] for p in parts)]) for m in METRICS},
            sum(p.unmatched for p in parts),
        )


def score_image(truth: ImageTruth, predicted: ImagePrediction, protocol: Protocol, skin_area: Array) -> ItemScores:
    """Score the predictions of one image. `skin_area` (V,) as in `Protocol.vertex_scores`."""
    asked = truth.visible.sum(axis=1) >= MIN_VISIBLE_JOINTS
    # an answer that is no number finds nobody; were its body left out alone, a method could hide its worst ones
    usable = _is_place(predicted.joints)
    if predicted.vertices is not None:
        usable &= _is_place(predicted.vertices)
    overlap = box_iou(predicted.box, truth.box)
    # people who are not asked for still take their predictions away from the others
    pairs = match(np.where(usable[:, None], 1.0 - overlap, np.nan), 1.0 - MIN_IOU)
    by_person = {j: i for i, j in pairs if asked[j]}
    rows = np.flatnonzero(asked)
    errors = {m: np.full(len(rows), np.nan) for m in METRICS}
    at = np.array([k for k, j in enumerate(rows) if j in by_person], dtype=np.int64)
    found, chosen = rows[at], np.array([by_person[int(j)] for j in rows[at]], dtype=np.int64)
    scores = protocol.joint_scores(predicted.joints[chosen], truth.joints[found])
    if predicted.vertices is not None and predicted.vertices.shape[1:] == truth.vertices.shape[1:]:
        scores |= protocol.vertex_scores(
            predicted.vertices[chosen],
            truth.vertices[found],
            predicted.joints[chosen],
            truth.joints[found],
            skin_area,
        )
    for name, values in scores.items():
        errors[name][at] = values
    iou = np.full(len(rows), np.nan)
    iou[at] = overlap[chosen, found]
    image = np.full(len(rows), truth.image, dtype=np.int64)
    return ItemScores(image, truth.person[rows], iou, errors, len(predicted.box) - len(pairs))


def _is_place(points: Array) -> npt.NDArray[np.bool_]:
    """(N,) whether points (N, K, 3) are numbers that can be places, metres."""
    with np.errstate(invalid="ignore"):
        return np.asarray((np.abs(points) < _FARTHEST).all(axis=(1, 2)))


def summarise_items(items: ItemScores) -> dict[str, Any]:
    """Means over matched items in millimetres, recall, and their 90 % bootstrap intervals over people."""
    matched = items.matched
    result: dict[str, Any] = {
        "items": len(matched),
        "people": len(np.unique(items.person)),
        "matched": int(matched.sum()),
        "unmatched_predictions": items.unmatched,
        "recall": share(int(matched.sum()), len(matched)),
        "recall_interval90": bootstrap_interval(items.person, lambda i: float(matched[i].mean())),
    }
    for name in METRICS:
        values = 1000 * items.errors[name]
        measured = np.flatnonzero(np.isfinite(values))
        result[f"{name}_mm"] = float(values[measured].mean()) if len(measured) else None
        result[f"{name}_mm_interval90"] = (
            bootstrap_interval(items.person[measured], lambda i, v=values[measured]: float(v[i].mean()))  # type: ignore[misc]
            if len(measured)
            else None
        )
    return result
