"""How well the people of single frames agree with the people that cameras have confirmed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mcbench.cameras.camera import Array
from mcbench.cameras.views import Views
from mcbench.experts.base import Detector
from mcbench.fitting.association import AssociationSettings, Track
from mcbench.fitting.association_observations import Observations, explain
from mcbench.pipelines.looking import People, flatten

_USUAL = AssociationSettings()


def track_costs(
    people: People,
    tracks: Sequence[Track],
    views: Views,
    detector: Detector,
    swapped: float,
    settings: AssociationSettings = _USUAL,
) -> dict[int, Array]:
    """For each frame, how badly each track explains each of its people: (people, tracks), infinite where unknown.

    0 agrees with the skeleton, 1 does not (`explain`).

    swapped : what is added where they agree with left and right exchanged.
    """
    detections = flatten(detector, people)
    cost = np.full((len(detections), len(tracks)), np.inf)
    if cost.size:
        observations = Observations.from_detections(views, detections, settings)
        skeletons = np.stack([track.points[observations.body] for track in tracks])
        explanation = explain(observations, skeletons, settings)
        cost[observations.row] = explanation.cost + swapped * explanation.flipped
    return {i: cost[detections.frame == i] for i in people}
