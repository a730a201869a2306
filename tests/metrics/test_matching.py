"""Matching people one to one."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mcbench.metrics.matching import box_iou, match, mean_joint_distance


def test_the_gate_holds() -> None:
    assert match([[0.1, 0.9], [0.9, 0.6]], 0.5) == [(0, 0)]
    assert match([[np.nan]], 0.5) == []
    assert match(np.zeros((0, 3)), 0.5) == []


def test_total_cost_decides_not_greed() -> None:
    # greedy would take 0.1 first and leave 0.9
    assert match([[0.1, 0.2], [0.2, 0.9]], 1.0) == [(0, 1), (1, 0)]


def test_one_more_pair_beats_a_cheaper_total() -> None:
    assert match([[0.0, 0.49], [0.49, 3.0]], 0.5) == [(0, 1), (1, 0)]


@settings(max_examples=50)
@given(arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 4)), elements=st.floats(0, 1)))
def test_against_all_assignments(cost: np.ndarray) -> None:
    gate = 0.5
    small, transposed = (cost, False) if cost.shape[0] <= cost.shape[1] else (cost.T, True)
    best = (0, 0.0)
    for columns in itertools.permutations(range(small.shape[1]), small.shape[0]):
        used = [small[i, c] for i, c in enumerate(columns) if small[i, c] <= gate]
        best = max(best, (len(used), -sum(used)))
    found = match(cost, gate)
    assert len(found) == best[0]
    assert abs(sum(cost[r, c] for r, c in found) + best[1]) < 1e-9
    assert len({r for r, _ in found}) == len({c for _, c in found}) == len(found)
    assert transposed or all(r < cost.shape[0] for r, _ in found)


def test_only_visible_joints_count() -> None:
    a = np.zeros((1, 2, 3))
    b = np.array([[[0.3, 0, 0], [5.0, 0, 0]], [[0, 0, 0], [0, 0, 0]]])
    distance = mean_joint_distance(a, b, [[True, False], [False, False]])
    assert distance[0, 0] == 0.3
    assert np.isnan(distance[0, 1])


def test_box_iou() -> None:
    a = [[0, 0, 2, 2]]
    iou = box_iou(a, [[0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6], [np.nan] * 4, [2, 2, 1, 1]])
    np.testing.assert_allclose(iou, [[1.0, 1 / 3, 0.0, 0.0, 0.0]])
    assert box_iou(np.zeros((0, 4)), a).shape == (0, 1)
