"""Readings of what other people hide.

A detector shown half a person reads a whole one, squeezed into the half that it sees, and is sure of it: on rendered
people, four readings in five of a hidden joint are off by less than 12 % of stature, where it is 2 % for joints in
sight, whatever the score. Fitted bodies tell who stands in front of whom, so which readings these are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcbench.body.model import BodyModel
from mcbench.cameras.views import Views
from mcbench.fitting.contours import spread_vertices
from mcbench.fitting.depth_order import DepthOrder
from mcbench.fitting.observations import PersonObservations
from mcbench.fitting.state import BodyState, stacked

Array = npt.NDArray[np.float64]

#: How much larger the error of a hidden joint's reading is than its score tells, and that of a joint in sight where
#: this share of the keypoints is hidden.
HIDDEN_DOUBT, CROWDED_DOUBT, CROWDED = 5.0, 1.7, 0.35
#: Side of a cell, px, and how many points stand for a surface: enough for cells of that size.
_CELL_PX, _POINTS = 6, 3000


@dataclass(frozen=True)
class Occluders:
    """Fitted people as what hides others in some views of a scene, their rising indices `used`."""

    order: DepthOrder
    used: npt.NDArray[np.int64]

    @classmethod
    def of_people(
        cls, body: BodyModel, people: Sequence[BodyState], views: Views, used: npt.NDArray[np.int64]
    ) -> Occluders:
        """From fitted bodies, in the metres of `views`."""
        vertices = body.forward(*stacked(people)).vertices
        thin = spread_vertices(body, _POINTS)
        return cls(DepthOrder.of_people(list(vertices[:, thin]), views.select(used), _CELL_PX), used)

    def doubt(self, person: int, points: Array, seen: PersonObservations) -> Array:
        """How much more each reading (M, K) of a person is to be doubted than its score says.

        Parameters
        ----------
        person : who is not hidden by themselves. points : (K, 3) where their keypoints are thought to be.
        """
        doubt = np.ones(seen.weight.shape)
        for row, view in enumerate(np.searchsorted(self.used, seen.view)):
            cam = points @ seen.cam_from_world[row, :, :3].T + seen.cam_from_world[row, :, 3]
            depth = np.maximum(cam[:, 2], 1e-3)
            image = cam @ seen.K[row].T
            hidden = self.order.hidden(person, int(view), image[:, :2] / depth[:, None], depth)
            hidden &= seen.weight[row] > 0
            crowded = hidden.sum() >= CROWDED * max(int((seen.weight[row] > 0).sum()), 1)
            doubt[row] = np.where(hidden, HIDDEN_DOUBT, CROWDED_DOUBT if crowded else 1.0)
        return doubt
