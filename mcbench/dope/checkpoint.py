"""Files of trained networks: `mcbench-dope/1`, a dictionary that torch saved, of tensors and plain values alone."""

from __future__ import annotations

import io
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import torch

from mcbench.dataset.files import write_bytes
from mcbench.dope.network import BACKBONES, Dope, DopeConfig
from mcbench.dope.people import KINDS
from mcbench.dope.public_checkpoint import load_public, read_torch, require_finite
from mcbench.errors import InputError

FORMAT = "mcbench-dope/1"


def torch_bytes(content: Any) -> bytes:
    """What torch would save."""
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def save_network(path: Path, network: Dope, made: Mapping[str, Any]) -> None:
    """Write a network in half precision, whole or not at all.

    Parameters
    ----------
    made : how it was made, plain values.
    """
    state = {
        name: tensor.detach().cpu().half() if tensor.is_floating_point() else tensor.detach().cpu()
        for name, tensor in network.state_dict().items()
    }
    content = {"format": FORMAT, "config": network.config.to_json(), "state_dict": state, "made": dict(made)}
    write_bytes(path, torch_bytes(content))


def load_network(path: Path) -> Dope:
    """A network from its file, ours or a public checkpoint, for inference, float32.

    Raises
    ------
    InputError : neither (reason `bad_checkpoint`), or not there or not readable.
    """
    content = read_torch(path)
    if "format" not in content:
        return load_public(path)
    if content["format"] != FORMAT:
        raise InputError(f"format is {content['format']!r}, expected {FORMAT!r}", path=path, reason="bad_format")
    try:
        config = config_from_json(content["config"])
        network = Dope(config)
        require_finite(content["state_dict"])
        network.load_state_dict({name: tensor.float() for name, tensor in content["state_dict"].items()})
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise InputError(f"is damaged: {error}", path=path, reason="bad_checkpoint") from error
    return network.eval()


def shipped_weights() -> Path:
    """The network that comes with mcbench.

    Raises
    ------
    InputError : this copy has none (reason `missing_weights`).
    """
    path = Path(str(resources.files("mcbench.dope") / "data" / "small.pt"))
    if not path.is_file():
        raise InputError(
            "no network comes with this copy", path=path, hint="name one: --weights", reason="missing_weights"
        )
    return path


def config_from_json(values: Mapping[str, Any]) -> DopeConfig:
    """The configuration that `DopeConfig.to_json` gave; raises KeyError, TypeError or ValueError for another thing."""
    config = DopeConfig(**values)
    if absent := config.to_json().keys() - values.keys():
        raise ValueError(f"lacks {', '.join(sorted(absent))}")
    if not (isinstance(config.classes, Mapping) and isinstance(config.units, Mapping)):
        raise TypeError("classes and units go by kinds of parts")
    if config.backbone not in BACKBONES or set(config.classes) != set(KINDS) or set(config.units) != set(KINDS):
        raise ValueError(f"unknown backbone {config.backbone!r} or kinds of parts")
    counts = {"min_size": config.min_size, "max_size": config.max_size}
    counts |= {f"classes of {kind}": count for kind, count in config.classes.items()}
    for name, count in counts.items():
        if type(count) is not int or count < 1:
            raise ValueError(f"{name} must be a whole number above 0, is {count!r}")
    if not all(isinstance(first, int) for first in (config.upper_from, config.left_from)):
        raise TypeError("classes are told by whole numbers")
    if not all(isinstance(unit, int | float) and unit > 0 for unit in config.units.values()):
        raise ValueError("units must be numbers above 0")
    return config
