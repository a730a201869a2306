"""The second look of `detect`: people stand still and cameras are known, so where they are is known in every frame.

Whom the first look saw in a few frames is triangulated, projected into every frame and looked for there. How well a
detection agrees with the projected skeletons then tells whose it is, and which of two is the better one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mcbench.cameras.camera import Array
from mcbench.cameras.views import Views
from mcbench.experts.duplicates import distinct, misread
from mcbench.experts.erasing import erased
from mcbench.fitting.association import AssociationSettings, Track, associate
from mcbench.fitting.expected import expected_keypoints
from mcbench.joints import joint_set
from mcbench.pipelines.looking import Looker, People, flatten
from mcbench.pipelines.second_opinion import second_opinion
from mcbench.pipelines.track_costs import GATE, NEW, track_costs

#: Detections that make a person worth looking for in the frames that were searched, and in all of them. Two agree by
#: chance now and then; but then nothing agrees with them elsewhere.
_GUESS, _SURE = 2, 3
#: Below this cost (`track_costs`), nothing better is looked for.
_GOOD = 0.1
#: The association's `sigma` and `same_person` for coarse poses: with its usual ones people half hidden are not found,
#: or several times. Readings go first, by the usual ones, as in coarse tracks left and right are mixed.
_COARSE_SIGMA, _COARSE_SAME = 0.08, 0.1


def second_look(
    found: People, leads: People, frames: Sequence[int], views: Views, looker: Looker, min_score: float
) -> People:
    """Look again for the people that a search has found.

    Parameters
    ----------
    found, leads : the people of the frames searched; and coarse poses in some frames, which help to tell where people
        are, and are not people themselves. Empty where the detector gives none.
    frames : all frames to look at.
    min_score : drop detections of expected people below this score; it may be low, as the geometry speaks for them.

    Returns
    -------
    The people of all frames. In a frame, everyone whom the cameras confirm has the detection that agrees best with
    their skeleton, and comes before the others.
    """
    found = {i: found.get(i, []) for i in sorted({*found, *leads})}
    guesses = _tracks(found, leads, views, looker, _GUESS)
    seen = _look(found, guesses, views, looker, min_score)
    found = {i: distinct([*found[i], *seen[i]], looker.detector.keypoint_set) for i in found}
    people = {i: found.get(i, []) for i in frames}
    if looker.source.kind == "video" and not leads:
        # Who was found too seldom for a track is followed as in any clip, and may be one after that.
        confirmed, others = _settle(people, people, _tracks(people, {}, views, looker, _SURE), views, looker)
        others = looker.follow(others, confirmed)
        people = {i: confirmed[i] + others[i] for i in frames}
    tracks = _tracks(people, leads, views, looker, _SURE)
    seen = _look(people, tracks, views, looker, min_score)
    confirmed, others = _settle(people, {i: people[i] + seen[i] for i in frames}, tracks, views, looker)
    confirmed = second_opinion(confirmed, tracks, views, looker)
    return {i: confirmed[i] + others[i] for i in frames}


def _tracks(people: People, leads: People, views: Views, looker: Looker, min_detections: int) -> list[Track]:
    """The tracks of people, and those that what is left of people and leads makes up."""
    settings = replace(AssociationSettings(), min_detections=min_detections)
    tracks = associate(views, flatten(looker.detector, people), settings)
    if not any(leads.values()):
        return tracks
    coarse = replace(settings, sigma=_COARSE_SIGMA, same_person=_COARSE_SAME)
    here = {i: [*people.get(i, []), *leads.get(i, [])] for i in sorted({*people, *leads})}
    cost = {i: c.min(axis=1, initial=1.0) for i, c in track_costs(here, tracks, views, looker, coarse, 0.0).items()}
    left = {i: [p for p, c in zip(here[i], cost[i], strict=True) if c > GATE] for i in here}
    return tracks + associate(views, flatten(looker.detector, left), coarse)


def _look(people: People, tracks: Sequence[Track], views: Views, looker: Looker, min_score: float) -> People:
    """What is newly found, in the frames of `people`, of tracks that nobody there shows well.

    A detector reads whoever is in front: who is still not seen well is looked for once more without the others.
    """
    joints = joint_set(looker.detector.keypoint_set)
    seen: People = {i: [] for i in people}
    for frame, image in looker.source.images(list(people)):
        index, view = frame.index, views.of_frame(frame.index)
        expected = {} if view is None else expected_keypoints(views, view, tracks, joints)

        def missing(cost: Array, expected: dict[int, Array] = expected) -> list[int]:
            return [track for track in expected if cost[:, track].min(initial=1.0) > _GOOD]

        for track in missing(track_costs({index: people[index]}, tracks, views, looker)[index]):
            seen[index] += looker.detector.detect(image, [expected[track]], search=False)
        here = people[index] + seen[index]
        cost = track_costs({index: here}, tracks, views, looker)[index]
        for track in missing(cost):
            others = [p for p, c in zip(here, cost, strict=True) if c.min() <= GATE and c.argmin() != track]
            if others:
                seen[index] += looker.detector.detect(erased(image, others), [expected[track]], search=False)
        looker.step("people, again")
    costs = track_costs(seen, tracks, views, looker)
    return {
        i: [p for p, c in zip(seen[i], costs[i], strict=True) if p.score >= min_score and c.min(initial=1.0) <= NEW]
        for i in seen
    }


def _settle(
    people: People, candidates: People, tracks: Sequence[Track], views: Views, looker: Looker
) -> tuple[People, People]:
    """For each frame, the candidate that agrees best with each track, and those of `people` that are nobody of them.

    candidates : the people and further detections of a frame.
    """
    cost = track_costs(candidates, tracks, views, looker)
    confirmed: People = {}
    others: People = {}
    for i, here in candidates.items():
        best = _best(cost[i])
        confirmed[i] = []
        for n in best:
            if not looker.is_among(here[n], confirmed[i]):
                confirmed[i].append(here[n])
        others[i] = [p for p in people[i] if not looker.is_among(p, confirmed[i]) and not misread(p, confirmed[i])]
    return confirmed, others


def _best(cost: Array) -> list[int]:
    """Who of a frame's detections agrees best with each track, best first; `cost` (detections, tracks).

    A detection counts for the track it agrees with best: one that has another track's limbs is never this track's.
    """
    best: dict[int, int] = {}
    for n in np.argsort(cost.min(axis=1, initial=np.inf), kind="stable"):
        if cost[n].min(initial=np.inf) <= GATE:
            best.setdefault(int(cost[n].argmin()), int(n))
    return list(best.values())
