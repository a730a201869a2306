"""Looking for people in a scene's frames: searching frames, and following people from frame to frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mcbench.dataset.detections import Detections
from mcbench.dataset.source import Frame, Source
from mcbench.experts.base import Detector, LeadingDetector, PersonDetection
from mcbench.experts.duplicates import distinct, same_person
from mcbench.experts.erasing import erased
from mcbench.joints import joint_set

#: The people found in each frame looked at, maybe none, by index of the frame.
People = dict[int, list[PersonDetection]]

#: Decoded frames held at once when frames are read backwards, bytes.
_MEMORY = 256 * 2**20


@dataclass(frozen=True)
class Looker:
    """A detector before the frames of a source.

    Attributes
    ----------
    min_score : drop whom the detector gives less.
    step : called with a label after every frame looked at.
    reader : let the detector's reader of people whose place is known be heard, too.
    """

    source: Source
    detector: Detector
    min_score: float
    step: Callable[[str], None]
    reader: bool = False

    def search(self, frames: Sequence[int], behind: bool = True) -> People:
        """Whom a search of some of the frames finds: in the frame and, `behind`, in it without those found there."""
        found: People = {}
        for frame, image in self.source.images(frames):
            here = self._good(self.detector.detect(image))
            if here and behind:
                hidden = self._good(self.detector.detect(erased(image, here)))
                here = distinct([*here, *hidden], self.detector.keypoint_set)
            found[frame.index] = here
            self.step("people")
        return found

    def leads(self, frames: Sequence[int], found: People) -> People:
        """Coarse poses in some of the frames of those who are not among the people `found` there; none in any frame
        where the detector gives no leads."""
        if not isinstance(self.detector, LeadingDetector):
            return {}
        leads: People = {}
        for frame, image in self.source.images(frames):
            known = found.get(frame.index, [])
            leads[frame.index] = [p for p in self.detector.leads(image) if not self.is_among(p, known)]
            self.step("people, coarsely")
        return leads

    def follow(self, people: People, others: People) -> People:
        """`people`, and where they are found again in the frames after and before.

        Both have all the frames; `others` are known already and not followed.
        """
        people = dict(people)
        forward = sorted(people)
        for images, label in (
            (self.source.images(forward), "people, onwards"),
            (self._backwards(forward), "people, backwards"),
        ):
            before: list[PersonDetection] = []
            for frame, image in images:
                here = people[frame.index]
                lost = [p.keypoints for p in before if not self.is_among(p, here)]
                if lost:
                    found = self._good(self.detector.detect(image, lost, search=False))
                    new = [p for p in found if not self.is_among(p, others[frame.index])]
                    here = distinct([*here, *new], self.detector.keypoint_set)
                before = people[frame.index] = here
                self.step(label)
        return people

    def is_among(self, person: PersonDetection, others: Sequence[PersonDetection]) -> bool:
        """Whether a person is one of others, in one frame or in neighbouring ones."""
        return any(same_person(person, other, self.detector.keypoint_set) for other in others)

    def _good(self, found: Sequence[PersonDetection]) -> list[PersonDetection]:
        return [p for p in found if p.score >= self.min_score]

    def _backwards(self, frames: Sequence[int]) -> Iterator[tuple[Frame, np.ndarray]]:
        """Frames and images from the last to the first, some of them held in memory at a time."""
        sizes = (self.source.frames[i] for i in frames)
        chunk = max(1, _MEMORY // max((3 * frame.width * frame.height for frame in sizes), default=1))
        for stop in range(len(frames), 0, -chunk):
            yield from reversed(list(self.source.images(frames[max(0, stop - chunk) : stop])))


def rows_of(people: People) -> list[tuple[int, int]]:
    """Of each row of `flatten`, the frame and the number there of whom it is of."""
    return [(index, n) for index in sorted(people) for n in range(len(people[index]))]


def flatten(detector: Detector, people: People, keypoint_set: str = "") -> Detections:
    """One flat record of the people of all frames, in the frames' order.

    keypoint_set : of the people's keypoints; the detector's own when empty.
    """
    rows = [(index, people[index][n]) for index, n in rows_of(people)]
    keypoint_set = keypoint_set or detector.keypoint_set
    joints = len(joint_set(keypoint_set))

    def array(values: list[np.ndarray] | list[float], kind: type, *shape: int) -> np.ndarray:
        return np.array(values, kind).reshape(len(rows), *shape)

    return Detections(
        keypoint_set=keypoint_set,
        detector=f"{detector.name} {detector.version}",
        frame=np.array([index for index, _ in rows], np.int64),
        score=array([p.score for _, p in rows], np.float32),
        box=array([p.box for _, p in rows], np.float32, 4),
        keypoints=array([p.keypoints for _, p in rows], np.float32, joints, 2),
        keypoint_score=array([p.keypoint_score for _, p in rows], np.float32, joints),
        keypoints3d=array([p.keypoints3d for _, p in rows], np.float32, joints, 3),
        mask=array([p.mask for _, p in rows], np.uint8, *(rows[0][1].mask.shape if rows else (0, 0))),
    )


def spread(count: int, wanted: int) -> list[int]:
    """`wanted` of the indices 0 … count - 1, evenly spaced, the first and the last among them; all when 0."""
    if wanted <= 0 or wanted >= count:
        return list(range(count))
    return [int(i) for i in np.round(np.linspace(0, count - 1, wanted))]
