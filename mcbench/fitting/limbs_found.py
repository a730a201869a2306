"""Limbs that keypoints have put where the images do not show them, put where they do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mcbench.fitting.outlines import LIMB_LOST, REACHES_PX, Look, Outline, Outlines
from mcbench.fitting.parts import HANDS
from mcbench.fitting.person_solver import PersonSolver, SolvedPerson, with_noise
from mcbench.joints import JointSet

#: A limb is put elsewhere where the images show so much more of its outline.
_LIMB_FOUND = 0.12


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

    Parameters
    ----------
    parts : of each person, those that are known. found : everybody's outlines. joints : what the body's own keypoints
        are.
    """
    if not any((outline.limb_shares < LIMB_LOST).any() for outline in found.values()):
        return people
    look = outlines.before([person.state.body for person in people.values()])
    colours = look.colours()
    moved = dict(people)
    for place, index in enumerate(people):
        shares = found[index].limb_shares
        for number, limb in enumerate(outlines.limbs):
            known = number < len(HANDS) and HANDS[number] in parts.get(index, [])
            if known or not shares[number] < LIMB_LOST or not shares[number ^ 1] >= LIMB_LOST:
                continue
            present = moved[index]
            energy = with_noise(present.energy, present.noise)
            search = look.limb_search(place, energy, present.state, joints, colours)
            best = shares[number] + _LIMB_FOUND
            for body in search.search(limb):
                there = replace(present, state=replace(present.state, body=body))
                now, share = _limb_at(there, look, place, number, solver)
                if share > best:
                    moved[index], best = now, share
    return moved


def _limb_at(
    person: SolvedPerson, look: Look, place: int, limb: int, solver: PersonSolver
) -> tuple[SolvedPerson, float]:
    """A person fitted from where a limb was put, and the share of its outline that the images show there."""
    share = np.nan
    for reach in REACHES_PX[:2]:
        outline = look.moved(place, person.state.body).outline(place, reach)
        person, share = solver.with_outline(person, outline.term), float(outline.limb_shares[limb])
    return person, share
