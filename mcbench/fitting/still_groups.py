"""Which readings of several views show one still thing: groups by geometry alone, without a track that leads to them.

Every pair of readings in two views proposes a thing; the one that most other views agree with is triangulated from all
of them, and its readings are taken away, until nothing is left that enough views agree on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcbench.cameras.camera import Array
from mcbench.cameras.triangulation import midpoints, rays, triangulate
from mcbench.cameras.views import Views

IntArray = npt.NDArray[np.int64]

#: Proposals that are looked at in full, those best in their own two views.
_MAX_PROPOSALS = 400
#: Scale of the robust cost when a group is triangulated, a share of the thing's size in the image.
_SIGMA = 0.15


@dataclass(frozen=True)
class StillGroup:
    """A thing of K points that several readings show.

    Attributes
    ----------
    members : (M,) rising rows of its readings, one a view at most.
    points : (K, 3) in the world; NaN where the readings do not tell.
    support : the sum of the members' scores.
    """

    members: IntArray
    points: Array
    support: float


def still_groups(
    views: Views, view: IntArray, pixels: Array, score: Array, size: Array, agrees: float, least: float
) -> list[StillGroup]:
    """Groups of readings that one still thing explains, those with most support first.

    Parameters
    ----------
    view : (N,) of each reading. pixels : (N, K, 2) undistorted. score : (N,). size : (N,) of the thing there, px.
    agrees : a reading agrees up to this median distance of its points, as a share of its size.
    least : support of a group.
    """
    score = np.asarray(score, dtype=np.float64).copy()
    proposals = _proposals(views, view, pixels, size, agrees)
    gap = _gaps(views, view, pixels, size, proposals)
    groups: list[StillGroup] = []
    while len(proposals):
        support = np.array([_support(view, score, column < agrees) for column in gap.T])
        best = int(support.argmax())
        if support[best] < least:
            break
        group = _settled(views, view, pixels, score, size, proposals[best], agrees)
        taken = gap[:, best] < agrees
        if group is not None:
            taken |= _gaps(views, view, pixels, size, group.points[None])[:, 0] < agrees
            if group.support >= least:
                groups.append(group)
        score[taken] = 0.0
    return sorted(groups, key=lambda g: -g.support)


def _proposals(views: Views, view: IntArray, pixels: Array, size: Array, agrees: float) -> Array:
    """Things (P, K, 3) of two views that agree with both."""
    first, second = np.triu_indices(len(view), 1)
    apart = view[first] != view[second]
    first, second = first[apart], second[apart]
    projection = views.projection[view]
    centers, directions = rays(projection, pixels)
    points = midpoints(centers[first][:, None], directions[first], centers[second][:, None], directions[second])
    worst = np.maximum(
        _own_gap(projection[first], points, pixels[first], size[first]),
        _own_gap(projection[second], points, pixels[second], size[second]),
    )
    good = np.flatnonzero(worst < agrees)
    return points[good[np.argsort(worst[good], kind="stable")][:_MAX_PROPOSALS]]


def _own_gap(projection: Array, points: Array, pixels: Array, size: Array) -> Array:
    """Median distances (P,) of points (P, K, 3), each in its own view (P, 3, 4), from pixels (P, K, 2)."""
    cam = np.einsum("pij,pkj->pki", projection[:, :, :3], points) + projection[:, None, :, 3]
    return _median_gap(cam, pixels, size)


def _gaps(views: Views, view: IntArray, pixels: Array, size: Array, things: Array) -> Array:
    """(N, P) median distances of readings from projected things (P, K, 3), as shares of the readings' sizes."""
    found = np.full((len(view), len(things)), np.inf)
    for index in np.unique(view):
        here = np.flatnonzero(view == index)
        projection = views.projection[index]
        cam = things @ projection[:, :3].T + projection[:, 3]
        found[here] = _median_gap(cam[None], pixels[here][:, None], size[here][:, None])
    return found


def _median_gap(cam: Array, pixels: Array, size: Array) -> Array:
    """Median distances of points (..., K, 3) in camera axes from pixels (..., K, 2), over sizes (...); inf unknown."""
    depth = np.where(cam[..., 2] > 0, cam[..., 2], np.nan)
    off = np.linalg.norm(cam[..., :2] / depth[..., None] - pixels, axis=-1)
    off = np.where(np.isfinite(off), off, np.inf)
    return np.asarray(np.median(off, axis=-1) / size)


def _support(view: IntArray, score: Array, agreeing: npt.NDArray[np.bool_]) -> float:
    """The sum over the views of the best score of those that agree."""
    best: dict[int, float] = {}
    for row in np.flatnonzero(agreeing):
        best[int(view[row])] = max(best.get(int(view[row]), 0.0), float(score[row]))
    return sum(best.values())


def _settled(
    views: Views, view: IntArray, pixels: Array, score: Array, size: Array, points: Array, agrees: float
) -> StillGroup | None:
    """The group about a proposal, triangulated from all that agree; None where too few do."""
    members = np.empty(0, dtype=np.int64)
    for _ in range(3):
        gap = _gaps(views, view, pixels, size, points[None])[:, 0]
        gap = np.where(score > 0, gap, np.inf)
        order = np.lexsort((gap, view))
        nearest = order[np.unique(view[order], return_index=True)[1]]
        members = np.sort(nearest[gap[nearest] < agrees])
        if len(members) < 2:
            return None
        weight = np.repeat(score[members, None], pixels.shape[1], axis=1)
        at = views.projection[view[members]]
        points = triangulate(at, pixels[members], weight, _SIGMA * size[members]).points
    return StillGroup(members, points, float(score[members].sum()))
