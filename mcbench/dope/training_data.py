"""Training images: labelled ones by number, the order in which they come, and the batches made of them."""

from __future__ import annotations

import functools
import tarfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from mcbench.dataset.files import sha256_file, sha256_json
from mcbench.dataset.label_shards import INDEX, Labelled, labelled_image, labelled_people, parse_record, shard_paths
from mcbench.dope.augmentation import AugmentationSettings, augment
from mcbench.dope.network import DopeConfig
from mcbench.dope.people import KINDS, WholeBody
from mcbench.dope.targets import KindBatch, KindTargets, image_targets
from mcbench.errors import InputError


class LabelledImages(Protocol):
    """Labelled images by number."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Labelled: ...


@dataclass(frozen=True)
class _Place:
    """Where an image and its record lie in a shard: offsets and lengths in bytes."""

    path: Path
    key: str
    image: tuple[int, int]
    record: tuple[int, int]


class ShardImages:
    """The labelled images of folders of shards (`mcbench-labels/1`), read one at a time, in any order.

    Raises
    ------
    InputError : as `shard_paths`; a shard that is damaged (reason `bad_shard`); no image at all (`no_images`).
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = list(folders)
        self._places = [place for folder in folders for path in shard_paths(folder) for place in _places(path)]
        if not self._places:
            raise InputError("no labelled images", path=folders[0] if folders else None, reason="no_images")

    def __len__(self) -> int:
        return len(self._places)

    @property
    def digest(self) -> str:
        """Of what the images and labels are, wherever their folders lie: the indices, and keys and sizes of all."""
        indices = [sha256_file(folder / INDEX) for folder in self._folders]
        return sha256_json([indices, [[place.key, place.image, place.record] for place in self._places]])

    def __getitem__(self, index: int) -> Labelled:
        place = self._places[index]
        return labelled_image(place.path, place.key, self._record(place), _bytes(place.path, *place.image))

    def people(self, index: int) -> list[WholeBody]:
        """The people of an image, which is not decoded."""
        place = self._places[index]
        return labelled_people(place.path, place.key, self._record(place))

    def _record(self, place: _Place) -> dict[str, Any]:
        try:
            return parse_record(_bytes(place.path, *place.record))
        except ValueError as error:
            raise InputError(f"record {place.key}: {error}", path=place.path, reason="bad_shard") from error


def _bytes(path: Path, offset: int, length: int) -> bytes:
    with path.open("rb") as stream:
        stream.seek(offset)
        return stream.read(length)


def _places(path: Path) -> Iterator[_Place]:
    try:
        with tarfile.open(path) as archive:
            image = ("", (0, 0))
            for member in archive:
                key, _, suffix = member.name.partition(".")
                if suffix == "jpg":
                    image = (key, (member.offset_data, member.size))
                elif suffix == "json":
                    if image[0] != key:
                        raise InputError(f"record {key} has no image before it", path=path, reason="bad_shard")
                    yield _Place(path, key, image[1], (member.offset_data, member.size))
    except (tarfile.TarError, OSError) as error:
        raise InputError(f"is not a whole shard of labels: {error!r}", path=path, reason="bad_shard") from error


@dataclass(frozen=True)
class Draw:
    """One image of a batch: its number, and the step and the place in the batch that its changes are drawn for."""

    index: int
    step: int
    slot: int


class Order(Sampler[list[Draw]]):
    """The batches of a run, by seed and step alone: whoever goes on at a step sees what would have come.

    Parameters
    ----------
    count : number of images; all come once before any comes again.
    batch : images a process and step. rank, world : of the processes that share each step's batch.
    """

    def __init__(self, count: int, steps: range, batch: int, seed: int, rank: int = 0, world: int = 1) -> None:
        self.count, self.steps, self.batch, self.seed, self.rank, self.world = count, steps, batch, seed, rank, world

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[list[Draw]]:
        @functools.lru_cache(2)
        def epoch(number: int) -> Any:
            return np.random.default_rng([self.seed, 1, number]).permutation(self.count)

        for step in self.steps:
            draws = []
            for slot in range(self.rank * self.batch, (self.rank + 1) * self.batch):
                number, place = divmod(step * self.batch * self.world + slot, self.count)
                draws.append(Draw(int(epoch(number)[place]), step, slot))
            yield draws


@dataclass(frozen=True)
class Batch:
    """Images (B, 3, S, S) uint8, their targets by kind, and their names."""

    images: Tensor
    targets: dict[str, KindBatch]
    keys: list[str]

    def each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        return Batch(change(self.images), {kind: one.each(change) for kind, one in self.targets.items()}, self.keys)

    def to(self, device: torch.device) -> Batch:
        return self.each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        return self.each(lambda tensor: tensor.pin_memory())


class TrainingViews(Dataset):
    """What a draw makes of its image: a view of it, and its targets.

    Parameters
    ----------
    side : px of the square views.
    one_kind : every image speaks of one kind of part alone, drawn by its number, as where each data set has labels of
        one kind: what the network without distillation learns from.
    """

    def __init__(
        self,
        images: LabelledImages,
        config: DopeConfig,
        side: int,
        seed: int,
        settings: AugmentationSettings,
        one_kind: bool = False,
    ) -> None:
        self.images, self.config, self.side, self.seed = images, config, side, seed
        self.settings, self.one_kind = settings, one_kind

    def __getitem__(self, draw: Draw) -> tuple[Tensor, dict[str, KindTargets], str]:
        labelled = self.images[draw.index]
        rng = np.random.default_rng([self.seed, 2, draw.step, draw.slot])
        view = augment(labelled.image, labelled.people, self.side, rng, self.settings)
        kinds = {kind_for(draw.index, self.seed, labelled.labelled)} if self.one_kind else labelled.labelled
        targets = image_targets(view.people, kinds, self.config, view.ignored)
        return torch.from_numpy(view.image).permute(2, 0, 1).contiguous(), targets, labelled.key


def kind_for(index: int, seed: int, labelled: Collection[str] = KINDS) -> str:
    """The one kind of part, of those that are labelled, that an image speaks of where images speak of one."""
    kinds = [kind for kind in KINDS if kind in labelled]
    return kinds[int(np.random.default_rng([seed, 3, index]).integers(len(kinds)))]


def collate(views: Sequence[tuple[Tensor, dict[str, KindTargets], str]]) -> Batch:
    targets = [targets for _, targets, _ in views]
    batches = {kind: KindBatch.of(kind, targets) for kind in KINDS}
    return Batch(torch.stack([image for image, _, _ in views]), batches, [key for _, _, key in views])
