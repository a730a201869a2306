"""Where people should be seen: whose projection is where, who is out of sight."""

from __future__ import annotations

import numpy as np
import pytest
from standing import HEIGHT, WIDTH, arc_of_cameras, seen, standing_person

from mcbench.cameras.camera import Camera, transform
from mcbench.cameras.views import Views
from mcbench.fitting.association import Track
from mcbench.fitting.expected import expected_keypoints
from mcbench.joints import COCO17

CAMERAS = arc_of_cameras(3)
VIEWS = Views.from_cameras(CAMERAS)


def track(points: np.ndarray) -> Track:
    nothing, k = np.empty(0, np.int64), len(points)
    return Track(nothing, nothing.astype(bool), points, np.ones(k), np.full(k, 5), np.ones(k))


def expected(*people: np.ndarray, view: int = 1) -> dict[int, np.ndarray]:
    return expected_keypoints(VIEWS, view, [track(p) for p in people], COCO17)


def test_everyone_is_where_the_distorted_image_shows_them() -> None:
    people = [standing_person(-1.5, 0.0), standing_person(1.5, 0.5)]
    for view in range(3):
        found = expected(*people, view=view)
        assert sorted(found) == [0, 1]
        for i, points in enumerate(people):
            np.testing.assert_allclose(found[i], seen(CAMERAS, points, view), atol=1e-6)


def test_an_unknown_keypoint_stays_unknown() -> None:
    points = standing_person(0.0, 0.0)
    points[3] = np.nan
    (found,) = expected(points).values()
    assert np.isnan(found).all(axis=1).nonzero()[0].tolist() == [3]


@pytest.mark.parametrize(("x", "y"), [(0.0, -8.0), (6.0, 0.0)])
def test_nobody_is_expected_behind_the_camera_or_beside_the_image(x: float, y: float) -> None:
    assert expected(standing_person(x, y)) == {}


def test_someone_cut_at_the_hips_is_expected() -> None:
    near = standing_person(0.0, -3.4)  # 1.6 m before the camera
    cut = seen(CAMERAS, near, 1)[[COCO17.index("left_knee"), COCO17.index("left_ankle")], 1]
    assert (cut > HEIGHT).all()
    assert sorted(expected(near)) == [0]


def test_who_stands_behind_another_is_not_expected_and_who_stands_before_is() -> None:
    behind, before = standing_person(0.0, 1.0), standing_person(0.0, -1.0)
    assert sorted(expected(behind, before)) == [1]
    assert sorted(expected(behind, before, view=0)) == [0, 1]  # from the side


def test_a_lens_does_not_fold_what_is_far_outside_back_into_the_image() -> None:
    """A strongly distorting lens maps a direction far off its field into the image; nobody is seen there."""
    camera = Camera("SIMPLE_RADIAL", WIDTH, HEIGHT, (700.0, WIDTH / 2, HEIGHT / 2, -0.3))
    wide = Views(VIEWS.frame, (camera,) * 3, VIEWS.K, VIEWS.cam_from_world)
    aside = standing_person(7.7, -1.0)
    folded = camera.project(transform(wide.cam_from_world[1], aside))
    assert ((folded >= 0) & (folded <= [WIDTH, HEIGHT])).all(1).sum() > 8
    assert expected_keypoints(wide, 1, [track(aside)], COCO17) == {}
