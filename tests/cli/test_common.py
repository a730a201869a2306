"""What every command promises: help with an example, one JSON document, exit statuses, errors in one line."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from mcbench.cli.common import Output, common_options, table
from mcbench.cli.main import main
from mcbench.errors import InputError, UsageError
from mcbench.workspace.workspace import Workspace

COMMANDS = main.list_commands(click.Context(main))


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_an_example_and_the_shared_options(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert f"mcbench {name}" in result.output.split("Example", 1)[1]
    for option in ("--json", "--verbose", "--quiet"):
        assert option in result.output


def test_unknown_command_is_wrong_usage() -> None:
    assert CliRunner().invoke(main, ["fly"]).exit_code == 2


@pytest.mark.parametrize("name", ["sfm", "detect", "fit", "validate", "run", "status", "verify", "export", "report"])
def test_what_is_no_workspace_is_wrong_usage_in_one_line(name: str, tmp_path: Path) -> None:
    arguments = [name, str(tmp_path / "absent")]
    if name in ("export", "report"):
        arguments.append(str(tmp_path / "out")) if name == "export" else arguments.extend(["-o", str(tmp_path / "out")])
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2, result.output
    assert "absent: is not a workspace" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def _command(error: Exception | None) -> click.Command:
    @click.command()
    @common_options
    def command(output: Output) -> int | None:
        output.note("working")
        if error:
            raise error
        output.result({"x": float("nan"), "name": "[red]"}, table("t", "a", "b", rows=[["[red]", 1.23456]]))
        return None

    return command


def test_json_is_exactly_one_document_on_stdout() -> None:
    result = CliRunner().invoke(_command(None), ["--json"])
    assert json.loads(result.stdout) == {"x": None, "name": "[red]"}
    assert "working" in result.stderr
    assert result.exit_code == 0


def test_quiet_hides_no_failure(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("hello")
    result = CliRunner().invoke(main, ["import", str(tmp_path / "text.mp4"), str(tmp_path / "ws"), "--quiet"])
    assert result.exit_code == 1 and "text.mp4: is not a video" in result.stderr


def test_tables_print_markup_as_it_is() -> None:
    result = CliRunner().invoke(_command(None), [])
    assert "[red]" in result.stdout
    assert "1.2" in result.stdout


@pytest.mark.parametrize(("error", "status"), [(UsageError("no", path="p"), 2), (InputError("no", path="p"), 1)])
def test_errors_become_one_line_and_a_status(error: Exception, status: int) -> None:
    result = CliRunner().invoke(_command(error), ["--quiet"])
    assert (result.exit_code, result.stderr) == (status, "error: p: no\n")
    result = CliRunner().invoke(_command(error), ["--json", "--quiet"])
    assert json.loads(result.stdout)["error"]["message"] == "p: no"


@pytest.mark.parametrize(
    ("error", "reason", "says"),
    [
        (OSError(28, "No space left on device"), "io_error", "make room"),
        (PermissionError(13, "Permission denied", "/ro/x"), "io_error", "/ro/x: permission denied"),
        (AttributeError("'int' object\nhas no 'x'"), "internal", "please report it: AttributeError"),
    ],
)
def test_what_nobody_foresaw_is_one_line_too(error: Exception, reason: str, says: str) -> None:
    result = CliRunner().invoke(_command(error), ["--json", "--quiet"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"]["reason"] == reason
    assert says in result.stderr and len(result.stderr.splitlines()) == 1


def test_interrupt_says_what_to_do() -> None:
    @click.command()
    @common_options
    def command(output: Output) -> None:
        raise KeyboardInterrupt

    result = CliRunner().invoke(command, ["--json"])
    assert (result.exit_code, result.stderr) == (130, "error: stopped (run it again to go on)\n")
    assert json.loads(result.stdout)["error"]["reason"] == "interrupted"


@pytest.mark.parametrize("words", [["import"], ["fly"], [], ["sfm", "ws", "--workers", "0"]])
def test_wrong_options_are_told_in_json_too(words: list[str]) -> None:
    result = CliRunner().invoke(main, [*words, "--json"])
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["reason"] == "usage"


def test_titles_print_markup_as_it_is() -> None:
    assert str(table("out/x[/red]", "a", rows=[]).title) == "out/x[/red]"


def test_a_terminal_without_a_letter_gets_an_escape() -> None:
    script = "from mcbench.cli.common import Output; Output(False, 0).result({}, 'caf\\u00e9 \\udcff')"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"}
    )
    assert done.stdout == rb"caf\xe9 \udcff" + b"\n", done.stderr


def test_a_full_disk_behind_stdout_is_told() -> None:
    command = [sys.executable, "-m", "mcbench.cli.main", "sfm", "absent", "--json"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


def test_a_stage_whose_input_is_missing_says_so(tmp_path: Path) -> None:
    workspace = Workspace.open_or_create(tmp_path / "ws")
    workspace.add_source("clip", "/clip.mp4", lambda out: {}, settings={}, content={})
    result = CliRunner().invoke(main, ["fit", str(workspace.root), "--workers", "1"])
    assert result.exit_code == 1
    assert "clip: fit skipped: sfm is not done" in result.stderr


_SLEEPS = """
import click, sys, time
import pycolmap  # whose import makes SIGTERM print a native stack
from mcbench.cli.common import common_options

@click.command()
@common_options
def command(output):
    print("ready", file=sys.stderr, flush=True)
    time.sleep(60)

command()
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_a_command_in_order(number: signal.Signals, status: int) -> None:
    # a shell that runs the tests in the background makes its children deaf to Ctrl-C: not this one
    hears = functools.partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-c", _SLEEPS, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hears,
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "ready\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == status
    assert err == "error: stopped (run it again to go on)\n"
    assert json.loads(out)["error"]["reason"] == "interrupted"
