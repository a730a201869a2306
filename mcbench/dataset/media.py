"""The first look at a file that a user names: is it there, is it a file, can it be read, is there anything in it?"""

from __future__ import annotations

import os
from pathlib import Path

from mcbench.errors import InputError

_HEAD = 4096


def read_head(path: Path) -> bytes:
    """First bytes of a file that must exist, be a file, be readable and not be empty; else a typed `InputError`."""
    try:
        if path.is_dir():
            raise InputError("is a folder, not a file", path=path, reason="not_a_file")
        if path.exists() and not path.is_file():
            raise InputError("is not a regular file", path=path, reason="not_a_file")
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
    except FileNotFoundError as error:
        raise InputError("no such file", path=path, reason="missing_file") from error
    except OSError as error:
        raise InputError(f"cannot be read: {os.strerror(error.errno or 0)}", path=path, reason="unreadable") from error
    if not head:
        raise InputError("is empty (0 bytes)", path=path, reason="empty_file")
    return head
