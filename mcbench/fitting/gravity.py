"""Which way is up, and where the floor is, from the bodies that stand on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcbench.body.rotations import unit_vectors
from mcbench.joints import SMPL24

Array = npt.NDArray[np.float64]

_UPRIGHT_DEG = 25.0  # a body whose trunk and legs are within this angle of one line stands
# The floor among sparse points, our choice: looked for within this reach of somebody's lowest point (m), up to this
# tilt against the bodies' idea of up, and believed with so many points within the tolerance (m).
_NEAR_FEET = 1.5
_NEAR_HEIGHT = 0.12
_TILT_DEG = 8.0
_MIN_FLOOR_POINTS = 40
_FLOOR_TOLERANCE = 0.015
_RANSAC_TRIPLES = 500
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


@dataclass(frozen=True)
class Floor:
    """The plane x.up = height of a world in metres, and how many sparse points lie on it."""

    up: Array
    height: float
    points: int


def up_from_bodies(joints: Array) -> Gravity:
    """Up from people's `smpl24` joints (P, 3 each), P >= 1.

    Of each standing person the direction from the ankles' middle to the neck; where nobody stands, of each person
    the one from pelvis to neck. The directions' geometric median on the sphere shrugs off who leans.
    """
    trunk = unit_vectors(joints[:, _NECK] - joints[:, _PELVIS])
    legs = unit_vectors(joints[:, _HIPS].mean(1) - joints[:, _ANKLES].mean(1))
    standing = (trunk * legs).sum(-1) > np.cos(np.radians(_UPRIGHT_DEG))
    if standing.any():
        whole = unit_vectors(joints[standing, _NECK] - joints[standing][:, _ANKLES].mean(1))
        return Gravity(_spherical_median(whole), "standing_bodies")
    return Gravity(_spherical_median(trunk), "trunks")


def lowest_points(vertices: Array, up: Array) -> Array:
    """The lowest point (P, 3) of each of the bodies (P, V, 3)."""
    lowest = (vertices @ up).argmin(1)
    return np.asarray(np.take_along_axis(vertices, lowest[:, None, None], axis=1)[:, 0])


def floor_plane(points: Array, gravity: Gravity, feet: Array) -> Floor | None:
    """The plane under the people's feet among a scene's sparse points; None where no plane has enough of them.

    Parameters
    ----------
    points : (N, 3) sparse points of the scene, m.
    gravity : a first idea of up, good to `_TILT_DEG`.
    feet : (P, 3) lowest point of each person, m.

    RANSAC over triples of the points that lie near the feet, with a fixed seed, then least squares on its inliers.
    """
    near = _near_feet(points, gravity.up, feet)
    if len(near) < _MIN_FLOOR_POINTS:
        return None
    corners = near[np.random.default_rng(0).integers(0, len(near), (_RANSAC_TRIPLES, 3))]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = unit_vectors(normals * np.sign(normals @ gravity.up)[:, None])
    heights = np.einsum("ti,ti->t", normals, corners[:, 0])
    level = normals @ gravity.up >= np.cos(np.radians(_TILT_DEG))
    stood_on = np.abs(feet @ normals.T - heights).min(0) < _NEAR_HEIGHT
    inliers = np.abs(near @ normals.T - heights) < _FLOOR_TOLERANCE  # (N, triples)
    support = np.where(level & stood_on, inliers.sum(0), 0)
    best = int(np.argmax(support))
    if support[best] < _MIN_FLOOR_POINTS:
        return None
    mine = inliers[:, best]
    for _ in range(5):
        middle = near[mine].mean(0)
        across = np.linalg.svd(near[mine] - middle, full_matrices=False)[2][2]
        up = across * np.sign(across @ gravity.up)
        mine = np.abs((near - middle) @ up) < _FLOOR_TOLERANCE
    return Floor(up, float(middle @ up), int(mine.sum()))


def _near_feet(points: Array, up: Array, feet: Array) -> Array:
    """Points (N, 3) that may be floor under somebody: at the height of their feet, as far as `up` is known."""
    offset = points[:, None] - feet[None]
    reach = np.linalg.norm(offset, axis=-1)
    slack = np.maximum(_NEAR_HEIGHT, np.tan(np.radians(_TILT_DEG)) * reach)
    return np.asarray(points[((np.abs(offset @ up) <= slack) & (reach <= _NEAR_FEET)).any(1)])


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


def _spherical_median(directions: Array, iterations: int = 50) -> Array:
    """Geometric median of unit vectors (N, 3), by Weiszfeld's iteration, kept on the sphere."""
    up = unit_vectors(directions.sum(0))
    for _ in range(iterations):
        weight = 1 / np.maximum(np.linalg.norm(directions - up, axis=1), 1e-3)
        up = unit_vectors((weight[:, None] * directions).sum(0))
    return up
