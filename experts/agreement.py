"""Two networks' readings of one person, made one reading that says how sure each keypoint is.

BlazePose is near where a joint is when it is right, and sure when it is wrong: of the limb joints of rendered people
that it gives a score of 0.9 or more, one in ten is farther than 0.04 of stature from the truth, of those half hidden
one in four. MultiPose is less exact, but its scores tell right from wrong, and it errs elsewhere. Where both say the
same, both are right; where they differ, one is wrong, and their scores say who.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mcbench.experts.base import PersonDetection
from mcbench.experts.duplicates import LIMBS, limb_joints
from mcbench.fitting.keypoint_model import STATURE
from mcbench.joints import joint_set

Array = npt.NDArray[np.float64]

#: Scores, rising, and how often a limb joint read with such a score is right: no farther than 0.04 of stature from the
#: truth. Between standard and hard rendered scenes, seeds 301, 611 and 402 (`docs/measured.md`).
_BLAZEPOSE = (0.0, 0.3, 0.5, 0.7, 0.9, 1.0), (0.36, 0.5, 0.65, 0.77, 0.86, 0.91)
_MULTIPOSE = (
    (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    (0.2, 0.35, 0.52, 0.66, 0.76, 0.86, 0.93, 0.965, 0.985),
)
#: How often readings that are right so often must be given what score, by BlazePose's, whose errors are known by score.
_SCORE = (0.0, 0.5, 0.65, 0.85, 0.925, 0.965, 0.98, 1.0), (0.0, 0.25, 0.5, 0.69, 0.82, 0.91, 1.0, 1.0)
#: What is hidden is hidden from both: of the lesser chance to be wrong, so much is the chance that both are; and in so
#: many of these cases they are wrong in the same place.
_BOTH_WRONG, _SAME_PLACE = 0.5, 0.35
#: Standard deviation, an axis, of the distance between two readings as a share of stature: both right, both wrong in
#: the same place, one wrong, both wrong.
_RIGHT, _WRONG_TOGETHER, _ONE_WRONG, _APART = 0.017, 0.025, 0.09, 0.11
#: The same of hips that both have right: of people in loose trousers each has them somewhere else.
_RIGHT_HIPS = 0.03
#: The place is the second network's where it is the likelier one by so much: the first is nearer to what is calibrated.
_RATHER = 0.25
#: Beyond this, in stature, readings are no farther apart for what follows from it.
_FAR = 0.5
#: Of a reading and the reader's (`confirmed`): the standard deviation of the distance if both are right, the distance
#: within which they say the same, from which chance on the place is the reading's then, how much likelier the reader's
#: must be to be taken, and what it takes from the scores of what hangs on a joint that is elsewhere.
_RIGHT_READ, _SAME_READ, _NEARER, _RATHER_READ, _DOUBTED = 0.02, 0.05, 0.7, 0.1, 0.5
#: How likely a keypoint of the foot must be to go where the reader has it, and how likely it is without.
_FEET, _SURE_FOOT, _LEAST_FOOT = ("_heel", "_foot_index"), 0.6, 0.3
#: Keypoints of a face, by their names; of one whose nose the reader sees less, their scores are so much lower.
OF_FACE = ("nose", "eye", "mouth")
_NO_FACE, _HIDDEN_FACE = 0.2, 0.3
#: Keypoints that hang on a limb joint.
_HANGING = {"wrist": ("pinky", "index", "thumb"), "ankle": ("heel", "foot_index")}


def agreed(reading: PersonDetection, opinion: PersonDetection, keypoint_set: str) -> PersonDetection:
    """A reading by BlazePose with the places and scores of the limb joints that it and one by MultiPose make likely.

    Which limb is the left one is the reading's to say: where `opinion` has the sides exchanged, it is exchanged back.

    Parameters
    ----------
    keypoint_set : of both.
    """
    names = joint_set(keypoint_set).joints
    opinion = _same_sides(reading, opinion, keypoint_set)
    size_px = _stature(reading, keypoint_set)
    keypoints, score = reading.keypoints.copy(), reading.keypoint_score.copy()
    for joint in (names.index(name) for name in LIMBS):
        gap = float(np.linalg.norm(reading.keypoints[joint] - opinion.keypoints[joint])) / size_px
        if np.isnan(gap):
            continue
        scores = float(reading.keypoint_score[joint]), float(opinion.keypoint_score[joint])
        part = names[joint].partition("_")[2]
        first, second = likely_right(*scores, gap, _RIGHT_HIPS if part == "hip" else _RIGHT)
        along = hanging(joint, keypoint_set)
        if second > first + _RATHER:
            keypoints[[joint, *along]] += opinion.keypoints[joint] - reading.keypoints[joint]
        score[joint] = np.interp(max(first, second), *_SCORE)
        score[along] *= min(1.0, first / float(np.interp(scores[0], *_BLAZEPOSE)))
    return replace(reading, keypoints=keypoints, keypoint_score=score)


def confirmed(
    reading: PersonDetection, expected: PersonDetection, size_px: float, keypoint_set: str
) -> PersonDetection:
    """A reading with the limb joints, feet and face that a reader of the expected person makes likely, too.

    Both tell how likely they are right by scores of the same meaning.

    Parameters
    ----------
    expected : by a reader that was told where the person is (`mcbench.experts.reader`). size_px : height of a standing
        adult there.
    """
    names = joint_set(keypoint_set).joints
    if not np.isfinite(limb_joints(reading.keypoints + expected.keypoints, keypoint_set)).all(axis=1).any():
        return reading
    expected = _same_sides(reading, expected, keypoint_set)
    keypoints, score = reading.keypoints.copy(), reading.keypoint_score.copy()
    for joint in (names.index(name) for name in LIMBS):
        ours, theirs = reading.keypoints[joint], expected.keypoints[joint]
        if not np.isfinite(theirs).all():
            continue
        gap = float(np.linalg.norm(ours - theirs)) / size_px if np.isfinite(ours).all() else _FAR
        p = right_of(float(score[joint])) if np.isfinite(ours).all() else 0.0
        q = right_of(float(expected.keypoint_score[joint]))
        first, second = _likely(p, q, gap, _RIGHT_READ)
        along = hanging(joint, keypoint_set)
        place = ours
        if gap < _SAME_READ:
            # the first network is nearer to the joint where it is right, and it is what is calibrated
            place = ours if p >= _NEARER else (ours + theirs) / 2
        elif second > first + _RATHER_READ:
            place = theirs
            score[along] *= _DOUBTED
        keypoints[[joint, *along]] += place - ours
        keypoints[joint] = place
        score[joint] = score_of(max(first, second))
    for joint in (names.index(name) for name in names if name.endswith(_FEET)):
        sure = right_of(float(expected.keypoint_score[joint]))
        if sure > _SURE_FOOT:
            keypoints[joint], score[joint] = expected.keypoints[joint], score_of(sure)
        else:
            score[joint] = min(score[joint], score_of(max(sure, _LEAST_FOOT)))
    if expected.keypoint_score[names.index("nose")] < _NO_FACE:
        score[[k for k, name in enumerate(names) if any(part in name for part in OF_FACE)]] *= _HIDDEN_FACE
    return replace(reading, keypoints=keypoints, keypoint_score=score)


def right_of(score: float) -> float:
    """How likely a reading with a score of `agreed`'s meaning is right."""
    return float(np.interp(score, _SCORE[1], _SCORE[0]))


def score_of(right: npt.ArrayLike) -> Array:
    """Scores of readings that are right so often."""
    return np.asarray(np.interp(np.asarray(right, np.float64), *_SCORE))


def alone(opinion: PersonDetection) -> PersonDetection:
    """A reading by MultiPose of someone whom nothing else reads, with scores that mean what BlazePose's do."""
    known = np.asarray(opinion.keypoint_score > 0)
    score = np.interp(np.interp(opinion.keypoint_score, *_MULTIPOSE), *_SCORE)
    return replace(opinion, keypoint_score=np.where(known, score, 0.0))


def likely_right(blazepose: float, multipose: float, gap: float, apart: float = _RIGHT) -> tuple[float, float]:
    """How likely BlazePose's and MultiPose's reading of a joint is right, by their scores and the gap between them.

    gap : px over the stature of a standing adult there. apart : its standard deviation, an axis, if both are right.
    """
    return _likely(float(np.interp(blazepose, *_BLAZEPOSE)), float(np.interp(multipose, *_MULTIPOSE)), gap, apart)


def _likely(p: float, q: float, gap: float, apart: float) -> tuple[float, float]:
    """How likely two readings are right, that are by themselves with chances p and q."""
    gap = min(gap, _FAR)
    neither = _BOTH_WRONG * min(1 - p, 1 - q) + (1 - _BOTH_WRONG) * (1 - p) * (1 - q)
    both = (p + q - 1 + neither) * _density(gap, apart)
    first, second = ((1 - one - neither) * _density(gap, _ONE_WRONG) for one in (q, p))
    wrong = neither * (_SAME_PLACE * _density(gap, _WRONG_TOGETHER) + (1 - _SAME_PLACE) * _density(gap, _APART))
    total = both + first + second + wrong
    return (both + first) / total, (both + second) / total


def hanging(joint: int, keypoint_set: str) -> list[int]:
    """Keypoints that are read wrong together with a limb joint, and go where it goes."""
    names = joint_set(keypoint_set).joints
    side, _, part = names[joint].partition("_")
    return [names.index(n) for other in _HANGING.get(part, ()) if (n := f"{side}_{other}") in names]


def _stature(reading: PersonDetection, keypoint_set: str) -> float:
    """Height of a standing adult where a person is, px: a pose that is known in metres, too, tells the scale."""
    image, metres = (limb_joints(points, keypoint_set) for points in (reading.keypoints, reading.keypoints3d[:, :2]))
    spread, spread_m = (float(np.linalg.norm(points - points.mean(0))) for points in (image, metres))
    return STATURE * spread / spread_m


def _density(gap: float, deviation: float) -> float:
    """Of two places so far apart in the plane, if the distance is normal along each axis."""
    return float(np.exp(-0.5 * (gap / deviation) ** 2)) / deviation**2


def _same_sides(reading: PersonDetection, opinion: PersonDetection, keypoint_set: str) -> PersonDetection:
    """The opinion, or it with left and right exchanged if more of it agrees with the reading then."""
    order = list(joint_set(keypoint_set).flip)
    exchanged = replace(opinion, keypoints=opinion.keypoints[order], keypoint_score=opinion.keypoint_score[order])

    def gap(other: PersonDetection) -> float:
        ours, theirs = (limb_joints(one.keypoints, keypoint_set) for one in (reading, other))
        return float(np.nanmedian(np.linalg.norm(ours - theirs, axis=1)))

    return min((opinion, exchanged), key=gap)
