"""Features of regions: RoIAlign as the public detectors compute it, and the exact mean over each bin.

Both weigh the grid of features by a product of one weight a row and one a column. So pooling a region is two small
matrix products, which are exact, differentiable, and need nothing but what every runtime has.
"""

from __future__ import annotations

import torch
from torch import Tensor


def sample_weights(low: Tensor, high: Tensor, bins: int, cells: int, samples: int) -> Tensor:
    """Weights (…, bins, cells) along one axis of RoIAlign, not aligned: means of `samples` linear samples a bin.

    Parameters
    ----------
    low, high : (…,) ends of the regions in cells, cell i at the coordinate i. Regions are at least one cell long;
        samples outside the map take its border (compiled RoIAlign has zero there when they are over a cell away, which
        only regions at the border thinner than a cell reach; the reference outputs have the border).
    """
    step = (high - low).clamp(min=1) / bins
    offsets = (torch.arange(bins * samples, device=low.device, dtype=low.dtype) + 0.5) / samples
    at = low[..., None] + offsets * step[..., None]
    at = at.clamp(0, cells - 1)
    cell = torch.arange(cells, device=low.device, dtype=low.dtype)
    weights = (1 - (at[..., None] - cell).abs()).clamp(min=0)
    return weights.unflatten(-2, (bins, samples)).mean(dim=-2)


def mean_weights(low: Tensor, high: Tensor, bins: int, cells: int) -> Tensor:
    """Weights (…, bins, cells) along one axis of the exact mean over each bin of the linearly interpolated features.

    Parameters
    ----------
    low, high : (…,) ends of the regions in cells, the middle of cell i at i + 0.5. What lies outside counts as zero.
    """
    step = (high - low).clamp(min=1e-3) / bins
    edges = low[..., None] + torch.arange(bins + 1, device=low.device, dtype=low.dtype) * step[..., None]
    middles = torch.arange(cells, device=low.device, dtype=low.dtype) + 0.5
    t = (edges[..., None] - middles).clamp(-1, 1)
    below = 0.5 + t - t * t.abs() / 2  # integral of the hat function of each cell up to each edge
    return (below[..., 1:, :] - below[..., :-1, :]) / step[..., None, None]


def pool(features: Tensor, boxes: Tensor, stride: float, bins: int = 7, samples: int = 0) -> Tensor:
    """Features (B, R, C, bins, bins) of boxes (B, R, 4) px in a map (B, C, H, W) of one cell every `stride` px.

    Parameters
    ----------
    samples : linear samples a bin and axis, as RoIAlign, not aligned, takes them; 0: the exact mean over each bin.
    """
    ends = boxes / stride
    height, width = features.shape[-2:]
    if samples:
        rows = sample_weights(ends[..., 1], ends[..., 3], bins, height, samples)
        columns = sample_weights(ends[..., 0], ends[..., 2], bins, width, samples)
    else:
        rows = mean_weights(ends[..., 1], ends[..., 3], bins, height)
        columns = mean_weights(ends[..., 0], ends[..., 2], bins, width)
    batch, regions, channels = features.shape[0], boxes.shape[1], features.shape[1]
    rows, columns = rows.to(features.dtype), columns.to(features.dtype)
    by_row = rows.flatten(1, 2) @ features.transpose(1, 2).flatten(2)  # (B, R * bins, C * W)
    by_row = by_row.reshape(batch, regions, bins * channels, width)
    pooled = by_row @ columns.transpose(-1, -2)  # (B, R, bins * C, bins)
    return pooled.reshape(batch, regions, bins, channels, bins).transpose(2, 3)
