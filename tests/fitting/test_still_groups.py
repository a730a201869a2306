"""Readings of several views that one still thing explains."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standing import HEIGHT, WIDTH, arc_of_cameras

from mcbench.cameras.views import Views
from mcbench.fitting.still_groups import still_groups

VIEWS = Views.from_cameras(arc_of_cameras(8))
RNG = np.random.default_rng(4)
#: Things of ten points, 0.2 m large.
THINGS = [RNG.uniform(-0.1, 0.1, (10, 3)) + place for place in ([0.0, 0.0, 1.0], [0.35, 0.2, 1.1], [-0.5, -0.4, 0.6])]


def readings(
    shown: list[tuple[int, int]], noise: float = 0.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Views, pixels and sizes of readings (view, thing); thing -1 is a false one."""
    rng = np.random.default_rng(seed)
    view, pixels = [], []
    for v, thing in shown:
        at = VIEWS.project(THINGS[max(thing, 0)])[v]
        if thing < 0:
            at = at - at.mean(0) + rng.uniform([100, 100], [WIDTH - 100, HEIGHT - 100])
        view.append(v)
        pixels.append(at + rng.normal(0, noise, at.shape))
    array = np.array(pixels)
    return np.array(view), array, np.ptp(array, axis=1).max(-1)


def groups(shown: list[tuple[int, int]], noise: float = 0.0, seed: int = 0, least: float = 2.0) -> list:
    view, pixels, size = readings(shown, noise, seed)
    return still_groups(VIEWS, view, pixels, np.full(len(view), 0.9), size, 0.15, least)


def test_things_are_told_apart_and_placed() -> None:
    shown = [(v, t) for v in range(8) for t in range(3) if (v + t) % 3]
    found = groups(shown)
    assert sorted(tuple(g.members) for g in found) == sorted(
        tuple(n for n, (_, t) in enumerate(shown) if t == thing) for thing in range(3)
    )
    for group in found:
        thing = shown[group.members[0]][1]
        np.testing.assert_allclose(group.points, THINGS[thing], atol=1e-6)
        assert group.support == pytest.approx(0.9 * len(group.members))


@settings(max_examples=15)
@given(seed=st.integers(0, 1000))
def test_false_readings_join_nobody(seed: int) -> None:
    shown = [(v, 0) for v in range(0, 8, 2)] + [(v, -1) for v in range(8)]
    found = groups(shown, noise=1.0, seed=seed)
    assert [g for g in found if {0, 1, 2, 3} <= set(g.members.tolist())]
    assert all(len(g.members) <= 4 or set(g.members.tolist()) >= {0, 1, 2, 3} for g in found)


def test_a_view_has_one_reading_of_a_thing() -> None:
    found = groups([(v, 0) for v in range(4)] + [(0, 0)])
    assert len(found) == 1 and len(found[0].members) == 4


@pytest.mark.parametrize("shown", [[], [(0, 0)], [(0, 0), (0, 0)], [(0, 0), (1, 0)], [(0, 0), (1, 1), (2, 2)]])
def test_too_few_are_nothing(shown: list[tuple[int, int]]) -> None:
    if shown:
        assert groups(shown) == []
    else:
        empty = np.zeros((0, 10, 2))
        assert still_groups(VIEWS, np.zeros(0, np.int64), empty, np.zeros(0), np.zeros(0), 0.15, 2.0) == []
