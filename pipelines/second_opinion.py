"""The second opinion of `detect`: whom the cameras have confirmed, a second network reads in every frame, too.

What both networks say is sure; what they differ about is doubtful, whatever the scores. Where the first one reads
nobody, or somebody else, the second one's reading stands alone. And what one reading a view has wrong alike in every
view, the second one's heatmaps may have right in all of them together (`mcbench.pipelines.votes`). In a video, many
frames show that: of a few photos, the places that the first network reads are worth more than knowing which to doubt.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mcbench.cameras.views import Views
from mcbench.dataset.source import Source
from mcbench.experts.base import Detector, Opinion, PersonDetection, TwofoldDetector
from mcbench.experts.duplicates import SAME, limb_joints, pose_distance
from mcbench.fitting.association import Track
from mcbench.fitting.expected import expected_keypoints
from mcbench.joints import joint_set
from mcbench.pipelines.looking import Looker, People
from mcbench.pipelines.track_costs import GATE, NEW, track_costs
from mcbench.pipelines.votes import as_voted

#: A track that the first network reads in fewer frames is read by nobody alone: it may be of nobody.
_LEAST_READ = 3


def has_second_opinions(source: Source, detector: Detector) -> bool:
    """Whether keypoints' scores are what two networks agree on."""
    return source.kind == "video" and isinstance(detector, TwofoldDetector)


def second_opinion(confirmed: People, tracks: Sequence[Track], views: Views, looker: Looker) -> People:
    """The confirmed people as both networks read them, then those whom the second one alone reads, in every frame, and
    as the heatmaps of all frames vote.

    Without change in photos, and where the detector has one network.
    """
    detector = looker.detector
    if not has_second_opinions(looker.source, detector) or not tracks:
        return confirmed
    assert isinstance(detector, TwofoldDetector)
    joints = joint_set(detector.keypoint_set)
    costs = track_costs(confirmed, tracks, views, looker, swapped=0.0)
    shown = {i: [int(c.argmin()) if c.min(initial=np.inf) <= GATE else -1 for c in costs[i]] for i in confirmed}
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
            cost = track_costs({i: poses}, tracks, views, looker, swapped=0.0)[i]
            mine = [n for n, c in enumerate(cost) if c.min() <= NEW and c.argmin() == track]
            best = min(mine, key=cost[:, track].__getitem__, default=None)
            if best is not None and not looker.is_among(poses[best], here):
                here.append(poses[best])
        people[i], everything[i] = here, list(opinions.values())
        looker.step("people, by a second network")
    return as_voted(people, everything, views, looker)


def _of_same(
    reading: PersonDetection, opinions: Sequence[PersonDetection], keypoint_set: str
) -> PersonDetection | None:
    """The opinion that is of the reading's person; None without one."""
    ours = limb_joints(reading.keypoints, keypoint_set)
    distance = [pose_distance(ours, limb_joints(one.keypoints, keypoint_set)) for one in opinions]
    best = min(range(len(opinions)), key=distance.__getitem__, default=None)
    return opinions[best] if best is not None and distance[best] < SAME else None
