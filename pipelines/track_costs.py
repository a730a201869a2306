"""How well the people of single frames agree with the people that cameras have confirmed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mcbench.cameras.camera import Array
from mcbench.cameras.views import Views
from mcbench.fitting.association import AssociationSettings, Track
from mcbench.fitting.association_observations import Observations, explain
from mcbench.pipelines.looking import Looker, People, flatten

#: A detection is a track's up to this cost. Good detections of rendered people cost 0.01 to 0.1, other people's more
#: than 0.6.
GATE = 0.5
#: Detections that were looked for at one place must agree this well: they agree with it more easily than found ones.
NEW = 0.36
#: Cost of left and right exchanged: worth another look, and worse than a fair reading of the right sides.
SWAPPED = 0.2
_USUAL = AssociationSettings()


def track_costs(
    people: People,
    tracks: Sequence[Track],
    views: Views,
    looker: Looker,
    settings: AssociationSettings = _USUAL,
    swapped: float = SWAPPED,
) -> dict[int, Array]:
    """For each frame, how badly each track explains each of its people: (people, tracks), infinite where unknown.

    0 agrees with the skeleton, 1 does not (`explain`).

    swapped : what is added where they agree with left and right exchanged.
    """
    detections = flatten(looker.detector, people)
    cost = np.full((len(detections), len(tracks)), np.inf)
    if cost.size:
        observations = Observations.from_detections(views, detections, settings)
        skeletons = np.stack([track.points[observations.body] for track in tracks])
        explanation = explain(observations, skeletons, settings)
        cost[observations.row] = explanation.cost + swapped * explanation.flipped
    return {i: cost[detections.frame == i] for i in people}
