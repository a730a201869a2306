"""`people.npz`: the bodies fitted in a scene, in `docs/formats.md` as mcbench-people/1."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcbench.dataset.files import read_record, write_record

FORMAT = "mcbench-people/1"


@dataclass(frozen=True)
class FittedPeople:
    """P people of a scene in its metric world (metres, Z up), one SMPL body each for all frames.

    Attributes
    ----------
    body_model : name of the body model, with `body_digest` the SHA-256 of its file.
    betas : (P, B) shape.
    global_orient : (P, 3) axis-angle of the root.
    body_pose : (P, 23, 3) axis-angle of the body joints, SMPL's order.
    transl : (P, 3) SMPL's translation, metres.
    joints : (P, 24, 3) `smpl24` joints, metres.
    joints_cov : (P, 24, 3, 3) covariance of the joints relative to joint 0, m^2 (joint 0: its absolute one).
    keypoints : (P, 17, 3) the body's `coco17` keypoints, metres.
    detection_person : (N,) person index of every row of the scene's detections, -1 where unassigned.
    residual_px : (P,) median reprojection error over COCO-17 keypoints with score >= 0.3, px; see AUDIT.
    """

    body_model: str
    body_digest: str
    betas: np.ndarray
    global_orient: np.ndarray
    body_pose: np.ndarray
    transl: np.ndarray
    joints: np.ndarray
    joints_cov: np.ndarray
    keypoints: np.ndarray
    detection_person: np.ndarray
    residual_px: np.ndarray

    def __len__(self) -> int:
        return len(self.betas)

    def save(self, path: Path) -> None:
        write_record(path, self, FORMAT)

    @classmethod
    def load(cls, path: Path) -> FittedPeople:
        return read_record(path, cls, FORMAT)
