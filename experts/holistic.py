"""The hands and the face of a body of BlazePose, and all keypoints together as `holistic143`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mcbench.experts import face, hand
from mcbench.experts.base import PersonDetection
from mcbench.experts.crops import Pyramid, Roi
from mcbench.experts.parts import Part, PartLandmark
from mcbench.experts.weights import weight_digest
from mcbench.joints import HOLISTIC143

#: The parts that are read, and their keypoints in `holistic143`.
PARTS = {
    "face": slice(HOLISTIC143.index("face_0"), HOLISTIC143.index("face_67") + 1),
    "left_hand": slice(HOLISTIC143.index("left_hand_wrist"), HOLISTIC143.index("left_hand_pinky_4") + 1),
    "right_hand": slice(HOLISTIC143.index("right_hand_wrist"), HOLISTIC143.index("right_hand_pinky_4") + 1),
}
_BODY = PARTS["face"].start
#: The wrist of a hand lies no farther from the body's own than this, m: else it is another hand.
_MAX_WRIST_OFF = 0.15
_WEIGHTS = (hand.LANDMARK, hand.PALM, face.LANDMARK)


class PartReader:
    """Reads the hands and the face of people whose bodies are known.

    Parameters
    ----------
    hand_landmark, face_landmark : what reads them; by default hands of `hand21` and iBUG's 68 of a face.

    Raises
    ------
    InputError : the weights are not in the cache.
    """

    def __init__(
        self, hand_landmark: hand.HandLandmark | None = None, face_landmark: face.FaceLandmark | None = None
    ) -> None:
        self._hand, self._face = hand_landmark or hand.HandLandmark(), face_landmark or face.FaceLandmark()
        self._finder = hand.HandFinder(self._hand)

    @staticmethod
    def resources() -> Mapping[str, str]:
        """Digests of the weights, by name; reads no file."""
        return {name: weight_digest(name) for name in _WEIGHTS}

    def of_body(self, image: Pyramid, body: PersonDetection, part: str) -> Part | None:
        """A part of a body of `blazepose33`; None where its place is not known or does not show it."""
        if part == "face":
            region = face.body_face_region(body.keypoints)
        else:
            region = hand.body_hand_region(body, part.removesuffix("_hand"))
        found = None if region is None else self._landmark(part).read(image, region)
        return found if found is not None and (part == "face" or _at_wrist(found, body, part)) else None

    def expected(self, image: Pyramid, prior: np.ndarray, part: str) -> Part | None:
        """A part that should have about the keypoints (K, 2) px; None where it is not seen there."""
        if not np.isfinite(prior).all():
            return None
        landmark = self._landmark(part)
        return landmark.read(image, landmark.region(prior))

    def hands(self, image: Pyramid, regions: Sequence[Roi]) -> list[Part]:
        """The hands in upright regions, whosever they are, each once, by falling score."""
        return self._finder(image, regions)

    def _landmark(self, part: str) -> PartLandmark:
        return self._face if part == "face" else self._hand


def part_score(found: Part, part: str) -> float:
    """Probability that what was found is this part: of a hand, that it is there and the one of its side."""
    if found.handedness is None:
        return found.score
    return found.score * (found.handedness if part == "right_hand" else 1.0 - found.handedness)


def _at_wrist(found: Part, body: PersonDetection, part: str) -> bool:
    """Whether a hand begins where the body's arm ends."""
    wrist = body.keypoints[HOLISTIC143.index(f"{part.removesuffix('_hand')}_wrist")]
    off = float(np.linalg.norm(found.keypoints[0] - wrist))
    return off < _MAX_WRIST_OFF * hand.px_per_metre(body)


def with_parts(body: PersonDetection, parts: Mapping[str, Part], flipped: bool = False) -> PersonDetection:
    """A body of `blazepose33` with its parts, as `holistic143`; parts that are not there are unknown.

    flipped : whether the body's left and right are exchanged, which the parts' are not: theirs are exchanged, too.
    """
    count = len(HOLISTIC143)
    keypoints, keypoints3d, score = np.full((count, 2), np.nan), np.full((count, 3), np.nan), np.zeros(count)
    for name, found in parts.items():
        where = PARTS[name]
        keypoints[where], keypoints3d[where], score[where] = found.keypoints, found.keypoints3d, found.keypoint_score
    if flipped:
        order = list(HOLISTIC143.flip)
        keypoints, keypoints3d, score = keypoints[order], keypoints3d[order], score[order]
    keypoints[:_BODY], keypoints3d[:_BODY], score[:_BODY] = body.keypoints, body.keypoints3d, body.keypoint_score
    return PersonDetection(body.score, body.box, keypoints, score, keypoints3d, body.mask)
