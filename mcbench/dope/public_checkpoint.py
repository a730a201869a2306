"""Checkpoints of the public DOPE network (2020), as the variant `resnet50` runs them."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mcbench.dataset.media import read_head
from mcbench.dope.network import Dope, DopeConfig
from mcbench.dope.people import KINDS
from mcbench.errors import InputError

#: Released in 2020, the first layer of the proposals had another name.
_RENAMED = re.compile(r"^rpn\.head\.conv\.(weight|bias)$")
_UNUSED = re.compile(r"(num_batches_tracked|^rpn\.anchor_generator\..*)$")


def read_torch(path: Path) -> Mapping[str, Any]:
    """A dictionary that torch saved, of tensors and plain values alone: nothing that a file holds is ever run.

    Raises
    ------
    InputError : reason `missing_file`, `unreadable`, `empty_file`, `not_a_file`, or `bad_checkpoint`.
    """
    read_head(path)
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:  # torch does not look at checksums
                if (broken := archive.testzip()) is not None:
                    raise InputError(f"is damaged: {broken} fails its checksum", path=path, reason="bad_checkpoint")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except InputError:
        raise
    except pickle.UnpicklingError as error:
        raise InputError(
            "holds more than tensors and plain values, or is no checkpoint", path=path, reason="bad_checkpoint"
        ) from error
    except Exception as error:  # a broken archive may raise nearly anything
        raise InputError(
            f"not readable as a checkpoint: {type(error).__name__}", path=path, reason="bad_checkpoint"
        ) from error
    if not isinstance(content, Mapping):
        raise InputError("is no checkpoint: it holds no dictionary", path=path, reason="bad_checkpoint")
    return content


def load_public(path: Path) -> Dope:
    """The network of a public checkpoint, for inference, float32.

    Hands' classes below the `K` of `hand_ppi_kwargs` are right hands; of the bodies' the second half are upper bodies.

    Raises
    ------
    InputError : not such a checkpoint (reason `bad_checkpoint`), or as `read_torch` says.
    """
    content = read_torch(path)
    try:
        state, settings = content["state_dict"], content["dope_kwargs"]
        classes = _classes(settings["num_anchor_poses"])
        config = DopeConfig(
            backbone="resnet50",
            classes=classes,
            upper_from=classes["body"] // 2,
            left_from=int(content.get("hand_ppi_kwargs", {}).get("K", classes["hand"] // 2)),
            units=dict.fromkeys(KINDS, 1.0),
            min_size=int(_first(settings.get("min_size", 800))),
            max_size=int(settings.get("max_size", 1333)),
            per_kind=False,
            bases_first=True,
        )
        network = Dope(config)
        load_state(network, state)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise InputError(
            f"is no checkpoint of the public network: {error}", path=path, reason="bad_checkpoint"
        ) from error
    return network.eval()


def load_state(network: Dope, state: Mapping[str, Tensor]) -> None:
    """Load a state dict of the public layout, either spelling, in its own order: where the backbone stands under two
    names, the later one wins. Raises ValueError for entries that are missing, unknown, of another shape, or not finite.
    """
    require_finite(state)
    own = dict(network.state_dict(keep_vars=True))
    loaded = set()
    for key, value in state.items():
        name = _RENAMED.sub(r"rpn.head.conv.0.0.\1", key)
        if _UNUSED.search(name):
            continue
        if name not in own:
            raise ValueError(f"unknown entry {key}")
        target = own[name]
        if not isinstance(value, Tensor) or value.shape != target.shape:
            raise ValueError(f"{key} has shape {tuple(getattr(value, 'shape', ()))}, expected {tuple(target.shape)}")
        with torch.no_grad():
            target.copy_(value)
        loaded.add(id(target))
    absent = [name for name, tensor in own.items() if id(tensor) not in loaded]
    if absent:
        raise ValueError(f"{len(absent)} entries are missing, {absent[0]} the first")


def require_finite(state: Mapping[str, Any]) -> None:
    """Raise ValueError for weights that are infinite or not a number."""
    for name, value in state.items():
        if isinstance(value, Tensor) and not torch.isfinite(value).all():
            raise ValueError(f"{name} is not finite")


def _classes(counts: Any) -> dict[str, int]:
    return {kind: int(counts[kind]) for kind in KINDS}


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, (tuple, list)) else value
