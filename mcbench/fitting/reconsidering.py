"""Readings of people weighed anew once everybody has been fitted: who hides whom, and which limbs are exchanged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mcbench.body.model import BodyModel
from mcbench.cameras.views import Views
from mcbench.dataset.detections import Detections
from mcbench.fitting.association import Track
from mcbench.fitting.energy import PersonEnergy, PersonProblem
from mcbench.fitting.limb_swaps import unswap_limbs
from mcbench.fitting.occlusion import Occluders
from mcbench.fitting.person_energies import PersonEnergies
from mcbench.fitting.person_solver import PersonSolver, SolvedPerson
from mcbench.fitting.starts import Starts
from mcbench.fitting.state import BodyState, PersonState
from mcbench.fitting.uncertainty import contradicted_share

#: Who contradicts more than this share of the sure readings may be somewhere else.
_CONTRADICTED = 0.1
#: Times that readings are weighed anew.
_RECONSIDERATIONS = 2


@dataclass(frozen=True)
class Reconsidering:
    """Fits everybody anew; `model` None: nobody is taken to hide anybody."""

    energies: PersonEnergies
    solver: PersonSolver
    starts: Starts
    model: BodyModel | None

    def reconsidered(
        self, people: dict[int, SolvedPerson], views: Views, detections: Detections, tracks: Sequence[Track]
    ) -> dict[int, SolvedPerson]:
        """Everybody fitted anew with less trust in readings of what others hide, and limbs exchanged where they were.

        Everybody is judged before anybody is moved, so the order of people does not matter. Who contradicts many of
        their readings is started from elsewhere, too. Of several solutions the likeliest counts: one that says that
        readings are of hidden joints may be off by more, but pays for it.
        """
        originals = {index: person.energy for index, person in people.items()}
        for _ in range(_RECONSIDERATIONS):
            occluders = self._occluders(people, views)
            fitted: dict[int, SolvedPerson] = {}
            for place, (index, person) in enumerate(people.items()):
                starts = [person.state.body]
                observations = person.energy.observations
                if contradicted_share(person.energy.points(person.state), observations) > _CONTRADICTED:
                    keypoints = self.energies.whole.body
                    starts += self.starts.others(observations, detections, tracks[index], keypoints)
                fitted[index] = self._likeliest(person, originals[index], starts, occluders, place)
            people = fitted
        return people

    def _occluders(self, people: dict[int, SolvedPerson], views: Views) -> Occluders | None:
        if self.model is None or len(people) < 2:
            return None
        used = np.unique(np.concatenate([person.energy.observations.view for person in people.values()]))
        return Occluders.of_people(self.model, [person.state.body for person in people.values()], views, used)

    def _likeliest(
        self,
        person: SolvedPerson,
        original: PersonEnergy,
        starts: list[BodyState],
        occluders: Occluders | None,
        place: int,
    ) -> SolvedPerson:
        """The best fit from several starts, each with the doubts about readings that it implies itself."""
        best: tuple[float, PersonEnergy, PersonState] | None = None
        for start in starts:
            points = original.points(PersonState.without_offsets(start, len(original.offset_sd)))
            observations = original.observations
            if occluders is not None:
                observations = observations.doubted(occluders.doubt(place, points, observations))
            observations = unswap_limbs(observations, points, self.energies.joints)
            if start is person.state.body and observations.same_as(person.energy.observations):
                energy, state = person.energy, person.state
                value = PersonProblem(energy).linearise(state).value
            else:
                energy = self.energies.reread(original, observations)
                solution = self.solver.solve(energy, start)
                state, value = solution.state, solution.value
            value += 2 * float((observations.weight * np.log(observations.doubt)).sum())
            if best is None or value < best[0]:
                best = value, energy, state
        assert best is not None  # there is always the person's own body
        return self.solver.refined(*best[1:])
