"""`mcbench doctor` tells what is here and what is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from mcbench.cli.main import main


def test_an_empty_cache_is_told_with_the_command_that_fills_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCBENCH_CACHE", str(tmp_path / "empty"))
    result = CliRunner().invoke(main, ["doctor", "--json"])
    checks = {c["what"]: c for c in json.loads(result.stdout)["checks"]}
    assert result.exit_code == 1
    assert (checks["open body"]["status"], checks["open body"]["advice"]) == ("missing", "mcbench body")
    assert checks["open body with hands and face"]["advice"] == "mcbench body"
    assert (checks["weights"]["status"], checks["weights"]["advice"]) == ("missing", "mcbench weights")
    assert checks["numpy"]["status"] == "ok"
    assert not (tmp_path / "empty").exists()
