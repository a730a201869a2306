"""Batch normalisation whose state is its weights and statistics alone, as published weights list it."""

from __future__ import annotations

from typing import Any

from torch import nn

#: Share of a batch's statistics that goes into the running ones: they follow over some hundred batches.
_MOMENTUM = 0.02


class BatchNorm(nn.BatchNorm2d):
    """`torch.nn.BatchNorm2d` without its count of batches."""

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__(channels, eps=eps, momentum=_MOMENTUM)
        self.num_batches_tracked = None

    def _load_from_state_dict(self, *arguments: Any) -> None:
        nn.Module._load_from_state_dict(self, *arguments)  # torch's own would ask for the count
