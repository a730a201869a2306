"""The experts' weights, fetched where the cache lacks them."""

from __future__ import annotations

import pytest

from mcbench.experts.body import BlazePoseDetector
from mcbench.pipelines.weights import fetch_weights


@pytest.fixture(scope="session")
def blazepose() -> BlazePoseDetector:
    fetch_weights()
    return BlazePoseDetector()
