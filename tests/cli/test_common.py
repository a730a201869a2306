"""What every command promises: help with an example, one JSON document, exit statuses, errors in one line."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from mcbench.cli.common import Output, common_options, table
from mcbench.cli.main import main
from mcbench.errors import InputError, UsageError

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
