"""What detectors read wrong in most views, read as all views together have it.

A detector that takes somebody's back for the front has left and right exchanged in every view, and an arm that it only
guesses at it puts anywhere. Geometry does not tell: readings agree, or agree as badly elsewhere. But heatmaps of the
second network tell sides apart a little in each view, and show the right place of a limb among others; over many views
both add up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mcbench.cameras.camera import Array, transform
from mcbench.cameras.views import Views
from mcbench.experts.agreement import OF_FACE, hanging
from mcbench.experts.base import Opinion, Peaks, PersonDetection, TwofoldDetector
from mcbench.experts.duplicates import LIMBS, SAME, limb_joints, pose_distance
from mcbench.fitting.association import Track, associate
from mcbench.fitting.association_anatomy import world_unit
from mcbench.fitting.expected import image_points
from mcbench.fitting.limb_votes import Sightings, how_seen, stature_px, vote_on_limb
from mcbench.joints import JointSet, joint_set
from mcbench.pipelines.looking import Looker, People, flatten, rows_of

IntArray = npt.NDArray[np.int64]

#: Left and right are exchanged where that makes limb joints so much likelier (the logarithm, in the mean): of 65
#: rendered people who are read the right way round nobody gains anything, of four who are not three do.
_EXCHANGED = 0.05
#: A limb goes where the views see it if they see it well there (the logarithms of how likely both joints are, in the
#: mean), and so much better than where it is: of rendered people's limbs that are where they should be few gain as
#: much, of those that are wrong most do.
_SEEN, _GAIN = -4.0, 0.8
#: ... but not onto another limb, of the other side or of somebody else, whose place tempts most: both joints nearer to
#: its joints than this, metres.
_OTHER_M = 0.15
#: A keypoint is read at a place within this share of stature of it. A reading of such a score is somebody's for sure,
#: and so is a keypoint of such a score that the second network counts to somebody.
_AT, _SURE, _GROUPED = 0.05, 0.5, 0.3
_LIMBS = (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle"))
_SIDES = ("left", "right")


def as_voted(people: People, opinions: Mapping[int, Sequence[Opinion]], views: Views, looker: Looker) -> People:
    """The people with the sides that all views together give them, then with limbs read where all views see them.

    In each view such a limb's keypoints stay where they are at the projection, or are read at the peak that is there;
    where there is none, they are not seen.

    Parameters
    ----------
    opinions : of each frame, what other networks read round everybody who is expected there.
    """
    scene = _Scene.of(people, opinions, views, looker)
    if turned := [track for track in scene.tracks if scene.is_exchanged(track)]:
        people = _turned_round(people, turned, scene.joints)
        scene = _Scene.of(people, opinions, views, looker)
    return _with_limbs(people, scene, opinions, looker)


def _turned_round(people: People, tracks: Sequence[Track], joints: JointSet) -> People:
    """Left and right of some tracks exchanged."""
    changed = {i: list(here) for i, here in people.items()}
    rows = rows_of(people)
    for frame, n in (rows[row] for track in tracks for row in track.rows):
        changed[frame][n] = _other_way_round(changed[frame][n], joints)
    return changed


def _other_way_round(person: PersonDetection, joints: JointSet) -> PersonDetection:
    """A detection with left and right exchanged; what was taken for the face is none, or hides it."""
    order = list(joints.flip)
    score = person.keypoint_score[order]
    score[[k for k, name in enumerate(joints.joints) if any(part in name for part in OF_FACE)]] = 0.0
    return replace(
        person, keypoints=person.keypoints[order], keypoint_score=score, keypoints3d=person.keypoints3d[order]
    )


def _with_limbs(people: People, scene: _Scene, opinions: Mapping[int, Sequence[Opinion]], looker: Looker) -> People:
    """Limbs read where all views together see them."""
    detector, views = looker.detector, scene.views
    assert isinstance(detector, TwofoldDetector)
    changed = {i: list(here) for i, here in people.items()}
    rows = rows_of(people)
    for number, track in enumerate(scene.tracks):
        for limb, ends in scene.voted(number).items():
            radius = _radius(views, ends.mean(0), scene.unit(track))
            for row, flipped in zip(track.rows, track.flipped, strict=True):
                frame, n = rows[row]
                view = views.of_frame(frame)
                if view is not None:
                    there = image_points(views.cameras[view], transform(views.cam_from_world[view], ends))
                    peaks = [opinion.peaks for opinion in opinions[frame]]
                    changed[frame][n] = _read_at(
                        changed[frame][n], limb, bool(flipped), there, radius[view], peaks, detector
                    )
    return changed


@dataclass(frozen=True)
class _Claims:
    """Keypoints in the images that are surely somebody's.

    Attributes
    ----------
    view : (C,). owner : (C,) the track that they are of, -1 for somebody else. pixels : (C, K, 2) undistorted px.
    sure : (C, K) which of them are sure.
    """

    view: IntArray
    owner: IntArray
    pixels: Array
    sure: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _Scene:
    """Who is read where in a scene, and what the heatmaps show of each keypoint.

    Attributes
    ----------
    view : (N,) of each detection, -1 without one. pixels : (N, K, 2) undistorted px. score : (N, K).
    shown : of each keypoint.
    """

    views: Views
    joints: JointSet
    tracks: list[Track]
    view: IntArray
    pixels: Array
    score: Array
    shown: list[Sightings]
    claims: _Claims

    @classmethod
    def of(cls, people: People, opinions: Mapping[int, Sequence[Opinion]], views: Views, looker: Looker) -> _Scene:
        detections = flatten(looker.detector, people)
        joints, view = joint_set(looker.detector.keypoint_set), views.of_frames(detections.frame)
        pixels = np.full(detections.keypoints.shape, np.nan)
        pixels[view >= 0] = views.undistort_each(view[view >= 0], detections.keypoints[view >= 0])
        score = detections.keypoint_score.astype(np.float64)
        tracks = associate(views, detections)
        posed = [(v, one) for i, here in opinions.items() if (v := views.of_frame(i)) is not None for one in here]
        keypoint = np.concatenate([np.zeros(0, np.int64), *(one.peaks.keypoint for _, one in posed)])
        at = np.concatenate([np.zeros(0, np.int64), *(np.full(len(one.peaks.keypoint), v) for v, one in posed)])
        places = np.concatenate([np.zeros((0, 2)), *(one.peaks.pixels for _, one in posed)])
        value = np.concatenate([np.zeros(0), *(one.peaks.value for _, one in posed)])
        everything = Sightings(at, views.undistort_each(at, places), value)
        shown = [everything.select(keypoint == k) for k in range(len(joints.joints))]
        owner, order = np.full(len(detections), -1), np.tile(np.arange(len(shown)), (len(detections), 1))
        for number, track in enumerate(tracks):
            owner[track.rows] = number
            order[track.rows[track.flipped]] = joints.flip
        known = np.flatnonzero((owner >= 0) & (view >= 0))
        place = known[:, None], order[known]
        read = _Claims(view[known], owner[known], pixels[place], score[place] >= _SURE)
        claims = _joined(read, _claims_of_poses(posed, tracks, views, joints))
        return cls(views, joints, tracks, view, pixels, score, shown, claims)

    def unit(self, track: Track) -> float:
        return world_unit(track.points, self.joints)

    def is_exchanged(self, track: Track) -> bool:
        """Whether all views together see a track's left as the right."""
        return self._seen(track, exchanged=True) - self._seen(track, exchanged=False) > _EXCHANGED

    def _seen(self, track: Track, exchanged: bool) -> float:
        """How well all views see a track's limb joints, with left and right exchanged or not: the mean over joints and
        views of the log of how likely they are; 0 without any."""
        unit, found = self.unit(track), []
        for k in (self.joints.index(name) for name in LIMBS):
            if np.isfinite(track.points[k]).all():
                shown = self.shown[self.joints.flip[k] if exchanged else k]
                found.append(float(how_seen(self.views, shown, track.points[k : k + 1], unit)[0]))
        return float(np.mean(found)) if found else 0.0

    def voted(self, number: int) -> dict[tuple[str, str, str], Array]:
        """Of a track's limbs that go elsewhere, their names with the side, the places (2, 3) of lower joint and end."""
        track = self.tracks[number]
        voted, unit = {}, self.unit(track)
        for upper, lower, end in _LIMBS:
            for side, other in (_SIDES, _SIDES[::-1]):
                start, *now = (self.joints.index(f"{side}_{name}") for name in (upper, lower, end))
                if not np.isfinite(track.points[start]).all():
                    continue
                radius = _radius(self.views, track.points[start], unit)
                seen = [Sightings.joined([self._free(k, number, radius), self._read(k, track)]) for k in now]
                bones = (upper, lower), (lower, end)
                vote = vote_on_limb(self.views, seen, bones, track.points[start], track.points[now], unit)
                if vote is None or vote.seen < _SEEN or vote.gain < _GAIN:
                    continue
                beside = [self.joints.index(f"{other}_{name}") for name in (lower, end)]
                taken = [track.points[beside]]
                taken += [one.points[ends] for one in self.tracks if one is not track for ends in (now, beside)]
                if not (np.linalg.norm(vote.ends - taken, axis=-1) < _OTHER_M * unit).all(axis=1).any():
                    voted[f"{side}_{upper}", f"{side}_{lower}", f"{side}_{end}"] = vote.ends
        return voted

    def _free(self, keypoint: int, number: int, radius: Array) -> Sightings:
        """What is shown of a track's keypoint without what is surely another one: within a radius (F,) px of somebody
        else's, or of the track's own on the other side."""
        shown, claims = self.shown[keypoint], self.claims
        free = np.ones(len(shown.view), dtype=bool)
        for k in (keypoint, self.joints.flip[keypoint]):
            another = ((claims.owner != number) | (k != keypoint)) & claims.sure[:, k]
            for view in range(len(self.views)):
                here = np.flatnonzero(shown.view == view)
                others = claims.pixels[another & (claims.view == view), k]
                away = np.linalg.norm(shown.pixels[here, None] - others, axis=-1)
                free[here] &= ~(away < radius[view]).any(axis=1)
        return shown.select(free)

    def _read(self, keypoint: int, track: Track) -> Sightings:
        """The readings of a track's keypoint, the person's own left and right."""
        k = np.where(track.flipped, self.joints.flip[keypoint], keypoint)
        read = Sightings(self.view[track.rows], self.pixels[track.rows, k], self.score[track.rows, k])
        return read.select(np.asarray(np.isfinite(read.pixels).all(axis=1)))


def _radius(views: Views, point: Array, unit: float) -> Array:
    """How near to the projection of a point (3,) a keypoint is read at it, in each view (F,), px."""
    return _AT * stature_px(views, point[None], unit)[:, 0]


def _claims_of_poses(
    posed: Sequence[tuple[int, Opinion]], tracks: Sequence[Track], views: Views, joints: JointSet
) -> _Claims:
    """What poses of the second network claim for those whose they are: the network groups keypoints by the body.

    posed : opinions and their views.
    """
    view, owner, poses = [], [], []
    expected: dict[int, list[Array]] = {}
    for at, opinion in posed:
        if at not in expected:
            in_camera = (transform(views.cam_from_world[at], track.points) for track in tracks)
            expected[at] = [limb_joints(image_points(views.cameras[at], c), joints.name) for c in in_camera]
        for pose in opinion.people:
            limbs = limb_joints(pose.keypoints, joints.name)
            away = [pose_distance(limbs, other) for other in expected[at]]
            mine = min(range(len(away)), key=away.__getitem__, default=-1)
            view.append(at)
            owner.append(mine if mine >= 0 and away[mine] < SAME else -1)
            poses.append(pose)
    count = len(joints.joints)
    views_of = np.array(view, np.int64)
    pixels = np.array([pose.keypoints for pose in poses]).reshape(-1, count, 2)
    sure = np.array([pose.keypoint_score >= _GROUPED for pose in poses], bool).reshape(-1, count)
    return _Claims(views_of, np.array(owner, np.int64), views.undistort_each(views_of, pixels), sure)


def _joined(first: _Claims, second: _Claims) -> _Claims:
    names = ("view", "owner", "pixels", "sure")
    return _Claims(*(np.concatenate([getattr(one, name) for one in (first, second)]) for name in names))


def _read_at(
    person: PersonDetection,
    limb: tuple[str, str, str],
    flipped: bool,
    there: Array,
    radius: float,
    peaks: Sequence[Peaks],
    detector: TwofoldDetector,
) -> PersonDetection:
    """A detection with a limb's lower joint and end read within a radius, px, of the places `there` (2, 2) px."""
    names = joint_set(detector.keypoint_set)
    keypoints, score, heat = person.keypoints.copy(), person.keypoint_score.copy(), np.zeros(len(names))
    moved = []
    for name, place in zip(limb[1:], there, strict=True):
        own = names.index(name)
        k = names.flip[own] if flipped else own
        if np.linalg.norm(keypoints[k] - place) < radius:
            continue
        at = place
        for one in peaks:
            near = np.flatnonzero((one.keypoint == own) & (np.linalg.norm(one.pixels - place, axis=1) < radius))
            if len(near) and one.value[near].max() > heat[k]:
                best = near[one.value[near].argmax()]
                at, heat[k] = one.pixels[best], one.value[best]
        beyond = hanging(k, detector.keypoint_set)
        keypoints[beyond] += at - keypoints[k]
        keypoints[k] = at
        moved += [k, *beyond]
    score[moved] = detector.alone(replace(person, keypoint_score=heat)).keypoint_score[moved]
    return replace(person, keypoints=keypoints, keypoint_score=score)
