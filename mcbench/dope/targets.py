"""What a training image says to the network: the boxes and poses of its parts, by kind, and what it says nothing of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mcbench.dope.anchor_poses import is_upper
from mcbench.dope.network import DopeConfig
from mcbench.dope.people import JOINTS, KINDS, PartPose, WholeBody, kind_of
from mcbench.joints import DOPE13

#: A wrist of this confidence is seen.
_SEEN = 0.3
#: Side of the box round a hand, as a share of the forearm's length in the image, and of the body's size at least; and
#: how far beyond the wrist its middle is, in forearms.
_HAND_OF_FOREARM, _HAND_OF_BODY, _BEYOND_WRIST = 1.0, 0.12, 0.35


@dataclass(frozen=True)
class KindTargets:
    """The G parts of a kind in an image.

    Attributes
    ----------
    boxes : (G, 4) px. pose2d : (G, J, 2) px. pose3d : (G, J, 3) in units of the network. All finite.
    weight : (G, J, 5) confidence of each coordinate, 0 where unknown.
    left, upper : (G,) bool, whether it is a left hand, an upper body.
    ignored : (I, 4) px, where nothing is asked of the network: parts that are cut off or too small.
    """

    boxes: Tensor
    pose2d: Tensor
    pose3d: Tensor
    weight: Tensor
    left: Tensor
    upper: Tensor
    ignored: Tensor


@dataclass(frozen=True)
class KindBatch:
    """The parts of a kind in B images, as many places G and I an image as the fullest one needs.

    Attributes
    ----------
    asked : (B,) bool, the images that are labelled for this kind.
    real : (B, G) bool, places that hold a part. ignored_real : (B, I) bool.
    The others as in `KindTargets`, with the image in front.
    """

    asked: Tensor
    real: Tensor
    boxes: Tensor
    pose2d: Tensor
    pose3d: Tensor
    weight: Tensor
    left: Tensor
    upper: Tensor
    ignored: Tensor
    ignored_real: Tensor

    @classmethod
    def of(cls, kind: str, images: Sequence[Mapping[str, KindTargets]]) -> KindBatch:
        found = [image.get(kind) or _kind_targets(kind, (), DopeConfig(), ()) for image in images]
        places = max(1, *(len(one.boxes) for one in found))
        blanks = max(1, *(len(one.ignored) for one in found))

        def padded(values: Tensor, count: int) -> Tensor:
            return torch.cat([values, values.new_zeros(count - len(values), *values.shape[1:])])

        rows = [
            (
                torch.tensor(kind in image),
                torch.arange(places) < len(one.boxes),
                *(
                    padded(getattr(one, name), places)
                    for name in ("boxes", "pose2d", "pose3d", "weight", "left", "upper")
                ),
                padded(one.ignored, blanks),
                torch.arange(blanks) < len(one.ignored),
            )
            for image, one in zip(images, found, strict=True)
        ]
        return cls(*(torch.stack(column) for column in zip(*rows, strict=True)))

    def each(self, change: Callable[[Tensor], Tensor]) -> KindBatch:
        return KindBatch(*(change(getattr(self, name)) for name in self.__dataclass_fields__))


#: Targets of an image by kind; a kind that nobody looked for in it is absent, and has no loss.
ImageTargets = Mapping[str, KindTargets]


def image_targets(
    people: Sequence[WholeBody],
    labelled: Collection[str],
    config: DopeConfig,
    ignored: Mapping[str, Sequence[npt.NDArray[np.float64]]] | None = None,
) -> dict[str, KindTargets]:
    """The targets of an image, of the kinds that are labelled in it."""
    found: dict[str, list[tuple[str, PartPose]]] = {kind: [] for kind in KINDS if kind in labelled}
    for person in people:
        for name, part in person.parts.items():
            if kind_of(name) in found and np.isfinite(part.box).all() and (part.box[2:] > part.box[:2]).all():
                found[kind_of(name)].append((name, part))
    blank = {kind: list((ignored or {}).get(kind, ())) for kind in found}
    if "hand" in blank:
        blank["hand"] += [box for person in people for box in unread_hands(person)]
    return {kind: _kind_targets(kind, parts, config, blank[kind]) for kind, parts in found.items()}


def unread_hands(person: WholeBody) -> list[npt.NDArray[np.float64]]:
    """Boxes (4,) px round the hands that nobody read although their wrists are seen: experts miss many, and what they
    missed is no background."""
    boxes = []
    for side in ("left", "right"):
        if person.body is None or getattr(person, f"{side}_hand") is not None:
            continue
        wrist, elbow = (DOPE13.index(f"{side}_{joint}") for joint in ("wrist", "elbow"))
        points = person.body.pose2d[[wrist, elbow]]
        if not np.isfinite(points).all() or person.body.confidence[wrist] < _SEEN:
            continue
        forearm = points[0] - points[1]
        half = max(_HAND_OF_FOREARM * float(np.linalg.norm(forearm)), _HAND_OF_BODY * person.body.size) / 2
        middle = points[0] + forearm * _BEYOND_WRIST
        boxes.append(np.concatenate([middle - half, middle + half]))
    return boxes


def _kind_targets(
    kind: str,
    parts: Sequence[tuple[str, PartPose]],
    config: DopeConfig,
    ignored: Sequence[npt.NDArray[np.float64]],
) -> KindTargets:
    joints = len(JOINTS[kind])
    pose2d = np.array([p.pose2d for _, p in parts], dtype=np.float64).reshape(-1, joints, 2)
    pose3d = np.array([p.pose3d for _, p in parts], dtype=np.float64).reshape(-1, joints, 3) / config.units[kind]
    confidence = np.array([p.confidence for _, p in parts], dtype=np.float64).reshape(-1, joints, 1)
    both = np.concatenate([pose2d, pose3d], axis=2)
    weight = np.where(np.isfinite(both), confidence, 0.0)

    def tensor(values: npt.ArrayLike, *shape: int) -> Tensor:
        return torch.from_numpy(np.asarray(values, dtype=np.float32).reshape(shape))

    return KindTargets(
        tensor([p.box for _, p in parts], -1, 4),
        torch.from_numpy(np.nan_to_num(pose2d).astype(np.float32)),
        torch.from_numpy(np.nan_to_num(pose3d).astype(np.float32)),
        torch.from_numpy(weight.astype(np.float32)),
        torch.tensor([name == "left_hand" for name, _ in parts], dtype=torch.bool),
        torch.tensor([kind == "body" and is_upper(p) for _, p in parts], dtype=torch.bool),
        tensor(list(ignored), -1, 4),
    )


def allowed(kind: str, targets: KindBatch, config: DopeConfig) -> Tensor:
    """(B, G, K) which anchor poses may stand for each part: those of its side or of its kind of body."""
    index = torch.arange(config.classes[kind], device=targets.boxes.device)
    if kind == "hand":
        return (index >= config.left_from) == targets.left[..., None]
    if kind == "body" and 0 < config.upper_from < config.classes["body"]:
        return (index >= config.upper_from) == targets.upper[..., None]
    return torch.ones(*targets.left.shape, config.classes[kind], dtype=torch.bool, device=index.device)


def anchor_distances(targets: KindBatch, anchors: Tensor) -> Tensor:
    """(B, G, K) mean joint distance of parts to anchor poses (K, J, 5), weighted by confidence.

    Over 3D where it is known, else over 2D in box sizes.
    """
    extent = (targets.boxes[..., 2:] - targets.boxes[..., :2])[..., None, :].clamp(min=1e-3)
    flat = (targets.pose2d - targets.boxes[..., None, :2]) / extent
    gaps = []
    for pose, anchor, weight in (
        (targets.pose3d, anchors[..., 2:], targets.weight[..., 2:]),
        (flat, anchors[..., :2], targets.weight[..., :2]),
    ):
        joint = weight.amin(dim=-1)[..., None, :]  # (B, G, 1, J)
        gap = (pose[..., None, :, :] - anchor).norm(dim=-1)
        gaps.append(((gap * joint).sum(dim=-1) / joint.sum(dim=-1).clamp(min=1e-6), joint.sum(dim=-1) > 0))
    (deep, has_deep), (shallow, _) = gaps
    return torch.where(has_deep, deep, shallow)
