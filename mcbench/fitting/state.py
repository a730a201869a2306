"""The unknowns of one person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcbench.body.rotations import exp_so3

Array = npt.NDArray[np.float64]

N_JOINTS = 24


@dataclass(frozen=True)
class BodyState:
    """Shape, pose and place of one SMPL body.

    A tangent vector (B + 75,) is d betas, then d w (24 x 3; R_j <- R_j exp(w_j)), then d transl: the order of
    `mcbench.body.reduced`.

    Attributes
    ----------
    betas : (B,) shape.
    rotations : (24, 3, 3), the root's first.
    transl : (3,) translation in the world that the cameras are given in.
    """

    betas: Array
    rotations: Array
    transl: Array

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return len(self.betas) + 3 * N_JOINTS + 3

    def retract(self, step: Array) -> BodyState:
        n = len(self.betas)
        turn = exp_so3(step[n : n + 3 * N_JOINTS].reshape(N_JOINTS, 3))
        return BodyState(self.betas + step[:n], self.rotations @ turn, self.transl + step[-3:])


@dataclass(frozen=True)
class PersonState:
    """A body, and where a detector sees its keypoints.

    A tangent vector is the body's, then d offsets (K x 3).

    Attributes
    ----------
    body : the body.
    offsets : (K, 3) how far each of the detector's keypoints lies from where the body's regressor has it, in the world
        that the cameras are given in: no two people's hips look alike to a detector, and more views of one person do
        not change that.
    """

    body: BodyState
    offsets: Array

    @classmethod
    def without_offsets(cls, body: BodyState, n_keypoints: int) -> PersonState:
        return cls(body, np.zeros((n_keypoints, 3)))

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return self.body.size + self.offsets.size

    def retract(self, step: Array) -> PersonState:
        n = self.body.size
        return PersonState(self.body.retract(step[:n]), self.offsets + step[n:].reshape(-1, 3))
