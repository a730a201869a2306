import numpy as np
import pytest

from mcbench.cameras.camera import Camera
from mcbench.cameras.views import Views
from mcbench.dataset.cameras_file import FrameCamera, SceneCameras
from mcbench.dataset.detections import Detections
from mcbench.fitting.association import Track
from mcbench.fitting.association_residuals import track_residuals_px

CAMERA = Camera("SIMPLE_RADIAL", 800, 600, (700.0, 400.0, 300.0, -0.1))
CAMERAS = SceneCameras(
    [FrameCamera(i, str(i), CAMERA, np.column_stack([np.eye(3), [0.2 * i, 0.0, 5.0]])) for i in range(4)]
)


def scene(offset: float) -> tuple[Track, Detections]:
    """A track of 33 points and its detections, all `offset` px to the right of where they should be."""
    points = np.random.default_rng(0).uniform(-1, 1, (33, 3))
    views = Views.from_cameras(CAMERAS)
    pixels = np.array([CAMERA.project(points + pose[:, 3]) for pose in views.cam_from_world])
    detections = Detections(
        keypoint_set="blazepose33",
        detector="made up",
        frame=np.arange(4),
        score=np.ones(4),
        box=np.zeros((4, 4)),
        keypoints=pixels + np.array([offset, 0.0]),
        keypoint_score=np.ones((4, 33)),
        keypoints3d=np.full((4, 33, 3), np.nan),
        mask=np.zeros((4, 0, 0), np.uint8),
    )
    nothing = np.zeros(33)
    return Track(np.arange(4), np.zeros(4, bool), points, nothing, nothing.astype(np.int64), nothing), detections


@pytest.mark.parametrize("offset", [0.0, 3.5])
def test_known_offset_in_distorted_pixels(offset):
    track, detections = scene(offset)
    np.testing.assert_allclose(track_residuals_px([track], detections, CAMERAS), [offset], atol=1e-9)


def test_unknown_points_and_low_scores_do_not_count():
    track, detections = scene(2.0)
    track.points[5:] = np.nan
    detections.keypoints[:, 2] += 500.0
    detections.keypoint_score[:, 2] = 0.1
    np.testing.assert_allclose(track_residuals_px([track], detections, CAMERAS), [2.0], atol=1e-9)
    track.points[:] = np.nan
    assert np.isnan(track_residuals_px([track], detections, CAMERAS)).all()


def test_no_tracks():
    assert track_residuals_px([], scene(0.0)[1], CAMERAS).shape == (0,)
