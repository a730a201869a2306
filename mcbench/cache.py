"""Where mcbench keeps what it builds or fetches once a machine: body models and weights."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(*parts: str) -> Path:
    """`$MCBENCH_CACHE`, else `$XDG_CACHE_HOME/mcbench`, else `~/.cache/mcbench`; with `parts` appended. Not created."""
    if root := os.environ.get("MCBENCH_CACHE"):
        base = Path(root)
    elif root := os.environ.get("XDG_CACHE_HOME"):
        base = Path(root) / "mcbench"
    else:
        base = Path.home() / ".cache" / "mcbench"
    return base.joinpath(*parts)
