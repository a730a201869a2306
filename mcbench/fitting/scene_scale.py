"""The scale of a scene by the bodies in it: everybody votes, and those who agree settle it together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mcbench.fitting.energy import SceneProblem, SceneState
from mcbench.fitting.person_solver import SolvedPerson, body_alone, with_noise
from mcbench.fitting.solver import Solution, minimise
from mcbench.fitting.stillness import measure_movement

Array = npt.NDArray[np.float64]

#: People whose log-scale is off the median by more than this many of its standard deviations do not vote on the scale.
_OUTLIER = 3.0
#: ... nor people who moved at least so much (m).
_MOVED_TOO_MUCH = 0.06


@dataclass(frozen=True)
class SceneScale:
    """What people say of a scene's scale: log of the correction to a first one, its standard deviation, who agrees, and
    everybody's own vote with its standard deviation; and people as those who agree would be at that scale."""

    log_scale: float
    deviation: float
    voters: tuple[int, ...]
    votes: dict[int, tuple[float, float]]
    people: dict[int, SolvedPerson]

    def vote(self, index: int, first: float) -> tuple[float, float] | None:
        """A person's own vote on the log of metres a unit, `first` being the first scale."""
        if index not in self.votes:
            return None
        log_scale, deviation = self.votes[index]
        return log_scale + float(np.log(first)), deviation

    @classmethod
    def known(cls, people: dict[int, SolvedPerson]) -> SceneScale:
        """Of a scene whose first scale is right."""
        return cls(0.0, 0.0, (), {}, people)

    @classmethod
    def settled(cls, people: dict[int, SolvedPerson], max_iterations: int) -> SceneScale:
        """The correction to the first scale, by everybody who agrees on it."""
        votes: dict[int, tuple[float, float]] = {}
        for index, person in people.items():
            vote = _solve([person], 0.0, max_iterations)
            votes[index] = (vote.state.log_scale, float(np.sqrt(_shared_variance(vote))))
        values = np.array([vote for vote, _ in votes.values()])
        deviations = np.array([deviation for _, deviation in votes.values()])
        middle = _weighted_median(values, 1 / deviations**2)
        voters = tuple(
            index
            for index, (vote, deviation) in votes.items()
            if abs(vote - middle) <= _OUTLIER * deviation and not _moved(people[index])
        )
        voters = voters or tuple(votes)
        together = _solve([people[i] for i in voters], middle, max_iterations)
        deviation = float(np.sqrt(_shared_variance(together)))
        agreed = _as_agreed(people, voters, together)
        return cls(together.state.log_scale, deviation, voters, votes, agreed)


def corrected(
    people: dict[int, SolvedPerson], voters: Sequence[int], max_iterations: int
) -> tuple[float, dict[int, SolvedPerson]]:
    """The log of the factor by which some of the people would have their world larger, and people as these would be."""
    alone = [replace(people[i], energy=body_alone(people[i].energy)) for i in voters]
    together = _solve(alone, 0.0, max_iterations)
    return together.state.log_scale, _as_agreed(people, voters, together)


def _as_agreed(
    people: dict[int, SolvedPerson], voters: Sequence[int], together: Solution[SceneState]
) -> dict[int, SolvedPerson]:
    states = dict(zip(voters, together.state.people, strict=True))
    return {i: replace(person, state=states.get(i, person.state)) for i, person in people.items()}


def _solve(people: Sequence[SolvedPerson], log_scale: float, max_iterations: int) -> Solution[SceneState]:
    return minimise(
        SceneProblem([with_noise(p.energy, max(p.noise, 1.0)) for p in people]),
        SceneState(tuple(p.state for p in people), log_scale),
        max_iterations=max_iterations,
        tolerance=1e-6,
    )


def _moved(person: SolvedPerson) -> bool:
    movement = measure_movement(person.energy, person.state, person.noise)
    return movement is not None and movement.at_least > _MOVED_TOO_MUCH


def _shared_variance(solution: Solution[SceneState]) -> float:
    covariance = solution.system.shared_covariance()  # type: ignore[attr-defined]
    return float(covariance[0, 0])


def _weighted_median(values: Array, weights: Array) -> float:
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(cumulative, cumulative[-1] / 2)])
