"""ResNet-50 (He et al. 2016, stride in the 3x3 convolution), its first stages as a backbone, its last as a head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mcbench.dope.batch_norm import BatchNorm

#: Channels of the features after stage 3, and of what stage 4 makes of a region.
FEATURES, DESCRIPTION = 1024, 2048


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions round a shortcut."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * width
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = BatchNorm(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = BatchNorm(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = BatchNorm(outputs)
        self.downsample: nn.Module | None = None
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), BatchNorm(outputs))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)))
        return torch.relu(self.bn3(self.conv3(x)) + shortcut)


class ResNet50(nn.Module):
    """The layers of a ResNet-50, named as its published weights are; `fc` is carried for their sake, not used."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = BatchNorm(64)
        self.layer1 = _stage(64, 64, 3, 1)
        self.layer2 = _stage(256, 128, 4, 2)
        self.layer3 = _stage(512, 256, 6, 2)
        self.layer4 = _stage(1024, 512, 3, 2)
        self.fc = nn.Linear(DESCRIPTION, 1000).requires_grad_(False)

    def features(self, x: Tensor) -> Tensor:
        """(B, 1024, H / 16, W / 16) of images (B, 3, H, W)."""
        x = torch.relu(self.bn1(self.conv1(x)))
        x = nn.functional.max_pool2d(x, 3, 2, 1)
        return torch.as_tensor(self.layer3(self.layer2(self.layer1(x))))

    def describe(self, x: Tensor) -> Tensor:
        """(N, 2048) of the features (N, 1024, h, w) of regions."""
        return torch.as_tensor(self.layer4(x)).mean(dim=3).mean(dim=2)


def _stage(inputs: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    rest = [Bottleneck(4 * width, width, 1) for _ in range(blocks - 1)]
    return nn.Sequential(Bottleneck(inputs, width, stride), *rest)


class ResNetBackbone(nn.Module):
    """Feature maps, finest first, of normalised images."""

    strides = (16,)
    channels = FEATURES
    stages = 3

    def __init__(self, network: ResNet50) -> None:
        super().__init__()
        self.resnet_backbone = network

    def forward(self, x: Tensor) -> list[Tensor]:
        return [self.resnet_backbone.features(x)]

    def first(self, stages: int) -> list[nn.Module]:
        """The layers of the first stages, those before them with the first."""
        own = self.resnet_backbone
        return [own.conv1, own.bn1, *(own.layer1, own.layer2, own.layer3)[:stages]] if stages else []


class ResNetHead(nn.Module):
    """Describes regions by the last stage of the same ResNet."""

    channels = DESCRIPTION
    per_kind = False

    def __init__(self, network: ResNet50) -> None:
        super().__init__()
        self.resnet_backbone = network

    def forward(self, pooled: Tensor, kind: str) -> Tensor:
        """(N, 2048) of pooled features (N, 1024, 7, 7); the same whatever the kind."""
        return self.resnet_backbone.describe(pooled)
