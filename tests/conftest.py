"""Fixtures that all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from mcbench.body.model import OPEN_BODY, OPEN_BODY_X, BodyModel, load_body
from mcbench.errors import InputError

# How long an example takes is the machine's business: timing lives in benchmarks/.
settings.register_profile("mcbench", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("mcbench")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder of real test material; tests that need it skip, with this reason, where it is absent."""
    folder = Path(os.environ.get("MCBENCH_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real test data absent: {folder} is not a folder (set MCBENCH_TEST_DATA)")
    return folder


def _built(name: str) -> BodyModel:
    try:
        return load_body(name)
    except InputError as error:
        if error.reason != "no_body":
            raise
        pytest.skip(f"{error.message}: {error.path} (run `mcbench body`)")


@pytest.fixture(scope="session")
def open_body() -> BodyModel:
    return _built(OPEN_BODY)


@pytest.fixture(scope="session")
def open_body_x() -> BodyModel:
    return _built(OPEN_BODY_X)
