"""Pose-proposal integration: from the many poses that a network proposes to one pose for each part that is there.

The idea is LCR-Net's (Rogez, Weinzaepfel, Schmid), the formulation ours. Of all pairs of a proposal and an anchor pose
those of some score are hypotheses. The best one and those near it in box and image are about one part. They fall into
modes by their 3D: readings that exclude one another, such as a body seen from the front or from behind. The mode of
most weight is averaged and tells the part; the others are dropped with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcbench.dope.people import PartPose, about_root
from mcbench.joints import DOPE13

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

#: Joints that poses of upper bodies guess.
_LOWER = [DOPE13.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("knee", "ankle")]
#: A joint's confidence falls with the spread of the hypotheses, as a share of the part's size: to 1/e at this one.
_SPREAD = 0.12
#: Hypotheses looked at, the best ones: bounds time and memory.
_MOST = 2000
#: Parts of a kind told of one image at most.
_MOST_PARTS = 200


@dataclass(frozen=True)
class IntegrationSettings:
    """When hypotheses are one.

    Attributes
    ----------
    threshold : hypotheses have a score of this over the number of anchor poses.
    least : parts have a score of this.
    overlap : hypotheses about one part have boxes of this IoU or more with the best one's.
    near : … and joints at this mean distance from its joints at most, as a share of the root of its box's area.
    mode : one reading of a part has 3D joints at less than this mean distance, in the network's units.
    upper_weight : weight of poses of upper bodies, whose legs are guessed, beside those of whole bodies.
    """

    threshold: float = 0.1
    least: float = 0.1
    overlap: float = 0.2
    near: float = 0.25
    mode: float = 0.3
    upper_weight: float = 0.2


@dataclass(frozen=True)
class Hypotheses:
    """What a network says of one kind of part in one image, as arrays.

    Attributes
    ----------
    boxes : (R, 4) px. scores : (R, K + 1), of nothing first. pose2d : (R, K, J, 2) px.
    pose3d : (R, K, J, 3) in units of the network.
    """

    boxes: Array
    scores: Array
    pose2d: Array
    pose3d: Array


@dataclass(frozen=True)
class Candidate:
    """A part found, and for hands whether it is a left one."""

    pose: PartPose
    left: bool = False


def integrate(
    kind: str,
    found: Hypotheses,
    unit: float = 1.0,
    upper: npt.NDArray[np.bool_] | None = None,
    left: npt.NDArray[np.bool_] | None = None,
    settings: IntegrationSettings | None = None,
) -> list[Candidate]:
    """The parts of a kind in an image, by falling score.

    Parameters
    ----------
    unit : metres that are 1 in the hypotheses' 3D.
    upper : (K,) which anchor poses are of upper bodies. left : (K,) which are of left hands.

    A part's score is the largest probability that one proposal gives to all anchor poses of the mode together.
    """
    settings = settings or IntegrationSettings()
    classes = found.scores.shape[1] - 1
    upper = np.zeros(classes, dtype=bool) if upper is None else upper
    left = np.zeros(classes, dtype=bool) if left is None else left
    pool = _Pool.of(found, settings)
    weight = pool.score * np.where(upper[pool.anchor], settings.upper_weight, 1.0)
    # a part's score is at most what one of its proposals gives to all anchor poses together
    enough = np.bincount(pool.proposal, weights=pool.score)[pool.proposal] >= settings.least
    rest = np.arange(len(weight))  # hypotheses that no part has taken
    candidates: list[Candidate] = []
    while len(first := rest[enough[rest]]) and len(candidates) < _MOST_PARTS:
        one = pool.about_the_same(first[weight[first].argmax()], rest, settings)
        mode = _heaviest_mode(pool, one, weight, left[pool.anchor], settings.mode)
        pose = _mean(kind, pool, mode, weight, upper[pool.anchor], unit)
        if pose.score >= settings.least:
            candidates.append(Candidate(pose, bool(left[pool.anchor[mode[0]]])))
        rest = np.setdiff1d(rest, one, assume_unique=True)
    return _distinct(sorted(candidates, key=lambda c: -c.pose.score), settings)


@dataclass(frozen=True)
class _Pool:
    """M hypotheses: the proposal and the anchor pose of each, its score (M,), box (M, 4), 2D and 3D joints."""

    proposal: Indices
    anchor: Indices
    score: Array
    box: Array
    pose2d: Array
    pose3d: Array

    @classmethod
    def of(cls, found: Hypotheses, settings: IntegrationSettings) -> _Pool:
        scores = np.array(found.scores[:, 1:], dtype=np.float64)
        scores[scores.sum(axis=1) < settings.least / 2] = 0.0  # mostly nothing, and many
        proposal, anchor = np.nonzero(scores >= settings.threshold / max(1, scores.shape[1]))
        order = np.argsort(-scores[proposal, anchor], kind="stable")[:_MOST]
        proposal, anchor = proposal[order], anchor[order]
        return cls(
            proposal,
            anchor,
            scores[proposal, anchor],
            np.asarray(found.boxes[proposal], dtype=np.float64),
            np.asarray(found.pose2d[proposal, anchor], dtype=np.float64),
            np.asarray(found.pose3d[proposal, anchor], dtype=np.float64),
        )

    def about_the_same(self, best: np.int64, rest: Indices, settings: IntegrationSettings) -> Indices:
        """Those of `rest` that are about the same part as the one at `best`, which is among them."""
        rest = rest[box_iou(self.box[best], self.box[rest]) >= settings.overlap]
        gap = _distance(self.pose2d[rest], self.pose2d[best])
        return np.union1d(rest[gap <= settings.near * _size(self.box[best])], best)


def _heaviest_mode(pool: _Pool, one: Indices, weight: Array, left: npt.NDArray[np.bool_], reach: float) -> Indices:
    """The mode of most weight among the hypotheses of one part; a hand's mode is of one handedness."""
    rest = one[np.argsort(-weight[one], kind="stable")]
    best, most = rest[:0], -1.0
    while len(rest) and float(weight[rest].sum()) > most:
        near = (_distance(pool.pose3d[rest], pool.pose3d[rest[0]]) < reach) & (left[rest] == left[rest[0]])
        near[0] = True
        if (total := float(weight[rest[near]].sum())) > most:
            best, most = rest[near], total
        rest = rest[~near]
    return best


def _mean(kind: str, pool: _Pool, mode: Indices, weight: Array, upper: npt.NDArray[np.bool_], unit: float) -> PartPose:
    """The weighted mean of a mode."""
    share = weight[mode] / weight[mode].sum()
    pose2d = np.einsum("m,mjd->jd", share, pool.pose2d[mode])
    pose3d = np.einsum("m,mjd->jd", share, pool.pose3d[mode])
    box = share @ pool.box[mode]
    score = min(1.0, float(np.bincount(pool.proposal[mode], weights=pool.score[mode]).max()))
    spread = np.sqrt(share @ ((pool.pose2d[mode] - pose2d) ** 2).sum(axis=2)) / max(_size(box), 1e-9)
    confidence = score * np.exp(-((spread / _SPREAD) ** 2))
    if kind == "body":
        whole = pool.score[mode][~upper[mode]].sum() / pool.score[mode].sum()
        confidence[_LOWER] *= whole
    return PartPose(score, pose2d, about_root(kind, pose3d * unit), confidence, box)


def _distinct(candidates: list[Candidate], settings: IntegrationSettings) -> list[Candidate]:
    """Candidates, best first, without those that tell of a better one's part again."""
    if not candidates:
        return []
    boxes = np.array([c.pose.box for c in candidates])
    poses = np.array([c.pose.pose2d for c in candidates])
    sizes = np.array([_size(box) for box in boxes])
    left = np.ones(len(candidates), dtype=bool)
    kept = []
    for index, candidate in enumerate(candidates):
        if left[index]:
            kept.append(candidate)
            again = box_iou(boxes[index], boxes) >= settings.overlap
            # the larger one's size: a loose box round the same part proposes a pose as loose
            reach = settings.near * np.maximum(sizes, sizes[index])
            left &= ~(again & (_distance(poses, poses[index]) <= reach))
    return kept


def box_iou(box: Array, boxes: Array) -> Array:
    """(M,) intersection over union of a box (4,) with boxes (M, 4)."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    inter = np.clip(sides, 0, None).prod(axis=1)
    union = (box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) - inter
    return np.asarray(inter / np.maximum(union, 1e-9))


def _distance(a: Array, b: Array) -> Array:
    """Mean distance (…,) of joints (…, J, D)."""
    gap = a - b
    return np.asarray(np.sqrt(np.einsum("...d,...d->...", gap, gap)).mean(axis=-1))


def _size(box: Array) -> float:
    """Root of a box's area, px."""
    return float(np.sqrt(max(0.0, (box[2:] - box[:2]).prod())))
