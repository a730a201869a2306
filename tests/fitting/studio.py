"""Detections drawn of known people in known views, and the Panoptic Studio's cameras and people."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcbench.cameras.camera import Camera
from mcbench.cameras.views import Views
from mcbench.dataset.cameras_file import FrameCamera, SceneCameras
from mcbench.dataset.detections import Detections
from mcbench.joints import joint_set

#: Five HD cameras of the studio that see the whole floor, on all sides.
STUDIO_CAMERAS = ("00_03", "00_12", "00_21", "00_11", "00_06")


@dataclass(frozen=True)
class Scene:
    """Detections with the person (N,) that each shows, -1 for nobody, -2 for a second one of a person."""

    views: Views
    detections: Detections
    person: np.ndarray
    truth: np.ndarray


class Builder:
    """Draws noisy detections of known people (P, K, 3) in known views."""

    def __init__(self, views: Views, truth: np.ndarray, keypoint_set: str, seed: int, noise_px: float) -> None:
        self.views, self.truth, self.set, self.noise = views, truth, keypoint_set, noise_px
        self.rng = np.random.default_rng(seed)
        self.rows: list[tuple[int, int, np.ndarray, np.ndarray, np.ndarray]] = []

    def image(self, view: int, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        camera, pose = self.views.cameras[view], self.views.cam_from_world[view]
        pixels = camera.project(points @ pose[:, :3].T + pose[:, 3])
        inside = ((pixels > 0) & (pixels < [camera.width, camera.height])).all(axis=-1)
        return pixels, inside

    def add(self, view: int, person: int, label: int | None = None, outliers: float = 0.0, flip: bool = False) -> None:
        pixels, inside = self.image(view, self.truth[person])
        if inside.sum() < 8:
            return
        low, high = pixels[inside].min(axis=0), pixels[inside].max(axis=0)
        pixels = pixels + self.rng.normal(0, self.noise, pixels.shape)
        wrong = self.rng.random(len(pixels)) < outliers
        pixels[wrong] = self.rng.uniform(low, high, (wrong.sum(), 2))
        score = np.where(inside, self.rng.uniform(0.6, 1.0, len(pixels)), 0.0)
        if flip:
            order = list(joint_set(self.set).flip)
            pixels, score = pixels[order], score[order]
        self.rows.append((view, person if label is None else label, pixels, score, np.concatenate([low, high])))

    def add_false(self, view: int) -> None:
        """A person-like figure where nobody is."""
        camera = self.views.cameras[view]
        size = self.rng.uniform(0.2, 0.6) * camera.height
        corner = self.rng.uniform(0, [camera.width - size, camera.height - size])
        pixels = corner + self.rng.uniform(0, size, (self.truth.shape[1], 2))
        score = self.rng.uniform(0.3, 0.8, len(pixels))
        self.rows.append((view, -1, pixels, score, np.concatenate([corner, corner + size])))

    def scene(self) -> Scene:
        self.rng.shuffle(self.rows)
        rows = sorted(self.rows, key=lambda row: row[0])
        count, joints = len(rows), self.truth.shape[1]
        detections = Detections(
            keypoint_set=self.set,
            detector="made up",
            frame=np.array([self.views.frame[row[0]] for row in rows], dtype=np.int64),
            score=np.full(count, 0.9),
            box=np.array([row[4] for row in rows]).reshape(count, 4),
            keypoints=np.array([row[2] for row in rows]).reshape(count, joints, 2),
            keypoint_score=np.array([row[3] for row in rows]).reshape(count, joints),
            keypoints3d=np.full((count, joints, 3), np.nan),
            mask=np.zeros((count, 0, 0), dtype=np.uint8),
        )
        return Scene(self.views, detections, np.array([row[1] for row in rows]), self.truth)


def studio_views(folder: Path, names: tuple[str, ...]) -> Views:
    calibration = json.loads((folder / "calibration_160906_band1.json").read_text())
    by_name = {camera["name"]: camera for camera in calibration["cameras"]}
    frames = []
    for index, name in enumerate(names):
        c = by_name[name]
        K, (k1, k2, p1, p2, k3) = c["K"], c["distCoef"]
        params = (K[0][0], K[1][1], K[0][2], K[1][2], k1, k2, p1, p2, k3, 0.0, 0.0, 0.0)
        pose = np.column_stack([np.array(c["R"]), np.array(c["t"]).reshape(3)])
        frames.append(FrameCamera(index, name, Camera("FULL_OPENCV", *c["resolution"], params), pose))
    return Views.from_cameras(SceneCameras(frames))


def studio_people(folder: Path, instant: str) -> np.ndarray:
    bodies = json.loads((folder / f"body3DScene_{instant}.json").read_text())["bodies"]
    joints = np.array([body["joints19"] for body in bodies]).reshape(len(bodies), 19, 4)
    return np.where(joints[..., 3:] > 0, joints[..., :3], np.nan)


def studio_scene(folder: Path, instant: str, seed: int, false: int, names: tuple[str, ...] = STUDIO_CAMERAS) -> Scene:
    truth = studio_people(folder, instant)
    builder = Builder(studio_views(folder, names), truth, "panoptic19", seed, noise_px=5.0)
    missed = builder.rng.integers(0, len(names), len(truth))
    for view in range(len(names)):
        for person in range(len(truth)):
            if view != missed[person]:
                builder.add(view, person, outliers=0.2)
        for _ in range(false):
            builder.add_false(view)
    return builder.scene()
