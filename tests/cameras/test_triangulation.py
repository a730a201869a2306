import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcbench.cameras.triangulation import reprojection, triangulate, two_view_points


def arc(count: int, degrees: float = 70.0, radius: float = 4.0, focal: float = 900.0) -> np.ndarray:
    """Projection matrices (count, 3, 4) of cameras on an arc round the origin, looking at it."""
    K = np.array([[focal, 0, 480.0], [0, focal, 270.0], [0, 0, 1]])
    matrices = []
    for angle in np.deg2rad(np.linspace(-degrees / 2, degrees / 2, count)):
        c, s = np.cos(angle), np.sin(angle)
        rotation = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
        matrices.append(K @ np.column_stack([rotation, [0, 0, radius]]))
    return np.array(matrices)


def cloud(seed: int, count: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.9, 0.9, (count, 3))


@given(seed=st.integers(0, 2**31), count=st.integers(2, 20), scale=st.floats(1e-2, 1e3))
@settings(max_examples=40)
def test_exact_without_noise_in_any_units(seed, count, scale):
    P, points = arc(count), cloud(seed)
    pixels = reprojection(P, points)
    P[:, :, 3] *= scale
    result = triangulate(P, pixels)
    np.testing.assert_allclose(result.points, points * scale, atol=1e-7 * scale)
    assert result.inliers.all()
    assert result.rms_px.max() < 1e-6


def test_noise_gives_the_error_that_the_covariance_states():
    P, points = arc(30), cloud(0, 200)
    rng = np.random.default_rng(1)
    pixels = reprojection(P, points) + rng.normal(0, 2.0, (30, 200, 2))
    result = triangulate(P, pixels, sigma_px=20.0)
    error = result.points - points
    mahalanobis = np.einsum("ki,kij,kj->k", error, np.linalg.inv(result.covariance), error)
    assert 2.4 < mahalanobis.mean() < 3.8  # three degrees of freedom
    np.testing.assert_allclose(result.rms_px, 2.0 * np.sqrt(2), rtol=0.35)


@pytest.mark.parametrize("share", [0.2, 0.4])
def test_outliers_are_found(share):
    P, points = arc(20), cloud(2, 30)
    rng = np.random.default_rng(3)
    pixels = reprojection(P, points) + rng.normal(0, 1.0, (20, 30, 2))
    wrong = rng.random((20, 30)) < share
    pixels[wrong] = rng.uniform(0, 900, (wrong.sum(), 2))
    result = triangulate(P, pixels, sigma_px=4.0)
    assert np.linalg.norm(result.points - points, axis=-1).max() < 0.02
    assert result.inliers[~wrong].mean() > 0.98
    assert result.inliers[wrong].mean() < 0.03


def test_low_weights_lose_against_high_ones():
    P, points = arc(6), cloud(4, 5)
    pixels = reprojection(P, points)
    pixels[:3] = reprojection(P, points + np.array([0.3, 0, 0]))[:3]
    weights = np.full((6, 5), 0.1)
    weights[3:] = 1.0
    np.testing.assert_allclose(triangulate(P, pixels, weights).points, points, atol=1e-3)


def test_unseen_keypoints_stay_unknown():
    P, points = arc(5), cloud(5, 4)
    pixels = reprojection(P, points)
    pixels[:, 0] = np.nan
    pixels[1:, 1] = np.nan
    weights = np.ones((5, 4))
    weights[:, 2] = 0
    result = triangulate(P, pixels, weights)
    assert np.isnan(result.points[:3]).all()
    assert np.isnan(result.rms_px[:3]).all() and np.isnan(result.covariance[:3]).all()
    assert not result.inliers[:, :3].any()
    np.testing.assert_allclose(result.points[3], points[3], atol=1e-7)


def test_points_behind_a_camera_are_not_made_up():
    P = arc(4)
    behind = np.array([[0.0, 0.0, -30.0]])
    image = np.einsum("mij,j->mi", P, [0.0, 0.0, -30.0, 1.0])
    result = triangulate(P, (image[:, :2] / image[:, 2:])[:, None])
    assert not np.allclose(result.points, behind, equal_nan=True)
    assert np.isnan(result.points).all()


def test_a_pure_rotation_gives_no_depth():
    P = np.repeat(arc(1), 5, axis=0)
    result = triangulate(P, reprojection(P, cloud(6)))
    assert np.isnan(result.points).all()


def test_angle_is_that_of_the_outermost_rays():
    P = arc(9, degrees=40.0)
    result = triangulate(P, reprojection(P, np.zeros((1, 3))))
    assert np.rad2deg(result.angle[0]) == pytest.approx(40.0)
    assert np.isnan(triangulate(P, reprojection(P, np.zeros((1, 3))), min_angle=np.deg2rad(41)).points).all()


def test_each_two_views_tell_a_point_by_themselves():
    """In the order of the pairs; not from nearly one direction, nor from one view."""
    P = arc(4, degrees=30.0)
    seen, other = (np.array([[0.2, -0.1, 0.3]]), np.array([[-0.4, 0.2, 0.0]]))
    pixels = reprojection(P, seen)[:, 0]
    pixels[3] = reprojection(P, other)[3, 0]
    points = two_view_points(P, pixels, np.deg2rad(5))
    first, second = np.triu_indices(4, 1)
    np.testing.assert_allclose(points[second < 3], np.tile(seen, (3, 1)), atol=1e-9)
    assert (np.linalg.norm(points[second == 3] - seen, axis=1) > 0.1).all()
    known = np.isfinite(two_view_points(P, reprojection(P, seen)[:, 0], np.deg2rad(15))).all(axis=1)
    np.testing.assert_array_equal(known, second - first >= 2)
    assert np.isnan(two_view_points(P[[0, 0]], pixels[[0, 1]], np.deg2rad(1))).all()
    assert two_view_points(P[:1], pixels[:1], 0.1).shape == (0, 3)


def test_wrong_readings_in_many_views_are_shrugged_off():
    P, points = arc(300), cloud(6)
    rng = np.random.default_rng(2)
    pixels = reprojection(P, points)
    wrong = rng.random(pixels.shape[:2]) < 0.4
    pixels[wrong] = rng.uniform(0, 900, (wrong.sum(), 2))
    pixels[20:, 3] = np.nan  # few views show it
    np.testing.assert_allclose(triangulate(P, pixels).points, points, atol=5e-3)


def test_the_angle_of_many_rays_is_that_of_outermost_ones():
    P, points = arc(150, degrees=40.0), cloud(5)
    pixels = reprojection(P, points)
    pixels[:30, 1] = np.nan  # a point that the first views do not show
    pixels[:, 2] = np.nan
    angle = np.rad2deg(triangulate(P, pixels).angle)
    every_third = np.r_[0:150:3, 149]
    expected = np.rad2deg(triangulate(P[every_third], pixels[every_third]).angle)
    np.testing.assert_allclose(angle, expected, rtol=0.02)
    assert np.isnan(angle[2]) and angle[1] < 0.9 * angle[0]


def test_a_start_is_only_refined():
    P, points = arc(8), cloud(7)
    start = points + 0.02
    start[0] = np.nan
    np.testing.assert_allclose(triangulate(P, reprojection(P, points), start=start).points, points, atol=1e-6)


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="projections"):
        triangulate(arc(3), np.zeros((4, 5, 2)))


def test_no_keypoints_and_no_views():
    assert triangulate(arc(3), np.zeros((3, 0, 2))).points.shape == (0, 3)
    assert np.isnan(triangulate(np.zeros((0, 3, 4)), np.zeros((0, 2, 2))).points).all()
