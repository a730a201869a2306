"""Whole-body people drawn by hand, 100 px a metre."""

from __future__ import annotations

import numpy as np

from mcbench.dope.joining import Hand
from mcbench.dope.people import PartPose, about_root, box_round
from mcbench.joints import DOPE13, FACE84, HAND21

PX = 100.0
#: (x, y) m of the joints of somebody who faces the camera.
PLACES = {
    **{f"{s}_{j}": (w * x, y) for s, w in (("right", -1), ("left", 1)) for j, x, y in
       (("ankle", 0.1, 0.9), ("knee", 0.1, 0.45), ("hip", 0.1, 0.0), ("wrist", 0.4, 0.0), ("elbow", 0.3, -0.25),
        ("shoulder", 0.2, -0.5))},
    "head": (0.0, -0.7),
}  # fmt: skip


def body(x: float, score: float = 0.9, **moved: tuple[float, float]) -> PartPose:
    places = np.array([{**PLACES, **moved}[name] for name in DOPE13.joints])
    pose3d = about_root("body", np.column_stack([places, np.zeros(13)]))
    pose2d = PX * (places + np.array([x, 1.0]))
    return PartPose(score, pose2d, pose3d, np.full(13, 0.8), box_round(pose2d))


def part(count: int, x: float, y: float, score: float, size: float) -> PartPose:
    """A part `size` m wide that starts at (x, y) m."""
    t = np.linspace(0, 1, count)
    pose2d = PX * (np.stack([size * t, size * np.sin(3 * t)], axis=1) + np.array([x, y + 1.0]))
    return PartPose(score, pose2d, np.zeros((count, 3)), np.full(count, score), box_round(pose2d))


def hand(x: float, y: float = 0.0, right: float = 0.95, score: float = 0.9) -> Hand:
    return Hand(part(len(HAND21), x, y, score, 0.18), right)


def face(x: float, y: float = -0.7, score: float = 0.9) -> PartPose:
    return part(len(FACE84), x - 0.1, y - 0.1, score, 0.2)
