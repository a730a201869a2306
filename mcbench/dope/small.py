"""The small network, for CPUs: ours.

Backbone: the first five stages of an EfficientNet-Lite0 (inverted residuals, no attention, ReLU6: what CPUs run fast),
whose ImageNet weights exist as a package, and two feature maps made of it, at strides 8 and 16, by one step from coarse
to fine. Stride 8, because hands and faces of people who are seen whole are 15 to 40 px wide in a picture of 512.

Head: a two-layer perceptron for each kind of part, on the proposals of that kind alone. Regions are pooled by exact
means, which see every cell of a large body's region where two samples a bin would skip most.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from mcbench.dope.batch_norm import BatchNorm
from mcbench.dope.onnx_ops import PaddedConvolution

_EPS = 1e-3
#: Kernel, stride, expansion, channels, repeats of the stages.
_STAGES = ((3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3))
#: Blocks after which the features have stride 8 and, at the end, 16.
_FINE = 5
_BINS = 7


class Convolution(nn.Module):
    """Convolution, normalisation and maybe ReLU6. Padded as the weights were trained: at stride 2 less before than
    after."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, act: bool = True):
        super().__init__()
        before = (kernel - stride) // 2
        self.pad = (before, kernel - stride - before) * 2 if stride > 1 else None
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, stride, 0 if self.pad else kernel // 2, groups=groups, bias=False
        )
        self.bn = BatchNorm(outputs, _EPS)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        if self.pad is None:
            x = self.conv(x)
        elif torch.jit.is_tracing():
            x = PaddedConvolution.apply(x, self.conv.weight, self.pad, self.conv.stride[0], self.conv.groups)
        else:
            x = self.conv(functional.pad(x, self.pad))
        x = self.bn(x)
        return x.clamp(0, 6) if self.act else x

    def load(self, weights: Mapping[str, Tensor], conv: str, bn: str) -> None:
        """Take the weights of a convolution and a normalisation of these names."""
        self.conv.load_state_dict({"weight": weights[f"{conv}.weight"]})
        self.bn.load_state_dict({name: weights[f"{bn}.{name}"] for name in self.bn.state_dict()})


class InvertedResidual(nn.Module):
    """Widen, filter each channel, narrow; a shortcut round them where shapes allow."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expand = Convolution(inputs, wide, 1) if expansion > 1 else None
        self.filter = Convolution(wide, wide, kernel, stride, wide)
        self.project = Convolution(wide, outputs, 1, act=False)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.filter(x if self.expand is None else self.expand(x)))
        return x + y if self.shortcut else y


class SmallBackbone(nn.Module):
    """Feature maps at strides 8 and 16 of normalised images, sides multiples of 32."""

    strides = (8, 16)
    channels = 64
    stages = len(_STAGES)

    def __init__(self) -> None:
        super().__init__()
        self.stem = Convolution(3, 32, 3, 2)
        blocks, inputs = [], 32
        for kernel, stride, expansion, outputs, repeats in _STAGES:
            for repeat in range(repeats):
                blocks.append(InvertedResidual(inputs, outputs, kernel, stride if repeat == 0 else 1, expansion))
                inputs = outputs
        self.blocks = nn.ModuleList(blocks)
        self.fine = Convolution(40, self.channels, 1, act=False)
        self.coarse = Convolution(112, self.channels, 1, act=False)
        self.mix = nn.ModuleList(
            nn.Sequential(
                Convolution(self.channels, self.channels, 5, groups=self.channels),
                Convolution(self.channels, self.channels, 1),
            )
            for _ in self.strides
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x)
        fine = x
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index + 1 == _FINE:
                fine = x
        coarse = self.coarse(x)
        larger = functional.interpolate(coarse, scale_factor=2.0, mode="nearest")
        return [self.mix[0](self.fine(fine) + larger), self.mix[1](coarse)]

    @staticmethod
    def outputs(blocks: int) -> int:
        """Channels of the features after so many blocks, one at least."""
        return [outputs for *_, outputs, repeats in _STAGES for _ in range(repeats)][blocks - 1]

    def first(self, stages: int) -> list[nn.Module]:
        """The layers of the first stages, the one before them with the first."""
        blocks = sum(repeats for *_, repeats in _STAGES[:stages])
        return [self.stem, *self.blocks[:blocks]] if stages else []

    def load_imagenet(self, weights: Mapping[str, Tensor]) -> None:
        """Take the weights of an EfficientNet-Lite0 as `efficientnet-lite-pytorch` names them; those of later stages
        are left. Raises KeyError or RuntimeError where they are not that."""
        self.stem.load(weights, "_conv_stem", "_bn0")
        for index, block in enumerate(self.blocks):
            assert isinstance(block, InvertedResidual)
            at = f"_blocks.{index}."
            if block.expand is not None:
                block.expand.load(weights, at + "_expand_conv", at + "_bn0")
            block.filter.load(weights, at + "_depthwise_conv", at + "_bn1")
            block.project.load(weights, at + "_project_conv", at + "_bn2")


class SmallHead(nn.Module):
    """Describes regions by a perceptron for each kind of part."""

    channels = 512
    per_kind = True

    def __init__(self, kinds: Iterable[str]) -> None:
        super().__init__()
        for kind in kinds:
            self.add_module(
                kind,
                nn.Sequential(
                    nn.Flatten(),
                    nn.Linear(SmallBackbone.channels * _BINS**2, self.channels),
                    nn.ReLU(),
                    nn.Linear(self.channels, self.channels),
                    nn.ReLU(),
                ),
            )

    def forward(self, pooled: Tensor, kind: str) -> Tensor:
        """(N, 512) of pooled features (N, 64, 7, 7) of proposals of a kind."""
        return torch.as_tensor(getattr(self, kind)(pooled))
