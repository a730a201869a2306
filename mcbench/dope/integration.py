"""Pose-proposal integration: from the many poses that a network proposes to one pose for each part that is there.

The idea is LCR-Net's (Rogez, Weinzaepfel, Schmid), the formulation ours. A part is where proposals agree: each has a
support, the sum of what it and those near it, in box and image, say that there is a part. The proposal that is
best supported and those near it are about one part, and go. Of what they say of it, readings in 3D that exclude one
another, such as a body seen from the front or from behind, are told apart, and the one of most weight is averaged. What
is left beside a part is less believed the nearer its pose is to the part's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcbench.dope.people import PartPose, about_root
from mcbench.joints import DOPE13
from mcbench.metrics.matching import box_iou

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

#: Joints that poses of upper bodies guess.
_LOWER = [DOPE13.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("knee", "ankle")]
#: A joint's confidence falls with the spread of the readings, as a share of the part's size: to 1/e at this one.
_SPREAD = 0.12
#: Proposals, and readings of one part, looked at, the best ones: bounds time and memory.
_MOST, _MOST_READINGS = 400, 300
#: Parts of a kind told of one image at most.
_MOST_PARTS = 200
#: Parts whose boxes overlap by more may be one.
_BESIDE = 0.1
#: Joints, spread over all, by which proposals are compared: as good as all of a face's 84.
_COMPARED = 16


@dataclass(frozen=True)
class IntegrationSettings:
    """When proposals are about one part; distances are means over joints, as shares of the root of the larger box's
    area.

    Attributes
    ----------
    threshold : readings are pairs of a proposal and an anchor pose with a score of this over the number of the latter.
    first : proposals that are a part with a lower probability are not looked at.
    least : parts have a score of this.
    overlap : proposals about one part have boxes of this IoU or more with the best one's,
    near : and poses at this distance at most.
    kernel : a proposal supports another by a Gaussian of their distance, which falls to 1/e at this one.
    support : a part's score is what its best proposal says times 1 - exp(-its support / this).
    again : it is multiplied by 1 - exp(-(distance / this)^2) for each better part whose box overlaps it.
    mode : one reading of a part has 3D joints at less than this mean distance, in the network's units.
    upper_weight : weight of poses of upper bodies, whose legs are guessed, beside those of whole bodies.
    """

    threshold: float = 0.1
    first: float = 0.05
    least: float = 0.1
    overlap: float = 0.3
    near: float = 0.15
    kernel: float = 0.12
    support: float = 1.0
    again: float = 0.35
    mode: float = 0.3
    upper_weight: float = 0.2


#: Of each kind: small parts' poses are the less exact for their size, and what is another reading of a hand is rarely
#: another hand.
SETTINGS = {
    "body": IntegrationSettings(),
    "hand": IntegrationSettings(near=0.25, support=2.0, again=0.5),
    "face": IntegrationSettings(near=0.25, support=2.0, again=0.25),
}


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
    """A part found, and for hands the probability that it is a right one."""

    pose: PartPose
    right: float = 1.0


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
    settings : None for those of the kind.
    """
    settings = settings or SETTINGS[kind]
    classes = found.scores.shape[1] - 1
    upper = np.zeros(classes, dtype=bool) if upper is None else upper
    left = np.zeros(classes, dtype=bool) if left is None else left
    pool = _Pool.of(found, upper, settings)
    free, belief = np.ones(len(pool.there), dtype=bool), np.ones(len(pool.there))
    candidates: list[Candidate] = []
    while free.any() and len(candidates) < _MOST_PARTS:
        support = pool.kernel @ (pool.there * free)
        score = pool.there * (1 - np.exp(-support / settings.support)) * belief * free
        best = int(score.argmax())
        if score[best] < settings.least:
            break
        one = np.flatnonzero(free & pool.same[best])
        candidates.append(_told(kind, pool, one, float(score[best]), upper, left, unit, settings))
        free[one] = False
        belief *= np.where(pool.beside[best], 1 - np.exp(-((pool.gap[best] / settings.again) ** 2)), 1.0)
    return candidates


@dataclass(frozen=True)
class _Pool:
    """R proposals, and of each two of them how they lie to one another.

    Attributes
    ----------
    there : (R,) probability that a proposal is a part. boxes : (R, 4). said : (R, K) of each anchor pose.
    weight : (R, K) the same, upper bodies for less. pose2d, pose3d : (R, K, J, ·).
    gap : (R, R) distances, as in `IntegrationSettings`, of boxes that overlap, else infinite.
    kernel : (R, R) by how much one supports another.
    same, beside : (R, R) whether two are about one part, and whether they may be.
    """

    there: Array
    boxes: Array
    said: Array
    weight: Array
    pose2d: Array
    pose3d: Array
    gap: Array
    same: npt.NDArray[np.bool_]
    beside: npt.NDArray[np.bool_]
    kernel: Array

    @classmethod
    def of(cls, found: Hypotheses, upper: npt.NDArray[np.bool_], settings: IntegrationSettings) -> _Pool:
        there = 1.0 - np.asarray(found.scores[:, 0], dtype=np.float64)
        chosen = np.flatnonzero(there >= settings.first)
        chosen = chosen[np.argsort(-there[chosen], kind="stable")[:_MOST]]
        boxes = np.asarray(found.boxes[chosen], dtype=np.float64)
        said = np.asarray(found.scores[chosen, 1:], dtype=np.float64)
        weight = said * np.where(upper, settings.upper_weight, 1.0)
        pose2d = found.pose2d[chosen]
        some = np.unique(np.linspace(0, pose2d.shape[2] - 1, _COMPARED).astype(int))
        share = weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-12)
        read = pose2d[:, :, some].reshape(*pose2d.shape[:2], 2 * len(some)).astype(np.float64)
        mean = (share[:, None] @ read).reshape(len(boxes), len(some), 2)
        size = np.sqrt(np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(axis=1), 1e-9))
        iou = box_iou(boxes, boxes)
        overlap, beside = iou >= settings.overlap, iou > _BESIDE
        one, other = np.nonzero(overlap | beside)
        gap = np.full(iou.shape, np.inf)  # of those that lie apart nobody asks
        gap[one, other] = _distance(mean[one], mean[other]) / np.maximum(size[one], size[other])
        return cls(
            there[chosen],
            boxes,
            said,
            weight,
            pose2d,
            found.pose3d[chosen],
            gap,
            (overlap & (gap <= settings.near)) | np.eye(len(boxes), dtype=bool),
            beside,
            np.exp(-((gap / settings.kernel) ** 2)) * overlap,
        )


def _told(
    kind: str,
    pool: _Pool,
    one: Indices,
    score: float,
    upper: npt.NDArray[np.bool_],
    left: npt.NDArray[np.bool_],
    unit: float,
    settings: IntegrationSettings,
) -> Candidate:
    """The part that proposals are about: the weighted mean of its reading of most weight."""
    row, anchor = np.nonzero(pool.said[one] >= settings.threshold / max(1, pool.said.shape[1]))
    row = one[row]
    if not len(row):  # many anchor poses, each as unlikely as the others
        row, anchor = np.array([one[0]]), np.array([int(pool.said[one[0]].argmax())])
    weight = pool.weight[row, anchor] * pool.there[row] ** 2  # what is surely a part is read best
    order = np.argsort(-weight, kind="stable")[:_MOST_READINGS]
    row, anchor, weight = row[order], anchor[order], weight[order]
    pose3d = np.asarray(pool.pose3d[row, anchor], dtype=np.float64)
    mode = _heaviest_mode(pose3d, weight, left[anchor], settings.mode)
    row, anchor, pose3d = row[mode], anchor[mode], pose3d[mode]
    share = weight[mode] / weight[mode].sum()
    pose2d = np.asarray(pool.pose2d[row, anchor], dtype=np.float64)
    mean2d = np.einsum("m,mjd->jd", share, pose2d)
    mean3d = np.einsum("m,mjd->jd", share, pose3d)
    box = share @ pool.boxes[row]
    size = np.sqrt(max(1e-9, float((box[2:] - box[:2]).prod())))
    spread = np.sqrt(share @ ((pose2d - mean2d) ** 2).sum(axis=2)) / size
    confidence = score * np.exp(-((spread / _SPREAD) ** 2))
    said = pool.said[row, anchor]
    if kind == "body":
        confidence[_LOWER] *= said[~upper[anchor]].sum() / said.sum()
    right = float(pool.said[one][:, ~left].sum() / pool.said[one].sum())
    return Candidate(PartPose(score, mean2d, about_root(kind, mean3d * unit), confidence, box), right)


def _heaviest_mode(pose3d: Array, weight: Array, left: npt.NDArray[np.bool_], reach: float) -> Indices:
    """The mode of most weight among readings (M, J, 3) of one part, by falling weight; a hand's has one side."""
    rest = np.arange(len(weight))
    best, most = rest[:0], -1.0
    while len(rest) and float(weight[rest].sum()) > most:
        near = (_distance(pose3d[rest], pose3d[rest[0]]) < reach) & (left[rest] == left[rest[0]])
        near[0] = True
        if (total := float(weight[rest[near]].sum())) > most:
            best, most = rest[near], total
        rest = rest[~near]
    return best


def _distance(a: Array, b: Array) -> Array:
    """Mean distance (…,) of joints (…, J, D)."""
    gap = a - b
    return np.asarray(np.sqrt(np.einsum("...d,...d->...", gap, gap)).mean(axis=-1))
