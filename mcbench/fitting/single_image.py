"""A body fitted to the keypoints of one person in one image: the baseline that a multi-view fit must beat.

Reprojection errors as in the multi-view fit, the same priors, and, where the detector guesses depth, a loose pull
towards its 3D keypoints: without it one view leaves the sign of every limb's depth open.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mcbench.body.model import BodyModel
from mcbench.body.reduced import ReducedBody
from mcbench.cameras.camera import Camera
from mcbench.fitting.energy import PersonEnergy, PersonProblem
from mcbench.fitting.initial import Initialiser
from mcbench.fitting.keypoint_model import STATURE, KeypointModel
from mcbench.fitting.lifting import weak_perspective
from mcbench.fitting.motion_ranges import ranges_of
from mcbench.fitting.observations import PersonObservations
from mcbench.fitting.priors import Priors
from mcbench.fitting.solver import DenseSystem, OffsetSystem, minimise
from mcbench.fitting.state import BodyState, PersonState
from mcbench.joints import joint_set

Array = npt.NDArray[np.float64]

#: Standard deviation (m, an axis) that is believed of a detector's 3D keypoints. Our choice.
_DEPTH_SIGMA_M = 0.08
_MIN_SCORE = 0.2
_KERNEL = 5.0


@dataclass(frozen=True)
class _Problem:
    """A person's reprojection energy, and keypoints that should lie as the detector's 3D says, wherever that is.

    Attributes
    ----------
    image : the reprojection problem with its priors.
    target : (K, 3) metres relative to any origin, camera axes. weight : (K,), zero where unknown.
    """

    image: PersonProblem
    target: Array
    weight: Array

    def linearise(self, state: PersonState) -> OffsetSystem:
        system = self.image.linearise(state)
        total = self.weight.sum()
        if total == 0:
            return system
        body = state.body
        reduced = self.image.energy.body.evaluate(body.betas, body.rotations, body.transl, expression=body.expression)
        used = self.weight > 0
        share = self.weight[used] / total
        offset = reduced.points[used] - self.target[used]
        residual = offset - share @ offset
        jacobian = reduced.d_points[used]  # type: ignore[index]  # asked for above
        jacobian = jacobian - np.einsum("k,kin->in", share, jacobian)
        weighted = jacobian * (self.weight[used] / _DEPTH_SIGMA_M**2)[:, None, None]
        gradient = system.rest.gradient + np.einsum("kin,ki->n", weighted, residual)
        hessian = system.rest.hessian + np.einsum("kin,kim->nm", weighted, jacobian)
        value = 0.5 * float(self.weight[used] @ (residual**2).sum(axis=1)) / _DEPTH_SIGMA_M**2
        return replace(system, value=system.value + value, rest=DenseSystem(0.0, gradient, hessian))

    def retract(self, state: PersonState, step: Array) -> PersonState:
        return self.image.retract(state, step)


class SingleImageFitter:
    """Fits bodies to detections, one by one.

    Parameters
    ----------
    body : the body model. keypoint_set : registered name of the detector's joint set.
    """

    def __init__(self, body: BodyModel, keypoint_set: str) -> None:
        self._keypoints = KeypointModel.for_body(body, keypoint_set)
        self._body = ReducedBody(body, self._keypoints.regressor)
        self._initialiser = Initialiser(self._body, joint_set(keypoint_set))
        self._priors = Priors(ranges=ranges_of(body.joint_template))
        at_rest = BodyState.at_rest(body.n_betas, body.n_joints, body.n_expression)
        rest = self._body.evaluate(at_rest.betas, at_rest.rotations, at_rest.transl, jacobian=False)
        # upright and facing the camera, whose y points down: what a detector without depth starts from
        self._upright = rest.points * [1.0, -1.0, -1.0]

    def fit(self, camera: Camera, pixels: Array, score: Array, keypoints3d: Array) -> BodyState | None:
        """The body, in the camera's frame; None where too little is seen to place one.

        Parameters
        ----------
        camera : intrinsics, guessed or known.
        pixels : (K, 2) px, NaN where unknown. score : (K,). keypoints3d : (K, 3) metres, camera axes, or all NaN.
        """
        known = np.isfinite(pixels).all(axis=1) & (score >= _MIN_SCORE) & self._keypoints.known
        lifted = np.isfinite(keypoints3d).all(axis=1) & known
        shape = keypoints3d if lifted.sum() >= 3 else self._upright
        place = weak_perspective(shape, np.where(known[:, None], pixels, np.nan), camera)
        if place is None:
            return None
        start = self._initialiser.guess(np.where(known[:, None], shape + place, np.nan))
        if start is None:
            return None
        size_px = camera.fx * STATURE / max(float(place[2]), 1e-6)
        undistorted = camera.undistort(np.where(known[:, None], pixels, 0.0))
        doubt = self._keypoints.doubt(np.where(known, score, 1.0))[None]
        observations = PersonObservations(
            rows=np.zeros(1, dtype=np.int64),
            view=np.zeros(1, dtype=np.int64),
            frame=np.zeros(1, dtype=np.int64),
            K=camera.K[None],
            cam_from_world=np.eye(3, 4)[None],
            pixels=undistorted[None],
            weight=known[None].astype(np.float64),
            sigma=size_px * self._keypoints.noise[None] * doubt,
            doubt=doubt,
        )
        offset_sd = self._keypoints.bias * STATURE * observations.mean_doubt()
        energy = PersonEnergy(self._body, observations, self._priors, _KERNEL, offset_sd)
        weight = np.where(lifted, np.clip(score, 0.0, 1.0), 0.0)
        problem = _Problem(PersonProblem(energy), np.where(lifted[:, None], keypoints3d, 0.0), weight)
        first = PersonState.without_offsets(start, len(pixels))
        return minimise(problem, first, max_iterations=40, tolerance=1e-4).state.body
