"""People of `coco17` keypoints who stand in a room, and cameras that see them: scenes with known answers."""

from __future__ import annotations

import numpy as np

from mcbench.cameras.camera import Camera, transform
from mcbench.dataset.cameras_file import FrameCamera, SceneCameras
from mcbench.joints import COCO17

WIDTH, HEIGHT = 960, 540
_HALF = {
    "nose": (0, -0.1, 1.6), "left_eye": (0.03, -0.09, 1.63), "left_ear": (0.07, 0, 1.61),
    "left_shoulder": (0.18, 0, 1.4), "left_elbow": (0.27, 0, 1.13), "left_wrist": (0.3, -0.1, 0.9),
    "left_hip": (0.1, 0, 0.9), "left_knee": (0.11, -0.03, 0.49), "left_ankle": (0.1, 0, 0.08),
}  # fmt: skip


def standing_person(x: float, y: float) -> np.ndarray:
    """Keypoints (17, 3), metres, Z up, of someone who stands at (x, y) and looks along -y."""
    points = [
        np.array(_HALF[name.replace("right_", "left_")]) * [-1 if name.startswith("right_") else 1, 1, 1]
        for name in COCO17.joints
    ]
    return np.array(points) + np.array([x, y, 0.0])


def arc_of_cameras(count: int, degrees: float = 60.0, distance: float = 5.0) -> SceneCameras:
    """Cameras with a lens that distorts, on an arc about the origin."""
    camera = Camera("SIMPLE_RADIAL", WIDTH, HEIGHT, (700.0, WIDTH / 2, HEIGHT / 2, -0.08))
    frames = []
    for i, angle in enumerate(np.radians(np.linspace(-degrees / 2, degrees / 2, count))):
        centre = np.array([distance * np.sin(angle), -distance * np.cos(angle), 1.3])
        z = np.array([0.0, 0.0, 0.9]) - centre
        z /= np.linalg.norm(z)
        x = np.cross(z, [0.0, 0.0, 1.0])
        x /= np.linalg.norm(x)
        rotation = np.stack([x, np.cross(z, x), z])
        frames.append(FrameCamera(i, f"{i:04d}.png", camera, np.column_stack([rotation, -rotation @ centre])))
    return SceneCameras(frames)


def seen(cameras: SceneCameras, points: np.ndarray, frame: int) -> np.ndarray:
    """Pixels (17, 2) of a person's keypoints in a frame's image."""
    pose = cameras.frames[frame].cam_from_world
    assert pose is not None
    return cameras.frames[frame].camera.project(transform(pose, points))
