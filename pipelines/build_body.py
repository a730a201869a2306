"""Build the open body into the cache folder, once a machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcbench.body.model import BodyModel, load_body, open_body_path
from mcbench.dataset.files import write_npz
from mcbench.errors import InputError


@dataclass(frozen=True)
class BuiltBody:
    """The open body: where it is, the model, whether it was built now, and figures about it (empty if not)."""

    path: Path
    model: BodyModel
    built: bool
    figures: dict[str, Any]


def build(*, force: bool = False, progress: Callable[[str], None] = lambda label: None) -> BuiltBody:
    """Build the open body unless it is there; a file that cannot be read is built anew."""
    path = open_body_path()
    if not force and path.exists():
        try:
            return BuiltBody(path, load_body(), False, {})
        except InputError:
            progress("the file there is damaged: building it anew")
    import torch

    # Loading anny takes seconds, so only those who build pay for it.
    from mcbench.body.open_body import build_open_body

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums in one order, whatever the machine
    try:
        arrays, figures = build_open_body(progress)
    finally:
        torch.set_num_threads(threads)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_npz(path, arrays)
    return BuiltBody(path, load_body(), True, figures)
