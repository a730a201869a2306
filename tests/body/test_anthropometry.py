"""A population is who it is said to be."""

from __future__ import annotations

import numpy as np
import pytest

from mcbench.body.anthropometry import CHILD_SHARE, sample_people


def test_adults_are_as_tall_as_published() -> None:
    people = sample_people(np.random.default_rng(0), 40_000, child_share=0.0)
    assert people.age.min() >= 18 and people.age.max() <= 75
    assert people.female.mean() == pytest.approx(0.5, abs=0.01)
    for female, mean, deviation in ((False, 1.753, 0.075), (True, 1.613, 0.070)):
        stature = people.stature[people.female == female]
        assert stature.mean() == pytest.approx(mean, abs=0.003)
        assert stature.std() == pytest.approx(deviation, rel=0.04)
        assert np.abs(stature - mean).max() <= 2.5 * deviation + 1e-9


def test_children_grow() -> None:
    people = sample_people(np.random.default_rng(1), 40_000, child_share=1.0)
    assert people.age.min() >= 6 and people.age.max() <= 17
    # medians of stature for age: CDC growth charts, 2000
    known = ((False, 6, 1.16), (True, 6, 1.15), (False, 10, 1.39), (True, 12, 1.51), (False, 16, 1.74))
    for female, age, median in known:
        near = (people.female == female) & (np.abs(people.age - age) < 0.3)
        assert np.median(people.stature[near]) == pytest.approx(median, abs=0.02), (female, age)


def test_one_in_ten_is_a_child_and_seeds_decide() -> None:
    people = sample_people(np.random.default_rng(2), 20_000)
    assert (people.age < 18).mean() == pytest.approx(CHILD_SHARE, abs=0.01)
    again = sample_people(np.random.default_rng(2), 20_000)
    assert np.array_equal(people.stature, again.stature) and np.array_equal(people.age, again.age)
    assert not np.array_equal(people.stature, sample_people(np.random.default_rng(3), 20_000).stature)
