"""Locks on files: the kernel lets go of them when their process dies, however it dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mcbench.errors import McbenchError


@contextmanager
def lock(path: Path, busy: str, *, shown: Path | None = None, remove: bool = False) -> Iterator[None]:
    """Hold the lock file `path` for this process, which need not exist yet.

    Parameters
    ----------
    busy : what is wrong where another process holds it.
    shown : what the message names instead of the lock file.
    remove : take the file away at the end.

    Raises
    ------
    McbenchError : another process holds it (reason `locked`).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                hint = "wait for it, then run again"
                raise McbenchError(busy, path=shown or path, hint=hint, reason="locked") from error
            if not _is_still(path, stream.fileno()):
                continue  # whoever held it has removed it just now: a lock on that file keeps nobody out
            try:
                yield
            finally:
                if remove:
                    path.unlink(missing_ok=True)
            return


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
