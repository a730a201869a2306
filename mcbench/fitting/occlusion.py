"""Readings of what other people hide.

A detector shown half a person reads a whole one, squeezed into the half that it sees, and is sure of it: on rendered
people, four readings in five of a hidden joint are off by less than 12 % of stature, where it is 2 % for joints in
sight, whatever the score. Fitted bodies tell who stands in front of whom, so which readings these are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mcbench.body.model import BodyModel
from mcbench.cameras.views import Views
from mcbench.fitting.depth_order import DepthOrder
from mcbench.fitting.observations import PersonObservations
from mcbench.fitting.state import BodyState, stacked

Array = npt.NDArray[np.float64]

#: How much larger the error of a hidden joint's reading is than its score tells, and that of a joint in sight where
#: this share of the keypoints is hidden.
HIDDEN_DOUBT, CROWDED_DOUBT, CROWDED = 5.0, 1.7, 0.35
_CELL_PX = 6


def occlusion_doubt(
    body: BodyModel,
    people: Sequence[BodyState],
    keypoints: Sequence[Array],
    observations: Sequence[PersonObservations],
    views: Views,
) -> list[Array]:
    """How much more each reading (M, K) of each of P people is to be doubted than its score says.

    Parameters
    ----------
    people, keypoints : fitted bodies, in the metres of `views`, and their keypoints (K, 3).
    observations : each one's readings in these views.
    """
    if len(people) < 2:
        return [np.ones(o.weight.shape) for o in observations]
    used = np.unique(np.concatenate([o.view for o in observations]))
    vertices = body.forward(*stacked(people)).vertices
    order = DepthOrder.of_people(list(vertices), views.select(used), _CELL_PX)
    return [
        _doubt(order, person, points, np.searchsorted(used, seen.view), seen)
        for person, (points, seen) in enumerate(zip(keypoints, observations, strict=True))
    ]


def _doubt(
    order: DepthOrder, person: int, points: Array, view: npt.NDArray[np.int64], seen: PersonObservations
) -> Array:
    doubt = np.ones(seen.weight.shape)
    for row, index in enumerate(view):
        cam = points @ seen.cam_from_world[row, :, :3].T + seen.cam_from_world[row, :, 3]
        depth = np.maximum(cam[:, 2], 1e-3)
        image = cam @ seen.K[row].T
        hidden = order.hidden(person, int(index), image[:, :2] / depth[:, None], depth)
        hidden &= seen.weight[row] > 0
        crowded = hidden.sum() >= CROWDED * max(int((seen.weight[row] > 0).sum()), 1)
        doubt[row] = np.where(hidden, HIDDEN_DOUBT, CROWDED_DOUBT if crowded else 1.0)
    return doubt
