"""Squares, maps and distributions: known answers and round trips."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcbench.joints import READER19
from mcbench.reader.heatmaps import HeatReading, heat_targets
from mcbench.reader.network import CELL, CELLS, SIDE
from mcbench.reader.squares import Square, as_input, people_maps

inside = st.floats(2.0 * CELL, SIDE - 2.0 * CELL)


@given(st.lists(st.tuples(st.floats(-500, 2000), st.floats(-500, 2000)), min_size=2, max_size=19))
def test_points_come_back_from_the_square_and_lie_in_it(points: list[tuple[float, float]]) -> None:
    place = np.array(points)
    square = Square.round_place(np.concatenate([place, [[np.nan, np.nan]]]))
    assert square is not None
    there = square.of_image(place)
    assert (there >= 0).all() and (there <= SIDE).all()
    np.testing.assert_allclose(square.to_image(there), place, atol=1e-6)


def test_there_is_no_square_round_nothing() -> None:
    assert Square.round_place(np.full((19, 2), np.nan)) is None


def test_the_picture_is_where_the_square_says() -> None:
    image = np.zeros((200, 300, 3), np.uint8)
    image[80:120, 100:140] = 200
    square = Square.round_place(np.array([[100.0, 60.0], [140.0, 140.0]]))
    assert square is not None
    bright = np.argwhere(square.picture(image)[..., 0] > 150)[:, ::-1] + 0.5
    low, high = square.of_image(np.array([[100.0, 80.0], [140.0, 120.0]]))
    np.testing.assert_allclose(bright.min(0), low, atol=1.5)
    np.testing.assert_allclose(bright.max(0), high, atol=1.5)


@given(st.floats(0.2, 1.0), st.integers(0, 60))
def test_contrast_is_what_the_network_sees_not_brightness(gain: float, offset: int) -> None:
    picture = np.random.default_rng(0).integers(0, 190, (SIDE, SIDE, 3)).astype(np.float64)
    plain, changed = (as_input(np.round(p).astype(np.uint8)) for p in (picture, gain * picture + offset))
    np.testing.assert_allclose(changed, plain, atol=0.04 / gain)


def test_a_plain_wall_stays_plain() -> None:
    wall = np.full((SIDE, SIDE, 3), 90, np.uint8)
    assert np.ptp(as_input(wall)) == 0


def test_maps_tell_people_but_not_left_from_right() -> None:
    own = np.random.default_rng(1).uniform(20, 140, (len(READER19), 2))
    unknown = np.full_like(own, np.nan)
    maps = people_maps(own, [])
    assert maps[0].any() and not maps[1].any()
    np.testing.assert_array_equal(people_maps(own[list(READER19.flip)], [])[0], maps[0])
    np.testing.assert_array_equal(people_maps(unknown, [own, unknown])[1], maps[0])


@given(st.lists(st.tuples(inside, inside), min_size=1, max_size=4))
def test_what_is_asked_for_is_read_back(places: list[tuple[float, float]]) -> None:
    points = np.array(places)
    asked = heat_targets(points, np.ones(len(points), bool))
    np.testing.assert_allclose(asked.sum(axis=1), 1.0, atol=1e-5)
    reading = HeatReading.of(asked)
    np.testing.assert_allclose(reading.points, points, atol=1.5)
    assert (reading.score > 0.6).all()
    assert set(reading.keypoint) == set(range(len(points)))


def test_what_is_not_seen_is_read_nowhere() -> None:
    asked = heat_targets(np.full((2, 2), np.nan), np.zeros(2, bool))
    assert (asked[:, -1] == 1).all() and not asked[:, :-1].any()
    reading = HeatReading.of(asked)
    assert (reading.score == 0).all() and not len(reading.keypoint)


def test_two_places_that_are_likely_are_two_peaks() -> None:
    first, second = np.array([[42.0, 42.0]]), np.array([[122.0, 90.0]])
    seen = np.ones(1, bool)
    reading = HeatReading.of(0.65 * heat_targets(first, seen) + 0.35 * heat_targets(second, seen))
    np.testing.assert_allclose(reading.points, first, atol=1.0)
    order = np.argsort(-reading.value)
    np.testing.assert_allclose(reading.pixels[order], np.concatenate([first, second]), atol=1.0)
    assert reading.value[order][0] == pytest.approx(reading.score[0])


def test_cells_cover_the_square() -> None:
    assert CELL * CELLS == SIDE
