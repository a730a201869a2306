"""Fixtures that all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder of real test material; tests that need it skip, with this reason, where it is absent."""
    folder = Path(os.environ.get("MCBENCH_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real test data absent: {folder} is not a folder (set MCBENCH_TEST_DATA)")
    return folder
