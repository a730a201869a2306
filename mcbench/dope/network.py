"""The whole-body network DOPE: proposals, and for each a class and a 2D and 3D pose for every kind of part.

A pose is an anchor pose plus a fifth of what the network says, its 2D in units of the proposal's box. Following the
public network, of which the variant `resnet50` has the layers and names, so that its checkpoints load.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mcbench.dope.people import JOINTS, KINDS
from mcbench.dope.proposals import ProposalNetwork, ProposalSettings, RawProposals
from mcbench.dope.resnet import ResNet50, ResNetBackbone, ResNetHead
from mcbench.dope.roi_pool import pool
from mcbench.dope.small import SmallBackbone, SmallHead

BACKBONES = ("small", "resnet50")
#: What the network says of a pose is divided by this.
DELTA_SCALE = 5.0
#: Sides of images that the network sees are multiples of this, px.
MULTIPLE = 32
#: Regions that are described at once: bounds the memory of images with many proposals.
_CHUNK = 128

_RESNET_PROPOSALS = ProposalSettings(((32, 64, 128, 256, 512),), (0.5, 1.0, 2.0), 1000, 1000, 0.7, 0.0)
_SMALL_PROPOSALS = ProposalSettings(((12, 24, 48), (96, 192, 384)), (0.5, 1.0, 2.0), 300, 64, 0.6, 0.1)


@dataclass(frozen=True)
class DopeConfig:
    """All that a network is built from, but its weights.

    Attributes
    ----------
    backbone : one of BACKBONES.
    classes : number of anchor poses by kind.
    upper_from : bodies' anchor poses from this one on are upper bodies.
    left_from : hands' anchor poses from this one on are left hands.
    units : metres by kind that are 1 in anchor poses and in what the network says.
    min_size, max_size : images are scaled to have a shorter side of `min_size` px, but a longer one of at most
        `max_size`.
    per_kind : a group of proposals for each kind of part; else one for all.
    bases_first : hands' joints come as wrist, bases of the fingers, then three of each finger, as the public network
        has them; else as `hand21`.
    """

    backbone: str = "small"
    classes: Mapping[str, int] = field(default_factory=lambda: {"body": 20, "hand": 10, "face": 10})
    upper_from: int = 10
    left_from: int = 5
    units: Mapping[str, float] = field(default_factory=lambda: {"body": 1.0, "hand": 0.2, "face": 0.2})
    min_size: int = 512
    max_size: int = 512
    per_kind: bool = True
    bases_first: bool = False

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class PartOutput:
    """What the network says of one kind of part in one image.

    Attributes
    ----------
    boxes : (R, 4) px of the image.
    scores : (R, K + 1) probabilities, of nothing first, then of each anchor pose.
    pose2d : (R, K, J, 2) px of the image. pose3d : (R, K, J, 3) in units of the network.
    """

    boxes: Tensor
    scores: Tensor
    pose2d: Tensor
    pose3d: Tensor


class PartPredictor(nn.Module):
    """The last layers: classes and poses of each kind, from the description of a region."""

    def __init__(self, channels: int, classes: Mapping[str, int]) -> None:
        super().__init__()
        for kind in KINDS:
            count = classes[kind]
            pose = nn.Linear(channels, count * len(JOINTS[kind]) * 5)
            nn.init.normal_(pose.weight, std=0.001)  # anchor poses themselves, to start from
            nn.init.zeros_(pose.bias)
            self.add_module(f"{kind}_cls_score", nn.Linear(channels, count + 1))
            self.add_module(f"{kind}_pose_pred", pose)

    def forward(self, described: Tensor, kind: str) -> tuple[Tensor, Tensor]:
        """Logits (N, K + 1) and what is said of poses (N, K * J * 5): of each class 2D of all joints, then 3D."""
        return getattr(self, f"{kind}_cls_score")(described), getattr(self, f"{kind}_pose_pred")(described)


class RoiHeads(nn.Module):
    """Anchor poses (K, J, 5) of each kind (2D in box sizes, 3D in units), and the layers that judge a region."""

    def __init__(self, config: DopeConfig, head: ResNetHead | SmallHead) -> None:
        super().__init__()
        for kind in KINDS:
            poses = torch.zeros(config.classes[kind], len(JOINTS[kind]), 5)
            self.register_buffer(f"{kind}_anchor_poses", poses)
        self.dope_head = head
        self.dope_predictor = PartPredictor(head.channels, config.classes)

    def anchor_poses(self, kind: str) -> Tensor:
        return getattr(self, f"{kind}_anchor_poses")

    def forward(self, described: Tensor, kind: str) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (N, K + 1) and poses of described regions: 2D (N, K, J, 2) in box sizes, 3D (N, K, J, 3) in units."""
        logits, said = self.dope_predictor(described, kind)
        anchors = self.anchor_poses(kind)
        classes, joints = anchors.shape[:2]
        flat, deep = said.unflatten(1, (classes, 5 * joints)).split([2 * joints, 3 * joints], dim=2)
        flat, deep = flat.unflatten(2, (joints, 2)), deep.unflatten(2, (joints, 3))
        return logits, anchors[..., :2] + flat / DELTA_SCALE, anchors[..., 2:] + deep / DELTA_SCALE


class Dope(nn.Module):
    """The network of a configuration, its weights random."""

    def __init__(self, config: DopeConfig) -> None:
        super().__init__()
        self.config = config
        if config.backbone == "resnet50":
            resnet = ResNet50()
            self.backbone: nn.Module = ResNetBackbone(resnet)
            head: ResNetHead | SmallHead = ResNetHead(resnet)
            proposals, channels = _RESNET_PROPOSALS, ResNetBackbone.channels
            strides: tuple[int, ...] = ResNetBackbone.strides
            self.mean, self.std, self.samples = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 2
        else:
            self.backbone, head = SmallBackbone(), SmallHead(KINDS)
            proposals, strides, channels = _SMALL_PROPOSALS, SmallBackbone.strides, SmallBackbone.channels
            self.mean, self.std, self.samples = (127 / 255,) * 3, (128 / 255,) * 3, 0
        self.groups = KINDS if config.per_kind else ("any",)
        self.rpn = ProposalNetwork(channels, strides, len(self.groups), proposals)
        self.roi_heads = RoiHeads(config, head)

    def normalised(self, image: Tensor) -> Tensor:
        """Images (…, 3, H, W) in [0, 1] as the backbone wants them: 0 is mean grey."""
        mean, std = (torch.tensor(v, dtype=image.dtype, device=image.device) for v in (self.mean, self.std))
        return (image - mean[:, None, None]) / std[:, None, None]

    def group(self, kind: str) -> int:
        """The group of proposals that holds this kind of part."""
        return self.groups.index(kind) if self.config.per_kind else 0

    def features(self, x: Tensor) -> tuple[list[Tensor], RawProposals]:
        """Feature maps and proposals of normalised images (B, 3, H, W), sides multiples of MULTIPLE."""
        maps = self.backbone(x)
        return maps, self.rpn(maps)

    def describe(self, maps: Sequence[Tensor], boxes: Tensor, kind: str) -> Tensor:
        """Descriptions (B * R, D) of boxes (B, R, 4) px in the finest of the feature maps."""
        pooled = pool(maps[0], boxes, self.rpn.strides[0], samples=self.samples)
        return self.roi_heads.dope_head(pooled.flatten(0, 1), kind)

    def look(self, x: Tensor, size: Tensor) -> dict[str, PartOutput]:
        """What is in one normalised, padded image (1, 3, H, W).

        Parameters
        ----------
        size : (2,) height and width px of the image without padding.
        """
        maps, raw = self.features(x)
        found: dict[str, PartOutput] = {}
        seen: dict[int, tuple[Tensor, Tensor]] = {}  # by group: kinds of one group share proposals and descriptions
        for kind in KINDS:
            group = self.group(kind)
            if group not in seen:
                boxes, _ = self.rpn.select(raw, group, size)
                seen[group] = boxes, self._described(maps, boxes, kind)
            boxes, described = seen[group]
            logits, flat, deep = self.roi_heads(described, kind)
            corner, extent = boxes[:, None, None, :2], (boxes[:, 2:] - boxes[:, :2])[:, None, None]
            found[kind] = PartOutput(boxes, logits.softmax(dim=1), corner + flat * extent, deep)
        return found

    def _described(self, maps: Sequence[Tensor], boxes: Tensor, kind: str) -> Tensor:
        if torch.jit.is_tracing() or len(boxes) <= _CHUNK:
            return self.describe(maps, boxes[None], kind)
        return torch.cat([self.describe(maps, part[None], kind) for part in boxes.split(_CHUNK)])

    @torch.no_grad()
    def forward(self, image: Tensor) -> dict[str, PartOutput]:
        """What is in an image (3, H, W) in [0, 1] of any size; pixels of that image."""
        height, width = image.shape[-2:]
        scale = self.scale(height, width)
        x = functional.interpolate(
            self.normalised(image)[None], scale_factor=scale, mode="bilinear", recompute_scale_factor=True
        )
        size = torch.tensor(x.shape[-2:], dtype=x.dtype, device=x.device)
        x = functional.pad(x, (0, -x.shape[-1] % MULTIPLE, 0, -x.shape[-2] % MULTIPLE))
        back = torch.tensor([width, height], dtype=x.dtype, device=x.device) / size.flip(0)
        return {
            kind: PartOutput(out.boxes * back.repeat(2), out.scores, out.pose2d * back, out.pose3d)
            for kind, out in self.look(x, size).items()
        }

    def scale(self, height: int, width: int) -> float:
        """By what an image is scaled before the network sees it."""
        return min(self.config.min_size / min(height, width), self.config.max_size / max(height, width))
