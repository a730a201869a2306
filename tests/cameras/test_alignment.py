import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from mcbench.cameras.alignment import Similarity, procrustes, umeyama
from mcbench.cameras.camera import camera_center, transform


def random_similarity(rng: np.random.Generator) -> Similarity:
    return Similarity(
        float(np.exp(rng.normal(0, 1))), Rotation.random(random_state=rng).as_matrix(), rng.normal(0, 5, 3)
    )


@given(seed=st.integers(0, 2**31), count=st.integers(3, 30), planar=st.booleans())
@settings(max_examples=60)
def test_recovers_any_similarity(seed, count, planar):
    rng = np.random.default_rng(seed)
    points = rng.normal(0, 2, (count, 3)) * ([1, 1, 0] if planar else [1, 1, 1])
    truth = random_similarity(rng)
    found = umeyama(points, truth.apply(points), weights=rng.uniform(0.1, 1, count))
    np.testing.assert_allclose(found.apply(points), truth.apply(points), atol=1e-8 * truth.scale)
    assert found.scale == pytest.approx(truth.scale, rel=1e-6)
    np.testing.assert_allclose(found.R, truth.R, atol=1e-5)


def test_never_reflects():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(20, 3))
    found = umeyama(points, points * [1, 1, -1])
    assert np.linalg.det(found.R) == pytest.approx(1.0)


def test_rigid_keeps_the_size():
    rng = np.random.default_rng(1)
    points = rng.normal(size=(10, 3))
    truth = Similarity(1.0, Rotation.random(random_state=rng).as_matrix(), rng.normal(size=3))
    found = umeyama(points, truth.apply(points) * 3.0, with_scale=False)
    assert found.scale == 1.0
    np.testing.assert_allclose(found.R, truth.R, atol=1e-9)


def test_weight_zero_ignores_an_outlier():
    rng = np.random.default_rng(2)
    points = rng.normal(size=(8, 3))
    truth = random_similarity(rng)
    target = truth.apply(points)
    target[3] += 100.0
    weights = np.ones(8)
    weights[3] = 0
    np.testing.assert_allclose(umeyama(points, target, weights=weights).t, truth.t, atol=1e-8)


@given(arrays(np.float64, 3, elements=st.floats(-3, 3)), st.integers(1, 6))
@settings(max_examples=30)
def test_collinear_points_are_refused(direction, count):
    line = np.linspace(-1, 1, count)[:, None] * direction
    with pytest.raises(ValueError, match="do not determine"):
        umeyama(line, np.random.default_rng(0).normal(size=(count, 3)))


@pytest.mark.parametrize("bad", [np.zeros((5, 3)), np.full((5, 3), np.nan)])
def test_degenerate_sets_are_refused(bad):
    good = np.random.default_rng(3).normal(size=(5, 3))
    with pytest.raises(ValueError):
        umeyama(bad, good)
    with pytest.raises(ValueError):
        umeyama(good, bad)


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="N, 3"):
        umeyama(np.zeros((4, 3)), np.zeros((5, 3)))
    with pytest.raises(ValueError, match="negative"):
        umeyama(np.eye(3), np.eye(3), weights=[1, -1, 1])


@pytest.mark.parametrize("batch", [1, 2, 3, 7])
@pytest.mark.parametrize("with_scale", [True, False])
def test_batched_procrustes_is_the_single_one_repeated(batch, with_scale):
    rng = np.random.default_rng(batch)
    src, dst = rng.normal(size=(2, batch, 14, 3))
    aligned = procrustes(src, dst, with_scale)
    for one, other, result in zip(src, dst, aligned, strict=True):
        np.testing.assert_allclose(umeyama(one, other, with_scale).apply(one), result, atol=1e-12)


def test_a_degenerate_member_leaves_the_others_alone():
    rng = np.random.default_rng(5)
    src, dst = rng.normal(size=(2, 3, 14, 3))
    whole = procrustes(src, dst)
    src[1] = 0.0
    aligned = procrustes(src, dst)
    assert np.isnan(aligned[1]).all()
    np.testing.assert_array_equal(aligned[[0, 2]], whole[[0, 2]])


def test_inverse_and_compose():
    rng = np.random.default_rng(6)
    a, b = random_similarity(rng), random_similarity(rng)
    points = rng.normal(size=(4, 5, 3))
    np.testing.assert_allclose(a.compose(b).apply(points), a.apply(b.apply(points)))
    np.testing.assert_allclose(a.inverse().apply(a.apply(points)), points, atol=1e-12)
    np.testing.assert_array_equal(Similarity.identity().apply(points), points)


def test_cameras_move_with_the_world():
    rng = np.random.default_rng(7)
    similarity = random_similarity(rng)
    poses = np.concatenate([Rotation.random(4, random_state=rng).as_matrix(), rng.normal(size=(4, 3, 1))], axis=-1)
    moved = similarity.apply_to_camera(poses)
    np.testing.assert_allclose(camera_center(moved), similarity.apply(camera_center(poses)), atol=1e-10)
    points = rng.normal(size=(6, 3))
    np.testing.assert_allclose(
        transform(moved, similarity.apply(points)), similarity.scale * transform(poses, points), atol=1e-10
    )
