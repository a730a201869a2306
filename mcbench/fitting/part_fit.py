"""Hands and face join the fit of a body that is settled."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mcbench.fitting.observations import PersonObservations
from mcbench.fitting.parts import active_unknowns
from mcbench.fitting.person_energies import PersonEnergies
from mcbench.fitting.person_solver import PersonSolver, SolvedPerson
from mcbench.fitting.uncertainty import noise_factor, noise_factor_at

#: Variance of a part's residuals over the expected one beyond which it is not this person's, and the least believed.
_FOREIGN, _LEAST_NOISE = 9.0, 0.5


@dataclass(frozen=True)
class PartFit:
    """Fits people to their hands and face as well."""

    energies: PersonEnergies
    solver: PersonSolver

    def joined(self, person: SolvedPerson, everything: PersonObservations) -> tuple[SolvedPerson, list[str]]:
        """The person fitted to hands and face as well, from where the body is, and the parts that are known by it.

        The lowest of two energies: from hands as they are, and as their palms lie when triangulated. How large the
        errors of a part are is told by its residuals, relative to the body's, as sharp as images show it. A part that
        this body cannot have where it is read is another's, or none.
        """
        whole, whole_body = self.energies.whole, self.energies.whole_body
        seen = whole.seen(everything)
        if not seen:
            return person, []
        kept = np.concatenate([whole.body, *(whole.parts[part] for part in seen)])
        body, observations = whole_body.keypoints(kept), everything.keypoints(kept)
        own = len(whole.body)
        energy = replace(
            person.energy,
            body=body,
            observations=observations,
            offset_sd=self.energies.offset_sd(observations, kept),
            active=active_unknowns(body, seen),
            n_telling=own,
        )
        starts = [person.state.body]
        turned = whole.with_hands_turned(whole_body, person.state.body, everything)
        starts += [] if turned is None else [turned]
        rough = min((self.solver.rough(energy, start) for start in starts), key=lambda s: s.value)
        best = self.solver.settled(energy, rough).state
        points, first = energy.points(best), own
        of_body = noise_factor(energy, best)
        larger = np.ones(len(kept))
        foreign = []
        for part in seen:
            mine = np.arange(first, first + len(whole.parts[part]))
            of_part = noise_factor_at(points[mine], observations.keypoints(mine))
            foreign += [part] if of_part > _FOREIGN else []
            larger[mine] = np.sqrt(max(of_part, _LEAST_NOISE) / of_body)
            first += len(mine)
        if foreign:
            return self.joined(person, whole.without(everything, foreign))
        energy = replace(energy, observations=observations.noisier(larger))
        return self.solver.refined(energy, best, of_body), seen
