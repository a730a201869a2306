"""Anchor boxes: for every cell of a feature map boxes of some sizes and shapes, from which proposals start."""

from __future__ import annotations

import torch
from torch import Tensor


def cell_anchors(sizes: tuple[int, ...], ratios: tuple[float, ...]) -> Tensor:
    """Boxes (ratios * sizes, 4) px round the origin, shapes outermost; a ratio is height by width, a size the root of
    the area. Rounded to whole pixels, as the public network has them."""
    tall = torch.tensor(ratios).sqrt()
    heights, widths = (torch.outer(by, torch.tensor(sizes, dtype=tall.dtype)).flatten() for by in (tall, 1 / tall))
    return (torch.stack([-widths, -heights, widths, heights], dim=1) / 2).round()


def grid_anchors(cell: Tensor, height: int | Tensor, width: int | Tensor, stride: int) -> Tensor:
    """Boxes (height * width * A, 4) px of a map of so many cells, row by row, a cell's A together."""
    x = torch.arange(width, device=cell.device, dtype=cell.dtype) * stride  # type: ignore[arg-type]
    y = torch.arange(height, device=cell.device, dtype=cell.dtype) * stride  # type: ignore[arg-type]
    xs, ys = x[None, :] + 0 * y[:, None], y[:, None] + 0 * x[None, :]
    shifts = torch.stack([xs, ys, xs, ys], dim=-1)
    return (shifts[:, :, None] + cell).reshape(-1, 4)
