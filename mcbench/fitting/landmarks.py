"""The points by which hands and faces are told and judged: a hand's 21, and the 51 of a face without its contour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcbench.body.model import BodyModel
from mcbench.body.reduced import ReducedBody
from mcbench.fitting.state import BodyState
from mcbench.fitting.uncertainty import point_covariance
from mcbench.joints import HOLISTIC143, SMPL24

Array = npt.NDArray[np.float64]

#: Of `holistic143`, the points of every part, and the joint that they are told relative to.
LANDMARKS = {
    **{
        f"{side}_hand": (
            [i for i, n in enumerate(HOLISTIC143.joints) if n.startswith(f"{side}_hand_")],
            f"{side}_wrist",
        )
        for side in ("left", "right")
    },
    "face": ([HOLISTIC143.index(f"face_{i}") for i in range(17, 68)], "head"),
}


@dataclass(frozen=True)
class Landmarks:
    """A body reduced to its landmarks, those of all parts one after another."""

    body: ReducedBody

    @classmethod
    def of_body(cls, model: BodyModel) -> Landmarks:
        rows = np.concatenate([points for points, _ in LANDMARKS.values()])
        return cls(ReducedBody(model, model.keypoint_regressor(HOLISTIC143.name)[rows]))

    def of_state(self, state: BodyState, covariance: Array, parts: Sequence[str]) -> dict[str, tuple[Array, Array]]:
        """The points (L, 3) of some parts and their covariance (L, 3, 3) relative to the part's joint; NaN if unknown.

        covariance : (n, n) of the unknowns of the state.
        """
        if not parts:
            return {}
        posed = self.body.evaluate(state.betas, state.rotations, state.transl, expression=state.expression)
        assert posed.d_points is not None and posed.d_joints is not None
        found, first = {}, 0
        for part, (points, joint) in LANDMARKS.items():
            own = slice(first, first + len(points))
            first += len(points)
            if part in parts:
                moved = posed.d_points[own] - posed.d_joints[SMPL24.index(joint)]
                found[part] = (posed.points[own], point_covariance(moved, covariance))
        return found
