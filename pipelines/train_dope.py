"""Train DOPE on labelled images: from folders of shards to a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mcbench.dope.training import Step, TrainSettings, train
from mcbench.dope.training_data import ShardImages


def train_dope(
    labels: Sequence[Path],
    out: Path,
    settings: TrainSettings,
    resume: bool = False,
    on_step: Callable[[Step], None] = lambda step: None,
) -> dict[str, Any]:
    """Train on all images of these folders of labels (`mcbench-labels/1`); returns the summary.

    Raises
    ------
    UsageError, InputError, McbenchError : as `train` and `ShardImages`.
    """
    settings.check()
    return train(ShardImages(labels), out, settings, resume, on_step)
