"""A jointed stick figure with the interface of `ReducedBody`, and scenes around it: small, fast, with known answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from mcbench.body.rotations import exp_so3
from mcbench.cameras.camera import Camera, transform
from mcbench.cameras.views import Views
from mcbench.dataset.cameras_file import FrameCamera, SceneCameras
from mcbench.dataset.detections import Detections
from mcbench.fitting.association import Track
from mcbench.fitting.keypoint_model import KeypointModel
from mcbench.fitting.motion_ranges import smpl_ranges
from mcbench.fitting.state import BodyState
from mcbench.joints import COCO17, SMPL24, SMPL24_PARENTS

N_BETAS = 2
SIZE_PER_BETA, LEGS_PER_BETA = 0.05, 0.04

_HALF = {  # left and middle joints at rest: x left, y up, z front, metres
    "pelvis": (0, 0.95, 0), "spine1": (0, 1.05, 0), "spine2": (0, 1.18, 0), "spine3": (0, 1.28, 0),
    "neck": (0, 1.46, 0), "head": (0, 1.55, 0), "left_hip": (0.09, 0.9, 0), "left_knee": (0.1, 0.5, 0),
    "left_ankle": (0.1, 0.09, -0.02), "left_foot": (0.11, 0.03, 0.1), "left_collar": (0.05, 1.38, 0),
    "left_shoulder": (0.18, 1.4, 0), "left_elbow": (0.45, 1.4, 0), "left_wrist": (0.7, 1.4, 0),
    "left_hand": (0.78, 1.4, 0),
}  # fmt: skip
_FACE = {"nose": (0, 1.6, 0.12), "left_eye": (0.03, 1.63, 0.1), "left_ear": (0.07, 1.61, 0.02)}


def _place(name):
    mirrored = name.startswith("right_")
    source = {**_HALF, **_FACE}[name.replace("right_", "left_")]
    return np.array(source) * ([-1, 1, 1] if mirrored else [1, 1, 1])


REST_JOINTS = np.array([_place(n) for n in SMPL24.joints])
REST_POINTS = np.array([_place(n) for n in COCO17.joints])
POINT_JOINT = [SMPL24.index(n) if n in SMPL24.joints else SMPL24.index("head") for n in COCO17.joints]


@dataclass(frozen=True)
class Reduced:
    points: np.ndarray
    joints: np.ndarray
    d_points: np.ndarray | None = None
    d_joints: np.ndarray | None = None


class ToyBody:
    """Its keypoints are `coco17`; betas are size and length of legs."""

    n_betas, n_joints, n_expression = N_BETAS, 24, 0
    joint_template = REST_JOINTS

    def evaluate(self, betas, rotations, transl, jacobian=True, expression=None):
        points, joints = self._forward(betas[None], rotations[None], transl[None])
        if not jacobian:
            return Reduced(points[0], joints[0])
        n, step = N_BETAS + 75, 1e-6
        nudges = np.concatenate([np.eye(n), -np.eye(n)]) * step
        turned = rotations @ exp_so3(nudges[:, N_BETAS:-3].reshape(-1, 24, 3))
        moved = self._forward(betas + nudges[:, :N_BETAS], turned, transl + nudges[:, -3:])
        d_points, d_joints = (np.moveaxis((x[:n] - x[n:]) / (2 * step), 0, -1) for x in moved)
        return Reduced(points[0], joints[0], d_points, d_joints)

    def with_jacobian(self, betas, rotations, transl, expression, unknowns=None):
        said = self.evaluate(betas, rotations, transl)
        return said.points, said.d_points if unknowns is None else said.d_points[..., unknowns]

    def _forward(self, betas, rotations, transl):
        rest_joints, rest_points = (self._shaped(x, betas) for x in (REST_JOINTS, REST_POINTS))
        world_r, world_p = [rotations[:, 0]], [rest_joints[:, 0]]
        for j in range(1, 24):
            parent = SMPL24_PARENTS[j]
            offset = (rest_joints[:, j] - rest_joints[:, parent])[..., None]
            world_p.append(world_p[parent] + (world_r[parent] @ offset)[..., 0])
            world_r.append(world_r[parent] @ rotations[:, j])
        points = [
            world_p[j] + (world_r[j] @ (rest_points[:, k] - rest_joints[:, j])[..., None])[..., 0]
            for k, j in enumerate(POINT_JOINT)
        ]
        return np.stack(points, 1) + transl[:, None], np.stack(world_p, 1) + transl[:, None]

    def _shaped(self, rest, betas):
        size = 1 + SIZE_PER_BETA * betas[:, 0]
        legs = np.minimum(rest[:, 1] - REST_JOINTS[0, 1], 0) * LEGS_PER_BETA
        shaped = rest * size[:, None, None]
        return shaped + betas[:, 1, None, None] * legs[:, None] * [0, 1, 0]


def keypoint_model(noise=0.012, bias=0.005):
    return KeypointModel("coco17", "toy", sparse.csr_matrix(np.eye(17)), np.full(17, noise), np.full(17, bias))


#: SMPL's y up to the world's z up.
Y_TO_Z = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])


def person(rng, place, spread=0.5):
    """A standing person near `place` (x, y) of a world with Z up, `spread` standard deviations from a relaxed pose."""
    ranges = smpl_ranges()
    angles = ranges.mean + spread * ranges.deviation * rng.normal(size=ranges.mean.shape)
    angles = np.clip(angles, ranges.low, ranges.high)
    yaw = exp_so3(np.array([0, 0, rng.uniform(-np.pi, np.pi)]))
    rotations = np.concatenate([(yaw @ Y_TO_Z)[None], exp_so3(angles)])
    betas = rng.normal(size=N_BETAS) * 0.7
    # The pelvis, about which the root turns, is not at SMPL's origin.
    pelvis = ToyBody().evaluate(betas, rotations, np.zeros(3), jacobian=False).joints[0]
    return BodyState(betas, rotations, np.array([*place, 0.95]) - pelvis)


def arc_cameras(count=20, degrees=70.0, distance=4.5, height=1.4, units="metre"):
    """Cameras (SceneCameras) on an arc about the origin, looking at the middle of a standing person."""
    camera = Camera("SIMPLE_RADIAL", 960, 540, (800.0, 480.0, 270.0, -0.05))
    frames = []
    for i, angle in enumerate(np.radians(np.linspace(-degrees / 2, degrees / 2, count))):
        centre = np.array([distance * np.sin(angle), -distance * np.cos(angle), height])
        forward = np.array([0, 0, 0.9]) - centre
        z = forward / np.linalg.norm(forward)
        x = np.cross(z, [0, 0, 1.0])
        x /= np.linalg.norm(x)
        rotation = np.stack([x, np.cross(z, x), z])
        frames.append(FrameCamera(i, f"{i:03d}", camera, np.column_stack([rotation, -rotation @ centre])))
    return SceneCameras(frames, units, np.array([0, 0, 1.0]), "colmap")


def detect(cameras, people, rng, noise_px=1.0, moved=None):
    """Detections of all people in all frames, and their tracks.

    `moved` (F, P, 3) displaces people a frame. The tracks' points are the true ones at the middle frame.
    """
    body = ToyBody()
    points = [body.evaluate(p.betas, p.rotations, p.transl, jacobian=False).points for p in people]
    frame, keypoints = [], []
    for i, f in enumerate(cameras.frames):
        for p, own in enumerate(points):
            shift = 0 if moved is None else moved[i, p]
            pixels = f.camera.project(transform(f.cam_from_world, own + shift))
            frame.append(i)
            keypoints.append(pixels + rng.normal(0, noise_px, pixels.shape))
    keypoints = np.array(keypoints)
    n = len(frame)
    box = np.concatenate([keypoints.min(1), keypoints.max(1)], 1)
    detections = Detections(
        "coco17", "toy", np.array(frame), np.ones(n), box, keypoints, np.ones((n, 17)),
        np.full((n, 17, 3), np.nan), np.zeros((n, 0, 0), np.uint8),
    )  # fmt: skip
    middle = np.zeros((len(people), 3)) if moved is None else moved[len(cameras.frames) // 2]
    tracks = [
        Track(
            np.arange(p, n, len(people)),
            np.zeros(n // len(people), bool),
            own + middle[p] + rng.normal(0, 0.01, own.shape),
            np.ones(17),
            np.full(17, n // len(people)),
            np.ones(17),
        )
        for p, own in enumerate(points)
    ]
    return detections, tracks


def views(cameras):
    return Views.from_cameras(cameras)
