"""One person as fitted so far, and how the energy of one person is solved."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mcbench.fitting.contour_energy import ContourTerm
from mcbench.fitting.energy import PersonEnergy, PersonProblem
from mcbench.fitting.parts import active_unknowns
from mcbench.fitting.solver import Solution, minimise
from mcbench.fitting.state import BodyState, PersonState
from mcbench.fitting.uncertainty import noise_factor

#: A wide kernel first: from a rough start, good keypoints may lie far off.
WIDE_KERNEL = 10.0


@dataclass(frozen=True)
class SolvedPerson:
    """A person: the energy with the keypoint model's own noise, the variance factor found, the state."""

    energy: PersonEnergy
    noise: float
    state: PersonState


@dataclass(frozen=True)
class PersonSolver:
    """Solves energies of one person, each with at most `max_iterations` linearisations after the first."""

    max_iterations: int

    def rough(self, energy: PersonEnergy, start: BodyState) -> Solution[PersonState]:
        """With a wide kernel, from a start that may be far off."""
        first = PersonState.without_offsets(start, len(energy.offset_sd))
        return self._minimised(replace(energy, kernel=WIDE_KERNEL), first, 1e-3)

    def settled(self, energy: PersonEnergy, rough: Solution[PersonState]) -> Solution[PersonState]:
        """From a rough solution."""
        return self._minimised(energy, rough.state, 1e-6)

    def solve(self, energy: PersonEnergy, start: BodyState) -> Solution[PersonState]:
        return self.settled(energy, self.rough(energy, start))

    def refined(self, energy: PersonEnergy, start: PersonState, noise: float | None = None) -> SolvedPerson:
        """The fit for this noise of the data, None: that of the residuals at the start; and the noise that it shows."""
        noise = noise_factor(energy, start) if noise is None else noise
        state = self._minimised(with_noise(energy, noise), start, 1e-6).state
        return SolvedPerson(energy, noise_factor(energy, state), state)

    def grown(self, person: SolvedPerson, growth: float) -> SolvedPerson:
        """The fit in a world that is larger by `growth`, starting from where it is."""
        body = person.state.body
        start = PersonState(replace(body, transl=body.transl * growth), person.state.offsets * growth)
        return self.refined(person.energy.grown(growth), start, person.noise)

    def with_outline(self, person: SolvedPerson, term: ContourTerm | None) -> SolvedPerson:
        """The person fitted to an outline instead of the one before; as it is without one.

        Fingers and face keep their pose: they settle when the body has, and would double the time.
        """
        if term is None:
            return person
        energy = replace(person.energy, contours=term)
        state = self._minimised(with_noise(body_alone(energy), person.noise), person.state, 1e-4).state
        return SolvedPerson(energy, noise_factor(energy, state), state)

    def finished(self, person: SolvedPerson) -> tuple[PersonEnergy, Solution[PersonState]]:
        """The solution for the person's noise, and the energy with that noise."""
        energy = with_noise(person.energy, person.noise)
        return energy, self._minimised(energy, person.state, 1e-6)

    def _minimised(self, energy: PersonEnergy, start: PersonState, tolerance: float) -> Solution[PersonState]:
        return minimise(PersonProblem(energy), start, max_iterations=self.max_iterations, tolerance=tolerance)


def body_alone(energy: PersonEnergy) -> PersonEnergy:
    """The same energy with the pose of fingers and face as it is."""
    return replace(energy, active=active_unknowns(energy.body, []))


def with_noise(energy: PersonEnergy, factor: float) -> PersonEnergy:
    """The energy of data whose variance is larger by `factor`."""
    return replace(energy, observations=energy.observations.with_noise(factor))
