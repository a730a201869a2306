"""Toy pictures of people: a body of sticks, hands of two colours and a face, and their labels."""

from __future__ import annotations

import cv2
import numpy as np

from mcbench.dataset.label_shards import Labelled
from mcbench.dope.people import JOINTS, KINDS, PartPose, WholeBody, about_root
from mcbench.joints import DOPE13

#: A standing body, its joints in shares of the box, as `dope13`.
STANDING = np.array(
    [
        (0.4, 1.0),
        (0.6, 1.0),
        (0.4, 0.75),
        (0.6, 0.75),
        (0.42, 0.5),
        (0.58, 0.5),
        (0.0, 0.5),
        (1.0, 0.5),
        (0.15, 0.35),
        (0.85, 0.35),
        (0.35, 0.2),
        (0.65, 0.2),
        (0.5, 0.05),
    ]
)


def part(kind: str, pose2d: np.ndarray, metres: float, rng: np.random.Generator, score: float = 1.0) -> PartPose:
    """A part of joints (J, 2) px whose box they span, that is so many metres tall and nearly flat."""
    box = np.concatenate([pose2d.min(axis=0), pose2d.max(axis=0)])
    flat = pose2d * metres / max(1e-9, box[3] - box[1])
    pose3d = np.concatenate([flat, rng.normal(0, 0.02 * metres, (len(pose2d), 1))], axis=1)
    return PartPose(score, pose2d, about_root(kind, pose3d), np.full(len(pose2d), score), box)


def body(box: np.ndarray, rng: np.random.Generator) -> PartPose:
    """A standing body in a box, somewhat drawn."""
    pose = box[:2] + (STANDING + rng.normal(0, 0.01, STANDING.shape)) * (box[2:] - box[:2])
    return part("body", pose, 1.6, rng)


def blob(kind: str, middle: np.ndarray, side: float, rng: np.random.Generator) -> PartPose:
    """A hand or a face: the kind's joints on a spiral, which starts in the middle for a hand."""
    count = len(JOINTS[kind])
    angle, radius = np.linspace(0, 9, count), np.linspace(0, side / 2, count)
    pose = middle + np.stack([np.cos(angle), np.sin(angle)], axis=1) * radius[:, None]
    return part(kind, pose, 0.18, rng)


def person(box: np.ndarray, rng: np.random.Generator) -> WholeBody:
    trunk = body(box, rng)
    side = 0.2 * (box[3] - box[1])
    joint = {name: trunk.pose2d[DOPE13.index(name)] for name in DOPE13.joints}
    return WholeBody.of(
        {
            "body": trunk,
            "left_hand": blob("hand", joint["left_wrist"], side, rng),
            "right_hand": blob("hand", joint["right_wrist"], side, rng),
            "face": blob("face", joint["head"], side, rng),
        }
    )


def picture(people: list[WholeBody], width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    image = np.full((height, width, 3), rng.integers(60, 200, 3), dtype=np.uint8)
    colours = {"left_hand": (255, 40, 40), "right_hand": (40, 40, 255), "face": (250, 220, 180)}
    for one in people:
        if one.body is not None:
            for a, b in DOPE13.bones:
                ends = [tuple(int(v) for v in one.body.pose2d[k]) for k in (a, b)]
                cv2.line(image, ends[0], ends[1], (30, 90, 30), 5)
        for name, colour in colours.items():
            if (found := one.parts.get(name)) is not None:
                middle = (found.box[:2] + found.box[2:]) / 2
                cv2.circle(image, tuple(int(v) for v in middle), int(found.size / 2), colour, -1)
    return image


def labelled(number: int, kinds: frozenset[str] = frozenset(KINDS), width: int = 192, height: int = 160) -> Labelled:
    """The toy picture of this number: one or two people."""
    rng = np.random.default_rng(number)
    people = []
    for place in range(int(rng.integers(1, 3))):
        tall = rng.uniform(90, 130)
        low = np.array([place * 96 + rng.uniform(8, 30), rng.uniform(8, height - tall - 8)])
        people.append(person(np.array([*low, low[0] + tall / 2, low[1] + tall]), rng))
    return Labelled(picture(people, width, height, rng), people, kinds, f"toy-{number:03d}")
