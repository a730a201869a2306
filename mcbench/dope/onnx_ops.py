"""What ONNX has an operator for and torch's exporter does not use: one node each in place of many in a graph.

In torch each does what the plain code does; a traced graph alone has the operators.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from mcbench.dope.boxes import kept_by_nms


class Suppression(torch.autograd.Function):
    """Greedy non-maximum suppression: indices (K,) of those of the boxes (N, 4) that stay, by falling score.

    Takes boxes, their scores (N,), falling, the overlap from which a better one suppresses, the least score, and how
    many stay at most.
    """

    @staticmethod
    def forward(ctx: Any, boxes: Tensor, scores: Tensor, overlap: float, least: float, most: int) -> Tensor:
        return kept_by_nms(boxes, overlap, scores >= least).nonzero()[:most, 0]

    @staticmethod
    def symbolic(g: Any, boxes: Any, scores: Any, overlap: float, least: float, most: int) -> Any:
        def constant(value: Any, dtype: torch.dtype) -> Any:
            return g.op("Constant", value_t=torch.tensor(value, dtype=dtype))

        found = g.op(
            "NonMaxSuppression",
            g.op("Unsqueeze", boxes, constant([0], torch.int64)),
            g.op("Unsqueeze", scores, constant([0, 1], torch.int64)),
            constant([most], torch.int64),
            constant([overlap], torch.float32),
            # the operator asks for more than this, ours for as much
            constant([float(torch.nextafter(torch.tensor(least), torch.tensor(-1.0)))], torch.float32),
        )  # (K, 3): image, class, box
        return g.op("Gather", found, constant(2, torch.int64), axis_i=1)


class PaddedConvolution(torch.autograd.Function):
    """Convolution of (B, C, H, W) with its zeros round the image: left, right, top, bottom. A graph in which they are
    a node of their own has its maps reordered twice."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, pad: tuple[int, ...], stride: int, groups: int) -> Tensor:
        return functional.conv2d(functional.pad(x, pad), weight, stride=stride, groups=groups)

    @staticmethod
    def symbolic(g: Any, x: Any, weight: Any, pad: tuple[int, ...], stride: int, groups: int) -> Any:
        left, right, top, bottom = pad
        return g.op("Conv", x, weight, pads_i=[top, left, bottom, right], strides_i=[stride, stride], group_i=groups)
