"""The losses of DOPE: every term is ours; `docs/dope.md` gives the reasons.

An image has losses for the kinds of parts that were labelled in it, and none for the others: neither their proposals
nor their classes nor their poses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mcbench.dope.boxes import area, decode, encode, iou
from mcbench.dope.network import DELTA_SCALE, Dope
from mcbench.dope.people import KINDS
from mcbench.dope.proposals import RawProposals
from mcbench.dope.targets import KindBatch, allowed, anchor_distances


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
#: A proposal of no score is drawn like one of this score.
_ANY_CHANCE = 0.02
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

    def forward(self, images: Tensor, targets: Mapping[str, KindBatch]) -> dict[str, Tensor]:
        """Terms of the loss, means over what is asked of; their sum is `loss`.

        Parameters
        ----------
        images : (B, 3, H, W) uint8, sides multiples of 32.
        targets : by kind.
        """
        network = self.network
        maps, raw = network.features(network.normalised(images.float() / 255))
        raw = RawProposals(raw.logits.float(), raw.deltas.float(), raw.anchors, raw.counts)
        terms = proposal_loss(network, raw, targets, self.settings)
        size = torch.tensor(images.shape[-2:], dtype=torch.float32, device=images.device)
        for kind in KINDS:
            with torch.no_grad():
                boxes, logits, proposed = network.rpn.candidates(raw, network.group(kind), size, min_score=0.0)
                boxes, real = choose_regions(boxes, proposed, logits.sigmoid(), targets[kind], self.settings)
                asked = region_targets(kind, boxes, real, targets[kind], network, self.settings)
            logits, *poses = network.roi_heads(network.describe(maps, boxes, kind), kind)
            terms |= head_loss(kind, logits.float(), torch.cat(poses, dim=-1).float(), asked)
        return {"loss": torch.stack(list(terms.values())).sum(), **terms}


def proposal_loss(
    network: Dope, raw: RawProposals, targets: Mapping[str, KindBatch], settings: LossSettings
) -> dict[str, Tensor]:
    """Focal loss of objectness and smooth L1 of boxes: means over the anchors that stand for parts, summed over groups.

    Each group has means of its own: bodies have four times as many such anchors as hands, which would hardly count.
    They are over as many as there are labelled images at least, so that images without parts do not weigh the more.
    """
    objects, boxes = raw.logits.new_zeros(()), raw.logits.new_zeros(())
    for group, name in enumerate(network.groups):
        kinds = [targets[kind] for kind in KINDS if name in (kind, "any")]
        parts = torch.cat([one.boxes for one in kinds], dim=1)
        real = torch.cat([one.real & one.asked[:, None] for one in kinds], dim=1)
        ignored = torch.cat([one.ignored for one in kinds], dim=1)
        label, matched = match_anchors(raw.anchors, parts, real, ignored, settings)
        # of a group for all kinds, what is no labelled part may be one of a kind that nobody looked for
        background = torch.stack([one.asked for one in kinds]).all(dim=0)[:, None]
        hit = label > 0
        logit = raw.logits[:, group]
        miss = torch.where(hit, 1 - logit.sigmoid(), logit.sigmoid()).detach()
        loss = functional.binary_cross_entropy_with_logits(logit, hit.float(), reduction="none")
        count = torch.maximum(hit.sum(), torch.stack([one.asked for one in kinds]).any(dim=0).sum()).clamp(min=1)
        objects = objects + (loss * miss**_FOCUS * (hit | ((label == 0) & background))).sum() / count
        image, anchor = hit.nonzero(as_tuple=True)
        wanted = encode(parts[image, matched[image, anchor]], raw.anchors[anchor])
        found = raw.deltas[:, group][image, anchor]
        boxes = boxes + functional.smooth_l1_loss(found, wanted, beta=_BOX_BEND, reduction="sum") / count
    return {"proposal": objects, "box": boxes}


@torch.no_grad()
def match_anchors(
    anchors: Tensor, parts: Tensor, real: Tensor, ignored: Tensor, settings: LossSettings
) -> tuple[Tensor, Tensor]:
    """Of A anchors in each image: 1 where it stands for a part, 0 for none, -1 where nothing is asked (B, A); and which
    part (B, A).

    Parameters
    ----------
    parts : (B, G, 4) px, of which those are there that are `real` (B, G).
    ignored : (B, I, 4) px; empty ones hold nothing.
    """
    overlap = iou(anchors, parts) * real[:, None]
    best, matched = overlap.max(dim=2)
    label = torch.zeros_like(matched)
    label[_inside(anchors, ignored)] = -1
    label[best >= settings.anchor_negative] = -1
    label[best >= settings.anchor_positive] = 1
    # every part has an anchor, be it a poor one
    top, where = overlap.max(dim=1)
    image, part = (top >= _BEST_ANCHOR).nonzero(as_tuple=True)
    label[image, where[image, part]] = 1
    matched[image, where[image, part]] = part
    return label, matched


def _inside(boxes: Tensor, ignored: Tensor) -> Tensor:
    """(B, N) whether half of a box (…, N, 4) lies in one that is ignored (B, I, 4), or much of either in the other."""
    share = iou(boxes, ignored)
    # of the overlap and both areas follows how much of the box is inside
    inter = share * (area(boxes)[..., :, None] + area(ignored)[..., None, :]) / (1 + share)
    return ((inter > 0.5 * area(boxes)[..., :, None].clamp(min=1e-6)) | (share > 0.3)).any(dim=-1)


@torch.no_grad()
def choose_regions(
    proposals: Tensor, proposed: Tensor, score: Tensor, target: KindBatch, settings: LossSettings
) -> tuple[Tensor, Tensor]:
    """Boxes (B, regions, 4) to judge, and which of them are any (B, regions).

    They are the parts' own, copies of them shifted and scaled, and proposals (B, N, 4), those that are `proposed`
    (B, N); at most half of them show parts, as far as there are others. A proposal is drawn the rather the higher its
    `score` (B, N), in [0, 1]: what looks like a part and is none teaches most, and is what will be judged in use.
    """
    copies = target.boxes.repeat_interleave(settings.jitter, dim=1)
    # drawn on the CPU: the same on every machine
    noise = torch.randn(copies.shape) * torch.tensor([0.1, 0.1, 0.12, 0.12])
    pool = torch.cat([target.boxes, decode(noise.to(copies), copies), proposals], dim=1)
    real = torch.cat([target.real, target.real.repeat_interleave(settings.jitter, dim=1), proposed], dim=1)
    likely = functional.pad(score + _ANY_CHANCE, (pool.shape[1] - score.shape[1], 0), value=1.0)
    short = max(0, settings.regions - pool.shape[1])
    pool, real, likely = (functional.pad(t, (*(0,) * (2 * (t.ndim - 2)), 0, short)) for t in (pool, real, likely))
    shows = ((iou(pool, target.boxes) * target.real[:, None]).amax(dim=2) >= settings.positive) & real
    # a draw by weight is that of the largest of these (Efraimidis and Spirakis)
    luck = torch.rand(real.shape).to(pool) ** (1 / likely.clamp(min=_ANY_CHANCE))
    # first the lucky half that shows parts, then what shows none, then the rest, last what is nothing
    rank = torch.where(shows, luck, -1.0).argsort(dim=1, descending=True).argsort(dim=1)
    lucky = shows & (rank < settings.regions // 2)
    order = luck + torch.where(lucky, 3.0, torch.where(real & ~shows, 2.0, torch.where(real, 1.0, 0.0)))
    chosen = order.topk(settings.regions, dim=1).indices
    return pool.gather(1, chosen[..., None].expand(*chosen.shape, 4)), real.gather(1, chosen)


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


@torch.no_grad()
def region_targets(
    kind: str, boxes: Tensor, real: Tensor, target: KindBatch, network: Dope, settings: LossSettings
) -> RegionTargets:
    """What is asked of regions (B, R, 4) px, those that are `real` (B, R); N = B * R."""
    anchors = network.roi_heads.anchor_poses(kind)
    best, which = (iou(boxes, target.boxes) * target.real[:, None]).max(dim=2)
    asked = real & target.asked[:, None]
    shows = asked & (best >= settings.positive)

    def own(values: Tensor) -> Tensor:
        """(B, R, …) of the part that each region shows, of values (B, G, …)."""
        index = which.reshape(*which.shape, *(1,) * (values.ndim - 2)).expand(*which.shape, *values.shape[2:])
        return values.gather(1, index)

    likely = anchor_distribution(anchor_distances(target, anchors), allowed(kind, target, network.config), settings)
    share = own(likely) * shows[..., None]
    nothing = functional.one_hot(torch.zeros_like(which), anchors.shape[0] + 1).float()
    classes = torch.where(shows[..., None], functional.pad(share, (1, 0)), nothing)
    counted = shows | (asked & (best < settings.negative) & ~_inside(boxes, target.ignored))
    extent = (boxes[..., 2:] - boxes[..., :2])[..., None, :].clamp(min=1e-3)
    flat = (own(target.pose2d) - boxes[..., None, :2]) / extent
    pose = torch.cat([flat, own(target.pose3d)], dim=-1) * shows[..., None, None]
    weight = own(target.weight) * shows[..., None, None]
    return RegionTargets(*(t.flatten(0, 1) for t in (classes, counted.float(), pose, weight, share)))


def anchor_distribution(distance: Tensor, may: Tensor, settings: LossSettings) -> Tensor:
    """(…, K) probabilities of anchor poses that a part at these distances (…, K) from them asks for.

    Parameters
    ----------
    may : (…, K) which are allowed; where none is, all are.
    """
    distance = torch.where(may | ~may.any(dim=-1, keepdim=True), distance, torch.inf)
    if settings.distillation:
        return (-distance / settings.temperature).softmax(dim=-1)
    return functional.one_hot(distance.argmin(dim=-1), distance.shape[-1]).float()


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
