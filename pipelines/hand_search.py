"""Hands found by themselves, for arms that the body's keypoints have lost.

A detector guesses at an arm that is crossed, stretched towards the camera or beside somebody else's, and the hand that
is looked for at the end of it is not there. But hands are found without a body, too, where they are looked for closely.
So round the shoulders of those whose hand is missing the frames are searched in small squares; what several frames show
at one place is a hand, and it belongs to the arm that can reach it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from mcbench.cameras.camera import Array, transform
from mcbench.cameras.views import Views
from mcbench.dataset.source import Source
from mcbench.experts.base import PersonDetection
from mcbench.experts.crops import Pyramid, Roi
from mcbench.experts.holistic import PartReader
from mcbench.experts.parts import SAME, Part, distance
from mcbench.fitting.expected import image_points
from mcbench.fitting.still_groups import StillGroup, still_groups
from mcbench.joints import BLAZEPOSE33, HAND21

#: Frames that are searched, evenly spread.
FRAMES = 16
#: Lengths in those of the trunk from shoulder to hip, of which people's hardly vary (Drillis and Contini, "Body segment
#: parameters", 1966: trunk 0.288, upper arm 0.186, forearm 0.146, hand 0.108 of stature).
_UPPER_ARM, _FOREARM, _HAND = 0.65, 0.51, 0.38
#: How far from the shoulder a hand is looked for, the side of a square that is searched, and how many there are a side.
_REACH, _SIDE, _SQUARES = 1.55, 1.6, 3
#: By how much the elbow that a hand points back at may miss the length of the upper arm: hands bend in their wrists.
_ELBOW_SD = 0.45
#: Hands smaller than this are not found, px.
_MIN_HAND_PX = 12.0
#: A reading agrees with a hand up to this median distance, as a share of its size; the support of a hand, in readings.
_AGREES, _SUPPORT = 0.15, 2.0
#: An arm claims a hand from this product of support, side and place on.
_MIN_CLAIM = 2.0
_WRIST, _MIDDLE = HAND21.index("wrist"), HAND21.index("middle_1")


@dataclass(frozen=True)
class Arm:
    """An arm whose hand is missing.

    Attributes
    ----------
    person : whose. part : "left_hand" or "right_hand".
    shoulder : (3,) in the world. trunk : from shoulder to hip, the world's units.
    """

    person: int
    part: str
    shoulder: Array
    trunk: float


@dataclass(frozen=True)
class LooseHand:
    """A hand in the world, whosever it is.

    Attributes
    ----------
    points : (21, 3). support : the sum of the readings' scores.
    right : probability in [0, 1] that it is a right one.
    readings : by frame.
    """

    points: Array
    support: float
    right: float
    readings: dict[int, Part]


def loose_hands(
    source: Source,
    frames: Sequence[int],
    views: Views,
    arms: Sequence[Arm],
    known: Sequence[Array],
    reader: PartReader,
    step: Callable[[], None],
) -> list[LooseHand]:
    """The hands near arms whose own is missing.

    Parameters
    ----------
    frames : to search. known : hands (21, 3) that have an owner. step : called after every frame.
    """
    found: list[tuple[int, int, Part]] = []
    for frame, image in source.images(list(frames) if arms else []):
        view = views.of_frame(frame.index)
        if view is not None:
            regions = [region for arm in arms for region in _regions(arm, views, view)]
            owned = [image_points(views.cameras[view], transform(views.cam_from_world[view], hand)) for hand in known]
            for part in reader.hands(Pyramid(image), regions) if regions else []:
                if all(distance(part, hand) > SAME for hand in owned):
                    found.append((frame.index, view, part))
        step()
    if not arms:
        for _ in frames:
            step()
    if len(found) < 2:
        return []
    view_of = np.array([view for _, view, _ in found])
    pixels = np.array([views.undistort(view, part.keypoints) for _, view, part in found])
    score = np.array([part.score for _, _, part in found])
    size = np.array([part.size for _, _, part in found])
    groups = still_groups(views, view_of, pixels, score, size, _AGREES, _SUPPORT)
    return [_hand(group, found) for group in groups]


def _hand(group: StillGroup, found: Sequence[tuple[int, int, Part]]) -> LooseHand:
    mine = [found[row] for row in group.members]
    sides = [0.5 if part.handedness is None else part.handedness for _, _, part in mine]
    return LooseHand(group.points, group.support, float(np.mean(sides)), {frame: part for frame, _, part in mine})


def _regions(arm: Arm, views: Views, view: int) -> list[Roi]:
    """Squares round where an arm may reach in a view; none where hands there are too small."""
    cam = transform(views.cam_from_world[view], arm.shoulder[None])
    if not cam[0, 2] > 0.0:
        return []
    camera = views.cameras[view]
    shoulder = image_points(camera, cam)[0]
    trunk = float(np.sqrt(camera.fx * camera.fy)) * arm.trunk / float(cam[0, 2])
    if not np.isfinite(shoulder).all() or _HAND * trunk < _MIN_HAND_PX:
        return []
    steps = trunk * np.linspace(_SIDE / 2 - _REACH, _REACH - _SIDE / 2, _SQUARES)
    centers = shoulder + np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    inside = ((centers > 0) & (centers < [camera.width, camera.height])).all(axis=1)
    return [Roi(center, _SIDE * trunk) for center in centers[inside]]


def owners(hands: Sequence[LooseHand], arms: Sequence[Arm]) -> list[tuple[Arm, LooseHand]]:
    """Which arm each hand belongs to, each at most one, so that the claims together are strongest."""
    claim = np.array([[_claim(hand, arm) for hand in hands] for arm in arms]).reshape(len(arms), len(hands))
    pairs = zip(*linear_sum_assignment(-claim), strict=True)
    return [(arms[a], hands[h]) for a, h in pairs if claim[a, h] >= _MIN_CLAIM]


def _claim(hand: LooseHand, arm: Arm) -> float:
    """How strongly an arm claims a hand: the readings that support it, by side and by where its elbow would be."""
    side = hand.right if arm.part == "right_hand" else 1.0 - hand.right
    wrist, along = hand.points[_WRIST], hand.points[_MIDDLE] - hand.points[_WRIST]
    length = float(np.linalg.norm(along))
    if not length > 0.0 or np.linalg.norm(wrist - arm.shoulder) > (_UPPER_ARM + _FOREARM) * 1.15 * arm.trunk:
        return 0.0
    elbow = wrist - _FOREARM * arm.trunk * along / length
    off = (float(np.linalg.norm(elbow - arm.shoulder)) / arm.trunk - _UPPER_ARM) / _ELBOW_SD
    return hand.support * side * float(np.exp(-0.5 * off**2))


#: The keypoints of BlazePose on a hand, and those of the hand that are the same.
_ON_HAND = {"wrist": "wrist", "pinky": "pinky_1", "index": "index_1", "thumb": "thumb_2"}
#: A body has the hand at the wrong place when its wrist is so far from it, as a share of the hand's size.
_LOST = 0.7
#: How much less the elbow of such an arm is believed.
_DOUBT = 0.3


def with_hand(body: PersonDetection, side: str, expected: Array, read: Part | None) -> PersonDetection:
    """A body of `blazepose33` whose arm ends where its hand is; itself if it does already.

    Parameters
    ----------
    side : which of the detection's hands, "left" or "right".
    expected : (21, 2) px where the hand should be.
    read : what is read of it in this image; without, the keypoints on the hand are unknown.
    """
    wrist = BLAZEPOSE33.index(f"{side}_wrist")
    size = float(np.ptp(expected, axis=0).max())
    if not np.linalg.norm(body.keypoints[wrist] - expected[_WRIST]) > _LOST * size:
        return body
    keypoints, score, points3d = body.keypoints.copy(), body.keypoint_score.copy(), body.keypoints3d.copy()
    for own, name in _ON_HAND.items():
        index, point = BLAZEPOSE33.index(f"{side}_{own}"), HAND21.index(name)
        keypoints[index] = np.nan if read is None else read.keypoints[point]
        score[index] = 0.0 if read is None else read.keypoint_score[point]
        points3d[index] = np.nan
    score[BLAZEPOSE33.index(f"{side}_elbow")] *= _DOUBT
    return replace(body, keypoints=keypoints, keypoint_score=score, keypoints3d=points3d)
