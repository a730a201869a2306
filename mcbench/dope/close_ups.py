"""Close-ups: squares cut from labelled images round hands or faces, as published sets of single parts show them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mcbench.dataset.label_shards import Labelled
from mcbench.dope.people import PartPose, WholeBody, box_round, kind_of
from mcbench.dope.projected import MIN_BODY_JOINTS, MIN_PX, MIN_SHARE

Array = npt.NDArray[np.float64]

#: A close-up is so many times as long as its part, which has so many px at least.
EXTENT, MIN_CLOSE_PX = 2.0, 48.0


def close_ups(sample: Labelled, kind: str) -> Iterator[Labelled]:
    """A square round every part of a kind that is large enough, moved inside the image where it lies across its border.

    Keys are the image's, with the number of the person and the part's name. What else is labelled in the image is
    labelled in the close-up as far as it is seen there: a body by 4 of its joints, a hand or a face by half of those
    that were seen.
    """
    for number, person in enumerate(sample.people):
        for name, part in person.parts.items():
            if kind_of(name) == kind and part.size >= MIN_CLOSE_PX:
                corner, side = _square(part.box, sample.image.shape[:2])
                x, y = corner
                people = [seen for other in sample.people if (seen := _seen(other, corner, side)) is not None]
                image = np.ascontiguousarray(sample.image[y : y + side, x : x + side])
                yield Labelled(image, people, sample.labelled, f"{sample.key}_{number}_{name}")


def _square(box: Array, shape: tuple[int, ...]) -> tuple[npt.NDArray[np.int64], int]:
    """Corner (2,) and side of the square round a box (4,) in an image of this shape (height, width), whole px."""
    side = min(round(EXTENT * float((box[2:] - box[:2]).max())), *shape)
    corner = np.round((box[:2] + box[2:]) / 2 - side / 2)
    return np.clip(corner, 0, np.array(shape[::-1]) - side).astype(np.int64), side


def _seen(person: WholeBody, corner: npt.NDArray[np.int64], side: int) -> WholeBody | None:
    parts = {name: part for name, whole in person.parts.items() if (part := _cut(name, whole, corner, side))}
    return WholeBody.of(parts) if parts else None


def _cut(name: str, part: PartPose, corner: npt.NDArray[np.int64], side: int) -> PartPose | None:
    """A part as the square shows it; None where that is too little."""
    pose2d = part.pose2d - corner
    inside = ((pose2d >= 0) & (pose2d <= side)).all(axis=1)
    confidence = part.confidence * inside
    box = box_round(pose2d, confidence)
    sure, least = (confidence > 0).sum(), MIN_SHARE * (part.confidence > 0).sum()
    if sure < (MIN_BODY_JOINTS if kind_of(name) == "body" else max(1, least)) or (box[2:] - box[:2]).max() < MIN_PX:
        return None
    return replace(part, pose2d=pose2d, confidence=confidence, box=box)
