"""`people.npz`: the bodies fitted in a scene, in `docs/formats.md` as mcbench-people/2."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcbench.body.parameters import HANDS, HEAD, whole_pose
from mcbench.dataset.files import read_record, write_record

FORMAT = "mcbench-people/2"


@dataclass(frozen=True)
class FittedPeople:
    """P people of a scene in its metric world (metres, Z up), one body each for all frames.

    What is unknown of hands and faces is NaN: read in fewer than 3 views, or nothing that the body model has.

    Attributes
    ----------
    body_model : name of the body model, with `body_digest` the SHA-256 of its file.
    n_joints : () joints of the model: 24 as SMPL, 52 as SMPL-H or 55 as SMPL-X.
    betas : (P, B) shape. expression : (P, E) of the face, E = 0 for a model without.
    global_orient : (P, 3) axis-angle of the root.
    body_pose : (P, 21, 3) axis-angle of the joints after it, of a model of 24 joints (P, 23, 3).
    left_hand_pose, right_hand_pose : (P, 15, 3) relative to hands of zero pose, no principal components.
    jaw_pose, leye_pose, reye_pose : (P, 3).
    transl : (P, 3) SMPL's translation, metres.
    joints : (P, 24, 3) `smpl24` joints, metres.
    joints_cov : (P, 24, 3, 3) covariance of the joints relative to joint 0, m^2 (joint 0: its absolute one).
    hands : (P, 2, 21, 3) left and right, `hand21`, metres; hands_cov : (P, 2, 21, 3, 3) relative to the wrist, m^2.
    face : (P, 51, 3) landmarks `face_17` to `face_67`; face_cov : (P, 51, 3, 3) relative to the joint of the head.
    keypoints : (P, 17, 3) the body's `coco17` keypoints, metres.
    detection_person : (N,) person index of every row of the scene's detections, -1 where unassigned.
    residual_px : (P,) median reprojection error over COCO-17 keypoints with score >= 0.3, px; see AUDIT.
    """

    body_model: str
    body_digest: str
    n_joints: np.ndarray
    betas: np.ndarray
    expression: np.ndarray
    global_orient: np.ndarray
    body_pose: np.ndarray
    left_hand_pose: np.ndarray
    right_hand_pose: np.ndarray
    jaw_pose: np.ndarray
    leye_pose: np.ndarray
    reye_pose: np.ndarray
    transl: np.ndarray
    joints: np.ndarray
    joints_cov: np.ndarray
    hands: np.ndarray
    hands_cov: np.ndarray
    face: np.ndarray
    face_cov: np.ndarray
    keypoints: np.ndarray
    detection_person: np.ndarray
    residual_px: np.ndarray

    def __len__(self) -> int:
        return len(self.betas)

    @property
    def pose(self) -> np.ndarray:
        """(P, J, 3) axis-angle of all joints; NaN where unknown."""
        return whole_pose(vars(self), int(self.n_joints))

    def save(self, path: Path) -> None:
        write_record(path, self, FORMAT)

    @classmethod
    def load(cls, path: Path) -> FittedPeople:
        return read_record(path, cls, FORMAT)


def unknown_landmarks(count: int) -> dict[str, np.ndarray]:
    """The points of hands and faces of people of whom none is known."""
    return {
        "hands": np.full((count, 2, 21, 3), np.nan),
        "hands_cov": np.full((count, 2, 21, 3, 3), np.nan),
        "face": np.full((count, 51, 3), np.nan),
        "face_cov": np.full((count, 51, 3, 3), np.nan),
    }


def without_parts(count: int) -> dict[str, np.ndarray]:
    """What the file says besides of people fitted with a body of SMPL's 24 joints."""
    return {
        "n_joints": np.array(24),
        "expression": np.zeros((count, 0)),
        **{name: np.full((count, joints, 3), np.nan) for name, joints in HANDS.items()},
        **{name: np.full((count, 3), np.nan) for name in HEAD},
        **unknown_landmarks(count),
    }
