"""`mcbench body` builds what is missing, damaged or of another version, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from body.hand_made import smpl_arrays

from mcbench.body import open_body
from mcbench.body.model import OPEN_BODY, OPEN_BODY_VERSION, OPEN_BODY_X, open_body_path
from mcbench.dataset.files import write_npz
from mcbench.pipelines.build_body import build


def made(version: int) -> dict[str, open_body.OpenBody]:
    told = {"provenance": np.array(json.dumps({"version": version}))}
    kinds = {OPEN_BODY: smpl_arrays(), OPEN_BODY_X: smpl_arrays(joints=55, components=20)}
    return {name: open_body.OpenBody({**arrays, **told}, {"of": name}) for name, arrays in kinds.items()}


@pytest.fixture
def builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often the bodies were built, one entry a build; into a cache of its own."""
    monkeypatch.setenv("MCBENCH_CACHE", str(tmp_path))
    count: list[int] = []

    def build_toys(_progress: object) -> dict[str, open_body.OpenBody]:
        count.append(1)
        return made(OPEN_BODY_VERSION)

    monkeypatch.setattr(open_body, "build_open_bodies", build_toys)
    return count


def test_both_are_built_once(builds: list[int]) -> None:
    first = build()
    assert [(b.path, b.model.n_joints, b.built, b.figures) for b in first] == [
        (open_body_path(OPEN_BODY), 24, True, {"of": OPEN_BODY}),
        (open_body_path(OPEN_BODY_X), 55, True, {"of": OPEN_BODY_X}),
    ]
    again = build()
    assert [(b.built, b.model.digest) for b in again] == [(False, b.model.digest) for b in first]
    assert len(builds) == 1
    assert all(b.built for b in build(force=True)) and len(builds) == 2


@pytest.mark.parametrize("name", [OPEN_BODY, OPEN_BODY_X])
@pytest.mark.parametrize("fault", ["absent", "damaged", "old"])
def test_what_cannot_be_used_is_built_anew(name: str, fault: str, builds: list[int]) -> None:
    build()
    path = open_body_path(name)
    path.unlink()
    if fault == "damaged":
        path.write_bytes(b"no archive")
    elif fault == "old":
        write_npz(path, made(OPEN_BODY_VERSION - 1)[name].arrays)
    told: list[str] = []
    assert all(b.built for b in build(progress=told.append)) and len(builds) == 2
    assert len(told) == 1 and "building it anew" in told[0]
    assert not any(b.built for b in build())
