"""Pooling of regions: against sampling by hand, and the exact mean against many samples."""

from __future__ import annotations

import numpy as np
import torch

from mcbench.dope.roi_pool import pool


def sampled(feature: np.ndarray, box: np.ndarray, stride: float, bins: int, samples: int) -> np.ndarray:
    """RoIAlign, not aligned, of a map (C, H, W), sample by sample."""
    channels, height, width = feature.shape
    x0, y0, x1, y1 = box / stride
    step = max(x1 - x0, 1) / bins, max(y1 - y0, 1) / bins
    out = np.zeros((channels, bins, bins))
    for i, j, a, b in np.ndindex(bins, bins, samples, samples):
        y = np.clip(y0 + step[1] * (i + (a + 0.5) / samples), 0, height - 1)
        x = np.clip(x0 + step[0] * (j + (b + 0.5) / samples), 0, width - 1)
        low_y, low_x = min(int(y), height - 2), min(int(x), width - 2)
        for dy, wy in ((0, 1 - (y - low_y)), (1, y - low_y)):
            for dx, wx in ((0, 1 - (x - low_x)), (1, x - low_x)):
                out[:, i, j] += wy * wx * feature[:, low_y + dy, low_x + dx] / samples**2
    return out


def test_equals_sampling_by_hand() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 3, 9, 12, generator=generator)
    boxes = torch.tensor(
        [
            [[10.0, 20.0, 150.0, 100.0], [0.0, 0.0, 5.0, 3.0], [150.0, 130.0, 192.0, 144.0]],
            [[33.3, 41.7, 60.1, 77.9], [0.0, 0.0, 192.0, 144.0], [100.0, 143.0, 120.0, 144.0]],
        ]
    )
    found = pool(features, boxes, 16, samples=2)
    for image, region in np.ndindex(2, 3):
        expected = sampled(features[image].numpy(), boxes[image, region].numpy(), 16, 7, 2)
        np.testing.assert_allclose(found[image, region], expected, atol=1e-5)


def test_a_plane_is_read_at_the_middles_of_bins() -> None:
    y, x = torch.meshgrid(torch.arange(12.0), torch.arange(16.0), indexing="ij")
    features = torch.stack([x, y])[None]  # cell i of a map has its middle at i + 0.5
    box = torch.tensor([[[16.0, 24.0, 72.0, 80.0]]])
    found = pool(features, box, 8)[0, 0]
    middles = (torch.arange(7) + 0.5) * 1.0
    torch.testing.assert_close(found[0], (2 + middles - 0.5).expand(7, 7), atol=1e-4, rtol=0)
    torch.testing.assert_close(found[1], (3 + middles - 0.5)[:, None].expand(7, 7), atol=1e-4, rtol=0)


def test_the_mean_is_what_many_samples_tend_to() -> None:
    features = torch.randn(1, 2, 10, 10, generator=torch.Generator().manual_seed(1))
    box = torch.tensor([[[17.0, 9.0, 66.0, 71.0]]])
    shifted = box - 4  # sampling has the middle of cell i at i, half a cell of 8 px before
    np.testing.assert_allclose(pool(features, box, 8), pool(features, shifted, 8, samples=64), atol=2e-3)


def test_a_mean_outside_the_map_is_zero_and_gradients_reach_the_box() -> None:
    features = torch.ones(1, 1, 6, 6)
    assert pool(features, torch.tensor([[[200.0, 200.0, 260.0, 260.0]]]), 8).abs().max() == 0
    box = torch.tensor([[[-16.0, 8.0, 20.0, 30.0]]], requires_grad=True)
    pool(features, box, 8).sum().backward()
    assert box.grad is not None and box.grad.abs().sum() > 0
