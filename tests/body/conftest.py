"""The open bodies where they have been built."""

from __future__ import annotations

import pytest

from mcbench.body.model import OPEN_BODY, OPEN_BODY_X, BodyModel, load_body
from mcbench.errors import InputError


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
