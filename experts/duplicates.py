"""Telling detections of one person from detections of two."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mcbench.experts.base import MASK_SIZE, PersonDetection
from mcbench.joints import joint_set

#: Two detections are one person when half their limb joints lie this near each other, in radii of the pose.
SAME = 0.2
#: A detection is a part of another one when so much of it lies on the other's mask and it is so much smaller.
PART_INSIDE, PART_SIZE = 0.75, 0.6
#: A detection misreads others when their masks cover so much of its own, and they score so much better. Two who
#: embrace share a mask, too, but neither scores much better.
MISREAD_COVERED, MISREAD_SCORE = 0.8, 0.8

#: Shoulders to ankles, left before right.
LIMBS = [f"{side}_{j}" for j in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle") for side in ("left", "right")]
_SWAPPED = [*(1, 0), *(3, 2), *(5, 4), *(7, 6), *(9, 8), *(11, 10)]


def limb_joints(keypoints: np.ndarray, keypoint_set: str) -> np.ndarray:
    """Shoulders, elbows, wrists, hips, knees, ankles (12, ...), left before right, of keypoints (K, ...)."""
    names = joint_set(keypoint_set).joints
    return keypoints[[names.index(name) for name in LIMBS]]


def pose_radius(limbs: np.ndarray) -> float:
    """Largest distance of the limb joints (12, 2) from their middle, px; NaN where none is known."""
    if not np.isfinite(limbs).all(1).any():
        return float("nan")
    return float(np.nanmax(np.linalg.norm(limbs - np.nanmean(limbs, axis=0), axis=1)))


def pose_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Median distance of the limb joints (12, 2) that both poses know, in radii of the smaller pose.

    The lesser of it and of the same with left and right exchanged; infinite where fewer than four are shared.
    """
    radius = np.nanmin([pose_radius(a), pose_radius(b), np.inf])
    gaps = [np.linalg.norm(a - other, axis=1) for other in (b, b[_SWAPPED])]
    if not np.isfinite(radius) or radius <= 0 or min(np.isfinite(g).sum() for g in gaps) < 4:
        return float("inf")
    return float(min(np.nanmedian(g) for g in gaps)) / radius


def same_person(a: PersonDetection, b: PersonDetection, keypoint_set: str) -> bool:
    """Whether two detections in one image, or in neighbouring frames, have the same pose in the same place."""
    return pose_distance(*(limb_joints(p.keypoints, keypoint_set) for p in (a, b))) < SAME


def distinct(people: Sequence[PersonDetection], keypoint_set: str) -> list[PersonDetection]:
    """The best detection of everyone, by falling score.

    What has the pose of a better detection, is only a part of it, or misreads the silhouettes of better ones, goes.
    """
    kept: list[PersonDetection] = []
    for person in sorted(people, key=lambda p: -p.score):
        if not _misread(person, kept) and not any(
            same_person(person, k, keypoint_set) or _part_of(person, k, keypoint_set) for k in kept
        ):
            kept.append(person)
    return kept


def _part_of(person: PersonDetection, whole: PersonDetection, keypoint_set: str) -> bool:
    """Whether a detection is a misread limb of a larger one: much smaller than it and on its mask."""
    limbs, others = (limb_joints(p.keypoints, keypoint_set) for p in (person, whole))
    known = np.isfinite(limbs).all(1)
    if not pose_radius(limbs) < PART_SIZE * pose_radius(others):
        return False
    return bool(_on_mask(whole, limbs[known]).sum() >= PART_INSIDE * known.sum())


def _misread(person: PersonDetection, kept: Sequence[PersonDetection]) -> bool:
    """Whether a detection is a bad reading of silhouettes that much better ones have taken."""
    return misread(person, [other for other in kept if person.score < MISREAD_SCORE * other.score])


def misread(person: PersonDetection, others: Sequence[PersonDetection]) -> bool:
    """Whether the silhouettes of others cover a detection's own: right where the others are surely there."""
    axis = (np.arange(MASK_SIZE) + 0.5) / MASK_SIZE
    grid = np.stack(np.meshgrid(axis, axis), axis=-1) * (person.box[2:] - person.box[:2]) + person.box[:2]
    own = grid.reshape(-1, 2)
    own = own[_on_mask(person, own)]
    covered = np.zeros(len(own), bool)
    for other in others:
        covered |= _on_mask(other, own)
    return bool(covered.sum() > MISREAD_COVERED * len(own))


def _on_mask(person: PersonDetection, points: np.ndarray) -> np.ndarray:
    """Which of the points (N, 2) px lie on the person's mask; none where there is no mask."""
    side = person.mask.shape[0]
    if side == 0:
        return np.zeros(len(points), bool)
    cell = np.floor((points - person.box[:2]) / np.maximum(person.box[2:] - person.box[:2], 1e-6) * side)
    on = ((cell >= 0) & (cell < side)).all(1)
    column, row = cell[on].astype(int).T
    on[on] = person.mask[row, column] >= 128
    return on
