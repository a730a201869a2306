"""Hands and faces: what is read of one, and the networks that read them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mcbench.experts.crops import Pyramid, Roi

#: Looks at one part, each in the region that the one before asks for, until its points stay where they are.
MAX_LOOKS = 3
#: The points stay when half of them move by less than this share of the part's size.
SETTLED = 0.05
#: Two readings are one part when half their points lie this near, as a share of the part's size.
SAME = 0.3
#: Presence from which a look shows the part.
MIN_PRESENCE = 0.5


@dataclass(frozen=True)
class Part:
    """A hand or a face in an image; pixels of that image, centres of pixels at +0.5.

    Attributes
    ----------
    score : probability in [0, 1] that the part is there.
    box : (4,) x0, y0, x1, y1 px, round its keypoints.
    keypoints : (K, 2) px. They may lie outside the image.
    keypoint_score : (K,) in [0, 1]; 0 outside the image.
    keypoints3d : (K, 3) metres, camera axes (x right, y down, z forward), relative to the wrist of a hand, to the
        middle of the eyes of a face.
    handedness : probability in [0, 1] that a hand is a right one; None for a face.
    """

    score: float
    box: np.ndarray
    keypoints: np.ndarray
    keypoint_score: np.ndarray
    keypoints3d: np.ndarray
    handedness: float | None = None

    @classmethod
    def of(
        cls,
        image: Pyramid,
        score: float,
        keypoints: np.ndarray,
        keypoints3d: np.ndarray,
        handedness: float | None = None,
    ) -> Part:
        """A part whose box and scores of keypoints follow from its score and the image."""
        inside = ((keypoints >= 0) & (keypoints <= image.size)).all(axis=1)
        box = np.concatenate([keypoints.min(axis=0), keypoints.max(axis=0)])
        return cls(score, box, keypoints, np.where(inside, score, 0.0), keypoints3d, handedness)

    @property
    def size(self) -> float:
        """Longer side of the box, px."""
        return float((self.box[2:] - self.box[:2]).max())


def distance(part: Part, keypoints: np.ndarray) -> float:
    """Median distance of a part's keypoints from others (K, 2) px, as a share of the part's size; inf without any."""
    steps = np.linalg.norm(part.keypoints - keypoints, axis=1)
    known = steps[np.isfinite(steps)]
    return float(np.median(known)) / max(part.size, 1e-6) if len(known) else float("inf")


class PartLandmark(ABC):
    """A network that reads the keypoints of a part in a region of an image."""

    @abstractmethod
    def look(self, image: Pyramid, region: Roi) -> Part:
        """What the network says of a region, whatever it shows."""

    @staticmethod
    @abstractmethod
    def region(keypoints: np.ndarray) -> Roi:
        """The region for a part whose keypoints (K, 2) px are about known."""

    def read(self, image: Pyramid, region: Roi) -> Part | None:
        """The part in a region, looked at until its keypoints stay; None where there is none."""
        part = self.look(image, region)
        for _ in range(MAX_LOOKS - 1):
            if part.score < MIN_PRESENCE:
                return None
            before, part = part, self.look(image, self.region(part.keypoints))
            if distance(part, before.keypoints) < SETTLED:
                break
        return part if part.score >= MIN_PRESENCE else None

    def read_all(self, image: Pyramid, regions: Iterable[Roi]) -> list[Part]:
        """The parts in some regions, each once, by falling score."""
        return distinct_parts([part for region in regions if (part := self.read(image, region)) is not None])


def distinct_parts(parts: Sequence[Part]) -> list[Part]:
    """Parts of one kind, each once, by falling score: of several readings of one, the surest."""
    kept: list[Part] = []
    for part in sorted(parts, key=lambda p: -p.score):
        if all(distance(part, other.keypoints) > SAME for other in kept):
            kept.append(part)
    return kept
