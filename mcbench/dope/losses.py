"""The losses of DOPE: every term is ours; `docs/dope.md` gives the reasons.

An image has losses for the kinds of parts that were labelled in it, and none for the others: neither their proposals
nor their classes nor their poses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mcbench.dope.boxes import area, decode, encode, iou
from mcbench.dope.network import DELTA_SCALE, Dope
from mcbench.dope.people import KINDS
from mcbench.dope.proposals import RawProposals
from mcbench.dope.targets import ImageTargets, KindTargets, allowed, anchor_distances


@dataclass(frozen=True)
class LossSettings:
    """What is asked of the network.

    Attributes
    ----------
    distillation : learn the soft distribution over anchor poses of an expert's pose, and its pose from every one of
        them; else the nearest anchor pose alone.
    temperature : of that distribution, in units of the network.
    positive, negative : overlaps with a part from and below which a proposal shows it or does not; between, nothing is
        asked. anchor_positive, anchor_negative : the same of anchors.
    regions : regions of each kind in an image that are judged, at most half of them parts.
    jitter : copies of each part's box, shifted and scaled, among them.
    """

    distillation: bool = True
    temperature: float = 0.05
    positive: float = 0.5
    negative: float = 0.4
    anchor_positive: float = 0.5
    anchor_negative: float = 0.35
    regions: int = 32
    jitter: int = 4


#: Least overlap of the anchor that stands for a part which no anchor fits well.
_BEST_ANCHOR = 0.15
#: Focal loss: well-judged anchors count for less, so that the many easy ones do not drown the others.
_FOCUS = 2.0
#: Smooth L1 is quadratic below this.
_BOX_BEND, _POSE_BEND = 0.1, 0.5


class DopeLoss(nn.Module):
    """A network and what it is asked: images and targets in, the loss and its terms out."""

    def __init__(self, network: Dope, settings: LossSettings | None = None) -> None:
        super().__init__()
        self.network = network
        self.settings = settings or LossSettings()

    def forward(self, images: Tensor, targets: Sequence[ImageTargets]) -> dict[str, Tensor]:
        """Terms of the loss, means over what is asked of; their sum is `loss`.

        Parameters
        ----------
        images : (B, 3, H, W) uint8, sides multiples of 32.
        """
        network = self.network
        maps, raw = network.features(network.normalised(images.float() / 255))
        raw = RawProposals(raw.logits.float(), raw.deltas.float(), raw.anchors, raw.counts)
        terms = proposal_loss(network, raw, targets, self.settings)
        for kind in KINDS:
            if any(kind in target for target in targets):
                terms |= self._heads(kind, maps, raw, targets, images.shape[-2:])
        return {"loss": torch.stack(list(terms.values())).sum(), **terms}

    def _heads(
        self,
        kind: str,
        maps: Sequence[Tensor],
        raw: RawProposals,
        targets: Sequence[ImageTargets],
        size: Sequence[int],
    ) -> dict[str, Tensor]:
        """Classification and regression of one kind in all images that are labelled for it."""
        network = self.network
        asked = [i for i, target in enumerate(targets) if kind in target]
        shape = torch.tensor(size, dtype=torch.float32, device=raw.anchors.device)
        boxes, asks = [], []
        for image in asked:
            with torch.no_grad():
                proposals, _ = network.rpn.select(raw, image, network.group(kind), shape)
                chosen = choose_regions(proposals, targets[image][kind], self.settings)
                asks.append(region_targets(kind, chosen, targets[image][kind], network, self.settings))
            boxes.append(chosen)
        described = network.describe([m[asked] for m in maps], torch.stack(boxes), kind)
        logits, poses = network.roi_heads(described, kind)
        return head_loss(kind, logits.float(), poses.float(), RegionTargets.cat(asks))


def proposal_loss(
    network: Dope, raw: RawProposals, targets: Sequence[ImageTargets], settings: LossSettings
) -> dict[str, Tensor]:
    """Focal loss of objectness and smooth L1 of boxes, over the number of anchors that stand for parts."""
    objects, boxes = raw.logits.new_zeros(()), raw.logits.new_zeros(())
    count = 0.0
    for image, target in enumerate(targets):
        for group, name in enumerate(network.groups):
            kinds = [kind for kind in KINDS if kind in target and name in (kind, "any")]
            if not kinds:
                continue
            parts = torch.cat([target[kind].boxes for kind in kinds])
            ignored = torch.cat([target[kind].ignored for kind in kinds])
            # of a group for all kinds, what is no labelled part may be one of a kind that nobody looked for
            background = name != "any" or len(kinds) == len(KINDS)
            label, matched = match_anchors(raw.anchors, parts, ignored, settings)
            counted = label >= 0 if background else label > 0
            logit = raw.logits[image, group]
            miss = torch.where(label > 0, 1 - logit.sigmoid(), logit.sigmoid())
            loss = functional.binary_cross_entropy_with_logits(logit, (label > 0).float(), reduction="none")
            objects = objects + (loss * miss.detach() ** _FOCUS * counted).sum()
            hit = label > 0
            if len(parts):
                wanted = encode(parts[matched[hit]], raw.anchors[hit])
                boxes = boxes + functional.smooth_l1_loss(
                    raw.deltas[image, group][hit], wanted, beta=_BOX_BEND, reduction="sum"
                )
            count += float(hit.sum())
    return {"proposal": objects / max(count, 1.0), "box": boxes / max(count, 1.0)}


@torch.no_grad()
def match_anchors(anchors: Tensor, parts: Tensor, ignored: Tensor, settings: LossSettings) -> tuple[Tensor, Tensor]:
    """Of A anchors: 1 where it stands for a part, 0 for none, -1 where nothing is asked (A,); and which part (A,)."""
    label = torch.zeros(len(anchors), dtype=torch.long, device=anchors.device)
    matched = torch.zeros_like(label)
    if len(parts):
        overlap = iou(anchors, parts)
        best, matched = overlap.max(dim=1)
        label[best >= settings.anchor_negative] = -1
        label[best >= settings.anchor_positive] = 1
        # every part has an anchor, be it a poor one
        top, where = overlap.max(dim=0)
        fair = top >= _BEST_ANCHOR
        label[where[fair]] = 1
        matched[where[fair]] = torch.arange(len(parts), device=anchors.device)[fair]
    if len(ignored):
        label[(label == 0) & _inside(anchors, ignored)] = -1
    return label, matched


def _inside(boxes: Tensor, ignored: Tensor) -> Tensor:
    """(N,) whether half of a box lies in one that is ignored, or much of either in the other."""
    low = torch.maximum(boxes[:, None, :2], ignored[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], ignored[None, :, 2:])
    inter = (high - low).clamp(min=0).prod(dim=-1)
    return ((inter > 0.5 * area(boxes)[:, None]) | (iou(boxes, ignored) > 0.3)).any(dim=1)


def choose_regions(proposals: Tensor, target: KindTargets, settings: LossSettings) -> Tensor:
    """(regions, 4) boxes to judge: the parts' own, copies of them shifted and scaled, and proposals.

    At most half of them show parts, as far as there are others; boxes are repeated where there are too few.
    """
    parts = target.boxes
    copies = parts.repeat_interleave(settings.jitter, dim=0)
    noise = torch.randn(len(copies), 4, device="cpu").to(copies) * torch.tensor([0.1, 0.1, 0.12, 0.12]).to(copies)
    pool = torch.cat([parts, decode(noise, copies), proposals])
    if not len(pool):
        pool = parts.new_tensor([[0.0, 0.0, 64.0, 64.0]])
    best = iou(pool, parts).amax(dim=1) if len(parts) else pool.new_zeros(len(pool))
    order = torch.randperm(len(pool)).to(pool.device)
    shows = best[order] >= settings.positive
    hits, others = order[shows][: settings.regions // 2], order[~shows]
    chosen = torch.cat([hits, others])[: settings.regions]
    return pool[chosen.repeat(-(-settings.regions // len(chosen)))[: settings.regions]]


@dataclass(frozen=True)
class RegionTargets:
    """What is asked of N regions.

    Attributes
    ----------
    classes : (N, K + 1) probabilities, of nothing first. counted : (N,) 0 where nothing is asked.
    pose : (N, J, 5) 2D in box sizes and 3D in units. weight : (N, J, 5).
    share : (N, K) how much each anchor pose's reading should be that pose.
    """

    classes: Tensor
    counted: Tensor
    pose: Tensor
    weight: Tensor
    share: Tensor

    @classmethod
    def cat(cls, parts: Sequence[RegionTargets]) -> RegionTargets:
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__))


@torch.no_grad()
def region_targets(
    kind: str, boxes: Tensor, target: KindTargets, network: Dope, settings: LossSettings
) -> RegionTargets:
    """What is asked of regions (N, 4) px of an image."""
    anchors = network.roi_heads.anchor_poses(kind)
    count, joints = anchors.shape[:2]
    nothing = functional.one_hot(torch.zeros(len(boxes), dtype=torch.long, device=boxes.device), count + 1).float()
    counted = torch.ones(len(boxes), device=boxes.device)
    if len(target.ignored):
        counted = (~_inside(boxes, target.ignored)).float()
    zeros = boxes.new_zeros(len(boxes), joints, 5)
    if not len(target.boxes):
        return RegionTargets(nothing, counted, zeros, zeros, boxes.new_zeros(len(boxes), count))
    best, which = iou(boxes, target.boxes).max(dim=1)
    shows = best >= settings.positive
    likely = anchor_distribution(anchor_distances(target, anchors), allowed(kind, target, network.config), settings)
    share = likely[which] * shows[:, None]
    classes = torch.where(shows[:, None], functional.pad(share, (1, 0)), nothing)
    counted = torch.where(shows, 1.0, counted * (best < settings.negative))
    extent = (boxes[:, 2:] - boxes[:, :2])[:, None].clamp(min=1e-3)
    flat = (target.pose2d[which] - boxes[:, None, :2]) / extent
    pose = torch.cat([flat, target.pose3d[which]], dim=2)
    return RegionTargets(classes, counted, pose, target.weight[which] * shows[:, None, None], share)


def anchor_distribution(distance: Tensor, may: Tensor, settings: LossSettings) -> Tensor:
    """(G, K) probabilities of anchor poses that a part at these distances (G, K) from them asks for.

    Parameters
    ----------
    may : (G, K) which are allowed; where none is, all are.
    """
    distance = torch.where(may | ~may.any(dim=1, keepdim=True), distance, torch.inf)
    if settings.distillation:
        return (-distance / settings.temperature).softmax(dim=1)
    return functional.one_hot(distance.argmin(dim=1), distance.shape[1]).float()


def head_loss(kind: str, logits: Tensor, poses: Tensor, asked: RegionTargets) -> dict[str, Tensor]:
    """Cross-entropy of the classes, and smooth L1 of the poses of the anchor poses that share in them.

    Parameters
    ----------
    logits : (N, K + 1). poses : (N, K, J, 5).
    """
    entropy = -(asked.classes * logits.log_softmax(dim=1)).sum(dim=1)
    counted = asked.counted.sum().clamp(min=1)
    gap = DELTA_SCALE * (poses - asked.pose[:, None])
    joint = functional.smooth_l1_loss(gap, torch.zeros_like(gap), beta=_POSE_BEND, reduction="none")
    weight = asked.weight[:, None]
    known = asked.weight.sum(dim=(1, 2)).clamp(min=1e-6)
    pose = 5 * (joint * weight).sum(dim=(2, 3)) / known[:, None]  # (N, K), a sum over coordinates, a mean over joints
    hit = (asked.share.sum(dim=1) > 0) & (asked.weight.sum(dim=(1, 2)) > 0)
    return {
        f"{kind}_class": (entropy * asked.counted).sum() / counted,
        f"{kind}_pose": ((pose * asked.share).sum(dim=1) * hit).sum() / hit.sum().clamp(min=1),
    }
