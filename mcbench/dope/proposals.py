"""The proposal network: at every cell of the feature maps, which anchors hold a part, and where exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mcbench.dope.anchors import cell_anchors, grid_anchors
from mcbench.dope.boxes import clip, decode, kept_by_nms
from mcbench.dope.onnx_ops import Suppression

#: Boxes with a shorter side, px, are no proposals.
_MIN_SIDE = 1e-3
#: Logit of objectness to start from: few anchors hold a part, and a fair start would drown them.
_RARE = -4.6
#: Rounds of suppression in training: longer chains of boxes that suppress one another are not seen.
_ROUNDS = 16


@dataclass(frozen=True)
class ProposalSettings:
    """Which anchors there are, and how many proposals are kept.

    Attributes
    ----------
    sizes : anchor sizes px of each feature map, finest first. ratios : heights by widths.
    before_nms, after_nms : proposals kept, of each feature map before and of each group after suppression.
    nms : overlap from which a better proposal suppresses.
    min_score : proposals of a lower score are dropped.
    """

    sizes: tuple[tuple[int, ...], ...]
    ratios: tuple[float, ...]
    before_nms: int
    after_nms: int
    nms: float
    min_score: float


class ProposalHead(nn.Module):
    """Objectness and box deltas of each anchor, by a convolution that all feature maps share."""

    def __init__(self, channels: int, anchors: Sequence[int], groups: int) -> None:
        super().__init__()
        if len(set(anchors)) > 1:
            raise ValueError("feature maps must have equally many anchors a cell")
        self.conv = nn.Sequential(nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU()))
        self.cls_logits = nn.Conv2d(channels, groups * anchors[0], 1)
        self.bbox_pred = nn.Conv2d(channels, groups * anchors[0] * 4, 1)
        for layer in (self.cls_logits, self.bbox_pred):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        nn.init.constant_(self.cls_logits.bias, _RARE)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.conv(x)
        return self.cls_logits(x), self.bbox_pred(x)


@dataclass(frozen=True)
class RawProposals:
    """What the head says of the A anchors of all feature maps.

    Attributes
    ----------
    logits : (B, G, A) objectness of each group. deltas : (B, G, A, 4).
    anchors : (A, 4) px. counts : how many of A belong to each feature map.
    """

    logits: Tensor
    deltas: Tensor
    anchors: Tensor
    counts: tuple[int, ...]


class ProposalNetwork(nn.Module):
    """Proposals of G groups: one of all parts alike, as the public network has it, or one a kind of part.

    With a group a kind, an image whose hands nobody labelled says nothing about where hands are not.
    """

    def __init__(self, channels: int, strides: Sequence[int], groups: int, settings: ProposalSettings) -> None:
        super().__init__()
        self.settings, self.strides, self.groups = settings, tuple(strides), groups
        cells = [cell_anchors(sizes, settings.ratios) for sizes in settings.sizes]
        self.head = ProposalHead(channels, [len(c) for c in cells], groups)
        for level, cell in enumerate(cells):
            self.register_buffer(f"anchors{level}", cell, persistent=False)

    def forward(self, features: Sequence[Tensor]) -> RawProposals:
        logits, deltas, anchors = [], [], []
        for level, (feature, stride) in enumerate(zip(features, self.strides, strict=True)):
            scores, moves = self.head(feature)
            height, width = feature.shape[-2:]
            logits.append(self._by_group(scores, 1).squeeze(-1))
            deltas.append(self._by_group(moves, 4))
            anchors.append(grid_anchors(getattr(self, f"anchors{level}"), height, width, stride))
        counts = tuple(a.shape[0] for a in anchors)
        return RawProposals(torch.cat(logits, 2), torch.cat(deltas, 2), torch.cat(anchors), counts)

    def _by_group(self, x: Tensor, width: int) -> Tensor:
        """(B, G * a * width, H, W) to (B, G, H * W * a, width)."""
        x = x.unflatten(1, (self.groups, -1, width))  # (B, G, a, width, H, W)
        return x.permute(0, 1, 4, 5, 2, 3).flatten(2, 4)

    def candidates(
        self, raw: RawProposals, group: int, size: Tensor, min_score: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The best boxes of a group in each image, by falling score: boxes (B, N, 4) px, logits (B, N), and which are
        proposals (B, N).

        Parameters
        ----------
        size : (2,) height and width px of the images; boxes are cut there.
        """
        box, logit, usable = self._ranked(raw, group, size, min_score)
        # training, too, does without waiting for the GPU to say that nothing changes any more
        return box, logit, kept_by_nms(box, self.settings.nms, usable, _ROUNDS if self.training else 0)

    def select(self, raw: RawProposals, group: int, size: Tensor) -> tuple[Tensor, Tensor]:
        """The proposals of a group in the one image there is, by falling score: boxes (R, 4) px, scores (R,)."""
        settings = self.settings
        if torch.jit.is_tracing():
            box, logit, usable = self._ranked(raw, group, size, settings.min_score)
            score = torch.where(usable[0], logit[0].sigmoid(), -1.0)
            kept = Suppression.apply(box[0], score, settings.nms, 0.0, settings.after_nms)
            return box[0][kept], score[kept]
        box, logit, keep = self.candidates(raw, group, size, settings.min_score)
        box, logit = box[0][keep[0]], logit[0][keep[0]]
        return box[: settings.after_nms], logit[: settings.after_nms].sigmoid()

    def _ranked(self, raw: RawProposals, group: int, size: Tensor, min_score: float) -> tuple[Tensor, Tensor, Tensor]:
        """The best boxes of a group, as in `candidates`, before suppression, and which of them count at all (B, N)."""
        boxes, logits, start = [], [], 0
        for count in raw.counts:
            best, where = _top(raw.logits[:, group, start : start + count], self.settings.before_nms)
            where = where + start
            deltas = raw.deltas[:, group].gather(1, where[..., None].expand(*where.shape, 4))
            boxes.append(decode(deltas.float(), raw.anchors[where]))
            logits.append(best.float())
            start = start + count
        box, logit = clip(torch.cat(boxes, 1), size[0], size[1]), torch.cat(logits, 1)  # type: ignore[arg-type]
        logit, order = _top(logit, len(raw.counts) * self.settings.before_nms)
        box = box.gather(1, order[..., None].expand(*order.shape, 4))
        usable = (box[..., 2:] - box[..., :2] >= _MIN_SIDE).all(dim=-1) & (logit.sigmoid() >= min_score)
        return box, logit, usable


def _top(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The best `count` of each row (B, A), or all where there are fewer, by falling value, and where they are."""
    if torch.jit.is_tracing():  # ONNX has no stable sort
        limit = torch.minimum(torch.as_tensor(logits.shape[1]), torch.tensor(count))
        return logits.topk(limit)  # type: ignore[arg-type]
    values, where = logits.sort(dim=1, descending=True, stable=True)
    return values[:, :count], where[:, :count]
