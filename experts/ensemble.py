"""The experts together: bodies, hands and faces of an image as people of `dope139`.

Hands and faces are found twice, anywhere and where the bodies tell; what comes out twice is kept once, and
`mcbench.dope.joining` gives each to a body or leaves it alone.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import numpy as np

from mcbench.dope.joining import Hand, join
from mcbench.dope.people import KINDS, PartPose, WholeBody, about_root, box_round, only
from mcbench.errors import UsageError
from mcbench.experts import body, face, hand
from mcbench.experts.base import PersonDetection
from mcbench.experts.blazepose import DETECTION, LANDMARK_FULL, LANDMARK_HEAVY
from mcbench.experts.crops import Pyramid
from mcbench.experts.holistic import PartReader
from mcbench.experts.movenet import MULTIPOSE
from mcbench.experts.parts import Part, distinct_parts
from mcbench.experts.weights import package_of, weight_digest
from mcbench.joints import BLAZEPOSE33, DOPE13, mapping

#: Raised whenever the same image would give other people.
VERSION = 3
#: Bodies of a lower score are left out.
MIN_BODY = 0.4
_MODELS = {
    "body": (MULTIPOSE, DETECTION, LANDMARK_FULL, LANDMARK_HEAVY),
    "hand": hand.HAND_MODELS,
    "face": face.FACE_MODELS,
}
_EARS = [BLAZEPOSE33.index(f"{side}_ear") for side in ("left", "right")]


class Ensemble:
    """The experts of bodies, hands and faces.

    Parameters
    ----------
    kinds : what to look for, of "body", "hand", "face". Bodies are always looked for, as they lead to the others, and
        left out of the answer where they are not asked for.

    Raises
    ------
    InputError : the weights are not in the cache.
    UsageError : a kind that there is not, or none.
    """

    def __init__(self, kinds: Collection[str] = KINDS) -> None:
        if not kinds or not set(kinds) <= set(KINDS):
            raise UsageError(f"parts are one or more of {', '.join(KINDS)}, not {', '.join(kinds) or 'none'}")
        self.kinds = frozenset(kinds)
        self._bodies = body.BlazePoseDetector()
        self._hand, self._face = hand.HandLandmark(), face.FaceLandmark(face.FACE84_OF_MESH)
        self._hands, self._faces = hand.HandFinder(self._hand), face.FaceFinder(self._face)
        self._reader = PartReader(self._hand, self._face)

    @staticmethod
    def provenance() -> dict[str, Any]:
        """Who the experts are, for the records: version, and of each kind the weights. Reads no file."""
        weights = {kind: [_weights(name) for name in models] for kind, models in _MODELS.items()}
        return {"name": "experts", "version": VERSION, "weights": weights}

    def __call__(self, image: np.ndarray) -> list[WholeBody]:
        """The people in an image (height, width, 3) uint8 RGB, by falling score."""
        pyramid = Pyramid(image)
        faces = self._faces(pyramid)
        found = self._bodies.find(pyramid, faces=[_face68(part) for part in faces])
        bodies = [person for person in found if person.score >= MIN_BODY]
        hands = self._hands(pyramid) if "hand" in self.kinds else []
        for person in bodies:
            hands += self._read(pyramid, person, "left_hand", "right_hand") if "hand" in self.kinds else []
            faces += self._read(pyramid, person, "face") if "face" in self.kinds else []
        people = join(
            [_body_pose(pyramid, person) for person in bodies],
            [Hand(_part_pose("hand", part), float(part.handedness or 0.0)) for part in distinct_parts(hands)],
            [_part_pose("face", part) for part in distinct_parts(faces)] if "face" in self.kinds else [],
        )
        return people if "body" in self.kinds else only(people, self.kinds)

    def _read(self, image: Pyramid, person: PersonDetection, *parts: str) -> list[Part]:
        return [part for name in parts if (part := self._reader.of_body(image, person, name)) is not None]


def _weights(name: str) -> dict[str, str]:
    package = package_of(name)
    return {
        "name": name,
        "sha256": weight_digest(name),
        "package": f"{package.project} {package.version}",
        "licence": package.licence,
        "origin": package.origin,
    }


def _face68(part: Part) -> Part:
    return replace(part, keypoints=part.keypoints[face.FACE68_OF_FACE84])


def _body_pose(image: Pyramid, person: PersonDetection) -> PartPose:
    """`dope13` of a body of `blazepose33`."""
    source, target = np.array(mapping(BLAZEPOSE33.name, DOPE13.name)).T
    with_head = {}
    for name in ("keypoints", "keypoints3d", "keypoint_score"):
        values = getattr(person, name)
        with_head[name] = np.full((len(DOPE13), *values.shape[1:]), np.nan)
        with_head[name][target], with_head[name][DOPE13.index("head")] = values[source], values[_EARS].mean(axis=0)
    pose2d, pose3d = with_head["keypoints"], about_root("body", with_head["keypoints3d"])
    with np.errstate(invalid="ignore"):
        inside = ((pose2d >= 0) & (pose2d <= image.size)).all(axis=1)
    confidence = np.where(inside, with_head["keypoint_score"], 0.0)
    return PartPose(person.score, pose2d, pose3d, confidence, box_round(pose2d, confidence))


def _part_pose(kind: str, part: Part) -> PartPose:
    box = box_round(part.keypoints, part.keypoint_score)
    return PartPose(part.score, part.keypoints, about_root(kind, part.keypoints3d), part.keypoint_score, box)
