"""Anchor poses: typical poses of each kind of part, found by clustering labels; poses are told as offsets from them.

K-means of ours: first centres drawn as in k-means++, distances over the joints that both know, so that labels with
unknown joints count for what they tell. Bodies whose legs nobody sees are clustered apart, as anchor poses of upper
bodies; right and left hands apart, so that an anchor pose tells the handedness.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mcbench.dope.network import DopeConfig
from mcbench.dope.people import JOINTS, KINDS, PartPose, WholeBody, kind_of
from mcbench.joints import DOPE13

Array = npt.NDArray[np.float64]

#: 2D coordinates, in box sizes, count so much beside 3D ones, in units, when poses are compared.
_WEIGHT_2D = 0.5
#: Poses a kind that are clustered at most.
_MOST = 5000
_ROUNDS = 30
_LEGS = [DOPE13.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("knee", "ankle")]


@dataclass(frozen=True)
class Sample:
    """A part of a label as anchor poses see it: (J, 5) 2D in box sizes and 3D in units, NaN where unknown."""

    pose: Array
    left: bool
    upper: bool


def relative(part: PartPose, kind: str, unit: float) -> Array:
    """(J, 5) of a part: 2D relative to its box, in box sizes, and 3D in units; NaN where unknown or not believed."""
    extent = np.maximum(part.box[2:] - part.box[:2], 1e-6)
    known = part.confidence > 0
    pose = np.concatenate([(part.pose2d - part.box[:2]) / extent, part.pose3d / unit], axis=1)
    # what is outside the image has no confidence, but its 3D may be known all the same
    pose[~known, :2] = np.nan
    return pose


def is_upper(part: PartPose) -> bool:
    """Whether a body shows no leg: knees and ankles have no confidence."""
    return not (part.confidence[_LEGS] > 0).any()


def collect(people: Iterable[WholeBody], units: Mapping[str, float]) -> dict[str, list[Sample]]:
    """The samples of all parts of people, by kind."""
    found: dict[str, list[Sample]] = {kind: [] for kind in KINDS}
    for person in people:
        for name, part in person.parts.items():
            kind = kind_of(name)
            pose = relative(part, kind, units[kind])
            if np.isfinite(pose[:, :2]).any():
                found[kind].append(Sample(pose, name == "left_hand", kind == "body" and is_upper(part)))
    return found


def anchor_poses(
    samples: Mapping[str, list[Sample]], config: DopeConfig, seed: int = 0
) -> tuple[DopeConfig, dict[str, Array]]:
    """Anchor poses (K, J, 5) by kind, and the configuration that says which are of upper bodies and of left hands.

    Bodies have a fifth of upper ones where enough labels show no leg, none where too few do. Left hands are those of
    right and left ones, mirrored, together: as many of either, in the same order.
    """
    rng = np.random.default_rng(seed)
    poses: dict[str, Array] = {}
    classes = dict(config.classes)
    bodies = samples["body"]
    whole, upper = ([s.pose for s in bodies if s.upper == which] for which in (False, True))
    count = classes["body"]
    n_upper = 0 if len(upper) < 20 else max(1, count // 5)
    if len(whole) < 20 and upper:
        n_upper = count // 2
    poses["body"] = np.concatenate(
        [k_means(whole, count - n_upper, "body", rng), k_means(upper or whole, n_upper, "body", rng)]
    )
    right = [mirrored(s.pose) if s.left else s.pose for s in samples["hand"]]
    half = k_means(right, max(1, classes["hand"] // 2), "hand", rng)
    poses["hand"] = np.concatenate([half, mirrored(half)])
    classes["hand"] = 2 * len(half)
    poses["face"] = k_means([s.pose for s in samples["face"]], classes["face"], "face", rng)
    return replace(config, classes=classes, upper_from=count - n_upper, left_from=len(half)), poses


def mirrored(pose: Array) -> Array:
    """Poses (…, J, 5) of a hand as a mirror shows them: those of the other hand."""
    flipped = np.array(pose)
    flipped[..., 0] = 1 - flipped[..., 0]
    flipped[..., 2] *= -1
    return flipped


def distances(poses: Array, centres: Array) -> Array:
    """Mean joint distance (N, K) of poses (N, J, 5) to centres (K, J, 5), over what each pose knows; 2D counts less."""
    weight = np.isfinite(poses) * np.array([_WEIGHT_2D, _WEIGHT_2D, 1, 1, 1])
    gap = np.where(np.isfinite(poses), poses, 0)[:, None] - centres[None]
    squared = (weight[:, None] * gap**2).sum(axis=-1)  # (N, K, J)
    known = (weight > 0).any(axis=-1)
    return np.sqrt(squared).sum(axis=-1) / np.maximum(known.sum(axis=-1), 1)[:, None]


def k_means(poses: list[Array], count: int, kind: str, rng: np.random.Generator) -> Array:
    """(count, J, 5) centres of poses (J, 5), sorted by falling size of their clusters.

    Where there are fewer poses than centres, the others are drawn about them; without any pose, about the middle.
    """
    joints = len(JOINTS[kind])
    if count == 0:
        return np.zeros((0, joints, 5))
    if not poses:
        centre = np.zeros((joints, 5))
        centre[:, :2] = 0.5
        poses = [centre]
    if len(poses) > _MOST:
        poses = [poses[i] for i in rng.choice(len(poses), _MOST, replace=False)]
    data = np.array(poses)
    mean = np.nan_to_num(_mean(data, np.zeros((joints, 5))))
    chosen = [np.where(np.isfinite(data[i]), data[i], mean) for i in [int(rng.integers(len(data)))]]
    while len(chosen) < min(count, len(data)):
        nearest = distances(data, np.array(chosen)).min(axis=1) ** 2
        if nearest.sum() <= 0:
            break
        pick = int(rng.choice(len(data), p=nearest / nearest.sum()))
        chosen.append(np.where(np.isfinite(data[pick]), data[pick], mean))
    centres = np.array(chosen)
    label = np.zeros(len(data), dtype=int)
    for _ in range(_ROUNDS):
        label = distances(data, centres).argmin(axis=1)
        moved = np.array([_mean(data[label == k], c) if (label == k).any() else c for k, c in enumerate(centres)])
        if np.allclose(moved, centres, atol=1e-6):
            break
        centres = moved
    centres = centres[np.argsort(-np.bincount(label, minlength=len(centres)), kind="stable")]
    more = count - len(centres)
    drawn = centres[rng.integers(len(centres), size=more)] + rng.normal(0, 0.02, (more, joints, 5))
    return np.concatenate([centres, drawn])


def _mean(poses: Array, otherwise: Array) -> Array:
    """Mean over what is known; `otherwise` where nothing is."""
    known = np.isfinite(poses)
    total = np.where(known, poses, 0).sum(axis=0)
    return np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), otherwise)
