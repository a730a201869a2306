"""Everybody fitted to the outlines that images show, which change with the fit, so a few times."""

from __future__ import annotations

from mcbench.fitting.limbs_found import with_limbs_found
from mcbench.fitting.outlines import REACHES_PX, Outline, Outlines
from mcbench.fitting.person_solver import PersonSolver, SolvedPerson
from mcbench.joints import JointSet


def with_outlines(
    people: dict[int, SolvedPerson],
    parts: dict[int, list[str]],
    outlines: Outlines,
    solver: PersonSolver,
    joints: JointSet,
) -> tuple[dict[int, SolvedPerson], dict[int, Outline]]:
    """Everybody fitted to their outlines, too, and what the images say of these in the end.

    Everybody is looked for before anybody is moved, so the order of people does not matter. A limb whose outline
    the images do not show is looked for elsewhere before the last round.

    Parameters
    ----------
    parts : of each person, those that are known. outlines : in metres, unfurnished. joints : what the body's own
        keypoints are.
    """
    people = dict(people)
    outlines = outlines.furnished([person.state.body for person in people.values()])
    found: dict[int, Outline] = {}
    for reach in REACHES_PX:
        if reach == REACHES_PX[-1]:
            people = with_limbs_found(people, parts, outlines, found, solver, joints)
        look = outlines.before([person.state.body for person in people.values()])
        found = {index: look.outline(place, reach) for place, index in enumerate(people)}
        people = {index: solver.with_outline(person, found[index].term) for index, person in people.items()}
    return people, found
