"""What every command shares: --json, -v/-q, progress bars on stderr, errors for people, exit statuses."""

from __future__ import annotations

import functools
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from mcbench.dataset.files import dumps
from mcbench.errors import McbenchError, UsageError, known_error
from mcbench.workspace.stage import Progress as ProgressCallback

F = TypeVar("F", bound=Callable[..., Any])

OK, SOME_FAILED, WRONG_USAGE = 0, 1, 2
#: What shells expect of a program that Ctrl-C or `kill` ended: a loop around it ends, too.
INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM
#: Columns of a table that no terminal shows.
_FILE_WIDTH = 200


class Output:
    """Where a command writes: its result to stdout, everything else to stderr.

    Attributes
    ----------
    as_json : print exactly one JSON document on stdout.
    verbosity : -1 quiet, 0 normal, 1 and more verbose.
    """

    def __init__(self, as_json: bool, verbosity: int) -> None:
        self.as_json = as_json
        self.verbosity = verbosity
        for stream in (sys.stdout, sys.stderr):
            # file names and texts hold letters that a plain terminal (LC_ALL=C) has not: escapes, then
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        # into a file or a pipe tables are as wide as they need to be
        self.out = Console(highlight=False, soft_wrap=True, width=None if _is_terminal(sys.stdout) else _FILE_WIDTH)
        self.err = Console(stderr=True, highlight=False, soft_wrap=True)
        level = logging.WARNING if verbosity <= 0 else logging.INFO if verbosity == 1 else logging.DEBUG
        logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr, force=True)

    def result(self, document: Any, *people: Any) -> None:
        """Print the result: `document` as JSON with --json, else the strings and tables for people."""
        if self.as_json:
            click.echo(dumps(document), nl=False)
        else:
            for item in people:
                self.out.print(item, markup=False) if isinstance(item, str) else self.out.print(item)
        if sys.stdout is not None:
            sys.stdout.flush()  # a full disk shows here, where it can still be told

    def note(self, text: str) -> None:
        """Say something on stderr, unless quiet."""
        if self.verbosity >= 0:
            self.problem(text)

    def problem(self, text: str) -> None:
        """Say on stderr what went wrong with a part of the work, quiet or not."""
        self.err.print(printable(text), markup=False)

    def error(self, error: McbenchError) -> None:
        self.err.print(printable(f"error: {error}"), markup=False, style="red")

    def failure(self, error: McbenchError) -> None:
        """Tell of the error that ended the command: a line on stderr, and the document that --json promises."""
        self.error(error)
        if self.as_json:
            click.echo(error_document(error.reason, str(error)), nl=False)

    @contextmanager
    def progress(self, label: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        """A progress bar on stderr; yields a function that advances it. Nothing is drawn when quiet."""
        with self._bars() as bars:
            task = bars.add_task(label, total=total)

            def advance(count: int = 1) -> None:
                bars.advance(task, count)

            yield advance

    @contextmanager
    def stage_progress(self, label: str, total: int) -> Iterator[tuple[ProgressCallback, Callable[[], None]]]:
        """A bar over scenes and one below it for what a stage reports.

        Yields the callback for stages and a function to call after every scene.
        """
        with self._bars() as bars:
            scenes = bars.add_task(label, total=total)
            inner = bars.add_task("", total=None, visible=False)

            def report(done: int, of: int | None, what: str) -> None:
                bars.update(inner, completed=done, total=of, description=f"  {what}", visible=True)

            yield report, lambda: bars.advance(scenes)

    def _bars(self) -> Progress:
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.err,
            transient=True,
            disable=self.verbosity < 0 or not self.err.is_terminal,
        )


def _is_terminal(stream: Any) -> bool:
    return stream is not None and stream.isatty()


def table(title: str | None, *columns: str, rows: list[list[Any]] | None = None) -> Table:
    """A table for people; numbers to the right."""
    made = Table(
        title=None if title is None else Text(printable(title)),
        title_justify="left",
        box=None,
        header_style="bold",
        pad_edge=False,
    )
    for index, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(r[index], (int, float, type(None))) for r in rows or [])
        made.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows or []:
        made.add_row(*[_cell(value) for value in row])
    return made


def _cell(value: Any) -> str:
    """A value for a table; a tuple's parts stand one below the other."""
    if isinstance(value, tuple):
        return "\n".join(_cell(part) for part in value)
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1 else f"{value:.1f}"
    return printable(str(value)).replace("[", r"\[")


def counted(number: int, what: str) -> str:
    """A number and what it counts: "1 scene", "2 scenes"."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def printable(text: str) -> str:
    """Text on one line that cannot steer a terminal: control characters, as in odd file names, become escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def error_document(reason: str, message: str) -> str:
    """What --json prints where there is no result."""
    return dumps({"error": {"reason": reason, "message": message}})


def _fault(error: Exception) -> McbenchError:
    """An error that nobody foresaw is ours; a traceback tells a user nothing."""
    return McbenchError(
        f"a fault in mcbench, please report it: {type(error).__name__}: {error}",
        hint="-v shows where",
        reason="internal",
    )


def _flush() -> None:
    """Give up what stdout cannot take, lest the interpreter complain of it when it ends."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Terminated(KeyboardInterrupt):
    """SIGTERM, as batch systems send it before they kill: the command ends as with Ctrl-C."""


@contextmanager
def _terminations_heard() -> Iterator[None]:
    """Let SIGTERM end the command in order; COLMAP's own handler would print a native stack and drop the rest."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are none of its business
        return

    def stop(number: int, frame: Any) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def common_options(function: F) -> F:
    """Add --json, -v and -q, pass an `Output` as first argument, and turn errors into messages and exit statuses.

    The command returns its exit status (None is 0).
    """

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout; the rest goes to stderr.")
    @click.option("-v", "--verbose", count=True, help="Say more; repeat for still more.")
    @click.option("-q", "--quiet", is_flag=True, help="Say only results and what went wrong.")
    @functools.wraps(function)
    def wrapper(*args: Any, as_json: bool, verbose: int, quiet: bool, **kwargs: Any) -> None:
        output = Output(as_json, -1 if quiet else verbose)
        status: int | None
        try:
            with _terminations_heard():
                status, failure = function(output, *args, **kwargs), None
        except KeyboardInterrupt as signalled:
            failure = McbenchError("stopped", hint="run it again to go on", reason="interrupted")
            status = TERMINATED if isinstance(signalled, _Terminated) else INTERRUPTED
        except McbenchError as error:
            failure = error
            status = WRONG_USAGE if isinstance(error, UsageError) else SOME_FAILED
        except BrokenPipeError:
            raise  # `| head`: click ends the command without a word
        except OSError as error:
            failure, status = known_error(error), SOME_FAILED
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            failure, status = _fault(error), SOME_FAILED
            if verbose:
                traceback.print_exc()
        if failure is not None:
            with suppress(OSError):
                output.failure(failure)
        _flush()
        sys.exit(status or OK)

    return wrapper  # type: ignore[return-value]
