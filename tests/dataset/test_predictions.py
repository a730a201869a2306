"""Prediction files: round trip and refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mcbench.dataset.predictions import FILE, Predictions
from mcbench.errors import InputError


def predictions(n: int = 3, **changes: object) -> Predictions:
    rng = np.random.default_rng(0)
    made = Predictions(
        method="mine",
        benchmark="b" * 64,
        body_digest="",
        image=np.arange(n),
        score=rng.random(n),
        box=rng.random((n, 4)),
        joints=rng.normal(size=(n, 24, 3)),
        vertices=np.zeros((n, 0, 3)),
        betas=np.zeros((n, 0)),
        global_orient=np.zeros((n, 3)),
        body_pose=np.zeros((n, 23, 3)),
        transl=np.zeros((n, 3)),
    )
    return replace(made, **changes)


@pytest.mark.parametrize("n", [0, 3])
def test_round_trip(tmp_path: Path, n: int) -> None:
    predictions(n).save(tmp_path / "p")
    loaded = Predictions.load(tmp_path / "p", images=3)
    assert (loaded.method, len(loaded)) == ("mine", n)
    np.testing.assert_array_equal(loaded.joints, predictions(n).joints)
    assert not loaded.has_vertices and not loaded.has_parameters


def test_equal_predictions_give_equal_bytes(tmp_path: Path) -> None:
    for name in "ab":
        predictions().save(tmp_path / name)
    assert (tmp_path / "a" / FILE).read_bytes() == (tmp_path / "b" / FILE).read_bytes()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"joints": np.zeros((3, 17, 3))}, "joints"),
        ({"box": np.zeros((2, 4))}, "box"),
        ({"vertices": np.zeros((3, 5))}, "vertices"),
        ({"image": np.array([0, 1, 7])}, "image 7"),
        ({"image": np.array([0, 1, -1])}, "image"),
        ({"image": np.array([0.0, 1.0, 2.0])}, "image"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_path(tmp_path: Path, changes: dict, told: str) -> None:
    predictions(**changes).save(tmp_path / "p")
    with pytest.raises(InputError, match=told) as caught:
        Predictions.load(tmp_path / "p", images=3)
    assert caught.value.path == tmp_path / "p" / FILE


def test_absent_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        Predictions.load(tmp_path)
    np.savez(tmp_path / FILE, joints=np.zeros(3))
    with pytest.raises(InputError, match="format"):
        Predictions.load(tmp_path)
