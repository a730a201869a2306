"""Movement within a clip is measured; standing still is not taken for it."""

from __future__ import annotations

import numpy as np
import pytest
from fitting import stick_figure as toy

from mcbench.fitting.scene_fit import SceneFitter
from mcbench.fitting.settings import FitSettings


def fit(walk, seed=0, count=30, noise_px=2.0):
    """A scene of a still person and one displaced by `walk` (3,) in the course of the clip."""
    rng = np.random.default_rng(seed)
    people = [toy.person(rng, (-0.6, 0.0)), toy.person(rng, (0.6, 0.1))]
    cameras = toy.arc_cameras(count, degrees=50)
    moved = np.zeros((count, 2, 3))
    moved[:, 1] = np.linspace(0, 1, count)[:, None] * walk
    detections, tracks = toy.detect(cameras, people, rng, noise_px=noise_px, moved=moved)
    # the stick figure's detector errs independently from view to view, unlike a real one
    fitter = SceneFitter(toy.ToyBody(), toy.keypoint_model(), FitSettings(correlation_deg=2.0))
    return fitter.fit(toy.views(cameras), detections, tracks, metric=True).people


@pytest.mark.parametrize("walk", [(0, 0.35, 0), (-0.2, 0.2, 0), (0, 0, 0.2)])
def test_a_mover_is_found(walk):
    still, mover = (p.movement for p in fit(np.array(walk)))
    assert mover.distance == pytest.approx(np.linalg.norm(walk), abs=0.08)
    np.testing.assert_allclose(mover.displacement[-1] - mover.displacement[0], walk, atol=0.1)
    assert mover.estimate == pytest.approx(np.linalg.norm(walk), abs=0.08)
    assert mover.at_least > 0.1
    assert still.at_least < 0.03


def test_one_who_walks_along_with_the_camera_is_told_less_surely():
    """Depth and size make up for such a walk, so the images say little, and a prior on size must not say it."""
    still, along = (p.movement for p in fit(np.array([0.5, 0, 0])))
    across = fit(np.array([0, 0.5, 0]))[1].movement
    assert along.distance == pytest.approx(0.5, abs=0.15)
    assert along.deviation > 1.5 * across.deviation
    assert still.gain < along.gain < across.gain
    assert along.at_least < 0.5 * across.at_least
    assert across.at_least > 0.2
    assert still.at_least == 0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_still_people_are_still(seed):
    for person in fit(np.zeros(3), seed):
        assert person.movement.at_least < 0.06
        assert person.movement.at_least <= person.movement.estimate < 0.03 < person.movement.distance


def test_the_path_covers_the_clip():
    movement = fit(np.zeros(3))[0].movement
    assert movement.frames[0] == 0 and movement.frames[-1] == 29 and (np.diff(movement.frames) > 0).all()
    np.testing.assert_allclose(movement.displacement.sum(0), 0, atol=1e-9)


def test_a_few_views_cannot_tell():
    assert all(person.movement is None for person in fit(np.zeros(3), count=7))
