"""Error bars: covariances from the normal matrix at the solution."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mcbench.fitting.energy import PersonEnergy, evaluate, project, pull_back, reprojection
from mcbench.fitting.keypoint_model import STATURE, KeypointModel
from mcbench.fitting.observations import PersonObservations
from mcbench.fitting.state import BodyState

Array = npt.NDArray[np.float64]

_MEDIAN_CHI2_2 = 2 * np.log(2)  # median of chi squared with two degrees of freedom
_NOISE_RANGE = (0.25, 25.0)


def noise_factor(energy: PersonEnergy, state: BodyState) -> float:
    """Variance of the residuals over the one expected, by their median: robust to a minority of outliers."""
    return noise_factor_at(evaluate(energy.body, state).points, energy.observations)


def noise_factor_at(points: Array, observations: PersonObservations) -> float:
    """The same for keypoints in the world, (K, 3) or, where they move, (M, K, 3) in each of the M detections."""
    residual, _, valid = project(points, observations)
    squared = ((residual / observations.sigma[..., None]) ** 2).sum(-1)
    used = valid & (observations.weight > 0)
    if not used.any():
        return _NOISE_RANGE[1]
    return float(np.clip(np.median(squared[used]) / _MEDIAN_CHI2_2, *_NOISE_RANGE))


def joints_covariance(
    energy: PersonEnergy, state: BodyState, keypoints: KeypointModel, noise: float
) -> tuple[Array, Array]:
    """Covariance (24, 3, 3) of the joints relative to joint 0, m^2 (joint 0: its absolute one).

    The scene's scale is taken as known: its own error bar is the scene's. Two parts add up: the inverse of the
    normal matrix, with the data's noise as found in the residuals and each view discounted for errors that
    neighbouring views share (`observations.view_weights`); and the effect of a constant error of each keypoint's
    definition, which more views do not average out: with H the normal matrix, D_k the keypoints' Jacobians, A_k
    their data matrices and b_k the bias, H^-1 (sum_k D_k' A_k b_k^2 A_k D_k) H^-1.

    Parameters
    ----------
    energy, state : the solution, in metres.
    keypoints : the bias of each keypoint.
    noise : variance factor of the data, see `noise_factor`.

    Returns
    -------
    covariance : (24, 3, 3).
    parameters : (n, n) covariance of the state's unknowns, noise and bias together.
    """
    posed = evaluate(energy.body, state)
    normals = reprojection(posed.points, energy.observations, energy.kernel)
    _, data = pull_back(normals, posed.d_points)
    _, _, prior = energy.priors.linearise(state)
    inverse = np.linalg.inv(data / noise + prior)
    pulled = (
        np.einsum("kij,kjn->kin", normals.hessian, posed.d_points) * (keypoints.bias * STATURE / noise)[:, None, None]
    )
    flat = pulled.reshape(-1, pulled.shape[-1])
    parameters = inverse + inverse @ (flat.T @ flat) @ inverse
    d_joints = posed.d_joints - posed.d_joints[:1]
    d_joints[0] = posed.d_joints[0]
    return np.einsum("jam,mn,jbn->jab", d_joints, parameters, d_joints), parameters
