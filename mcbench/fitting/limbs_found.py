"""Limbs that keypoints have put where the images do not show them, put where they do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mcbench.fitting.outlines import LIMB_LOST, REACHES_PX, Outline, Outlines
from mcbench.fitting.parts import HANDS
from mcbench.fitting.person_solver import PersonSolver, SolvedPerson, with_noise
from mcbench.joints import JointSet

Array = npt.NDArray[np.float64]

#: A limb is put elsewhere where the images show so much more of its outline.
_LIMB_FOUND = 0.12
#: Where so much of the limb on the other side is shown, a limb is known by its colours.
_PAIR_SHOWN = 0.4
#: Times that limbs are looked for: one that is found shows what it hides.
_ROUNDS = 2


def with_limbs_found(
    people: dict[int, SolvedPerson],
    parts: dict[int, list[str]],
    outlines: Outlines,
    found: dict[int, Outline],
    solver: PersonSolver,
    joints: JointSet,
) -> dict[int, SolvedPerson]:
    """Limbs without outlines put where the images have them, if that shows more of their outlines.

    An arm whose hand is known ends there, whatever an arm beside it would show: the trunk has an outline, too.
    Everybody is looked for before anybody is moved, so the order of people does not matter.

    Parameters
    ----------
    parts : of each person, those that are known. found : everybody's outlines. joints : what the body's own keypoints
        are.
    """
    shares = {index: outline.limb_shares.copy() for index, outline in found.items()}
    others_moved = dict.fromkeys(people, True)
    wide, close, *_ = REACHES_PX
    for _ in range(_ROUNDS):
        look = outlines.before([person.state.body for person in people.values()])
        colours = None
        moved = dict(people)
        for place, index in enumerate(people):
            if not others_moved[index]:
                continue
            mine = shares[index]
            mine[look.limbs_under_floor(place)] = 0.0
            for number in _lost(mine, parts.get(index, [])):
                present = moved[index]
                colours = look.colours() if colours is None else colours
                energy = with_noise(present.energy, present.noise)
                search = look.limb_search(place, energy, present.state, joints, colours)
                best = LIMB_LOST if np.isnan(mine[number]) else mine[number] + _LIMB_FOUND
                for body in search.search(outlines.limbs[number], bool(mine[number ^ 1] >= _PAIR_SHOWN)):
                    there = replace(present, state=replace(present.state, body=body))
                    near = solver.with_outline(there, look.moved(place, body).outline(place, wide).term)
                    outline = look.moved(place, near.state.body).outline(place, close)
                    if (share := float(outline.limb_shares[number])) > best:
                        moved[index] = solver.with_outline(near, outline.term)
                        best = mine[number] = share
        changed = [index for index in people if moved[index] is not people[index]]
        others_moved = {index: any(other != index for other in changed) for index in people}
        people = moved
    return people


def _lost(shares: Array, parts: list[str]) -> list[int]:
    """Limbs that are not where they are fitted, the least shown first, those hardly in sight last; no arm of a known
    hand."""
    known = np.array([number < len(HANDS) and HANDS[number] in parts for number in range(len(shares))])
    order = np.argsort(shares, kind="stable")
    return [int(number) for number in order if not known[number] and not shares[number] >= LIMB_LOST]
