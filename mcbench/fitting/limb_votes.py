"""Where all views together see a limb.

A reading is one place a view: the likeliest there. Triangulation looks for a point on which many of them agree, and of
an arm that is read wrong in most views there is none, or one that is nobody's. But a network's heatmaps have several
peaks, the right one often among them, and still people are right in the same place in every view. So places of a limb's
lower joint and of its end are taken from each two peaks and judged by all views: by how likely each view makes its
keypoint at the projection, a hidden or missed one costing no more than a little-seen one. Of the pairs of places that
bones of about the usual lengths lead to, the one that is seen best is the limb's.

A limb that begins at a known place is so a pictorial structure ("Pictorial Structures for Object Recognition",
Felzenszwalb, Huttenlocher, 2005) in space ("3D Pictorial Structures for Multiple Human Pose Estimation", Belagiannis
et al., 2014).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcbench.cameras.triangulation import two_view_points
from mcbench.cameras.views import Views
from mcbench.fitting.association_anatomy import USUAL_LENGTHS
from mcbench.fitting.keypoint_model import STATURE

Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Standard deviation of where a keypoint is about a peak, as a share of stature.
_PEAK = 0.03
#: How likely a keypoint is where nothing shows it: it may be hidden.
_UNSEEN = 0.03
#: Each two of so many views, evenly spread, make places of their peaks of this value and more; lines of sight that
#: meet at a smaller angle make none. Of places in one cell one is judged, metres; so many are kept, no nearer to each
#: other than this.
_VIEWS, _VALUE, _PARALLAX, _CELL_M, _KEPT, _APART_M = 16, 0.15, np.radians(3.0), 0.015, 60, 0.04
#: The logarithm of a bone's length over its usual one, times the person's scale, may be so far off.
_LENGTH_ERROR = 0.3


@dataclass(frozen=True)
class Sightings:
    """What N views show of one keypoint, several times a view maybe.

    Attributes
    ----------
    view : (N,) index into the views. pixels : (N, 2) undistorted px. value : (N,) how likely it is there, in [0, 1].
    """

    view: IntArray
    pixels: Array
    value: Array

    @staticmethod
    def none() -> Sightings:
        return Sightings(np.zeros(0, np.int64), np.zeros((0, 2)), np.zeros(0))

    def select(self, mask: npt.NDArray[np.bool_]) -> Sightings:
        """Some of them, `mask` (N,)."""
        return Sightings(self.view[mask], self.pixels[mask], self.value[mask])

    @staticmethod
    def joined(parts: Sequence[Sightings]) -> Sightings:
        return Sightings(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("view", "pixels", "value")))


@dataclass(frozen=True)
class LimbVote:
    """Where a limb is seen best.

    Attributes
    ----------
    ends : (2, 3) lower joint and end, the world's units.
    seen, seen_now : mean over the views of the log of how likely they show both keypoints, there and where the limb
        has been put.
    """

    ends: Array
    seen: float
    seen_now: float

    @property
    def gain(self) -> float:
        return self.seen - self.seen_now


def vote_on_limb(
    views: Views,
    sightings: Sequence[Sightings],
    bones: Sequence[tuple[str, str]],
    start: Array,
    now: Array,
    unit: float,
) -> LimbVote | None:
    """The place of a limb that the views vote for; None where they see none.

    Parameters
    ----------
    views : in which the person is looked for, in all of which the limb may be seen.
    sightings : of the lower joint and of the end.
    bones : the names of the ends of the upper and the lower bone, without sides, as in `USUAL_LENGTHS`.
    start : (3,) where the limb begins. now : (2, 3) where its lower joint and its end have been put, NaN where nowhere.
    unit : the world's units for a metre of a person of `STATURE`.
    """
    lengths = np.array([USUAL_LENGTHS[bone] for bone in bones]) * unit
    places, seen = [], []
    for number, single in enumerate(sightings):
        reach = float(lengths[: number + 1].sum()) * np.exp(_LENGTH_ERROR)
        found = _places(views, single, start, reach, _CELL_M * unit)
        value = how_seen(views, single, found, unit)
        best = _distinct(found, value, _APART_M * unit)
        places.append(found[best])
        seen.append(value[best])
    if not (len(places[0]) and len(places[1])):
        return None
    upper = np.linalg.norm(places[0] - start, axis=-1)
    lower = np.linalg.norm(places[1][None] - places[0][:, None], axis=-1)
    possible = (np.abs(np.log(np.maximum(upper, 1e-12) / lengths[0])) < _LENGTH_ERROR)[:, None] & (
        np.abs(np.log(np.maximum(lower, 1e-12) / lengths[1])) < _LENGTH_ERROR
    )
    if not possible.any():
        return None
    both = np.where(possible, seen[0][:, None] + seen[1], -np.inf)
    first, second = np.unravel_index(int(both.argmax()), both.shape)
    seen_now = sum(float(how_seen(views, s, p[None], unit)[0]) for s, p in zip(sightings, now, strict=True))
    return LimbVote(np.stack([places[0][first], places[1][second]]), float(both[first, second]), seen_now)


def how_seen(views: Views, sightings: Sightings, points: Array, unit: float) -> Array:
    """Mean over the views of the log of how likely they show a keypoint at points (P, 3), (P,); nowhere is unseen."""
    total = np.zeros(len(points))
    projected, size = views.project(points), stature_px(views, points, unit)
    for view in range(len(views)):
        here = sightings.view == view
        likely = np.zeros(len(points))
        if here.any():
            away = np.linalg.norm(projected[view][:, None] - sightings.pixels[here], axis=-1)
            kernel = sightings.value[here] * np.exp(-0.5 * (away / (_PEAK * size[view])[:, None]) ** 2)
            likely = np.nan_to_num(kernel.max(axis=1))
        total += np.log(_UNSEEN + likely)
    return total / max(len(views), 1)


def stature_px(views: Views, points: Array, unit: float) -> Array:
    """Height of a person as if standing at points (P, 3), in each view, (F, P), px."""
    focal = np.sqrt(views.K[:, 0, 0] * views.K[:, 1, 1])
    return np.asarray(focal[:, None] * STATURE * unit / np.maximum(views.depth(points), 1e-9))


def _places(views: Views, sightings: Sightings, start: Array, reach: float, cell: float) -> Array:
    """Places (P, 3) where the lines of sight of two views meet, within reach of a limb's start, one a cell."""
    chosen = np.unique(np.round(np.linspace(0, len(views) - 1, _VIEWS)).astype(np.int64))
    used = np.isin(sightings.view, chosen) & (sightings.value >= _VALUE)
    met = two_view_points(views.projection[sightings.view[used]], sightings.pixels[used], _PARALLAX)
    met = met[np.linalg.norm(met - start, axis=1) < reach]
    _, one = np.unique(np.round((met - start) / cell), axis=0, return_index=True)
    return np.asarray(met[np.sort(one)])


def _distinct(places: Array, seen: Array, apart: float) -> IntArray:
    """Indices of the best seen places, none near a better one."""
    kept: list[int] = []
    for index in np.argsort(-seen, kind="stable"):
        if len(kept) == _KEPT:
            break
        if not kept or np.linalg.norm(places[kept] - places[index], axis=1).min() > apart:
            kept.append(int(index))
    return np.array(kept, dtype=np.int64)
