"""Short runs of detections of one person in neighbouring frames, linked in the image alone."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from mcbench.cameras.camera import Array
from mcbench.fitting.association_observations import IntArray, Observations
from mcbench.fitting.association_settings import AssociationSettings

#: A link is refused where another detection is nearly as close as the one chosen.
_AMBIGUOUS = 1.3
#: Views that a person may be missed in without ending a tracklet.
_MAX_GAP = 2


def link(observations: Observations, settings: AssociationSettings) -> list[IntArray]:
    """Tracklets as rising indices of observations, at most one a view, the longest first.

    Two detections are linked when each is the other's clear best match by median distance of the body
    joints: an ambiguous link ends the tracklet, because a wrong one mixes two people.
    """
    open_ends: list[list[int]] = []
    closed: list[list[int]] = []
    for view in np.unique(observations.view):
        here = np.flatnonzero(observations.view == view)
        recent = [t for t in open_ends if observations.view[t[-1]] >= view - 1 - _MAX_GAP]
        closed += [t for t in open_ends if observations.view[t[-1]] < view - 1 - _MAX_GAP]
        open_ends = recent
        taken = set()
        if recent:
            distance = _distances(observations, np.array([t[-1] for t in recent]), here)
            for i, j in _clear_matches(distance, settings.link):
                recent[i].append(int(here[j]))
                taken.add(j)
        open_ends += [[int(n)] for j, n in enumerate(here) if j not in taken]
    runs = [np.array(t, dtype=np.int64) for t in closed + open_ends]
    return sorted(runs, key=lambda run: (-len(run), int(run[0])))


def _distances(observations: Observations, first: IntArray, second: IntArray) -> Array:
    """Median distance (A, B) of the body joints known in both, as a share of the larger size; inf for too few."""
    body = observations.body
    a, b = observations.xy[first][:, body], observations.xy[second][:, body]
    both = (observations.weight[first][:, None, body] > 0) & (observations.weight[second][None, :, body] > 0)
    distance = np.where(both, np.linalg.norm(a[:, None] - b[None], axis=-1), np.inf)
    # The median of the known ones: their lower half comes first, unknown ones are infinitely far.
    middle = (np.maximum(both.sum(axis=-1), 1) - 1) // 2
    median = np.take_along_axis(np.sort(distance, axis=-1), middle[..., None], axis=-1)[..., 0]
    size = np.maximum(observations.size[first][:, None], observations.size[second][None])
    return median / size


def _clear_matches(distance: Array, limit: float) -> list[tuple[int, int]]:
    matches = []
    capped = np.minimum(distance, 10 * limit)
    for i, j in zip(*linear_sum_assignment(capped), strict=True):
        rivals = np.concatenate([np.delete(distance[i], j), np.delete(distance[:, j], i)])
        if distance[i, j] <= limit and distance[i, j] * _AMBIGUOUS <= rivals.min(initial=np.inf):
            matches.append((int(i), int(j)))
    return matches
