"""The second opinion of `detect`: whom the cameras have confirmed, other networks read in every frame, too.

What two networks say is sure; what they differ about is doubtful, whatever the scores. Where the first one reads
nobody, or somebody else, the second one's reading stands alone. A third one, if it is wanted, is told the place that
the cameras give, and reads the person there (`mcbench.reader`); as it learnt from rendered people, it is heard in
scenes in which it says what the others are sure of. It reads twice: what is put right the first time tells the places
better. And what one reading a view has wrong alike in every view, heatmaps may have right in all views together
(`mcbench.pipelines.votes`). In a video, many frames show that: of a few photos, the places that the first network reads
are worth more than knowing which to doubt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mcbench.cameras.camera import Array
from mcbench.cameras.views import Views
from mcbench.dataset.source import Source
from mcbench.experts.base import Detector, Opinion, PersonDetection, TwofoldDetector
from mcbench.experts.duplicates import LIMBS, SAME, limb_joints, pose_distance
from mcbench.fitting.association import Track, associate
from mcbench.fitting.association_anatomy import world_unit
from mcbench.fitting.expected import expected_keypoints
from mcbench.fitting.limb_votes import stature_px
from mcbench.joints import joint_set
from mcbench.pipelines.looking import Looker, People, flatten
from mcbench.pipelines.track_costs import GATE, NEW, track_costs
from mcbench.pipelines.votes import as_voted

#: A track that the first network reads in fewer frames is read by nobody alone: it may be of nobody.
_LEAST_READ = 3
#: How often the reader reads.
_READINGS = 2
#: The reader is heard in a scene where it has so large a share of the limb joints that are sure, of both, where the
#: others have them: within this share of stature, scores of so much and more, of theirs and of its own. Of fewer joints
#: nothing can be told.
_TRUSTED, _AT, _SURE, _SURE_READ, _LEAST_JOINTS = 0.9, 0.06, 0.9, 0.65, 100
#: A reading by the reader alone is a person's if so many limb joints have such a score.
_SEEN_JOINTS, _SEEN = 5, 0.35


def has_second_opinions(source: Source, detector: Detector) -> bool:
    """Whether keypoints' scores are what several networks agree on."""
    return source.kind == "video" and isinstance(detector, TwofoldDetector)


def readings(source: Source, detector: Detector, reader: bool) -> int:
    """How often every frame is gone through for second opinions."""
    return 1 + _READINGS * reader if has_second_opinions(source, detector) else 0


def second_opinion(confirmed: People, tracks: Sequence[Track], views: Views, looker: Looker) -> People:
    """The confirmed people as all networks read them, then those whom others than the first one read, in every frame,
    and as the heatmaps of all frames vote.

    Without change in photos, and where the detector has one network.
    """
    if not has_second_opinions(looker.source, looker.detector) or not tracks:
        return confirmed
    people, opinions = _joined(confirmed, tracks, views, looker)
    heard = opinions
    for time in range(_READINGS * looker.reader):
        now = associate(views, flatten(looker.detector, people))
        read = _expected(people, now, views, looker)
        if not _is_trusted(people, now, read, views, looker):
            for _ in range((_READINGS - 1 - time) * len(people)):
                looker.step("people, where they are expected")
            heard = opinions
            break
        people = _confirmed(people, now, read, views, looker)
        heard = {i: [*opinions[i], *read[i].values()] for i in people}
    return as_voted(people, heard, views, looker)


def _joined(
    confirmed: People, tracks: Sequence[Track], views: Views, looker: Looker
) -> tuple[People, dict[int, list[Opinion]]]:
    """The people as the first two networks read them, and whom the second one alone reads; and all that it says."""
    detector = looker.detector
    assert isinstance(detector, TwofoldDetector)
    joints = joint_set(detector.keypoint_set)
    shown = _shown(confirmed, tracks, views, looker)
    read = np.bincount([track for here in shown.values() for track in here if track >= 0], minlength=len(tracks))
    people: People = {}
    everything: dict[int, list[Opinion]] = {}
    for frame, image in looker.source.images(sorted(confirmed)):
        i, here = frame.index, list(confirmed[frame.index])
        view = views.of_frame(i)
        expected = {} if view is None else expected_keypoints(views, view, tracks, joints)
        opinions = dict(zip(expected, detector.opinions(image, list(expected.values())), strict=True))
        for n, track in enumerate(shown[i]):
            seen = opinions[track].people if track in opinions else []
            if (opinion := _of_same(here[n], seen, detector.keypoint_set)) is not None:
                here[n] = detector.joined(here[n], opinion)
        for track in (track for track in expected if track not in shown[i] and read[track] >= _LEAST_READ):
            poses = [detector.alone(opinion) for opinion in opinions[track].people]
            here += _whose(track, poses, here, i, tracks, views, looker)
        people[i], everything[i] = here, list(opinions.values())
        looker.step("people, by a second network")
    return people, everything


def _expected(people: People, tracks: Sequence[Track], views: Views, looker: Looker) -> dict[int, dict[int, Opinion]]:
    """What the reader reads in each frame, by track."""
    detector = looker.detector
    assert isinstance(detector, TwofoldDetector)
    joints, read = joint_set(detector.keypoint_set), {}
    for frame, image in looker.source.images(sorted(people)):
        view = views.of_frame(frame.index)
        expected = {} if view is None else expected_keypoints(views, view, tracks, joints)
        read[frame.index] = dict(zip(expected, detector.expected(image, list(expected.values())), strict=True))
        looker.step("people, where they are expected")
    return read


def _is_trusted(
    people: People, tracks: Sequence[Track], read: Mapping[int, Mapping[int, Opinion]], views: Views, looker: Looker
) -> bool:
    """Whether the reader says what the others are sure of."""
    joints = joint_set(looker.detector.keypoint_set)
    limbs, size = [joints.index(name) for name in LIMBS], _sizes(tracks, views, looker)
    same: list[np.ndarray] = []
    for i, here in _shown(people, tracks, views, looker).items():
        view = views.of_frame(i)
        for n, track in enumerate(here):
            if view is not None and track in read[i]:
                for theirs in read[i][track].people:
                    ours = people[i][n]
                    sure = (ours.keypoint_score[limbs] >= _SURE) & (theirs.keypoint_score[limbs] >= _SURE_READ)
                    away = np.linalg.norm(ours.keypoints[limbs] - theirs.keypoints[limbs], axis=1)
                    same.append(away[sure] < _AT * size[view, track])
    agrees = np.concatenate([np.zeros(0, bool), *same])
    return len(agrees) >= _LEAST_JOINTS and float(agrees.mean()) >= _TRUSTED


def _confirmed(
    people: People, tracks: Sequence[Track], read: Mapping[int, Mapping[int, Opinion]], views: Views, looker: Looker
) -> People:
    """The people as the reader has them, too, and whom it alone reads."""
    detector = looker.detector
    assert isinstance(detector, TwofoldDetector)
    joints = joint_set(detector.keypoint_set)
    limbs, size = [joints.index(name) for name in LIMBS], _sizes(tracks, views, looker)
    shown = _shown(people, tracks, views, looker)
    changed: People = {}
    for i, before in people.items():
        view, here = views.of_frame(i), list(before)
        for n, track in enumerate(shown[i]):
            if view is not None and track in read[i]:
                for expected in read[i][track].people:
                    here[n] = detector.confirmed(here[n], expected, float(size[view, track]))
        for track in (track for track in read[i] if track not in shown[i]):
            poses = [p for p in read[i][track].people if (p.keypoint_score[limbs] >= _SEEN).sum() >= _SEEN_JOINTS]
            here += _whose(track, poses, here, i, tracks, views, looker)
        changed[i] = here
    return changed


def _shown(people: People, tracks: Sequence[Track], views: Views, looker: Looker) -> dict[int, list[int]]:
    """Of each frame's people, the track that each shows, -1 for none."""
    costs = track_costs(people, tracks, views, looker, swapped=0.0)
    return {i: [int(c.argmin()) if c.min(initial=np.inf) <= GATE else -1 for c in costs[i]] for i in people}


def _whose(
    track: int,
    poses: Sequence[PersonDetection],
    here: Sequence[PersonDetection],
    frame: int,
    tracks: Sequence[Track],
    views: Views,
    looker: Looker,
) -> list[PersonDetection]:
    """The pose that agrees best with a track which nobody in a frame shows; none without one, or if it is one of those
    who are `here`."""
    cost = track_costs({frame: list(poses)}, tracks, views, looker, swapped=0.0)[frame]
    mine = [n for n, c in enumerate(cost) if c.min() <= NEW and c.argmin() == track]
    best = min(mine, key=cost[:, track].__getitem__, default=None)
    return [] if best is None or looker.is_among(poses[best], here) else [poses[best]]


def _sizes(tracks: Sequence[Track], views: Views, looker: Looker) -> Array:
    """(F, tracks) px that a standing adult is high in each view where a track is; NaN where nobody can tell."""
    joints = joint_set(looker.detector.keypoint_set)
    middles = np.array([np.nanmedian(track.points, axis=0) for track in tracks]).reshape(-1, 3)
    units = [world_unit(track.points, joints) for track in tracks]
    return np.stack([stature_px(views, middles[n : n + 1], units[n])[:, 0] for n in range(len(tracks))], axis=1)


def _of_same(
    reading: PersonDetection, opinions: Sequence[PersonDetection], keypoint_set: str
) -> PersonDetection | None:
    """The opinion that is of the reading's person; None without one."""
    ours = limb_joints(reading.keypoints, keypoint_set)
    distance = [pose_distance(ours, limb_joints(one.keypoints, keypoint_set)) for one in opinions]
    best = min(range(len(opinions)), key=distance.__getitem__, default=None)
    return opinions[best] if best is not None and distance[best] < SAME else None
