"""Who is who across the views of a still world: a person is a set of detections that triangulate to one skeleton.

Seeds come from tracklets in the image and, for what these leave over (wide baselines have no tracklets),
from pairs of detections that other views support. Each seed grows alone: it takes the detection of every
view that it explains best, is triangulated again, and so reaches views farther off. Skeletons that coincide
are one person. In the end all people compete for each view's detections (a minimum-cost matching with a
gate) until nothing changes any more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from mcbench.cameras.camera import Array
from mcbench.cameras.triangulation import BoolArray
from mcbench.cameras.views import Views
from mcbench.dataset.detections import Detections
from mcbench.fitting.association_anatomy import has_body_proportions
from mcbench.fitting.association_observations import (
    Explanation,
    IntArray,
    Observations,
    explain,
    triangulate_members,
)
from mcbench.fitting.association_seeds import TRACKLET_ANGLE_DEG, pair_seeds, tracklet_seeds
from mcbench.fitting.association_settings import AssociationSettings
from mcbench.joints import JointSet, joint_set

__all__ = ["AssociationSettings", "Track", "associate"]

_GROW_ITERATIONS = 8
_COMPETE_ITERATIONS = 10
#: Joints on which at least `min_detections` detections must agree: more would lose people seen in three views only.
_AGREEING_JOINTS = 3
#: Pair seeds grown before new pairs are drawn from what is left.
_PAIRS_A_ROUND = 12
#: A seed is left out where this share of its detections belongs to a person already.
_ABSORBED = 0.5


@dataclass(frozen=True)
class Track:
    """One person of a scene.

    Attributes
    ----------
    rows : (M,) int64 rising rows of the `Detections`, at most one a frame.
    flipped : (M,) whether a detection has left and right swapped: its keypoints fit only after `JointSet.flip`.
    points : (K, 3) triangulated keypoints, world; NaN where unknown.
    point_rms_px : (K,) root mean square reprojection error over the agreeing detections; NaN where unknown.
    point_views : (K,) int64, how many detections agree on the keypoint.
    point_angle : (K,) radians, largest angle between their rays; NaN where unknown.
    """

    rows: npt.NDArray[np.int64]
    flipped: npt.NDArray[np.bool_]
    points: Array
    point_rms_px: Array
    point_views: npt.NDArray[np.int64]
    point_angle: Array


@dataclass(frozen=True)
class _Person:
    """Members (M,) rising indices of observations, which of them are flipped, and the skeleton (J, 3)."""

    members: IntArray
    flipped: BoolArray
    skeleton: Array


def associate(views: Views, detections: Detections, settings: AssociationSettings | None = None) -> list[Track]:
    """Group detections into people who do not move.

    Detections in frames without a pose, false ones, a second one of a person in a frame and those of people
    seen in too few views belong to no track; nor do the few that agree by chance. The world's units and frame
    do not matter.

    Returns
    -------
    Tracks by falling number of detections, then by first row.
    """
    settings = settings or AssociationSettings()
    observations = Observations.from_detections(views, detections, settings)
    people: list[_Person] = []
    for members, skeleton in tracklet_seeds(observations, settings):
        _admit(observations, people, members, skeleton, settings)
    while True:
        free = np.setdiff1d(np.arange(len(observations)), _taken(people))
        before = len(people)
        for members, skeleton in pair_seeds(observations, free, settings)[:_PAIRS_A_ROUND]:
            _admit(observations, people, members, skeleton, settings)
        if len(people) == before:
            break
    tracks = [_track(observations, person, settings) for person in _compete(observations, people, settings)]
    joints = joint_set(detections.keypoint_set)
    tracks = [track for track in tracks if not _by_chance(track, views, joints, settings)]
    return sorted(tracks, key=lambda track: (-len(track.rows), int(track.rows[0])))


def _by_chance(track: Track, views: Views, joints: JointSet, settings: AssociationSettings) -> bool:
    """Whether a track's few detections agree on no body, or on one that most views that would show it do not."""
    if len(track.rows) > settings.few_detections:
        return False
    if not has_body_proportions(track.points, joints, settings.limb_spread):
        return True
    pixels = views.project(track.points[np.isfinite(track.points).all(axis=-1)])
    inside = ((pixels >= 0) & (pixels <= views.size[:, None])).all(axis=-1)
    showing = int((inside.mean(axis=1) >= 0.5).sum())
    return len(track.rows) < settings.few_share * showing


def _taken(people: list[_Person]) -> IntArray:
    return np.concatenate([person.members for person in people] or [np.empty(0, dtype=np.int64)])


def _admit(
    observations: Observations, people: list[_Person], members: IntArray, skeleton: Array, settings: AssociationSettings
) -> None:
    """Grow a seed and add it to `people` unless it is one of them or nobody."""
    if np.isin(members, _taken(people)).mean() >= _ABSORBED:
        return
    person = _grow(observations, skeleton, _best_cost(observations, people, settings), settings)
    if person is not None and not any(_coincide(observations, person, other, settings) for other in people):
        people.append(person)


def _best_cost(observations: Observations, people: list[_Person], settings: AssociationSettings) -> Array:
    """(N,) cost of each detection for whom of the people it fits best; inf where it fits nobody."""
    if not people:
        return np.full(len(observations), np.inf)
    return explain(observations, np.stack([person.skeleton for person in people]), settings).cost.min(axis=1)


def _grow(observations: Observations, skeleton: Array, others: Array, settings: AssociationSettings) -> _Person | None:
    """Let a skeleton gather the best detection of every view until it stays the same; None for nobody.

    others : (N,) cost of each detection for whom of those known it fits best: whom they explain clearly better is left
        to them, or somebody who is hidden in most views would be drawn to the one in front.
    """
    person: _Person | None = None
    for _ in range(_GROW_ITERATIONS):
        explanation = explain(observations, skeleton[None], settings)
        cost = explanation.cost[:, 0]
        cost = np.where(cost <= others + settings.margin, cost, np.inf)
        order = np.lexsort((cost, observations.view))
        best = order[np.unique(observations.view[order], return_index=True)[1]]
        members = np.sort(best[cost[best] <= settings.gate])
        if len(members) < settings.min_detections:
            return None
        if person is not None and np.array_equal(members, person.members):
            break
        person = _person(observations, members, explanation.flipped[members, 0], settings)
        if person is None:
            return None
        skeleton = person.skeleton
    return person if person is not None and _explained(observations, person, settings) else None


def _person(
    observations: Observations, members: IntArray, flipped: BoolArray, settings: AssociationSettings
) -> _Person | None:
    """The person of these detections; None where too few agree on enough joints."""
    if len(members) < settings.min_detections:
        return None
    result = triangulate_members(observations, members, flipped, settings.sigma, TRACKLET_ANGLE_DEG, observations.body)
    if (result.inliers.sum(axis=0) >= settings.min_detections).sum() < _AGREEING_JOINTS:
        return None
    return _Person(members, flipped, result.points)


def _coincide(observations: Observations, a: _Person, b: _Person, settings: AssociationSettings) -> bool:
    """Whether two skeletons, or one and the other with left and right swapped, project to the same places in the
    views of either."""
    members = np.concatenate([a.members, b.members])
    skeletons = np.stack([a.skeleton, b.skeleton, b.skeleton[observations.body_flip]])
    projected = observations.views.project(skeletons)[observations.view[members]]
    distance = np.linalg.norm(projected[:, :1] - projected[:, 1:], axis=-1) / observations.size[members, None, None]
    gaps = [values[np.isfinite(values)] for values in (distance[:, 0], distance[:, 1])]
    return any(gap.size > 0 and float(np.median(gap)) < settings.same_person for gap in gaps)


def _compete(observations: Observations, people: list[_Person], settings: AssociationSettings) -> list[_Person]:
    """Give each view's detections to the people who explain them best, until nothing changes."""
    for _ in range(_COMPETE_ITERATIONS):
        if not people:
            break
        explanation = explain(observations, np.stack([person.skeleton for person in people]), settings)
        owner = _owners(observations, explanation, settings)
        updated: list[_Person] = []
        for index in range(len(people)):
            members = np.flatnonzero(owner == index)
            person = _person(observations, members, explanation.flipped[members, index], settings)
            if person is not None and not any(_coincide(observations, person, p, settings) for p in updated):
                updated.append(person)
        same = len(updated) == len(people) and all(
            np.array_equal(new.members, old.members) for new, old in zip(updated, people, strict=True)
        )
        people = updated
        if same:
            break
    return [
        person
        for person in people
        if _explained(observations, person, settings) and _wide_enough(observations, person, settings)
    ]


def _owners(observations: Observations, explanation: Explanation, settings: AssociationSettings) -> IntArray:
    """Index of the person that each detection (N,) belongs to, or -1: a minimum-cost matching in every view."""
    cost = explanation.cost
    allowed = (cost <= settings.gate) & (cost <= cost.min(axis=1, keepdims=True) + settings.margin)
    owner = np.full(len(observations), -1, dtype=np.int64)
    for view in np.unique(observations.view):
        here = np.flatnonzero(observations.view == view)
        # A forbidden match costs more than all allowed ones together, so it is made only where none is left.
        for i, j in zip(*linear_sum_assignment(np.where(allowed[here], cost[here], 1e3)), strict=True):
            if allowed[here[i], j]:
                owner[here[i]] = j
    return owner


def _explained(observations: Observations, person: _Person, settings: AssociationSettings) -> bool:
    """Whether the skeleton explains its own detections well: a few false ones agree by chance, but badly."""
    cost = explain(observations, person.skeleton[None], settings).cost[person.members, 0]
    return len(person.members) > settings.few_detections or float(cost.mean()) <= settings.few_gate


def _wide_enough(observations: Observations, person: _Person, settings: AssociationSettings) -> bool:
    """Whether enough joints are known when the rays must span the least angle of a track."""
    result = triangulate_members(
        observations, person.members, person.flipped, settings.sigma, settings.min_angle_deg, observations.body
    )
    return int(np.isfinite(result.points).all(axis=-1).sum()) >= settings.min_joints


def _track(observations: Observations, person: _Person, settings: AssociationSettings) -> Track:
    # Which side is left is the majority's word: the seed may have been a swapped detection.
    flipped = person.flipped if 2 * person.flipped.sum() <= len(person.members) else ~person.flipped
    result = triangulate_members(observations, person.members, flipped, settings.sigma, settings.min_angle_deg)
    return Track(
        observations.row[person.members],
        flipped,
        result.points,
        result.rms_px,
        result.inliers.sum(axis=0).astype(np.int64),
        result.angle,
    )
