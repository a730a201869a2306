"""People whom a detector takes to look the other way, as their outlines show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mcbench.fitting.outlines import Look, Outline, Outlines
from mcbench.fitting.person_energies import PersonEnergies
from mcbench.fitting.person_solver import PersonSolver, SolvedPerson
from mcbench.fitting.starts import Starts

#: Somebody of whose outline the images show less than this share of what they show of others, those best shown, may
#: have been taken for turned round, and is when the images show so much more of them that way.
_LESS_SHOWN, _BEST_SHOWN, _TURNED_SHOWN = 0.95, 0.75, 0.06


@dataclass(frozen=True)
class TurningRound:
    """Looks whether people whose outlines are little shown are shown better with their left for the right."""

    energies: PersonEnergies
    solver: PersonSolver
    starts: Starts

    def turned(
        self,
        people: dict[int, SolvedPerson],
        found: dict[int, Outline],
        by_keypoints: dict[int, SolvedPerson],
        outlines: Outlines,
        reaches: Sequence[int],
    ) -> dict[int, tuple[SolvedPerson, Outline]]:
        """Those whom the detector takes to look the other way, turned round, with their outlines.

        From behind, in clothes that tell no back from a front, it may exchange left and right in every view.

        Parameters
        ----------
        people : as fitted to the outlines `found`. by_keypoints : as fitted without. outlines : in metres, furnished.
        reaches : how far outlines have been followed, px, round by round.
        """
        shares = {index: outline.share for index, outline in found.items() if outline.share is not None}
        usual = float(np.quantile(list(shares.values()), _BEST_SHOWN)) if shares else 0.0
        turned: dict[int, tuple[SolvedPerson, Outline]] = {}
        look: Look | None = None
        for place, index in enumerate(people):
            if not shares.get(index, np.inf) < _LESS_SHOWN * usual:
                continue
            other = self._exchanged(by_keypoints[index])
            if other is None:
                continue
            if look is None:
                look = outlines.before([p.state.body for p in people.values()])
            outline = found[index]
            for reach in reaches:
                outline = look.moved(place, other.state.body).outline(place, reach)
                other = self.solver.with_outline(other, outline.term)
            more = outline.share is not None and outline.share > shares[index] + _TURNED_SHOWN
            # a body that hides behind others and itself has little outline, and all of it may be shown
            if more and outline.shown >= found[index].shown:
                turned[index] = other, outline
        return turned

    def _exchanged(self, person: SolvedPerson) -> SolvedPerson | None:
        """The person if what the detector calls left is right; None where that has no orientation."""
        observations = person.energy.observations.keypoints(np.array(self.energies.joints.flip))
        energy = self.energies.reread(person.energy, observations)
        starts = self.starts.triangulated(observations)
        return self.solver.refined(energy, self.solver.solve(energy, starts[0]).state) if starts else None
