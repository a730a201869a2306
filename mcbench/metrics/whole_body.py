"""Errors of whole-body people in images, by part: AP, PCK, recall, errors in 2D and 3D; definitions in
`docs/protocols.md`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mcbench.dope.people import KINDS, PartPose, WholeBody, about_root, kind_of
from mcbench.joints import COCO17, COCO_WHOLEBODY133, DOPE13, DOPE139, FACE84_OF_FACE68, mapping
from mcbench.metrics.matching import match
from mcbench.metrics.pose import procrustes_onto
from mcbench.metrics.statistics import share

Array = npt.NDArray[np.float64]

#: True parts whose box has a longer side of so many px are asked for.
MIN_BOX_PX = 48.0
#: A part is found where its joints are off by no more than this on average, as a share of its box's diagonal.
FOUND = 0.25
#: A joint is right (PCK) where it is off by no more than this share of the longer side of the box.
PCK = 0.1
#: Area of a person in those of the box of a part, for parts of people whose body is not known.
AREA_OF = {"body": 1.0, "hand": 50.0, "face": 40.0}
#: Thresholds of OKS for AP, those of errors in 3D (m) for the AUC, and recalls at which AP takes the precision.
OKS_THRESHOLDS = np.arange(0.5, 0.96, 0.05)
AUC_M = np.linspace(0.02, 0.05, 31)
_RECALLS = np.linspace(0.0, 1.0, 101)

#: Falloff of OKS a keypoint (half of its k), as published with COCO and COCO-WholeBody: body, face, hand.
_SIGMA_COCO17 = np.array([
    0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089,
    0.089,
])  # fmt: skip
_SIGMA_FACE68 = np.array([
    0.042, 0.043, 0.044, 0.043, 0.040, 0.035, 0.031, 0.025, 0.020, 0.023, 0.029, 0.032, 0.037, 0.038, 0.043, 0.041,
    0.045, 0.013, 0.012, 0.011, 0.011, 0.012, 0.012, 0.011, 0.011, 0.013, 0.015, 0.009, 0.007, 0.007, 0.007, 0.012,
    0.009, 0.008, 0.016, 0.010, 0.017, 0.011, 0.009, 0.011, 0.009, 0.007, 0.013, 0.008, 0.011, 0.012, 0.010, 0.034,
    0.008, 0.008, 0.009, 0.008, 0.008, 0.007, 0.010, 0.008, 0.009, 0.009, 0.009, 0.007, 0.007, 0.008, 0.011, 0.008,
    0.008, 0.008, 0.010, 0.008,
])  # fmt: skip
_SIGMA_HAND21 = np.array([
    0.029, 0.022, 0.035, 0.037, 0.047, 0.026, 0.025, 0.024, 0.035, 0.018, 0.024, 0.022, 0.026, 0.017, 0.021, 0.021,
    0.032, 0.020, 0.019, 0.022, 0.031,
])  # fmt: skip


def _body_sigmas() -> Array:
    """Of `dope13`; its head, the middle of the ears, has an ear's."""
    names = {**dict(zip(COCO17.joints, _SIGMA_COCO17, strict=True)), "head": 0.035}
    return np.array([names[name] for name in DOPE13.joints])


SIGMAS: Mapping[str, Array] = {
    "body": _body_sigmas(),
    "hand": _SIGMA_HAND21,
    "face": _SIGMA_FACE68[np.array(FACE84_OF_FACE68)].mean(axis=1),
}
#: The joints that `dope139` and COCO-WholeBody share, and their falloff.
SHARED = [i for i, _ in mapping(DOPE139.name, COCO_WHOLEBODY133.name)]
_SHARED_SIGMAS = np.concatenate([SIGMAS["body"], SIGMAS["hand"], SIGMAS["hand"], SIGMAS["face"]])[SHARED]


@dataclass(frozen=True)
class ImageTruth:
    """What is true of an image.

    Attributes
    ----------
    people : joints of confidence 0 are not scored; what `pose3d` does not tell is not scored in 3D.
    labelled : the kinds of which something is known.
    ignored : boxes (N, 4) by kind ("body", "hand", "face"): parts found with their middle in one are neither right nor
        wrong, as the people there are not labelled.
    """

    people: Sequence[WholeBody]
    labelled: frozenset[str] = frozenset(KINDS)
    ignored: Mapping[str, Array] = field(default_factory=dict)


def oks(predicted: Array, true: Array, scored: npt.NDArray[np.bool_], area: float, sigmas: Array) -> float:
    """Object keypoint similarity (Lin et al., COCO) of joints (J, 2) over those scored; unknown ones count as 0.

    area : px^2, the square of the scale of what is compared.
    """
    squared = ((predicted - true) ** 2).sum(axis=1) / (2 * max(area, 1.0) * (2 * sigmas) ** 2)
    similar = np.exp(-np.where(np.isfinite(squared), squared, np.inf))
    return float(similar[scored].mean()) if scored.any() else 0.0


class AveragePrecision:
    """AP over OKS of 0.50 to 0.95 as COCO takes it: the surest first, each to the true one that it fits best."""

    def __init__(self) -> None:
        self._true = 0
        self._scores: list[Array] = []
        self._right: list[npt.NDArray[np.int8]] = []  # (T, N) 1 right, 0 wrong, -1 does not count

    def add(
        self, similarity: Array, scores: Array, asked: npt.NDArray[np.bool_], ignored: npt.NDArray[np.bool_]
    ) -> None:
        """Add an image.

        Parameters
        ----------
        similarity : (N, M) of N predictions and M true ones. scores : (N,). asked : (M,) who is asked for.
        ignored : (N,) predictions that do not count unless they find somebody.
        """
        self._true += int(asked.sum())
        order = np.argsort(-scores, kind="stable")
        right = np.zeros((len(OKS_THRESHOLDS), len(scores)), dtype=np.int8)
        for t, threshold in enumerate(OKS_THRESHOLDS):
            free = np.ones(len(asked), dtype=bool)
            for n, row in enumerate(order):
                good = free & (similarity[row] >= threshold)
                wanted = np.where(good & asked, similarity[row], -1.0)
                if wanted.max(initial=-1.0) >= 0:
                    right[t, n] = 1
                    free[int(wanted.argmax())] = False
                elif good.any() or ignored[row]:
                    right[t, n] = -1
        self._scores.append(scores[order])
        self._right.append(right)

    def value(self) -> float | None:
        """None where nobody is asked for."""
        if not self._true:
            return None
        scores = np.concatenate([np.zeros(0), *self._scores])
        right = np.concatenate([np.zeros((len(OKS_THRESHOLDS), 0), dtype=np.int8), *self._right], axis=1)
        right = right[:, np.argsort(-scores, kind="stable")]
        return float(np.mean([_average_precision(row[row >= 0], self._true) for row in right]))


def _average_precision(right: npt.NDArray[np.int8], true: int) -> float:
    hits = np.cumsum(right)
    precision = hits / np.arange(1, len(right) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(hits / true, _RECALLS - 1e-12, side="left")
    return float(np.where(at < len(right), np.append(precision, 0.0)[np.minimum(at, len(right))], 0.0).mean())


class PartScores:
    """The scores of one kind of part over images."""

    def __init__(self, kind: str, min_box: float = MIN_BOX_PX) -> None:
        self._kind, self._min_box = kind, min_box
        self._ap = AveragePrecision()
        self._found = self._wrong = 0
        self._right_side: list[bool] = []
        self._error2d: list[float] = []
        self._pck: list[npt.NDArray[np.bool_]] = []
        self._error3d: list[float] = []
        self._pa: list[float] = []
        self._found3d: list[bool] = []
        self._joints3d: list[Array] = []

    def add(self, people: Sequence[WholeBody], predicted: Sequence[WholeBody], ignored: Array) -> None:
        """Add an image: the true people, the predicted ones, and boxes (N, 4) of parts that are not labelled."""
        self._add(_of_kind(people, self._kind), _areas(people, self._kind), _of_kind(predicted, self._kind), ignored)

    def _add(
        self,
        true: Sequence[tuple[str, PartPose]],
        areas: Sequence[float],
        predicted: Sequence[tuple[str, PartPose]],
        ignored: Array,
    ) -> None:
        scored = [part.confidence > 0 for _, part in true]
        asked = np.array([part.size >= self._min_box and s.any() for (_, part), s in zip(true, scored, strict=True)])
        asked = asked.astype(bool)
        # what is too small to be asked for is not wrong, either
        out = np.array([p.size < self._min_box or _within(p, ignored) for _, p in predicted], dtype=bool)
        similarity, off = np.zeros((len(predicted), len(true))), np.full((len(predicted), len(true)), np.nan)
        for j, (_, t) in enumerate(true):
            diagonal = _diagonal(t.box[:2], t.box[2:])
            for i, (_, p) in enumerate(predicted):
                similarity[i, j] = oks(p.pose2d, t.pose2d, scored[j], areas[j], SIGMAS[self._kind])
                errors = _joint_errors(p.pose2d, t.pose2d, scored[j], diagonal)[scored[j]]
                off[i, j] = errors.mean() / diagonal if len(errors) else np.nan
        self._ap.add(similarity, np.array([part.score for _, part in predicted]), asked, out)
        pairs = {j: i for i, j in match(off, FOUND)}
        taken = set(pairs.values())
        self._wrong += sum(i not in taken and not out[i] for i in range(len(predicted)))
        for j in np.flatnonzero(asked).tolist():
            name, part = true[j]
            mine = predicted[pairs[j]] if j in pairs else None
            if mine is not None:
                self._found += 1
                self._right_side.append(mine[0] == name)
            self._add_2d(part, None if mine is None else mine[1], scored[j])
            self._add_3d(part, None if mine is None else mine[1], scored[j])

    def _add_2d(self, true: PartPose, mine: PartPose | None, scored: npt.NDArray[np.bool_]) -> None:
        diagonal = _diagonal(true.box[:2], true.box[2:])
        pose2d = np.full_like(true.pose2d, np.nan) if mine is None else mine.pose2d
        errors = _joint_errors(pose2d, true.pose2d, scored, diagonal)[scored]
        self._error2d.append(float(errors.mean() / diagonal))
        self._pck.append(errors <= PCK * true.size)

    def _add_3d(self, true: PartPose, mine: PartPose | None, scored: npt.NDArray[np.bool_]) -> None:
        known = scored & np.isfinite(true.pose3d).all(axis=1)
        place = about_root(self._kind, true.pose3d)[known]
        if not np.isfinite(place).all() or len(place) < 3:
            return
        diagonal = _diagonal(place.min(axis=0), place.max(axis=0))
        own = np.full_like(place, np.nan) if mine is None else about_root(self._kind, mine.pose3d)[known]
        errors = np.linalg.norm(own - place, axis=1)
        self._found3d.append(mine is not None)
        self._joints3d.append(np.where(np.isfinite(errors), errors, np.inf))
        self._error3d.append(float(np.where(np.isfinite(errors), errors, diagonal).mean()))
        if not np.isfinite(own).all():
            self._pa.append(diagonal)
        else:
            self._pa.append(float(np.linalg.norm(procrustes_onto(own[None], place[None])[0] - place, axis=1).mean()))

    def summary(self) -> dict[str, Any]:
        """The scores; None where nothing was asked for, or nothing is known in 3D."""
        joints = np.concatenate(self._joints3d) if self._joints3d else np.zeros(0)
        auc = float(np.mean([(joints <= limit).mean() for limit in AUC_M])) if len(joints) else None
        return {
            "true": len(self._error2d),
            "found": self._found,
            "wrong": self._wrong,
            "recall": share(self._found, len(self._error2d)),
            "precision": share(self._found, self._found + self._wrong),
            "ap": self._ap.value(),
            "pck": float(np.concatenate(self._pck).mean()) if self._pck else None,
            "error_2d": _mean(self._error2d),
            "true_3d": len(self._error3d),
            **_millimetres("mpjpe", self._error3d, self._found3d),
            **_millimetres("pa_mpjpe", self._pa, self._found3d),
            **({"auc": auc, "side_accuracy": _mean(self._right_side)} if self._kind == "hand" else {}),
        }


class WholeBodyScores:
    """The scores of one method over images."""

    def __init__(self, min_box: float = MIN_BOX_PX) -> None:
        self._min_box = min_box
        self._parts = {kind: PartScores(kind, min_box) for kind in KINDS}
        self._whole = AveragePrecision()

    def add(self, truth: ImageTruth, predicted: Sequence[WholeBody]) -> None:
        for kind in truth.labelled:
            ignored = truth.ignored.get(kind, np.zeros((0, 4)))
            self._parts[kind].add(truth.people, predicted, ignored)
        if truth.labelled == set(KINDS):
            self._add_whole(truth, predicted)

    def _add_whole(self, truth: ImageTruth, predicted: Sequence[WholeBody]) -> None:
        true = [(p, p.body, p.confidence[SHARED] > 0) for p in truth.people if p.body is not None]
        found = [(p, p.body) for p in predicted if p.body is not None]
        similarity = np.zeros((len(found), len(true)))
        for j, (person, body, scored) in enumerate(true):
            area = _area(body.box)
            for i, (other, _) in enumerate(found):
                pose2d = (other.pose2d[SHARED], person.pose2d[SHARED])
                similarity[i, j] = oks(*pose2d, scored, area, _SHARED_SIGMAS)
        asked = np.array([body.size >= self._min_box and scored.any() for _, body, scored in true], dtype=bool)
        ignored = truth.ignored.get("body", np.zeros((0, 4)))
        out = np.array([body.size < self._min_box or _within(body, ignored) for _, body in found], dtype=bool)
        self._whole.add(similarity, np.array([p.score for p, _ in found]), asked, out)

    def summary(self) -> dict[str, Any]:
        """`body`, `hand`, `face` and `whole_body_ap`."""
        return {**{kind: part.summary() for kind, part in self._parts.items()}, "whole_body_ap": self._whole.value()}


def _of_kind(people: Sequence[WholeBody], kind: str) -> list[tuple[str, PartPose]]:
    return [(name, part) for person in people for name, part in person.parts.items() if kind_of(name) == kind]


def _areas(people: Sequence[WholeBody], kind: str) -> list[float]:
    """Area (px^2) of the person that each part of a kind belongs to, as the published falloffs are relative to it."""
    return [
        _area(part.box) * AREA_OF[kind] if person.body is None else _area(person.body.box)
        for person in people
        for name, part in person.parts.items()
        if kind_of(name) == kind
    ]


def _area(box: Array) -> float:
    return float(np.prod(box[2:] - box[:2]))


def _joint_errors(predicted: Array, true: Array, scored: npt.NDArray[np.bool_], missing: float) -> Array:
    """(J,) distances px; `missing` where the prediction does not tell, 0 where nothing is scored."""
    errors = np.linalg.norm(predicted - true, axis=1)
    return np.where(scored, np.where(np.isfinite(errors), errors, missing), 0.0)


def _diagonal(low: Array, high: Array) -> float:
    return max(float(np.linalg.norm(high - low)), 1e-6)


def _within(part: PartPose, boxes: Array) -> bool:
    middle = (part.box[:2] + part.box[2:]) / 2
    return bool(((boxes[:, :2] <= middle) & (middle <= boxes[:, 2:])).all(axis=1).any())


def _millimetres(name: str, errors: Sequence[float], found: Sequence[bool]) -> dict[str, float | None]:
    """Means of errors (m) over all and over the found ones."""
    own = np.array(errors)[np.array(found, dtype=bool)]
    return {
        f"{name}_mm": 1000 * float(np.mean(errors)) if len(errors) else None,
        f"{name}_found_mm": 1000 * float(own.mean()) if len(own) else None,
    }


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None
