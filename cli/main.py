"""The `mcbench` command: imports a command's module only when that command is asked for."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

import mcbench

#: Command name -> module in mcbench.cli, in the order of the chain.
_COMMANDS = {
    "synth": "synth",
    "download": "download",
    "import": "import_",
    "sfm": "sfm",
    "detect": "detect",
    "fit": "fit",
    "validate": "validate",
    "run": "run",
    "status": "status",
    "report": "report",
    "export": "export",
    "predict": "predict",
    "evaluate": "evaluate",
    "audit": "audit",
    "calibrate": "calibrate",
    "pseudo-label": "pseudo_label",
    "train-dope": "train_dope",
    "eval-dope": "eval_dope",
    "dope": "dope",
    "export-dope": "export_dope",
    "distil": "distil",
    "train-reader": "train_reader",
    "verify": "verify",
    "weights": "weights",
    "body": "body",
    "doctor": "doctor",
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        return importlib.import_module(f"mcbench.cli.{_COMMANDS[cmd_name]}").command

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        words = list(args)
        with _usage_as_json(words):
            ctx = super().make_context(info_name, args, parent, **extra)
        ctx.obj = words
        return ctx

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with _usage_as_json(ctx.obj or ()):
                return super().invoke(ctx)
        except KeyboardInterrupt:  # while a command's module was still being imported
            click.echo("error: stopped", err=True)
            sys.exit(130)


@contextmanager
def _usage_as_json(words: Sequence[str]) -> Iterator[None]:
    """Whoever asked for --json gets a document of wrong options, too, which click tells people alone."""
    try:
        yield
    except click.UsageError as error:
        if "--json" in words:
            from mcbench.cli.common import error_document  # late: it is slow to import, and --help does without

            click.echo(error_document("usage", error.format_message()), nl=False)
        raise


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(mcbench.__version__, prog_name="mcbench")
def main() -> None:
    """Videos of people holding still become a validated benchmark of 3D human pose and shape.

    \b
    A first run:
      mcbench synth demo --scenes 2 --people 3 --seed 1
      mcbench import demo/clips ws
      mcbench run ws
      mcbench audit ws --truth demo/truth
    """


if __name__ == "__main__":
    main()
