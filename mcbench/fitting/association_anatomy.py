"""Whether a skeleton has a body's proportions, whatever its size: lengths of its limbs against each other."""

from __future__ import annotations

import numpy as np

from mcbench.cameras.camera import Array
from mcbench.joints import JointSet

#: Limbs and their usual lengths in metres; only their ratios matter. Children differ by less than what is tolerated.
USUAL_LENGTHS = {
    ("shoulder", "elbow"): 0.28,
    ("elbow", "wrist"): 0.25,
    ("shoulder", "hip"): 0.50,
    ("hip", "knee"): 0.42,
    ("knee", "ankle"): 0.41,
}


def limb_log_ratios(points: Array, joints: JointSet) -> Array:
    """Logarithms of each known limb's length over its usual one, of keypoints `points` (K, 3) in any units."""
    ratios = []
    for (upper, lower), usual in USUAL_LENGTHS.items():
        for side in ("left_", "right_"):
            ends = (side + upper, side + lower)
            if all(end in joints.joints for end in ends):
                a, b = (points[joints.index(end)] for end in ends)
                ratios.append(np.linalg.norm(a - b) / usual)
    lengths = np.array(ratios)
    return np.log(lengths[np.isfinite(lengths) & (lengths > 0)])


def world_unit(points: Array, joints: JointSet) -> float:
    """The world's units for a metre of someone of usual proportions whose keypoints (K, 3) these are; NaN where no limb
    is known."""
    ratios = limb_log_ratios(points, joints)
    return float(np.exp(np.median(ratios))) if len(ratios) else np.nan


def has_body_proportions(points: Array, joints: JointSet, spread: float, min_limbs: int = 6) -> bool:
    """Whether the limbs' scales agree: median absolute deviation of `limb_log_ratios` up to `spread`.

    True where fewer than `min_limbs` limbs are known: nothing speaks against a body then.
    """
    ratios = limb_log_ratios(points, joints)
    return len(ratios) < min_limbs or float(np.median(np.abs(ratios - np.median(ratios)))) <= spread
