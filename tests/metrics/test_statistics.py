"""Summaries and intervals."""

from __future__ import annotations

import numpy as np
import pytest

from mcbench.metrics.statistics import bootstrap_interval, median, median_and_p90, share, wilson_interval


def test_nothing_measured_is_none() -> None:
    assert median([]) is None and median([np.nan]) is None
    assert median_and_p90([np.nan]) is None
    assert share(0, 0) is None and wilson_interval(0, 0) is None
    assert bootstrap_interval([1, 1], lambda i: 1.0) is None


def test_median_and_p90() -> None:
    assert median_and_p90([*range(11), np.nan]) == {"median": 5.0, "p90": 9.0}


def test_wilson_interval() -> None:
    # Wilson's definition: at the ends, the observed share lies z standard errors of that end away
    ends = wilson_interval(36, 40) or (0.0, 0.0)
    for p in ends:
        assert abs(0.9 - p) == pytest.approx(1.6448536 * np.sqrt(p * (1 - p) / 40), rel=1e-6)
    assert ends[0] < 0.9 < ends[1]
    low, high = wilson_interval(40, 40) or (0.0, 0.0)
    assert low < 1.0 and high == 1.0


def test_bootstrap_draws_whole_groups() -> None:
    groups = np.repeat(np.arange(30), 10)
    values = np.repeat(np.random.default_rng(0).normal(size=30), 10)
    low, high = bootstrap_interval(groups, lambda i: float(values[i].mean())) or (0.0, 0.0)
    by_item = bootstrap_interval(np.arange(300), lambda i: float(values[i].mean())) or (0.0, 0.0)
    assert low < values.mean() < high
    # ten copies of the same are no more evidence than one: standard error 1/sqrt(30), not 1/sqrt(300)
    assert high - low > 2 * (by_item[1] - by_item[0])
    assert bootstrap_interval(groups, lambda i: float(values[i].mean())) == (low, high)
