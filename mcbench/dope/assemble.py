"""People of the parts found: each hand to the wrist of its side that is nearest, each face to the nearest head."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mcbench.dope.integration import Candidate
from mcbench.dope.people import PartPose, WholeBody
from mcbench.joints import DOPE13, HAND21
from mcbench.metrics.matching import match

Array = npt.NDArray[np.float64]

#: A hand or face belongs to a wrist or head that is nearer than this share of its own size plus that of the body's.
_OWN_REACH, _BODY_REACH = 0.6, 0.04


def assemble(bodies: Sequence[Candidate], hands: Sequence[Candidate], faces: Sequence[Candidate]) -> list[WholeBody]:
    """People by falling score: the bodies with their hands and faces, and those hands and faces that are nobody's.

    Distances are least in total; every part is used once. A left hand never goes to a right wrist.
    """
    parts: list[dict[str, PartPose]] = [{"body": body.pose} for body in bodies]
    alone: list[dict[str, PartPose]] = []
    sides = [(owner, side) for owner in range(len(bodies)) for side in ("left", "right")]
    cost = np.full((len(sides), len(hands)), np.nan)
    for row, (owner, side) in enumerate(sides):
        wrist = bodies[owner].pose.pose2d[DOPE13.index(f"{side}_wrist")]
        for column, hand in enumerate(hands):
            if hand.left == (side == "left"):
                at = hand.pose.pose2d[HAND21.index("wrist")]
                cost[row, column] = _cost(at, wrist, hand.pose, bodies[owner].pose)
    taken = {column: row for row, column in match(cost, 1.0)}
    for column, hand in enumerate(hands):
        name = "left_hand" if hand.left else "right_hand"
        if column in taken:
            parts[sides[taken[column]][0]][name] = hand.pose
        else:
            alone.append({name: hand.pose})
    cost = np.full((len(bodies), len(faces)), np.nan)
    for row, body in enumerate(bodies):
        for column, face in enumerate(faces):
            middle = (face.pose.box[:2] + face.pose.box[2:]) / 2
            cost[row, column] = _cost(middle, body.pose.pose2d[DOPE13.index("head")], face.pose, body.pose)
    taken = {column: row for row, column in match(cost, 1.0)}
    for column, face in enumerate(faces):
        if column in taken:
            parts[taken[column]]["face"] = face.pose
        else:
            alone.append({"face": face.pose})
    return sorted((WholeBody.of(found) for found in (*parts, *alone)), key=lambda person: -person.score)


def _cost(at: Array, joint: Array, part: PartPose, body: PartPose) -> float:
    """Distance as a share of what is allowed."""
    reach = _OWN_REACH * part.size + _BODY_REACH * body.size
    return float(np.linalg.norm(at - joint)) / max(reach, 1e-9)
