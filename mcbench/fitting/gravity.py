"""Which way is up, and where the floor is, from the bodies that stand on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcbench.joints import SMPL24

Array = npt.NDArray[np.float64]

_UPRIGHT_DEG = 25.0  # a body whose trunk and legs are within this angle of one line stands
_ANKLES = (SMPL24.index("left_ankle"), SMPL24.index("right_ankle"))
_HIPS = (SMPL24.index("left_hip"), SMPL24.index("right_hip"))
_PELVIS, _NECK = SMPL24.index("pelvis"), SMPL24.index("neck")


@dataclass(frozen=True)
class Gravity:
    """Up in a world, and who says so.

    Attributes
    ----------
    up : (3,) unit vector.
    source : "cameras", "standing_bodies" or "trunks".
    """

    up: Array
    source: str


def up_from_bodies(joints: Array) -> Gravity:
    """Up from people's `smpl24` joints (P, 3 each), P >= 1.

    Of each standing person the direction from the ankles' middle to the neck; where nobody stands, of each person
    the one from pelvis to neck. The directions' geometric median on the sphere shrugs off who leans.
    """
    trunk = _unit(joints[:, _NECK] - joints[:, _PELVIS])
    legs = _unit(joints[:, _HIPS].mean(1) - joints[:, _ANKLES].mean(1))
    standing = (trunk * legs).sum(-1) > np.cos(np.radians(_UPRIGHT_DEG))
    if standing.any():
        whole = _unit(joints[standing, _NECK] - joints[standing][:, _ANKLES].mean(1))
        return Gravity(_spherical_median(whole), "standing_bodies")
    return Gravity(_spherical_median(trunk), "trunks")


def rotation_to_z(up: Array) -> Array:
    """The smallest rotation (3, 3) that turns `up` into (0, 0, 1)."""
    z = np.array([0.0, 0.0, 1.0])
    axis, cosine = np.cross(up, z), float(up @ z)
    if cosine < -1 + 1e-12:
        return np.diag([1.0, -1.0, -1.0])
    hat = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + hat + hat @ hat / (1 + cosine)


def floor_height(lowest: Array) -> float:
    """Height of the floor from the lowest point of each person (P,), Z up: what most stand on, to within 10 cm.

    The middle of the 10 cm that hold the most lowest points, the lower such where several do.
    """
    ordered = np.sort(lowest)
    counts = [int(((ordered >= h) & (ordered <= h + 0.1)).sum()) for h in ordered]
    best = ordered[int(np.argmax(counts))]
    return float(np.median(ordered[(ordered >= best) & (ordered <= best + 0.1)]))


def _unit(vectors: Array) -> Array:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _spherical_median(directions: Array, iterations: int = 50) -> Array:
    """Geometric median of unit vectors (N, 3), by Weiszfeld's iteration, kept on the sphere."""
    up = _unit(directions.sum(0))
    for _ in range(iterations):
        weight = 1 / np.maximum(np.linalg.norm(directions - up, axis=1), 1e-3)
        up = _unit((weight[:, None] * directions).sum(0))
    return up
