"""The open body where it has been built."""

from __future__ import annotations

import pytest

from mcbench.body.model import BodyModel, load_body
from mcbench.errors import InputError


@pytest.fixture(scope="session")
def open_body() -> BodyModel:
    try:
        return load_body()
    except InputError as error:
        if error.reason != "no_body":
            raise
        pytest.skip(f"{error.message}: {error.path} (run `mcbench body`)")
