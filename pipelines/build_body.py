"""Build the open body into the cache folder, once a machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcbench.body.model import OPEN_BODY, OPEN_BODY_X, BodyModel, load_body, open_body_path
from mcbench.dataset.files import write_npz
from mcbench.errors import InputError


@dataclass(frozen=True)
class BuiltBody:
    """An open body: where it is, the model, whether it was built now, and figures about it (empty if not)."""

    path: Path
    model: BodyModel
    built: bool
    figures: dict[str, Any]


def build(*, force: bool = False, progress: Callable[[str], None] = lambda label: None) -> list[BuiltBody]:
    """Build the open body in SMPL's and in SMPL-X's format, in this order, unless both are there as this version of
    mcbench builds them; a file that cannot be read is built anew."""
    names = (OPEN_BODY, OPEN_BODY_X)
    if not force:
        try:
            return [BuiltBody(open_body_path(name), load_body(name), False, {}) for name in names]
        except InputError as error:
            if any(open_body_path(name).exists() for name in names):
                progress(f"{error.message}: building it anew")
    import torch

    # Loading anny takes seconds, so only those who build pay for it.
    from mcbench.body.open_body import build_open_bodies

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums in one order, whatever the machine
    try:
        made = build_open_bodies(progress)
    finally:
        torch.set_num_threads(threads)
    found = []
    for name in names:
        path = open_body_path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_npz(path, made[name].arrays)
        found.append(BuiltBody(path, load_body(name), True, made[name].figures))
    return found
