"""The `mcbench` command: imports a command's module only when that command is asked for."""

from __future__ import annotations

import importlib

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
