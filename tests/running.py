"""Running the command line in tests."""

from __future__ import annotations

from click.testing import CliRunner, Result

from mcbench.cli.main import main


def mcbench(*arguments: object, status: int | None = 0) -> Result:
    """Run a command in this process; its exit status must be `status` unless that is None."""
    result = CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)
    assert status is None or result.exit_code == status, result.output
    return result
