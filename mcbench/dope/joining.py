"""Bodies, hands and faces found apart become people: a wrist has one hand and a hand one wrist, a head one face.

All hands are given to all wrists at once, and all faces to all heads, by least cost: what is surer, of the right side
and nearer goes first. What nobody's wrist or head is near stays a person of its own, unless it is another reading of
what has been given away.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mcbench.cameras.scale import image_scale
from mcbench.dope.people import PartPose, WholeBody
from mcbench.joints import DOPE13, HAND21
from mcbench.metrics.matching import box_iou, match

Array = npt.NDArray[np.float64]

#: A hand's wrist lies no farther from the arm's, a face's middle no farther from the head's, m at the body's size.
WRIST_M, HEAD_M = 0.15, 0.2
#: A hand is not given to an arm of the side that it is less likely of.
MIN_SIDE = 0.25
#: What overlaps a surer part of its kind by more, and could not be given away, is another reading of that one.
SAME_IOU = 0.4
_SIDES = ("left", "right")
#: What the farthest place costs more than the nearest, and more than any place costs.
_FARTHEST_COST, _ANY_COST = 2.0, 1e6


@dataclass(frozen=True)
class Hand:
    """A hand of whoever: its pose, and the probability that it is a right one."""

    pose: PartPose
    right: float

    def side(self, side: str) -> float:
        """Probability that it is of a side."""
        return self.right if side == "right" else 1.0 - self.right


def join(bodies: Sequence[PartPose], hands: Sequence[Hand], faces: Sequence[PartPose]) -> list[WholeBody]:
    """People of these parts, by falling score; each part is used at most once.

    The score of a hand becomes the probability that it is there and of the side it is given to.
    """
    parts: list[dict[str, PartPose]] = [{"body": body} for body in bodies]
    scales = [image_scale(body.pose2d, body.pose3d, body.confidence) for body in bodies]
    free = _give_hands(parts, scales, hands)
    for hand in free:
        side = "right" if hand.right >= 0.5 else "left"
        parts.append({f"{side}_hand": _of_side(hand, side)})
    taken = _given(parts[: len(bodies)], scales, faces)
    for person, face in taken.items():
        parts[person]["face"] = faces[face]
    rest = [face for i, face in enumerate(faces) if i not in taken.values()]
    parts += [{"face": face} for face in _distinct(rest, [faces[i] for i in taken.values()])]
    return sorted((WholeBody.of(person) for person in parts), key=lambda person: -person.score)


def _give_hands(parts: list[dict[str, PartPose]], scales: Sequence[float], hands: Sequence[Hand]) -> list[Hand]:
    """Give hands to the wrists of bodies, in `parts`; returns the hands of nobody's, each once."""
    if not (parts and hands):
        return _free(hands, set())
    wrists = [(person, side) for person in range(len(parts)) for side in _SIDES]
    places = np.array([parts[person]["body"].pose2d[DOPE13.index(f"{side}_wrist")] for person, side in wrists])
    roots = np.array([hand.pose.pose2d[HAND21.index("wrist")] for hand in hands])
    likely = np.array([[hand.side(side) for side in _SIDES] for hand in hands])
    likely = np.tile(likely, len(parts))  # (hands, wrists)
    score = np.array([hand.pose.score for hand in hands])[:, None] * likely
    off = np.linalg.norm(roots[:, None] - places[None], axis=2) / (WRIST_M * np.repeat(scales, len(_SIDES)))
    cost = np.where(likely >= MIN_SIDE, _cost(score, off), np.nan)
    given = match(cost, _ANY_COST)
    for row, column in given:
        person, side = wrists[column]
        parts[person][f"{side}_hand"] = _of_side(hands[row], side)
    return _free(hands, {row for row, _ in given})


def _free(hands: Sequence[Hand], used: Collection[int]) -> list[Hand]:
    """The hands that are not `used`, each once."""
    kept = _distinct(
        [hand.pose for row, hand in enumerate(hands) if row not in used], [hands[row].pose for row in used]
    )
    return [hand for hand in hands if any(hand.pose is pose for pose in kept)]


def _given(people: Sequence[dict[str, PartPose]], scales: Sequence[float], faces: Sequence[PartPose]) -> dict[int, int]:
    """The face of each person who has one."""
    if not (people and faces):
        return {}
    heads = np.array([person["body"].pose2d[DOPE13.index("head")] for person in people])
    middles = np.array([np.nanmean(face.pose2d, axis=0) for face in faces])
    off = np.linalg.norm(middles[None] - heads[:, None], axis=2) / (HEAD_M * np.array(scales)[:, None])
    cost = _cost(np.array([face.score for face in faces])[None], off)
    return dict(match(cost, _ANY_COST))


def _cost(score: Array, off: Array) -> Array:
    """Of giving parts to places that are `off` from them, as a share of the farthest allowed; NaN where it is too far:
    minus the logarithm of a probability that falls with the distance as a Gaussian does."""
    return np.where(off <= 1.0, -np.log(np.maximum(score, 1e-6)) + _FARTHEST_COST * off**2, np.nan)


def _of_side(hand: Hand, side: str) -> PartPose:
    return replace(hand.pose, score=hand.pose.score * hand.side(side))


def _distinct(parts: Sequence[PartPose], taken: Sequence[PartPose]) -> list[PartPose]:
    """The parts that are not other readings of those taken, nor of a surer one among themselves."""
    kept = list(taken)
    for part in sorted(parts, key=lambda p: -p.score):
        if not kept or box_iou(part.box[None], np.array([k.box for k in kept])).max() < SAME_IOU:
            kept.append(part)
    return kept[len(taken) :]
