"""Everybody fitted to the outlines that images show, which change with the fit, so a few times."""

from __future__ import annotations

from mcbench.fitting.limbs_found import with_limbs_found
from mcbench.fitting.outlines import REACHES_PX, Outline, Outlines
from mcbench.fitting.person_solver import PersonSolver, SolvedPerson
from mcbench.fitting.turned_round import TurningRound
from mcbench.joints import JointSet

People = dict[int, SolvedPerson]


def with_outlines(
    people: People,
    parts: dict[int, list[str]],
    by_keypoints: People,
    outlines: Outlines,
    solver: PersonSolver,
    joints: JointSet,
    turning_round: TurningRound,
) -> tuple[People, dict[int, Outline], set[int]]:
    """Everybody fitted to their outlines, too, what the images say of these in the end, and who is turned round.

    Everybody is looked for before anybody is moved, so the order of people does not matter. Before the last round those
    are turned round whom the detector takes to look the other way, as long as nothing else hides that, and then limbs
    whose outlines the images do not show are looked for elsewhere.

    Parameters
    ----------
    parts : of each person, those that are known; none of who is turned round. by_keypoints : as fitted without
        outlines. outlines : in metres, unfurnished. joints : what the body's own keypoints are.
    """
    outlines = outlines.furnished([person.state.body for person in people.values()])
    found: dict[int, Outline] = {}
    *first, last = REACHES_PX
    for reach in first:
        people, found = _followed(people, outlines, reach, solver)
    turned = turning_round.turned(people, found, by_keypoints, outlines, first)
    people = people | {index: person for index, (person, _) in turned.items()}
    found = found | {index: outline for index, (_, outline) in turned.items()}
    known = {index: [] if index in turned else own for index, own in parts.items()}
    people = with_limbs_found(people, known, outlines, found, solver, joints)
    return *_followed(people, outlines, last, solver), set(turned)


def _followed(
    people: People, outlines: Outlines, reach: int, solver: PersonSolver
) -> tuple[People, dict[int, Outline]]:
    """Everybody fitted to the outlines that are no farther than `reach` px from where they are, and these."""
    look = outlines.before([person.state.body for person in people.values()])
    found = {index: look.outline(place, reach) for place, index in enumerate(people)}
    return {index: solver.with_outline(person, found[index].term) for index, person in people.items()}, found
