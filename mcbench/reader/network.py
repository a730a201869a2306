"""The network that reads one person whose place is known: ours, small, for CPUs.

A detector that is shown a crowd reads whoever is in front. Where cameras and a still world tell where somebody is, the
question is easier: of this square of the image, where are the joints of the person who is about here, and which of them
can be seen at all? Beside the picture the network gets two maps, the skeleton that is expected, without telling left
from right, and those of the others who are expected in the square.

The answer for each keypoint is one distribution, over the cells of the square and one more chance, that the keypoint is
not to be seen. So a hidden joint costs nothing, scores of one view can be multiplied with those of others, and how sure
a reading is needs no second head.

Backbone: that of DOPE's small network (`mcbench.dope.small`), whose trained weights it starts from.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mcbench.dataset.files import write_bytes
from mcbench.dope.checkpoint import torch_bytes
from mcbench.dope.network import Dope
from mcbench.dope.public_checkpoint import read_torch
from mcbench.dope.small import Convolution, SmallBackbone
from mcbench.errors import InputError
from mcbench.joints import READER19

FORMAT = "mcbench-reader/1"
#: Side of the square that is read, of a cell of the heatmaps, px; cells a side.
SIDE, CELL = 160, 4
CELLS = SIDE // CELL
#: Mean and deviation of the pictures that the backbone first learnt from, of values in [0, 1].
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
#: Blocks of the backbone after which features have stride 4, stays as it is in training, and stride 8.
_QUARTER, _EIGHTH = 3, 5
_WIDE, _NARROW = 96, 64
#: Without having learnt anything a keypoint is as likely not to be seen as to be in some cell.
_UNSEEN = 4.0


class ReaderNetwork(nn.Module):
    """Logits (B, 19, CELLS² + 1) of where each of `reader19` is, row by row, the last one of its not being seen."""

    def __init__(self) -> None:
        super().__init__()
        backbone = SmallBackbone()
        self.stem, self.blocks = backbone.stem, backbone.blocks
        self.people = nn.Sequential(
            nn.Conv2d(2, 16, 5, 2, 2), nn.ReLU(), nn.Conv2d(16, backbone.outputs(_QUARTER), 3, 2, 1)
        )
        self.fine = Convolution(backbone.outputs(_EIGHTH), _WIDE, 1, act=False)
        self.coarse = Convolution(backbone.outputs(len(self.blocks)), _WIDE, 1, act=False)
        self.mixed = _mix(_WIDE)
        self.skip = Convolution(backbone.outputs(_QUARTER), _NARROW, 1, act=False)
        self.up = Convolution(_WIDE, _NARROW, 1, act=False)
        self.ends = _mix(_NARROW)
        self.heat = nn.Conv2d(_NARROW, len(READER19), 1)
        self.unseen = nn.Sequential(
            nn.Linear(backbone.outputs(len(self.blocks)), 64), nn.ReLU(), nn.Linear(64, len(READER19))
        )

    @property
    def kept(self) -> list[nn.Module]:
        """Layers that training leaves as they are: what edges look like is known, and steps take less time."""
        return [self.stem, *self.blocks[:_QUARTER]]

    def forward(self, pictures: Tensor, people: Tensor) -> Tensor:
        """pictures : (B, 3, SIDE, SIDE) of about [0, 1]. people : (B, 2, SIDE, SIDE), the person's map, the others'."""
        mean, deviation = (pictures.new_tensor(values)[:, None, None] for values in (_MEAN, _DEVIATION))
        x = self.stem((pictures - mean) / deviation)
        for block in self.blocks[:_QUARTER]:
            x = block(x)
        quarter = x = x + self.people(people)
        for block in self.blocks[_QUARTER:_EIGHTH]:
            x = block(x)
        eighth = x
        for block in self.blocks[_EIGHTH:]:
            x = block(x)
        mixed = self.mixed(self.fine(eighth) + _doubled(self.coarse(x)))
        heat = self.heat(self.ends(self.skip(quarter) + _doubled(self.up(mixed))))
        unseen = self.unseen(x.mean((2, 3))) + _UNSEEN
        return torch.cat([heat.flatten(2), unseen[..., None]], dim=-1)

    def start_from(self, dope: Dope) -> None:
        """Take the backbone of a small DOPE network."""
        backbone = dope.backbone
        assert isinstance(backbone, SmallBackbone)
        self.stem.load_state_dict(backbone.stem.state_dict())
        self.blocks.load_state_dict(backbone.blocks.state_dict())


def _mix(channels: int) -> nn.Sequential:
    twice = [(Convolution(channels, channels, 5, groups=channels), Convolution(channels, channels, 1)) for _ in "12"]
    return nn.Sequential(*(layer for pair in twice for layer in pair))


def _doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


def save_reader(path: Path, network: ReaderNetwork, made: Mapping[str, Any]) -> None:
    """Write a network in half precision, whole or not at all.

    made : how it was made, plain values.
    """
    state = {name: tensor.detach().cpu().half() for name, tensor in network.state_dict().items()}
    write_bytes(path, torch_bytes({"format": FORMAT, "state_dict": state, "made": dict(made)}))


def load_reader(path: Path) -> ReaderNetwork:
    """A network from its file, for inference, float32.

    Raises
    ------
    InputError : not such a file (reason `bad_format` or `bad_checkpoint`), or not there or not readable.
    """
    content = read_torch(path)
    if content.get("format") != FORMAT:
        raise InputError(f"format is {content.get('format')!r}, expected {FORMAT!r}", path=path, reason="bad_format")
    network = ReaderNetwork()
    try:
        network.load_state_dict({name: tensor.float() for name, tensor in content["state_dict"].items()})
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise InputError(f"is damaged: {error}", path=path, reason="bad_checkpoint") from error
    return network.eval()
