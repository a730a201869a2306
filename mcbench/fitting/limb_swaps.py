"""Readings that take a left limb for the right one.

Association turns round whole detections that have left and right exchanged. A detector that sees somebody from the
side, or with crossed legs, may exchange the legs or the arms alone, and in the views of one side all the time.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mcbench.fitting.energy import project
from mcbench.fitting.observations import PersonObservations
from mcbench.fitting.robust import geman_mcclure
from mcbench.joints import JointSet

Array = npt.NDArray[np.float64]

#: Keypoints that are exchanged together, by their names without the side.
_LIMBS = (
    ("knee", "ankle", "heel", "foot", "foot_index", "big_toe", "small_toe"),
    ("elbow", "wrist", "pinky", "index", "thumb"),
)
#: Exchanged, the readings must cost less than this share of what they cost as they are.
_BETTER = 0.4
#: ... and that must be more than this, in squared standard deviations a reading: less is noise.
_BAD = 3.0
_KERNEL = 5.0


def unswap_limbs(observations: PersonObservations, points: Array, joints: JointSet) -> PersonObservations:
    """The readings with legs or arms exchanged in the views where they then agree with a fitted body.

    Parameters
    ----------
    points : (K, 3) the body's keypoints in the views' world. joints : what the keypoints are.
    """
    flip = np.array(joints.flip)
    for parts in _LIMBS:
        sided = [k for k, name in enumerate(joints.joints) if flip[k] != k and name.partition("_")[2] in parts]
        if not sided:
            continue
        limb = np.array(sided)
        exchanged = _exchange(observations, limb, flip, np.ones(len(observations), dtype=bool))
        before, after = (_cost(o, points, limb) for o in (observations, exchanged))
        observations = _exchange(observations, limb, flip, (before > _BAD) & (after < _BETTER * before))
    return observations


def _exchange(
    observations: PersonObservations,
    limb: npt.NDArray[np.int64],
    flip: npt.NDArray[np.int64],
    rows: npt.NDArray[np.bool_],
) -> PersonObservations:
    order = np.arange(len(flip))
    order[limb] = flip[limb]
    return observations.exchanged(rows, order)


def _cost(observations: PersonObservations, points: Array, limb: npt.NDArray[np.int64]) -> Array:
    """(M,) mean robust squared error of a limb's readings, in variances; 0 where it is not read."""
    residual, _, valid = project(points, observations)
    squared = ((residual / observations.sigma[..., None]) ** 2).sum(-1)[:, limb]
    read = valid[:, limb] & (observations.weight[:, limb] > 0)
    rho = np.where(read, geman_mcclure(squared, _KERNEL)[0], 0.0)
    return np.asarray(rho.sum(1) / np.maximum(read.sum(1), 1))
