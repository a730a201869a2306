"""Outlines in images with known answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fitting.plain_scene import arc, photographed, standing

from mcbench.body.model import BodyModel
from mcbench.body.rotations import exp_so3
from mcbench.fitting.contour_energy import ContourTerm
from mcbench.fitting.contours import SurfaceTopology, boundary
from mcbench.fitting.outlines import Look, Outlines
from mcbench.fitting.solver import DenseSystem, minimise
from mcbench.fitting.state import BodyState
from mcbench.joints import SMPL24

STEPS = np.arange(-10, 11)
OWN, OTHER = np.array([200.0, 60, 60]), np.array([40.0, 160, 90])


def profile(place: float) -> np.ndarray:
    """Colours along 21 pixels, one a step, of which the body covers everything before `place`."""
    share = np.clip(place - (STEPS - 0.5), 0, 1)[:, None]
    return (share * OWN + (1 - share) * OTHER).astype(np.float32)


@pytest.mark.parametrize("place", [-4.0, -1.3, 0.0, 0.25, 2.5, 4.9])
def test_a_boundary_is_found_between_pixels(place: float) -> None:
    colours = np.tile(OWN, (1, 16, 1)).astype(np.float32)
    found, good = boundary(profile(place)[None], colours, STEPS)
    assert good[0]
    assert found[0] == pytest.approx(place, abs=0.05)


def test_no_boundary_where_all_is_of_one_kind_or_the_colours_are_unknown() -> None:
    colours = np.tile(OWN, (3, 16, 1)).astype(np.float32)
    colours[2] = np.nan
    inside, outside = np.tile(OWN, (21, 1)), np.tile(OTHER, (21, 1))
    _, good = boundary(np.stack([inside, outside, profile(0.0)]).astype(np.float32), colours, STEPS)
    assert not good.any()


@pytest.fixture(scope="module")
def look(open_body: BodyModel) -> Look:
    """A standing body before the cameras, fitted where it is."""
    person = standing()
    return Outlines.of_body(open_body, photographed(open_body, [person], arc())).before([person])


def test_the_outline_of_a_body_is_where_it_projects(look: Look) -> None:
    outline = look.outline(0, reach=8)
    assert outline.share is not None and outline.share > 0.8
    assert (outline.limb_shares > 0.7).all()
    assert outline.term is not None
    system = outline.term.linearise(standing(), 1.0)
    # 0.5 sum w (r / sigma)^2 over the weights: the mean squared error in standard deviations
    assert 2 * system.value / outline.term.weight.sum() < 0.15


def test_an_outline_without_a_limb_says_nothing_of_it(look: Look) -> None:
    term, arm = look.outline(0, reach=8).term, look.outlines.limbs[0]
    assert term is not None
    turn = 3 * SMPL24.index("left_elbow") + 10
    whole, without = (t.linearise(standing(), 1.0).hessian for t in (term, term.without(arm.limb_vertices)))
    assert np.diag(whole)[turn : turn + 3].max() > 10
    assert np.diag(without)[turn : turn + 3].max() < 1e-3 * np.diag(whole)[turn : turn + 3].max()
    knee = 3 * SMPL24.index("left_knee") + 10
    np.testing.assert_allclose(without[knee, knee], whole[knee, knee])


def test_a_displaced_body_is_drawn_back(look: Look) -> None:
    true, wrong = standing(), standing()
    wrong = replace(wrong, transl=np.array([0.03, -0.02, 0.03]), betas=np.full(10, 0.1))
    for reach in (14, 8, 5):
        term = look.moved(0, wrong).outline(0, reach).term
        assert term is not None
        wrong = minimise(_Alone(term), wrong, max_iterations=30, tolerance=1e-6).state
    before = np.linalg.norm([0.03, -0.02, 0.03])
    body = look.outlines.body
    vertices = [body.forward(s.betas[None], s.rotations[None], s.transl[None]).vertices[0] for s in (true, wrong)]
    # by area: a quarter of the vertices are of hands, which outlines alone may turn over
    off = np.average(np.linalg.norm(vertices[0] - vertices[1], axis=-1), weights=body.vertex_area)
    assert off < 0.35 * before


class _Alone:
    """The energy of outlines with a weak prior on everything."""

    def __init__(self, term: ContourTerm) -> None:
        self.term = term

    def linearise(self, state: BodyState) -> DenseSystem:
        system = self.term.linearise(state, 1.0)
        n = state.size
        gradient = system.gradient[:n].copy()
        gradient[:10] += state.betas
        return DenseSystem(
            system.value + 0.5 * float(state.betas @ state.betas), gradient, system.hessian[:n, :n] + 10 * np.eye(n)
        )

    def retract(self, state: BodyState, step: np.ndarray) -> BodyState:
        return state.retract(step)


def test_the_gradient_is_that_of_the_energy(look: Look) -> None:
    term = look.outline(0, reach=8).term
    assert term is not None
    rng = np.random.default_rng(1)
    state = standing()
    state = replace(state, rotations=state.rotations @ exp_so3(rng.normal(0, 0.02, (24, 3))), transl=np.full(3, 0.01))
    system = term.linearise(state, 0.9)
    for direction in rng.normal(0, 1, (6, state.size + 1)):
        direction[10 + 3 * 22 : 10 + 3 * 24] = 0.0  # of what hands do, outlines tell nothing
        step = 1e-6 * direction
        values = [
            term.linearise(state.retract(sign * step[:-1]), 0.9 * np.exp(-sign * step[-1])).value for sign in (1, -1)
        ]
        assert system.gradient @ direction == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-3, abs=1e-3)


def test_who_stands_behind_somebody_shows_less_of_the_outline(open_body: BodyModel) -> None:
    """What is hidden is not looked for, and the one in front is not taken for the one behind."""
    people = [standing(0.15, -0.6), standing(-0.15, 0.4)]
    looks = Outlines.of_body(open_body, photographed(open_body, people, arc()))
    behind, front = (looks.before(people).outline(person, reach=8) for person in (0, 1))
    assert behind.term is not None and front.term is not None
    assert len(behind.term.place) < 0.7 * len(front.term.place)
    assert behind.share is not None and behind.share > 0.7


def test_the_points_that_stand_for_a_surface_are_everywhere_on_it(open_body: BodyModel) -> None:
    topology = SurfaceTopology.of_body(open_body)
    points = topology.surface(open_body.v_template)
    skin = open_body.v_template[open_body.skin_mask]
    nearest = np.array([np.linalg.norm(points - v, axis=1).min() for v in skin[::200]])
    assert nearest.max() < 0.02
    assert len(points) < len(open_body.v_template) + len(open_body.faces)
