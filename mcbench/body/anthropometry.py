"""Who people are: sex, age and stature of a population, from published anthropometry.

Adults: Fryar, Carroll, Gu, Afful, Ogden, "Anthropometric reference data for children and adults: United States,
2015-2018", Vital and Health Statistics 3(46), 2021: mean stature of men 175.3 cm, of women 161.3 cm; standard
deviations near 7.5 and 7.0 cm. Children: medians of stature for age of the CDC growth charts (Kuczmarski et al.,
Vital and Health Statistics 11(246), 2002), rounded to a centimetre, with a standard deviation of 4.5 % of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

#: Mean stature and its standard deviation (m) of adults.
MEN, WOMEN = (1.753, 0.075), (1.613, 0.070)
CHILD_SHARE = 0.1
CHILD_AGES = (6, 8, 10, 12, 14, 16)
BOYS_MEDIAN = (1.16, 1.28, 1.39, 1.49, 1.64, 1.74)
GIRLS_MEDIAN = (1.15, 1.28, 1.38, 1.51, 1.60, 1.62)
CHILD_DEVIATION = 0.045


@dataclass(frozen=True)
class People:
    """N people: `female` (N,) bool, `age` (N,) years, `stature` (N,) metres."""

    female: npt.NDArray[np.bool_]
    age: Array
    stature: Array


def sample_people(rng: np.random.Generator, count: int, child_share: float = CHILD_SHARE) -> People:
    """Draw people: half women, `child_share` of them from 6 to 17 years, the others from 18 to 75."""
    female = rng.random(count) < 0.5
    child = rng.random(count) < child_share
    age = np.where(child, rng.uniform(6, 17, count), rng.uniform(18, 75, count))
    median = np.where(female, np.interp(age, CHILD_AGES, GIRLS_MEDIAN), np.interp(age, CHILD_AGES, BOYS_MEDIAN))
    mean = np.where(child, median, np.where(female, WOMEN[0], MEN[0]))
    deviation = np.where(child, CHILD_DEVIATION * median, np.where(female, WOMEN[1], MEN[1]))
    # Within 2.5 standard deviations: who is rarer is beyond what body scans of a model's size can show.
    score = np.clip(rng.standard_normal(count), -2.5, 2.5)
    return People(female, age, mean + deviation * score)
