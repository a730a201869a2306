"""Training of the reader: from people in squares to a network, on a CPU or a GPU.

All that is drawn follows from the seed and the step, so a run that goes on from a checkpoint repeats what it would have
done. The loss is the cross entropy of each keypoint's distribution, of the head's and feet's points at less weight.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mcbench.dataset.files import sha256_json, write_bytes
from mcbench.dope.checkpoint import load_network, shipped_weights, torch_bytes
from mcbench.dope.public_checkpoint import read_torch
from mcbench.dope.training_data import Order
from mcbench.errors import InputError, McbenchError, UsageError
from mcbench.joints import READER19
from mcbench.reader.heatmaps import HeatReading, heat_targets
from mcbench.reader.network import ReaderNetwork, save_reader
from mcbench.reader.training_data import Lesson, People, lesson, plain_lesson

STATE, MODEL = "last.pt", "reader.pt"
_STATE_FORMAT = "mcbench-reader-training/1"
_MAX_GRADIENT = 5.0
_WEIGHTS = {"nose": 0.4, "ear": 0.4, "heel": 0.5, "foot_index": 0.5}
#: A reading is right where it is no farther off than this share of stature, and sure from this score on.
_RIGHT, _SURE = 0.04, 0.5
_LIMBS = slice(3, 15)


@dataclass(frozen=True)
class ReaderSettings:
    """How the reader is trained."""

    steps: int = field(default=4000, metadata={"help": "Batches to learn from."})
    batch: int = field(default=32, metadata={"help": "People a step."})
    seed: int = field(default=1, metadata={"help": "Of all that is drawn."})
    learning_rate: float = field(default=2e-3, metadata={"help": "The highest."})
    weight_decay: float = field(default=0.01, metadata={"help": "Of weights."})
    warmup: int = field(default=100, metadata={"help": "Steps until the highest learning rate."})
    ema: float = field(
        default=0.995, metadata={"help": "The network kept is a mean over the last 1 / (1 - ema) steps."}
    )
    save_every: int = field(default=200, metadata={"help": "Steps between checkpoints to go on from."})

    def check(self) -> None:
        """Raise `UsageError` for what cannot be trained."""
        if min(self.steps, self.batch, self.save_every) < 1 or min(self.seed, self.warmup) < 0:
            raise UsageError("--steps, --batch and --save-every must be 1 or more, --seed and --warmup 0 or more")
        if not (self.learning_rate > 0 and self.weight_decay >= 0 and 0 <= self.ema < 1):
            raise UsageError("--learning-rate, --weight-decay or --ema makes no sense")


def train_reader(
    people: People,
    out: Path,
    settings: ReaderSettings,
    made: dict[str, Any] | None = None,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> ReaderNetwork:
    """Train a reader and write it to `out` (`reader.pt`), with the state to go on from (`last.pt`) on the way.

    Parameters
    ----------
    made : how the people were made, plain values, for the record. on_step : called with the steps made and the loss.

    Raises
    ------
    UsageError : settings that make no sense, or `out` holds the state of a training of other settings or people.
    McbenchError : a loss that is no number (reason `not_a_number`). The last state is whole.
    """
    settings.check()
    run = _Run(people, Path(out), settings)
    return run.train({**(made or {}), "settings": asdict(settings), "people": len(people)}, on_step)


class _Run:
    def __init__(self, people: People, out: Path, settings: ReaderSettings) -> None:
        self.people, self.out, self.settings = people, out, settings
        self.key = sha256_json({**asdict(settings), "save_every": 0, "people": len(people)})
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        state = self._state()
        torch.manual_seed(settings.seed)
        network = ReaderNetwork()
        if state is None:
            network.start_from(load_network(shipped_weights()))
        self.network = network.to(self.device).train()
        self.average = copy.deepcopy(network).eval().requires_grad_(False)
        for layer in self.network.kept:
            layer.requires_grad_(False)
        # the backbone has its statistics from more images than are here
        for layer in (self.network.stem, self.network.blocks):
            layer.eval()
        self.learning = [p for p in self.network.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.learning, settings.learning_rate, weight_decay=settings.weight_decay)
        self.step = 0
        if state is not None:
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step = int(state["step"])
        self.weight = torch.tensor([_weight(name) for name in READER19.joints], device=self.device)

    def _state(self) -> Any:
        path = self.out / STATE
        if not path.exists():
            self.out.mkdir(parents=True, exist_ok=True)
            return None
        state = read_torch(path)
        if state.get("format") != _STATE_FORMAT:
            raise InputError("is no state of a reader's training", path=path, reason="bad_checkpoint")
        if state["key"] != self.key:
            raise UsageError("is the state of a training with other settings or people", path=path)
        return state

    def train(self, made: dict[str, Any], on_step: Callable[[int, float], None]) -> ReaderNetwork:
        settings, began = self.settings, time.perf_counter()
        order = Order(len(self.people), range(self.step, settings.steps), settings.batch, settings.seed)
        for draws in order:
            lessons = [
                lesson(self.people, d.index, np.random.default_rng([settings.seed, 2, d.step, d.slot])) for d in draws
            ]
            loss = self._learn(lessons)
            self.step += 1
            on_step(self.step, loss)
            if self.step % settings.save_every == 0 or self.step == settings.steps:
                self._save()
        made = {**made, "seconds": round(time.perf_counter() - began), "device": self.device.type}
        save_reader(self.out / MODEL, self.average, made)
        return self.average

    def _learn(self, lessons: Sequence[Lesson]) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate()
        asked = np.stack([heat_targets(one.points, one.visible) for one in lessons])
        said = torch.log_softmax(self.network(*_tensors(lessons, self.device)), dim=-1)
        each = -(torch.from_numpy(asked).to(self.device) * said).sum(-1)
        loss = (each * self.weight).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.learning, _MAX_GRADIENT)
        if not (torch.isfinite(loss) and torch.isfinite(norm)):
            raise McbenchError(
                f"step {self.step}: the loss or its gradient is not a number",
                hint=f"{self.out / STATE} is whole; lower the learning rate",
                reason="not_a_number",
            )
        self.optimizer.step()
        with torch.no_grad():
            decay = min(self.settings.ema, (1 + self.step) / (20 + self.step))
            for mean, now in zip(_all(self.average), _all(self.network), strict=True):
                mean.lerp_(now, 1 - decay)
        return float(loss.detach())

    def _rate(self) -> float:
        """Learning rate: up linearly, down to a hundredth along a cosine."""
        settings = self.settings
        up = min(1.0, (self.step + 1) / (settings.warmup + 1))
        down = 0.01 + 0.99 * (1 + math.cos(math.pi * self.step / settings.steps)) / 2
        return settings.learning_rate * up * down

    def _save(self) -> None:
        state = {
            "format": _STATE_FORMAT,
            "key": self.key,
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        write_bytes(self.out / STATE, torch_bytes(state))


@torch.no_grad()
def score_reader(network: ReaderNetwork, people: People, batch: int = 32) -> dict[str, float]:
    """How well a network reads people whom it has not learnt from, at places that are a little off.

    Returns
    -------
    `visible_right`: of the limb joints that can be seen, the share read right; `visible_sure`, `hidden_sure`: of those
    that can and cannot be seen, the share read with a score of 0.5 or more; `sure_right`: the share of these that is
    right; `median_off`: of visible ones, as a share of stature.
    """
    device = next(network.parameters()).device
    off, score, visible = [], [], []
    for first in range(0, len(people), batch):
        lessons = [plain_lesson(people, i) for i in range(first, min(first + batch, len(people)))]
        said = torch.softmax(network(*_tensors(lessons, device)), dim=-1).cpu().numpy()
        for one, distributions in zip(lessons, said, strict=True):
            reading = HeatReading.of(distributions)
            off.append(np.linalg.norm(reading.points - one.points, axis=1)[_LIMBS] / one.stature)
            score.append(reading.score[_LIMBS])
            visible.append(one.visible[_LIMBS])
    away, sure, seen = np.concatenate(off), np.concatenate(score) >= _SURE, np.concatenate(visible)
    return {
        "people": len(people),
        "visible_right": _share(away[seen] < _RIGHT),
        "visible_sure": _share(sure[seen]),
        "hidden_sure": _share(sure[~seen]),
        "sure_right": _share(away[sure] < _RIGHT),
        "median_off": round(float(np.median(away[seen])), 4) if seen.any() else math.nan,
    }


def _share(which: npt.NDArray[np.bool_]) -> float:
    return round(float(which.mean()), 4) if len(which) else math.nan


def _tensors(lessons: Sequence[Lesson], device: torch.device) -> tuple[Tensor, Tensor]:
    pictures, maps = (np.stack([getattr(one, name) for one in lessons]) for name in ("picture", "maps"))
    return torch.from_numpy(pictures).to(device), torch.from_numpy(maps).to(device)


def _weight(name: str) -> float:
    return _WEIGHTS.get(name.removeprefix("left_").removeprefix("right_"), 1.0)


def _all(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]
