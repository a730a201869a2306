"""A limb is where all views together see it, whatever each of them likes best."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from mcbench.cameras.alignment import Similarity
from mcbench.cameras.camera import Camera
from mcbench.cameras.views import Views
from mcbench.fitting.limb_votes import LimbVote, Sightings, how_seen, vote_on_limb

BONES = ("shoulder", "elbow"), ("elbow", "wrist")
SHOULDER = np.array([0.2, 0.0, 1.4])
ARM = np.array([[0.3, -0.05, 1.15], [0.25, -0.25, 1.05]])
#: An arm of the same lengths, that hangs.
HANGING = np.array([[0.22, 0.02, 1.13], [0.22, 0.0, 0.88]])
COUNT = 16
CAMERA = Camera("SIMPLE_PINHOLE", 960, 540, (700.0, 480.0, 270.0))


def arc() -> Views:
    poses = []
    for angle in np.radians(np.linspace(-35, 35, COUNT)):
        centre = np.array([4 * np.sin(angle), -4 * np.cos(angle), 1.3])
        z = np.array([0.0, 0.0, 1.1]) - centre
        z /= np.linalg.norm(z)
        x = np.cross(z, [0.0, 0.0, 1.0])
        x /= np.linalg.norm(x)
        rotation = np.stack([x, np.cross(z, x), z])
        poses.append(np.column_stack([rotation, -rotation @ centre]))
    return Views(np.arange(COUNT), (CAMERA,) * COUNT, np.tile(CAMERA.K, (COUNT, 1, 1)), np.stack(poses))


VIEWS = arc()


def sightings(point: np.ndarray, views: range, value: float) -> Sightings:
    at = np.array(views)
    return Sightings(at, VIEWS.project(point)[at], np.full(len(at), value))


def wandering(rng: np.random.Generator, value: float) -> Sightings:
    """Every view likes another place best, within an arm's reach."""
    pixels = VIEWS.project(SHOULDER)[:, None] + rng.uniform(-90, 90, (COUNT, 1, 2))
    return Sightings(np.arange(COUNT), pixels[:, 0], np.full(COUNT, value))


def vote(seen: list[Sightings], now: np.ndarray, views: Views = VIEWS, unit: float = 1.0) -> LimbVote | None:
    return vote_on_limb(views, seen, BONES, unit * SHOULDER, now, unit)


@pytest.mark.parametrize("seed", range(4))
def test_weak_sightings_that_agree_outvote_strong_ones_that_do_not(seed: int) -> None:
    rng = np.random.default_rng(seed)
    seen = [Sightings.joined([sightings(point, range(3, 13), 0.35), wandering(rng, 0.7)]) for point in ARM]
    found = vote(seen, HANGING)
    assert found is not None and found.gain > 0.8
    assert np.linalg.norm(found.ends - ARM, axis=1).max() < 0.02


def test_an_arm_that_is_where_it_is_seen_gains_nothing() -> None:
    rng = np.random.default_rng(0)
    seen = [Sightings.joined([sightings(point, range(3, 13), 0.35), wandering(rng, 0.7)]) for point in ARM]
    found = vote(seen, ARM)
    assert found is not None and found.gain < 0.05


def test_bones_of_other_lengths_are_no_limb() -> None:
    """A wrist, however well seen, that no elbow reaches, and an elbow that is nearer to the shoulder than arms are."""
    far = SHOULDER - np.array([0.0, 0.0, 0.65])
    near = SHOULDER - np.array([0.0, 0.0, 0.12])
    assert vote([sightings(HANGING[0], range(COUNT), 0.9), sightings(far, range(COUNT), 0.9)], ARM) is None
    assert vote([sightings(near, range(COUNT), 0.9), sightings(HANGING[1], range(COUNT), 0.9)], ARM) is None


def test_nothing_seen_is_no_vote_and_an_unplaced_limb_is_unseen() -> None:
    assert vote([Sightings.none(), Sightings.none()], ARM) is None
    seen = [sightings(point, range(COUNT), 0.5) for point in ARM]
    found = vote(seen, np.full((2, 3), np.nan))
    assert found is not None and found.seen_now == pytest.approx(2 * np.log(0.03))
    assert found.seen == pytest.approx(2 * np.log(0.53), abs=0.1)


def test_how_a_point_is_seen_is_the_mean_of_the_views() -> None:
    seen = sightings(ARM[0], range(COUNT // 2), 0.4)
    value = how_seen(VIEWS, seen, np.stack([ARM[0], ARM[0] + [0, 0, 1.0]]), 1.0)
    np.testing.assert_allclose(value, [0.5 * np.log(0.43) + 0.5 * np.log(0.03), np.log(0.03)])


@given(
    st.floats(0.05, 20.0),
    st.lists(st.floats(-3, 3), min_size=3, max_size=3),
    st.lists(st.floats(-5, 5), min_size=3, max_size=3),
)
def test_units_and_frame_of_the_world_do_not_matter(scale: float, turn: list[float], shift: list[float]) -> None:
    rng = np.random.default_rng(1)
    seen = [Sightings.joined([sightings(point, range(3, 13), 0.35), wandering(rng, 0.5)]) for point in ARM]
    world = Similarity(scale, Rotation.from_rotvec(turn).as_matrix(), np.array(shift))
    here = vote_on_limb(VIEWS, seen, BONES, SHOULDER, HANGING, 1.0)
    there = vote_on_limb(VIEWS.transformed(world), seen, BONES, world.apply(SHOULDER), world.apply(HANGING), scale)
    assert here is not None and there is not None
    assert there.gain == pytest.approx(here.gain, abs=1e-6)
    np.testing.assert_allclose(there.ends, world.apply(here.ends), atol=1e-6 * scale)
