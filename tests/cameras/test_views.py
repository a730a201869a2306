import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mcbench.cameras.alignment import Similarity
from mcbench.cameras.camera import Camera, transform
from mcbench.cameras.views import Views
from mcbench.dataset.cameras_file import FrameCamera, SceneCameras

LENS = Camera("OPENCV", 640, 480, (500.0, 510.0, 321.0, 242.0, -0.2, 0.05, 1e-3, -2e-3))


def pose(seed: int) -> np.ndarray:
    rotation = Rotation.from_rotvec(np.random.default_rng(seed).normal(0, 0.1, 3)).as_matrix()
    return np.column_stack([rotation, [0.1 * seed, 0.0, 4.0]])


@pytest.fixture
def scene() -> SceneCameras:
    frames = [FrameCamera(i, f"{i}.jpg", LENS, None if i == 1 else pose(i)) for i in (3, 0, 1, 2)]
    return SceneCameras(frames)


def test_only_posed_frames_become_views_in_order(scene):
    views = Views.from_cameras(scene)
    assert views.frame.tolist() == [0, 2, 3]
    assert [views.of_frame(i) for i in (0, 1, 2, 3, 4, -1)] == [0, None, 1, 2, None, None]
    assert views.of_frames([3, 1, 0, 9]).tolist() == [2, -1, 0, -1]


def test_projection_is_the_camera_without_its_distortion(scene):
    views = Views.from_cameras(scene)
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (5, 2, 3))
    pixels = views.project(points)
    assert pixels.shape == (3, 5, 2, 2)
    for view, camera in enumerate(views.cameras):
        image = camera.project(transform(views.cam_from_world[view], points.reshape(-1, 3)))
        np.testing.assert_allclose(views.undistort(view, image), pixels[view].reshape(-1, 2), atol=1e-6)


def test_each_pixel_is_undistorted_as_its_own_view_has_it(scene):
    views = Views.from_cameras(scene)
    pixels = np.random.default_rng(1).uniform(50, 400, (4, 3, 2))
    view = np.array([2, 0, 2, 1])
    expected = [views.undistort(int(v), own) for v, own in zip(view, pixels, strict=True)]
    np.testing.assert_array_equal(views.undistort_each(view, pixels), expected)


def test_points_behind_are_unknown(scene):
    views = Views.from_cameras(scene)
    assert np.isnan(views.project([0.0, 0.0, -100.0])).all()
    assert (views.depth([0.0, 0.0, -100.0]) < 0).all()


def test_a_similarity_of_the_world_changes_no_pixel(scene):
    views = Views.from_cameras(scene)
    similarity = Similarity(2.5, Rotation.from_rotvec([0.3, 1.0, -0.4]).as_matrix(), np.array([1.0, -2.0, 5.0]))
    points = np.random.default_rng(1).uniform(-0.5, 0.5, (7, 3))
    moved = views.transformed(similarity)
    np.testing.assert_allclose(moved.project(similarity.apply(points)), views.project(points), atol=1e-8)
    np.testing.assert_allclose(moved.centers, similarity.apply(views.centers), atol=1e-10)


def test_no_posed_frame_gives_no_view():
    views = Views.from_cameras(SceneCameras([FrameCamera(0, "a", LENS, None)]))
    assert len(views) == 0
    assert views.of_frame(0) is None
    assert views.of_frames([0, 1]).tolist() == [-1, -1]
    assert views.project(np.zeros((4, 3))).shape == (0, 4, 2)
    assert views.size.shape == (0, 2)
