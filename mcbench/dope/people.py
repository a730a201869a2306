"""People of the joint set `dope139`, each made of the parts that were seen: body, hands, face."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mcbench.errors import InputError
from mcbench.joints import DOPE13, FACE84, HAND21, JointSet

Array = npt.NDArray[np.float64]

#: What a person is made of, in the order of `dope139`.
PARTS = ("body", "left_hand", "right_hand", "face")
#: What is looked for: both hands are of one kind.
KINDS = ("body", "hand", "face")
#: The joints of each kind.
JOINTS: Mapping[str, JointSet] = {"body": DOPE13, "hand": HAND21, "face": FACE84}
#: The joints whose mean is the root of each kind: the hips, the wrist, the eyes. Both eyes have as many.
ROOTS: Mapping[str, list[int]] = {
    "body": [DOPE13.index("right_hip"), DOPE13.index("left_hip")],
    "hand": [HAND21.index("wrist")],
    "face": [FACE84.index(f"face_{i}") for i in range(36, 48)],
}


def kind_of(part: str) -> str:
    """The kind ("body", "hand", "face") of a part."""
    return part.rpartition("_")[2]


def about_root(kind: str, points: npt.ArrayLike) -> Array:
    """Points (..., J, 3) of a part relative to its root; NaN where the root is unknown."""
    points = np.asarray(points, dtype=np.float64)
    return points - points[..., ROOTS[kind], :].mean(axis=-2, keepdims=True)


def box_round(pose2d: npt.ArrayLike, confidence: npt.ArrayLike | None = None) -> Array:
    """Box (4,) x0, y0, x1, y1 round the known joints (J, 2), those of some confidence (J,) if it is given and any has;
    NaN where no joint is known."""
    points = np.asarray(pose2d, dtype=np.float64)
    known = np.isfinite(points).all(axis=1)
    sure = known if confidence is None else known & (np.asarray(confidence) > 0)
    used = points[sure if sure.any() else known]
    return np.concatenate([used.min(axis=0), used.max(axis=0)]) if len(used) else np.full(4, np.nan)


@dataclass(frozen=True, eq=False)
class PartPose:
    """A body, a hand or a face in an image; px of that image, centres of pixels at +0.5.

    Attributes
    ----------
    score : in [0, 1].
    pose2d : (J, 2) px; NaN where unknown. Joints may lie outside the image.
    pose3d : (J, 3) metres, camera axes (x right, y down, z forward), relative to the part's root (`ROOTS`); NaN where
        unknown.
    confidence : (J,) in [0, 1], 0 where unknown.
    box : (4,) x0, y0, x1, y1 px.
    """

    score: float
    pose2d: Array
    pose3d: Array
    confidence: Array
    box: Array

    @property
    def size(self) -> float:
        """Longer side of the box, px."""
        return float((self.box[2:] - self.box[:2]).max())


@dataclass(frozen=True, eq=False)
class WholeBody:
    """A person in an image: the parts of it that were seen. A lone hand or face is a person with only that part.

    Attributes
    ----------
    score : in [0, 1]. box : (4,) x0, y0, x1, y1 px.
    body : `dope13`. left_hand, right_hand : `hand21`. face : `face84`. None where not seen.
    """

    score: float
    box: Array
    body: PartPose | None = None
    left_hand: PartPose | None = None
    right_hand: PartPose | None = None
    face: PartPose | None = None

    @classmethod
    def of(cls, parts: Mapping[str, PartPose]) -> WholeBody:
        """A person of at least one part, by name; box round all of them, score of the body, else the best one's."""
        boxes = np.array([part.box for part in parts.values()])
        box = np.concatenate([np.nanmin(boxes[:, :2], axis=0), np.nanmax(boxes[:, 2:], axis=0)])
        score = parts["body"].score if "body" in parts else max(part.score for part in parts.values())
        return cls(score, box, **parts)

    @property
    def parts(self) -> dict[str, PartPose]:
        """The parts that were seen, by name, in the order of `PARTS`."""
        return {name: part for name in PARTS if (part := getattr(self, name)) is not None}

    @property
    def pose2d(self) -> Array:
        """(139, 2) px; NaN where unknown."""
        return self._together("pose2d", 2)

    @property
    def confidence(self) -> Array:
        """(139,) in [0, 1], 0 where unknown."""
        return np.nan_to_num(self._together("confidence", 1)[:, 0])

    def _together(self, field: str, width: int) -> Array:
        rows = []
        for name in PARTS:
            part, count = getattr(self, name), len(JOINTS[kind_of(name)])
            values = np.full((count, width), np.nan) if part is None else getattr(part, field)
            rows.append(np.reshape(values, (count, width)))
        return np.concatenate(rows)


def only(people: Sequence[WholeBody], kinds: Collection[str]) -> list[WholeBody]:
    """People with their parts of some kinds alone; who has none of them is left out."""
    parts = [{name: part for name, part in person.parts.items() if kind_of(name) in kinds} for person in people]
    return [WholeBody.of(own) for own in parts if own]


def to_json(people: Sequence[WholeBody]) -> list[dict[str, Any]]:
    """People as JSON has them: unknown numbers null, parts that were not seen null."""
    return [
        {
            "score": float(person.score),
            "box": _numbers(person.box),
            **{name: None if (part := getattr(person, name)) is None else _part_to_json(part) for name in PARTS},
        }
        for person in people
    ]


def from_json(rows: Any) -> list[WholeBody]:
    """People from what `to_json` gives. A part without `confidence` is taken as sure as its score where it is known,
    one without `box` has that round its joints.

    Raises
    ------
    InputError : it is not that (reason `bad_format`).
    """
    try:
        people = []
        for row in rows:
            parts = {
                name: _part_from_json(JOINTS[kind_of(name)], row[name]) for name in PARTS if row.get(name) is not None
            }
            people.append(WholeBody(float(row["score"]), _array(row["box"], (4,)), **parts))
        return people
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"people are not as they should be: {error!r}", reason="bad_format") from error


def _part_to_json(part: PartPose) -> dict[str, Any]:
    arrays = {name: _numbers(getattr(part, name)) for name in ("pose2d", "pose3d", "confidence", "box")}
    return {"score": float(part.score), **arrays}


def _part_from_json(joints: JointSet, row: Mapping[str, Any]) -> PartPose:
    count, score = len(joints), float(row["score"])
    pose2d, pose3d = _array(row["pose2d"], (count, 2)), _array(row["pose3d"], (count, 3))
    if row.get("confidence") is None:
        confidence = np.where(np.isfinite(pose2d).all(axis=1), score, 0.0)
    else:
        confidence = _array(row["confidence"], (count,))
    box = box_round(pose2d) if row.get("box") is None else _array(row["box"], (4,))
    return PartPose(score, pose2d, pose3d, confidence, box)


def _numbers(array: Array) -> list[Any]:
    """Nested lists of an array with None for NaN."""
    return np.where(np.isfinite(array), array, None).tolist()  # type: ignore[call-overload]


def _array(value: Any, shape: tuple[int, ...]) -> Array:
    """An array of this shape, NaN for None."""
    array = np.array(value, dtype=object).astype(np.float64)
    if array.shape != shape:
        raise ValueError(f"an array of shape {array.shape} where {shape} belongs")
    return array
