"""Priors on shape, expression and pose, free to ship: standard normals, and anatomy's angle ranges.

Shape components have unit variance over a population, but are normal among its adults at most: of the children in it,
one in ten people, every component lies far out at once, squares of betas of the open body summing to 14 at least and
60 at most where a normal distribution has 30 or more once in a thousand. So a shape that is farther from the mean than
its components count for is no further improbable in every direction: the tail beyond is that of a power.

The pose prior reads each joint's rotation as an axis-angle vector in the joint's own axes. For every component it has
a mean and a standard deviation and a range beyond which a further, steep penalty starts: see `motion_ranges`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mcbench.body.rotations import exp_so3, inverse_right_jacobian, log_so3
from mcbench.fitting.motion_ranges import MotionRanges, smpl_ranges
from mcbench.fitting.state import BodyState

Array = npt.NDArray[np.float64]

# Softness (degrees) of the ranges' ends: people differ, and the bodies' rest pose is not anatomy's neutral zero.
LIMIT_SOFTNESS = 4.0


@dataclass(frozen=True)
class Priors:
    """Energy 1/2 ((s + |expression|^2) shape_weight + pose terms), with its Gauss-Newton derivatives.

    The shape's s is |betas|^2 up to the number B of betas, which is its mean over the population, and
    B (1 + log(|betas|^2 / B)) beyond.

    Attributes
    ----------
    shape_weight : weight of the priors on betas and expression.
    pose_weight : weight of the normal on the joints' axis-angle components.
    limit_weight : weight of the penalty on components outside anatomy's ranges.
    ranges : how the body's joints turn; SMPL's.
    """

    shape_weight: float = 1.0
    pose_weight: float = 1.0
    limit_weight: float = 1.0
    ranges: MotionRanges = field(default_factory=smpl_ranges)

    @property
    def mean_turns(self) -> Array:
        """Rotations (J - 1, 3, 3) of the joints at the prior's mean."""
        return exp_so3(self.ranges.mean_pose)

    def linearise(self, state: BodyState) -> tuple[float, Array, Array]:
        """Value, gradient (n,) and Gauss-Newton matrix (n, n) over the state's tangent space."""
        first, n = state.first_turn, state.size
        gradient, hessian = np.zeros(n), np.zeros((n, n))
        shape, stiffness = shape_energy(state.betas)
        value = self.shape_weight * (shape + 0.5 * float(state.expression @ state.expression))
        weight = self.shape_weight * np.repeat([stiffness, 1.0], [len(state.betas), len(state.expression)])
        gradient[:first] = weight * np.concatenate([state.betas, state.expression])
        hessian[range(first), range(first)] = weight

        own = self.ranges
        turned = log_so3(state.rotations[1:])  # (J - 1, 3)
        angles = np.einsum("jab,jb->ja", own.axes, turned)
        excess = _excess(angles, own.low, own.high)
        steep = self.limit_weight / np.radians(LIMIT_SOFTNESS) ** 2
        mild = self.pose_weight / own.deviation**2
        value += 0.5 * float((mild * (angles - own.mean) ** 2).sum() + steep * (excess**2).sum())
        slope = mild * (angles - own.mean) + steep * excess  # (J - 1, 3)
        curvature = mild + steep * (excess != 0)
        jacobian = own.axes @ inverse_right_jacobian(turned)  # log(R exp(w)) = log(R) + Jr^-1 w
        gradient[first + 3 : n - 3] = np.einsum("jab,ja->jb", jacobian, slope).ravel()
        joint_hessian = np.swapaxes(jacobian, 1, 2) @ (curvature[..., None] * jacobian)
        blocks = first + 3 + 3 * np.arange(len(angles))[:, None] + np.arange(3)  # (J - 1, 3) unknowns of a joint
        hessian[blocks[:, :, None], blocks[:, None]] = joint_hessian
        return value, gradient, hessian


def shape_energy(betas: Array) -> tuple[float, float]:
    """Energy of shape components (B,), and its derivative by half their summed squares."""
    squares, count = float(betas @ betas), len(betas)
    if squares <= count:
        return 0.5 * squares, 1.0
    return 0.5 * count * (1.0 + float(np.log(squares / count))), count / squares


def limit_excess(angles: Array) -> Array:
    """How far the turns of a body's joints lie outside anatomy's ranges: negative below, positive above, rad.

    angles : (..., N, 3) axis-angle components of the first N of SMPL's 23 joints after the root.
    """
    ranges, count = smpl_ranges(), angles.shape[-2]
    return _excess(angles, ranges.low[:count], ranges.high[:count])


def _excess(angles: Array, low: Array, high: Array) -> Array:
    return np.minimum(angles - low, 0) + np.maximum(angles - high, 0)
