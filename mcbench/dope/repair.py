"""Labels of an image against people whose bodies, hands and faces are known from many views.

Who was found is matched with who is expected. A part that agrees stays as it was read, but for single joints that do
not, which are taken from the projection; a part that disagrees as a whole is taken from it, or dropped where the
projection cannot be seen either. Whoever is expected, can be seen and was not found is added. Of parts that nothing is
expected of, nothing is known: they stay.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mcbench.dope.people import PARTS, PartPose, WholeBody, kind_of, only
from mcbench.dope.projected import HIDDEN, MIN_BODY_JOINTS, MIN_PX, MIN_SHARE
from mcbench.metrics.matching import box_iou, match

Array = npt.NDArray[np.float64]

#: A body found is the one expected where half their joints lie this near, as a share of the expected one's size.
MATCH = 0.25
#: A part disagrees where half its joints are farther off, and a single joint where it is, by kind, in the same unit.
OTHER = {"body": 0.12, "hand": 0.35, "face": 0.3}
JOINT = {"body": 0.08, "hand": 0.3, "face": 0.15}
#: What a part of nobody's overlaps by more is the same one.
SAME_IOU = 0.4
#: What becomes of parts: they agree, are repaired, dropped, added, given to the body that they are expected of, or
#: nothing is expected of them; `joints_repaired` counts joints, of parts that agree.
OUTCOMES = ("agreed", "joints_repaired", "repaired", "dropped", "added", "attached", "unchecked")


def repaired(
    people: Sequence[WholeBody], expected: Sequence[WholeBody], kinds: frozenset[str]
) -> tuple[list[WholeBody], Counter[str]]:
    """The labels of an image, and how many parts had which outcome: `body/agreed`, …

    Parameters
    ----------
    people : those found, by a search for bodies too. expected : those known, projected into the image, with bodies.
    kinds : the kinds that are labelled.
    """
    counts: Counter[str] = Counter()
    bodies = [person for person in people if person.body is not None]
    alone = [person for person in people if person.body is None]
    cost = np.array([[_off(p.body, e.body) for e in expected] for p in bodies]).reshape(len(bodies), len(expected))
    own = dict(match(cost, MATCH))
    of_expected = {j: bodies[i] for i, j in own.items()}
    labelled: list[WholeBody] = []
    for j, known in enumerate(expected):
        parts = _parts(of_expected.get(j), known, alone, kinds, counts)
        if parts:
            labelled.append(WholeBody.of(parts))
    for person in only([p for i, p in enumerate(bodies) if i not in own], kinds):
        counts.update(f"{kind_of(name)}/unchecked" for name in person.parts)
        labelled.append(person)
    for person in only(alone, kinds):
        ((name, part),) = person.parts.items()
        others = [other for p in labelled for n, other in p.parts.items() if kind_of(n) == kind_of(name)]
        again = any(_same(part, other) for other in others)
        counts[f"{kind_of(name)}/{'dropped' if again else 'unchecked'}"] += 1
        if not again:
            labelled.append(person)
    return sorted(labelled, key=lambda person: -person.score), counts


def _parts(
    found: WholeBody | None, known: WholeBody, alone: list[WholeBody], kinds: frozenset[str], counts: Counter[str]
) -> dict[str, PartPose]:
    """The labels of one expected person; parts of nobody's that are theirs leave `alone`."""
    parts: dict[str, PartPose] = {}
    for name in PARTS:
        kind = kind_of(name)
        read, expected = None if found is None else getattr(found, name), getattr(known, name)
        if kind not in kinds or (read is None and expected is None):
            continue
        outcome, part = "unchecked", read
        if expected is not None:
            if read is None and (own := _claimed(name, expected, alone)) is not None:
                counts[f"{kind}/attached"] += 1
                read = own
            if read is None:
                outcome, part = ("added", expected) if is_seen(kind, expected) else ("", None)
            else:
                outcome, part = _checked(kind, read, expected, counts)
        if outcome:
            counts[f"{kind}/{outcome}"] += 1
        if part is not None:
            parts[name] = part
    return parts


def is_seen(kind: str, part: PartPose) -> bool:
    """Whether so much of a projected part can be seen that it is labelled."""
    visible = int((part.confidence > HIDDEN).sum())
    if kind == "body":
        return visible >= MIN_BODY_JOINTS
    return visible >= MIN_SHARE * np.isfinite(part.pose2d).all(axis=1).sum() and part.size >= MIN_PX


def _claimed(name: str, expected: PartPose, alone: list[WholeBody]) -> PartPose | None:
    """The nearest part of nobody's that is where one is expected; taken out of `alone`."""
    kind = kind_of(name)
    near = [(off, i) for i, p in enumerate(alone) if (off := _off(getattr(p, name), expected)) <= OTHER[kind]]
    if not near:
        return None
    return getattr(alone.pop(min(near)[1]), name)


def _checked(kind: str, read: PartPose, expected: PartPose, counts: Counter[str]) -> tuple[str, PartPose | None]:
    """What becomes of a part that was read where another is expected, and its label."""
    off = _offs(read, expected)
    if not np.isfinite(off).any():
        return "unchecked", read
    if np.nanmedian(off) > OTHER[kind]:
        return ("repaired", expected) if is_seen(kind, expected) else ("dropped", None)
    wrong = off > JOINT[kind]
    counts[f"{kind}/joints_repaired"] += int(wrong.sum())
    if not wrong.any():
        return "agreed", read
    mended = {
        name: np.where(wrong[:, None] if width else wrong, getattr(expected, name), getattr(read, name))
        for name, width in (("pose2d", 2), ("pose3d", 3), ("confidence", 0))
    }
    return "agreed", replace(read, **mended)


def _offs(read: PartPose, expected: PartPose) -> Array:
    """(J,) distances of the joints that both know, as shares of the expected part's size; NaN for the others."""
    off = np.linalg.norm(read.pose2d - expected.pose2d, axis=1) / max(expected.size, 1.0)
    return np.where((read.confidence > 0) & (expected.confidence > 0), off, np.nan)


def _off(read: PartPose | None, expected: PartPose | None) -> float:
    """Median distance of the joints that both know; NaN where there are none."""
    if read is None or expected is None:
        return float("nan")
    off = _offs(read, expected)
    return float(np.nanmedian(off)) if np.isfinite(off).any() else float("nan")


def _same(a: PartPose, b: PartPose) -> bool:
    return bool(box_iou(a.box[None], b.box[None])[0, 0] > SAME_IOU)
