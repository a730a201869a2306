"""Boxes x0, y0, x1, y1 in pixels: overlap, coding relative to anchors, suppression of duplicates; plain torch."""

from __future__ import annotations

import math

import torch
from torch import Tensor

#: Boxes grow by this factor at most from their anchors (as Faster R-CNN's public code caps it).
_MAX_GROWTH = math.log(1000 / 16)


def area(boxes: Tensor) -> Tensor:
    """(…,) px^2 of boxes (…, 4)."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union (…, N, M) of boxes a (…, N, 4) and b (…, M, 4); 0 where both are empty."""
    # side by side rather than as corners: no larger array than the result's is held
    ax0, ay0, ax1, ay1 = a[..., :, None, :].unbind(-1)
    bx0, by0, bx1, by1 = b[..., None, :, :].unbind(-1)
    width = (torch.minimum(ax1, bx1) - torch.maximum(ax0, bx0)).clamp(min=0)
    inter = width * (torch.minimum(ay1, by1) - torch.maximum(ay0, by0)).clamp(min=0)
    union = area(a)[..., :, None] + area(b)[..., None, :] - inter
    return inter / union.clamp(min=torch.finfo(inter.dtype).tiny)


def encode(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Deltas (…, 4) that bring anchors to boxes: shift of the centre in anchor sizes, logarithm of the growth."""
    size, wanted = anchors[..., 2:] - anchors[..., :2], boxes[..., 2:] - boxes[..., :2]
    shift = (boxes[..., :2] + boxes[..., 2:] - anchors[..., :2] - anchors[..., 2:]) / 2
    return torch.cat([shift / size, (wanted / size).log()], dim=-1)


def decode(deltas: Tensor, anchors: Tensor) -> Tensor:
    """Boxes (…, 4) from deltas (…, 4): the inverse of `encode`, growth capped."""
    size = anchors[..., 2:] - anchors[..., :2]
    centre = anchors[..., :2] + size / 2 + deltas[..., :2] * size
    half = deltas[..., 2:].clamp(max=_MAX_GROWTH).exp() * size / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def clip(boxes: Tensor, height: float, width: float) -> Tensor:
    """Boxes (…, 4) cut at the borders of an image."""
    x, y = boxes[..., 0::2].clamp(0, width), boxes[..., 1::2].clamp(0, height)
    return torch.stack([x[..., 0], y[..., 0], x[..., 1], y[..., 1]], dim=-1)


def kept_by_nms(boxes: Tensor, threshold: float, usable: Tensor | None = None, rounds: int = 0) -> Tensor:
    """Which boxes (…, N, 4), by falling score, greedy non-maximum suppression keeps: (…, N) bool.

    A box stays when no better box that stays overlaps it by more than `threshold`. This rule has one solution; it is
    found by applying it to all boxes at once until nothing changes, which takes as many rounds as suppressions follow
    from one another, not as many as there are boxes, and no loop over boxes.

    Parameters
    ----------
    usable : (…, N) the boxes that count at all; all when None.
    rounds : apply it so often without looking whether anything changes, as a traced graph must; 0: until it is solved.
    """
    suppresses = (iou(boxes, boxes) > threshold).triu(1).to(boxes.dtype)
    start = torch.ones_like(boxes[..., 0]) if usable is None else usable.to(boxes.dtype)
    keep = start
    for _ in range(rounds or boxes.shape[-2]):
        before, keep = keep, start * ((keep[..., None, :] @ suppresses)[..., 0, :] < 0.5)
        if not rounds and torch.equal(before, keep):
            break
    return keep > 0.5
