"""Priors on shape and pose, free to ship: a standard normal on shape, anatomy's angle ranges on pose.

The pose prior reads each joint's rotation as an axis-angle vector in SMPL's axes (x to the left, y up, z to the
front, arms spread). For every component it has a mean and a standard deviation (our choice: a relaxed person, spine,
collars and feet stiff, knees and elbows hinges) and a range beyond which a further, steep penalty starts. The ranges
are the normal ranges of motion of the American Academy of Orthopaedic Surgeons (as tabled in C. Norkin, D. White,
"Measurement of Joint Motion", 5th edition, 2016, appendix B), those of the spine and neck divided evenly among the
joints that share them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcbench.body.rotations import log_so3, right_jacobian
from mcbench.fitting.state import N_JOINTS, BodyState
from mcbench.joints import SMPL24

Array = npt.NDArray[np.float64]

#: joint (left or middle): ((mean, standard deviation, lowest, highest) of x, of y, of z), degrees.
_TABLE: dict[str, tuple[tuple[float, float, float, float], ...]] = {
    "spine1": ((0, 10, -12, 32), (0, 8, -17, 17), (0, 7, -15, 15)),
    "spine2": ((0, 10, -12, 32), (0, 8, -17, 17), (0, 7, -15, 15)),
    "spine3": ((0, 10, -12, 32), (0, 8, -17, 17), (0, 7, -15, 15)),
    "neck": ((0, 12, -30, 28), (0, 15, -40, 40), (0, 9, -23, 23)),
    "head": ((0, 12, -30, 28), (0, 15, -40, 40), (0, 9, -23, 23)),
    "left_hip": ((-15, 40, -125, 30), (0, 18, -45, 45), (0, 18, -30, 45)),
    "left_knee": ((12, 40, -8, 150), (0, 8, -20, 20), (0, 4, -10, 10)),
    "left_ankle": ((0, 12, -25, 50), (0, 8, -20, 20), (0, 8, -35, 35)),
    "left_foot": ((0, 6, -60, 40), (0, 3, -10, 10), (0, 3, -10, 10)),
    "left_collar": ((0, 6, -15, 15), (0, 7, -20, 20), (0, 7, -15, 35)),
    "left_shoulder": ((0, 35, -90, 90), (-15, 40, -135, 45), (-45, 40, -100, 95)),
    "left_elbow": ((0, 25, -80, 80), (-25, 40, -150, 8), (0, 8, -15, 15)),
    "left_wrist": ((0, 15, -45, 45), (0, 12, -30, 30), (0, 20, -80, 70)),
    "left_hand": ((0, 5, -20, 20), (0, 5, -20, 20), (0, 5, -20, 20)),
}
# Softness (degrees) of the ranges' ends: people differ, and the bodies' rest pose is not anatomy's neutral zero.
LIMIT_SOFTNESS = 4.0


def _tables() -> tuple[Array, Array, Array, Array]:
    """Mean, standard deviation, lowest and highest (23, 3), radians, joints 1 to 23 of `smpl24`."""
    rows = []
    for joint in SMPL24.joints[1:]:
        if joint.startswith("right_"):
            x, y, z = _TABLE[joint.replace("right_", "left_")]
            rows.append([x, *((-mean, deviation, -high, -low) for mean, deviation, low, high in (y, z))])
        else:
            rows.append(list(_TABLE[joint]))
    mean, deviation, low, high = np.moveaxis(np.radians(np.array(rows, dtype=np.float64)), -1, 0)
    return mean, deviation, low, high


MEAN, DEVIATION, LOWEST, HIGHEST = _tables()


@dataclass(frozen=True)
class Priors:
    """Energy 1/2 (|betas|^2 shape_weight + pose terms), with its Gauss-Newton derivatives.

    Attributes
    ----------
    shape_weight : weight of the standard normal on betas.
    pose_weight : weight of the normal on the joints' axis-angle components.
    limit_weight : weight of the penalty on components outside anatomy's ranges.
    """

    shape_weight: float = 1.0
    pose_weight: float = 1.0
    limit_weight: float = 1.0

    def linearise(self, state: BodyState) -> tuple[float, Array, Array]:
        """Value, gradient (n,) and Gauss-Newton matrix (n, n) over the state's tangent space."""
        n_betas, n = len(state.betas), state.size
        gradient, hessian = np.zeros(n), np.zeros((n, n))
        value = 0.5 * self.shape_weight * float(state.betas @ state.betas)
        gradient[:n_betas] = self.shape_weight * state.betas
        hessian[range(n_betas), range(n_betas)] = self.shape_weight

        angles = log_so3(state.rotations[1:])  # (23, 3)
        excess = limit_excess(angles)
        steep = self.limit_weight / np.radians(LIMIT_SOFTNESS) ** 2
        mild = self.pose_weight / DEVIATION**2
        value += 0.5 * float((mild * (angles - MEAN) ** 2).sum() + steep * (excess**2).sum())
        slope = mild * (angles - MEAN) + steep * excess  # (23, 3)
        curvature = mild + steep * (excess != 0)
        jacobian = np.linalg.inv(right_jacobian(angles))  # log(R exp(w)) = log(R) + Jr^-1 w
        joint_gradient = np.einsum("jab,ja->jb", jacobian, slope)
        joint_hessian = np.einsum("jab,ja,jac->jbc", jacobian, curvature, jacobian)
        for joint in range(N_JOINTS - 1):
            own = slice(n_betas + 3 * (joint + 1), n_betas + 3 * (joint + 2))
            gradient[own] = joint_gradient[joint]
            hessian[own, own] = joint_hessian[joint]
        return value, gradient, hessian


def limit_excess(angles: Array) -> Array:
    """How far axis-angle components (..., 23, 3) lie outside anatomy's ranges: negative below, positive above, rad."""
    return np.minimum(angles - LOWEST, 0) + np.maximum(angles - HIGHEST, 0)
