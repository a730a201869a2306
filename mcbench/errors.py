"""The errors that mcbench raises on purpose: what, where, what to do; and a typed reason for machines."""

from __future__ import annotations

import errno
from pathlib import Path


class McbenchError(Exception):
    """Base of every error that a person may be shown without a traceback.

    Parameters
    ----------
    message : what is wrong, one line, no trailing full stop.
    path : the file or folder concerned, shown in front of the message.
    hint : what the reader can do about it.
    reason : a short stable identifier (`snake_case`) for machines.
    """

    default_reason = "error"

    def __init__(
        self,
        message: str,
        *,
        path: str | Path | None = None,
        hint: str | None = None,
        reason: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.path = None if path is None else Path(path)
        self.hint = hint
        self.reason = reason or self.default_reason

    def __str__(self) -> str:
        text = self.message if self.path is None else f"{self.path}: {self.message}"
        return text if self.hint is None else f"{text} ({self.hint})"

    def __reduce__(self):  # exceptions with keyword-only state do not pickle by themselves
        return _rebuild, (type(self), self.message, self.path, self.hint, self.reason)


def _rebuild(cls: type[McbenchError], message: str, path: Path | None, hint: str | None, reason: str) -> McbenchError:
    return cls(message, path=path, hint=hint, reason=reason)


class UsageError(McbenchError):
    """The command was used wrongly: nothing was done, exit status 2."""

    default_reason = "usage"


class InputError(McbenchError):
    """A file or folder that the user gave cannot be used."""

    default_reason = "bad_input"


class Rejected(McbenchError):
    """A stage looked at its input and declined it for a typed reason: a result, not a crash."""

    default_reason = "rejected"


#: What to do about what the system refused.
_HINTS = {
    errno.ENOSPC: "make room, run again",
    errno.EDQUOT: "make room, run again",
    errno.EACCES: "check who may read and write there",
    errno.EPERM: "check who may read and write there",
    errno.EROFS: "name a place that can be written",
}


def known_error(error: Exception) -> McbenchError:
    """Any error as one for people: itself, what the system refused (reason `io_error`), or a fault (`internal`)."""
    if isinstance(error, McbenchError):
        return error
    if not isinstance(error, OSError):
        return McbenchError(f"{type(error).__name__}: {error}", reason="internal")
    what = (error.strerror or str(error) or type(error).__name__).lower()
    path = error.filename if isinstance(error.filename, str | Path) else None
    return McbenchError(
        what if path else f"reading or writing failed: {what}",
        path=path,
        hint=_HINTS.get(error.errno or 0),
        reason="io_error",
    )
