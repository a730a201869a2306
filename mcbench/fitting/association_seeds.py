"""First guesses of people: skeletons from tracklets and from pairs of detections that other views support."""

from __future__ import annotations

import numpy as np

from mcbench.cameras.camera import Array
from mcbench.cameras.triangulation import midpoints, rays
from mcbench.fitting.association_observations import IntArray, Observations, explain, triangulate_members
from mcbench.fitting.association_settings import AssociationSettings
from mcbench.fitting.tracklets import link

#: Views from whose detections pairs are drawn, and the angle between two of their rays, degrees.
_PAIR_VIEWS = 10
_PAIR_ANGLE_DEG = (3.0, 165.0)
#: Two rays meet where their midpoint lies within this many sigmas of both keypoints.
_MEETING = 1.5
#: Share of a tracklet's detections that its skeleton must explain.
_EXPLAINED = 0.7
#: A tracklet's own triangulation may span less than a whole track: growing widens it.
TRACKLET_ANGLE_DEG = 0.5


def tracklet_seeds(observations: Observations, settings: AssociationSettings) -> list[tuple[IntArray, Array]]:
    """Members and skeleton (J, 3) of every tracklet that one still skeleton explains, the longest first."""
    seeds = []
    for run in link(observations, settings):
        if len(run) < settings.min_detections:
            continue
        straight = np.zeros(len(run), dtype=bool)
        skeleton = triangulate_members(
            observations, run, straight, settings.sigma, TRACKLET_ANGLE_DEG, observations.body
        ).points
        cost = explain(observations, skeleton[None], settings).cost[run, 0]
        if np.mean(cost <= settings.gate) >= _EXPLAINED:
            seeds.append((run, skeleton))
    return seeds


def pair_seeds(
    observations: Observations, free: IntArray, settings: AssociationSettings
) -> list[tuple[IntArray, Array]]:
    """Members and skeleton (J, 3) of pairs of the detections `free`, those that most views support first.

    A pair is kept where its own rays meet and detections in enough other views agree: two views alone
    cannot tell people apart who stand along one epipolar plane.
    """
    first, second = _pairs(observations, free)
    if len(first) == 0:
        return []
    skeletons = _two_view_skeletons(observations, first, second, settings)
    cost = explain(observations, skeletons, settings).cost  # (N, pairs)
    support = np.zeros(len(first))
    views_with = np.zeros(len(first), dtype=np.int64)
    for view in np.unique(observations.view):
        best = cost[observations.view == view].min(axis=0)
        support += np.clip(1.0 - best / settings.gate, 0.0, 1.0)
        views_with += best <= settings.gate
    good = np.flatnonzero(views_with >= settings.min_detections)
    order = good[np.lexsort((second[good], first[good], -support[good]))]
    return [(np.array([first[p], second[p]]), skeletons[p]) for p in order]


def _pairs(observations: Observations, free: IntArray) -> tuple[IntArray, IntArray]:
    """All pairs of free detections in two of the views that hold most of them."""
    views, count = np.unique(observations.view[free], return_counts=True)
    if len(views) > _PAIR_VIEWS:
        # The fullest of each stretch of views: many people seen, wide baselines kept.
        stretches = np.array_split(np.arange(len(views)), _PAIR_VIEWS)
        views = views[[int(s[np.argmax(count[s])]) for s in stretches]]
    chosen = free[np.isin(observations.view[free], views)]
    a, b = np.triu_indices(len(chosen), 1)
    first, second = chosen[a], chosen[b]
    apart = observations.view[first] != observations.view[second]
    return first[apart], second[apart]


def _two_view_skeletons(
    observations: Observations, first: IntArray, second: IntArray, settings: AssociationSettings
) -> Array:
    """Skeletons (pairs, J, 3) of the joints whose rays meet; all NaN where less than half of the shared ones do."""
    body = observations.body
    projection = observations.views.projection[observations.view]
    known = observations.weight[:, body] > 0
    xy = np.where(known[..., None], observations.xy[:, body], 0.0)
    centers, directions = rays(projection, xy)
    c1, d1, c2, d2 = centers[first][:, None], directions[first], centers[second][:, None], directions[second]
    points = midpoints(c1, d1, c2, d2)
    cosine = (d1 * d2).sum(-1) / (np.linalg.norm(d1, axis=-1) * np.linalg.norm(d2, axis=-1))
    low, high = np.cos(np.deg2rad(_PAIR_ANGLE_DEG))
    shared = known[first] & known[second]
    meets = shared & (cosine <= low) & (cosine >= high)
    for one in (first, second):
        homogeneous = np.einsum("pij,pkj->pki", projection[one][:, :, :3], points) + projection[one][:, None, :, 3]
        offset = homogeneous[..., :2] / homogeneous[..., 2:] - xy[one]
        meets &= np.linalg.norm(offset, axis=-1) <= (_MEETING * settings.sigma * observations.size[one])[:, None]
    meets &= (2 * meets.sum(axis=1) >= shared.sum(axis=1))[:, None]
    return np.where(meets[..., None], points, np.nan)
