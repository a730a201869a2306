"""The reader's network that comes with mcbench, without loading it."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

#: Of the file, which decides what `detect` makes.
SHA256 = "4fba3996123aaf1639ad2b540464e20984b3b712f94262e8e43f050acc01325d"


def shipped_reader() -> Path:
    """The file."""
    return Path(str(resources.files("mcbench.reader") / "data" / "reader.pt"))
