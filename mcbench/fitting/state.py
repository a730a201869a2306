"""The unknowns of one person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mcbench.body.rotations import exp_so3

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class BodyState:
    """Shape, expression, pose and place of one body of J joints: SMPL's, SMPL-H's or SMPL-X's.

    A tangent vector (B + E + 3 J + 3,) is d betas, d expression, then d w (J x 3; R_j <- R_j exp(w_j)), then d transl:
    the order of `mcbench.body.reduced`.

    Attributes
    ----------
    betas : (B,) shape.
    rotations : (J, 3, 3), the root's first.
    transl : (3,) translation in the world that the cameras are given in.
    expression : (E,) of the face; none for a body without.
    """

    betas: Array
    rotations: Array
    transl: Array
    expression: Array = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def at_rest(cls, n_betas: int, n_joints: int = 24, n_expression: int = 0) -> BodyState:
        """The mean shape in the rest pose."""
        turns = np.tile(np.eye(3), (n_joints, 1, 1))
        return cls(np.zeros(n_betas), turns, np.zeros(3), np.zeros(n_expression))

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return self.first_turn + 3 * len(self.rotations) + 3

    @property
    def first_turn(self) -> int:
        """Where the rotations begin among the unknowns."""
        return len(self.betas) + len(self.expression)

    def retract(self, step: Array) -> BodyState:
        n, shapes = len(self.betas), self.first_turn
        return BodyState(
            self.betas + step[:n],
            self.rotations @ exp_so3(step[shapes:-3].reshape(-1, 3)),
            self.transl + step[-3:],
            self.expression + step[n:shapes],
        )


def stacked(people: Sequence[BodyState]) -> tuple[Array, Array, Array, Array]:
    """Betas (P, B), rotations (P, J, 3, 3), transl (P, 3) and expression (P, E), as `BodyModel.forward` takes them."""
    return (
        np.stack([p.betas for p in people]),
        np.stack([p.rotations for p in people]),
        np.stack([p.transl for p in people]),
        np.stack([p.expression for p in people]),
    )


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
