"""A small body and a finished workspace made by hand: known answers for what comes after the chain."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scipy import sparse
from scipy.spatial.transform import Rotation

from mcbench.body.model import BodyModel, Posed, vertex_areas
from mcbench.body.rotations import exp_so3
from mcbench.cameras.camera import Camera
from mcbench.dataset.cameras_file import FrameCamera, SceneCameras
from mcbench.dataset.detections import Detections
from mcbench.dataset.files import write_json
from mcbench.dataset.people import FittedPeople, without_parts
from mcbench.dataset.source import Frame, Source
from mcbench.dataset.truth import SceneTruth
from mcbench.dataset.verdicts import Check, Verdict, save_verdicts
from mcbench.errors import Rejected
from mcbench.joints import COCO17, SMPL24
from mcbench.workspace.record import StageRecord
from mcbench.workspace.runner import run_stages
from mcbench.workspace.stage import Stage, StageContext
from mcbench.workspace.workspace import Workspace

#: `smpl24` joints of a T-pose, metres, x to the left, y up.
_REST = np.array(
    [
        *((0, 0, 0), (0.07, -0.09, 0), (-0.07, -0.09, 0), (0, 0.11, 0), (0.1, -0.48, 0), (-0.1, -0.48, 0)),
        *((0, 0.25, 0), (0.09, -0.88, 0), (-0.09, -0.88, 0), (0, 0.31, 0), (0.1, -0.94, 0.12), (-0.1, -0.94, 0.12)),
        *((0, 0.52, 0), (0.08, 0.43, 0), (-0.08, 0.43, 0), (0, 0.6, 0), (0.17, 0.44, 0), (-0.17, 0.44, 0)),
        *((0.43, 0.44, 0), (-0.43, 0.44, 0), (0.68, 0.44, 0), (-0.68, 0.44, 0), (0.76, 0.44, 0), (-0.76, 0.44, 0)),
    ],
    dtype=np.float64,
)
FRAMES, WIDTH, HEIGHT, FOCAL = 8, 160, 120, 130.0


def toy_body(digest: str = "d1") -> BodyModel:
    """A stick body: an octahedron round every joint, moved rigidly; the first beta grows it by 10 % a unit."""
    corners = 0.08 * np.concatenate([np.eye(3), -np.eye(3)])
    template = (_REST[:, None] + corners).reshape(-1, 3)
    shapedirs = np.zeros((len(template), 3, 10))
    shapedirs[..., 0] = 0.1 * np.repeat(_REST, 6, axis=0)
    one = np.array([[0, 1, 2], [1, 3, 2], [3, 4, 2], [4, 0, 2], [1, 0, 5], [3, 1, 5], [4, 3, 5], [0, 4, 5]])
    faces = np.concatenate([one + 6 * j for j in range(24)])
    joints = sparse.csr_matrix(np.kron(np.eye(24), np.full((1, 6), 1 / 6)))
    named = {name: joints[[j]] for j, name in enumerate(SMPL24.joints) if name in COCO17.joints}
    head = 6 * SMPL24.index("head")  # the octahedron's corners: left, up, front, right, down, back
    for name, weights in {"nose": (0, 0, 1), "left_eye": (0.3, 0, 0.7), "left_ear": (1, 0, 0)}.items():
        row = np.zeros((1, len(template)))
        row[0, head : head + 3] = weights
        named[name] = sparse.csr_matrix(row)
    for name in ("eye", "ear"):
        row = named[f"left_{name}"].toarray()
        row[0, [head, head + 3]] = row[0, [head + 3, head]]
        named[f"right_{name}"] = sparse.csr_matrix(row)
    return BodyModel(
        name="toy",
        digest=digest,
        v_template=template,
        shapedirs=shapedirs,
        posedirs=None,
        joint_regressor=joints,
        skinning=np.repeat(np.eye(24), 6, axis=0),
        faces=faces,
        skin_mask=np.ones(len(template), dtype=bool),
        vertex_area=vertex_areas(template, faces),
        keypoints=named,
    )


def orbit() -> np.ndarray:
    """`cam_from_world` (FRAMES, 3, 4) on an uneven arc round the origin, Z up, 3 to 4 m away."""
    poses = []
    for i, angle in enumerate(np.linspace(-0.6, 0.6, FRAMES)):
        distance = 3.0 + 0.3 * (i % 3)
        center = np.array([distance * np.sin(angle), -distance * np.cos(angle), 1.0 + 0.2 * (i % 2)])
        forward = -center / np.linalg.norm(center)
        right = np.cross(forward, [0, 0, 1.0])
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(forward, right), forward])
        poses.append(np.concatenate([rotation, (-rotation @ center)[:, None]], axis=1))
    return np.stack(poses)


def standing(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """SMPL parameters of people who stand side by side on the x axis, about the origin."""
    rng = np.random.default_rng(seed)
    orient = Rotation.from_euler("x", 90, degrees=True).as_rotvec()  # y up to z up
    return {
        "betas": 0.3 * rng.normal(size=(count, 10)),
        "global_orient": np.tile(orient, (count, 1)),
        "body_pose": 0.1 * rng.normal(size=(count, 23, 3)),
        "transl": np.stack([1.2 * (np.arange(count) - (count - 1) / 2), np.zeros(count), np.zeros(count)], axis=1),
    }


def pose(parameters: dict[str, np.ndarray]) -> Posed:
    """The toy body with SMPL parameters as files have them."""
    rotations = exp_so3(np.concatenate([parameters["global_orient"][:, None], parameters["body_pose"]], axis=1))
    return toy_body().forward(parameters["betas"], rotations, parameters["transl"])


def make_truth(clip: str, parameters: dict[str, np.ndarray]) -> SceneTruth:
    posed = pose(parameters)
    count = len(posed.joints)
    K = Camera("PINHOLE", WIDTH, HEIGHT, (FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2)).K
    return SceneTruth(
        clip=clip,
        image_size=(WIDTH, HEIGHT),
        K=np.tile(K, (FRAMES, 1, 1)),
        cam_from_world=orbit(),
        person_id=np.arange(count),
        joints=posed.joints,
        joints_visible=np.ones((FRAMES, count, 24), dtype=bool),
        box=np.full((FRAMES, count, 4), np.nan),
        vertices=posed.vertices,
        vertices_visible=np.full(posed.vertices.shape[:2], FRAMES, dtype=np.int32),
        hands=np.full((count, 2, 21, 3), np.nan),
        hands_px=np.zeros((FRAMES, count, 2)),
        face=np.full((count, 51, 3), np.nan),
        face_px=np.zeros((FRAMES, count)),
        moved=np.zeros((FRAMES, count, 3)),
    )


@dataclass(frozen=True)
class NoSettings:
    body: str = ""


def _write_source(out: Path, name: str) -> dict[str, Any]:
    (out / "images").mkdir()
    rng = np.random.default_rng(0)
    frames = []
    for i in range(FRAMES):
        image = cv2.resize(rng.integers(60, 190, (6, 8, 3), dtype=np.uint8), (WIDTH, HEIGHT))
        cv2.imwrite(str(out / "images" / f"{i:03d}.png"), image)
        frames.append(Frame(i, f"{i:03d}.png", i / 30, WIDTH, HEIGHT))
    Source(out, name, "images", "images", frames, list(range(FRAMES))).save()
    return {"frames": FRAMES}


def _cameras(origin: str, unposed: tuple[int, ...] = (2,)) -> SceneCameras:
    camera = Camera("PINHOLE", WIDTH, HEIGHT, (FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2))
    frames = [
        FrameCamera(i, f"{i:03d}.png", camera, None if i in unposed else matrix) for i, matrix in enumerate(orbit())
    ]
    return SceneCameras(frames, "metre", np.array([0.0, 0.0, 1.0]), origin)


def _detections(count: int) -> Detections:
    frame = np.repeat(np.arange(FRAMES), count)
    n = len(frame)
    return Detections(
        "coco17", "hand-made", frame, np.full(n, 0.9), np.zeros((n, 4)), np.zeros((n, 17, 2)), np.ones((n, 17)),
        np.full((n, 17, 3), np.nan), np.zeros((n, 0, 0), dtype=np.uint8),
    )  # fmt: skip


def stages(parameters: dict[str, np.ndarray], accepted: list[bool], reject: str | None) -> list[tuple[Stage, Any]]:
    """Stages that write what the chain would have written, had it found the people of these parameters."""
    posed, count = pose(parameters), len(accepted)

    def sfm(context: StageContext[NoSettings]) -> dict[str, Any]:
        if reject:
            raise Rejected("hand-made", reason=reject)
        _cameras("sfm").save(context.out / "cameras.json")
        return {}

    def detect(context: StageContext[NoSettings]) -> dict[str, Any]:
        _detections(count).save(context.out / "detections.npz")
        return {}

    def fit(context: StageContext[NoSettings]) -> dict[str, Any]:
        FittedPeople(
            body_model="toy",
            body_digest="d1",
            **{**without_parts(count), **parameters},
            joints=posed.joints,
            joints_cov=np.tile(4e-4 * np.eye(3), (count, 24, 1, 1)),
            keypoints=np.zeros((count, 17, 3)),
            detection_person=np.tile(np.arange(count), FRAMES),
            residual_px=np.full(count, 2.0),
        ).save(context.out / "people.npz")
        _cameras("fit").save(context.out / "cameras.json")
        write_json(
            context.out / "scene.json",
            {"scale": 2.0, "scale_interval": [1.9, 2.1], "people": [{"moved_m": 0.002} for _ in accepted]},
        )
        return {}

    def validate(context: StageContext[NoSettings]) -> dict[str, Any]:
        verdicts = [
            Verdict(i, (Check("views", 8.0, 5.0 if good else 9.0, "min", "few_views"),))
            for i, good in enumerate(accepted)
        ]
        save_verdicts(context.out / "people.json", verdicts)
        return {}

    chain = {
        "sfm": (sfm, ("source",)),
        "detect": (detect, ("source",)),
        "fit": (fit, ("source", "sfm", "detect")),
        "validate": (validate, ("source", "sfm", "detect", "fit")),
    }
    return [(Stage(name, 1, inputs, NoSettings, run), NoSettings()) for name, (run, inputs) in chain.items()]


def add_scene(
    workspace: Workspace,
    name: str,
    parameters: dict[str, np.ndarray],
    accepted: list[bool] | None = None,
    reject: str | None = None,
) -> list[StageRecord | None]:
    """Add a scene with people of these parameters, all accepted unless said; `reject`: sfm's typed reason."""

    def build(out: Path) -> dict[str, Any]:
        return _write_source(out, name)

    scene, _ = workspace.add_source(name, f"hand-made:{name}", build, settings={}, content={"name": name})
    chain = stages(parameters, accepted or [True] * len(parameters["betas"]), reject)
    run_stages([scene], chain)
    return [scene.record(stage.name) for stage, _ in chain]
