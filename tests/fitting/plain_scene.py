"""Still bodies of plain colours before a patterned wall, seen by cameras on an arc: images with known outlines."""

from __future__ import annotations

import numpy as np

from mcbench.body.model import BodyModel
from mcbench.body.rotations import exp_so3
from mcbench.cameras.camera import Camera
from mcbench.cameras.views import Views
from mcbench.dataset.cameras_file import FrameCamera, SceneCameras
from mcbench.fitting.scene_images import SceneImages
from mcbench.fitting.state import BodyState
from mcbench.joints import SMPL24
from mcbench.viz.raycast import MeshScene, pixel_rays

CAMERA = Camera("SIMPLE_PINHOLE", 360, 480, (420.0, 180.0, 240.0))
#: Of torso and head, left and right arm, legs: a person's arms have one colour, the legs another.
SHIRT, ARMS, LEGS = (200, 60, 60), (230, 190, 160), (60, 60, 200)


def standing(x: float = 0.0, z: float = 0.0, arms_down: bool = True) -> BodyState:
    """A body at (x, z) on the floor, y up, facing +z; its arms hang, or are spread."""
    rotations = np.tile(np.eye(3), (24, 1, 1))
    if arms_down:
        rotations[SMPL24.index("left_shoulder")] = exp_so3(np.array([0.0, 0.0, -1.1]))
        rotations[SMPL24.index("right_shoulder")] = exp_so3(np.array([0.0, 0.0, 1.1]))
    return BodyState(np.zeros(10), rotations, np.array([x, 0.0, z]))


def arc(count: int = 6, degrees: float = 50.0, distance: float = 3.0) -> Views:
    """Cameras round the origin, upright in a world with y up, on the side of +z."""
    frames = []
    for i, angle in enumerate(np.radians(np.linspace(-degrees / 2, degrees / 2, count))):
        center = distance * np.array([np.sin(angle), 0.0, np.cos(angle)])
        forward = -center / distance
        down = np.array([0.0, -1.0, 0.0])
        rotation = np.stack([np.cross(down, forward), down, forward])
        frames.append(FrameCamera(i, str(i), CAMERA, np.column_stack([rotation, -rotation @ center])))
    return Views.from_cameras(SceneCameras(frames))


def photographed(body: BodyModel, people: list[BodyState], views: Views) -> SceneImages:
    """The people before a wall of coloured squares, 2 m behind the origin."""
    vertices = np.concatenate([body.forward(p.betas[None], p.rotations[None], p.transl[None]).vertices for p in people])
    scene = MeshScene(vertices, body.faces)
    main = body.skinning.argmax(1)[body.faces[:, 0]]
    arms = np.isin(
        main, [SMPL24.index(f"{s}_{j}") for s in ("left", "right") for j in ("shoulder", "elbow", "wrist", "hand")]
    )
    legs = np.isin(
        main, [SMPL24.index(f"{s}_{j}") for s in ("left", "right") for j in ("hip", "knee", "ankle", "foot")]
    )
    colour = np.where(arms[:, None], ARMS, np.where(legs[:, None], LEGS, SHIRT))
    squares = np.random.default_rng(0).integers(0, 256, (64, 64, 3))
    images = []
    for cam_from_world in views.cam_from_world:
        fine = np.stack(np.meshgrid(np.arange(720) / 2 + 0.25, np.arange(960) / 2 + 0.25), axis=-1).reshape(-1, 2)
        origin, direction = pixel_rays(CAMERA, cam_from_world, fine)
        hits = scene.cast(origin, direction)
        wall = origin + direction * ((-2.0 - origin[:, 2]) / direction[:, 2])[:, None]
        cell = np.floor(wall[:, :2] * 8).astype(int) % 64
        seen = np.where((hits.person >= 0)[:, None], colour[hits.face], squares[cell[:, 0], cell[:, 1]])
        images.append(seen.reshape(480, 2, 360, 2, 3).mean((1, 3)).round().astype(np.uint8))
    return SceneImages(views, tuple(images))
