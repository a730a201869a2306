"""Telling detections of one person from detections of two."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mcbench.experts.base import PersonDetection
from mcbench.joints import joint_set

#: Two detections are one person when half their limb joints lie this near each other, in radii of the pose.
SAME = 0.2
#: A detection is a part of another one when so much of it lies on the other's mask and it is so much smaller.
PART_INSIDE, PART_SIZE = 0.75, 0.6

_LIMBS = [f"{side}_{j}" for j in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle") for side in ("left", "right")]
_SWAPPED = [*(1, 0), *(3, 2), *(5, 4), *(7, 6), *(9, 8), *(11, 10)]


def limb_joints(keypoints: np.ndarray, keypoint_set: str) -> np.ndarray:
    """Shoulders, elbows, wrists, hips, knees, ankles (12, ...), left before right, of keypoints (K, ...)."""
    names = joint_set(keypoint_set).joints
    return keypoints[[names.index(name) for name in _LIMBS]]


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
    """The best detection of everyone, by falling score; what is only a part of a better detection goes too."""
    kept: list[PersonDetection] = []
    for person in sorted(people, key=lambda p: -p.score):
        if not any(same_person(person, k, keypoint_set) or _part_of(person, k, keypoint_set) for k in kept):
            kept.append(person)
    return kept


def _part_of(person: PersonDetection, whole: PersonDetection, keypoint_set: str) -> bool:
    """Whether a detection is a misread limb of a larger one: much smaller than it and on its mask."""
    limbs, others = (limb_joints(p.keypoints, keypoint_set) for p in (person, whole))
    if not pose_radius(limbs) < PART_SIZE * pose_radius(others) or whole.mask.size == 0:
        return False
    x0, y0, x1, y1 = whole.box
    cell = (limbs - (x0, y0)) / (max(x1 - x0, 1e-6), max(y1 - y0, 1e-6)) * whole.mask.shape[0]
    inside = ((cell >= 0) & (cell < whole.mask.shape[0])).all(1)
    column, row = cell[inside].astype(int).T
    return bool((whole.mask[row, column] >= 128).sum() >= PART_INSIDE * np.isfinite(limbs).all(1).sum())
