"""Rotations: axis-angle vectors and matrices, and the derivative of one by the other.

Formulas: Sola, Deray, Atchuthan, "A micro Lie theory for state estimation in robotics" (2018), SO(3) in section VII.
"""

from __future__ import annotations

import numpy as np

# Below this angle (rad) the series are used: their next terms (angle^4 / 5!) are under double precision there.
_SMALL = 1e-4
# The inverse's difference loses more digits: one more term of the series is taken below this.
_SMALL_FOR_INVERSE = 0.03


def skew(vectors: np.ndarray) -> np.ndarray:
    """Cross-product matrices: `skew(a) @ b == cross(a, b)`; (..., 3) -> (..., 3, 3)."""
    vectors = np.asarray(vectors, dtype=np.float64)
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    zero = np.zeros_like(x)
    flat = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1)
    return flat.reshape(*vectors.shape[:-1], 3, 3)


def _coefficients(angle: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """sin(a)/a, (1 - cos(a))/a^2 and (a - sin(a))/a^3, by their series near zero."""
    small = angle < _SMALL
    safe = np.where(small, 1.0, angle)
    square = angle * angle
    first = np.where(small, 1 - square / 6, np.sin(safe) / safe)
    # 2 sin^2(a/2) in place of 1 - cos(a), which would lose half of the digits of small angles.
    second = np.where(small, 0.5 - square / 24, 2 * np.sin(safe / 2) ** 2 / safe**2)
    third = np.where(small, 1 / 6 - square / 120, (safe - np.sin(safe)) / safe**3)
    return first, second, third


def exp_so3(axis_angle: np.ndarray) -> np.ndarray:
    """Rotation matrices of axis-angle vectors (radians); (..., 3) -> (..., 3, 3), float64 (Rodrigues)."""
    axis_angle = np.asarray(axis_angle, dtype=np.float64)
    first, second, _ = _coefficients(np.linalg.norm(axis_angle, axis=-1)[..., None, None])
    hat = skew(axis_angle)
    return np.eye(3) + first * hat + second * (hat @ hat)


def log_so3(rotations: np.ndarray) -> np.ndarray:
    """Axis-angle vectors (radians, length at most pi) of rotation matrices; (..., 3, 3) -> (..., 3), float64.

    By way of the unit quaternion, taken from the largest of its four candidate rows (Shepperd 1978): good to double
    precision over the whole range, half turns included.
    """
    r = np.asarray(rotations, dtype=np.float64)
    m00, m11, m22 = r[..., 0, 0], r[..., 1, 1], r[..., 2, 2]
    a, b, c = r[..., 2, 1] - r[..., 1, 2], r[..., 0, 2] - r[..., 2, 0], r[..., 1, 0] - r[..., 0, 1]
    d, e, f = r[..., 0, 1] + r[..., 1, 0], r[..., 0, 2] + r[..., 2, 0], r[..., 1, 2] + r[..., 2, 1]
    # Row i is the quaternion (w, x, y, z) times four times its i-th component.
    rows = np.empty((*m00.shape, 4, 4))
    rows[..., 0, 0], rows[..., 1, 1] = 1 + m00 + m11 + m22, 1 + m00 - m11 - m22
    rows[..., 2, 2], rows[..., 3, 3] = 1 - m00 + m11 - m22, 1 - m00 - m11 + m22
    for (i, j), entry in zip(((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)), (a, b, c, d, e, f), strict=True):
        rows[..., i, j] = rows[..., j, i] = entry
    largest = np.argmax(np.diagonal(rows, axis1=-2, axis2=-1), axis=-1)
    quaternion = np.take_along_axis(rows, largest[..., None, None], axis=-2)[..., 0, :]
    quaternion = quaternion / np.linalg.norm(quaternion, axis=-1, keepdims=True)
    quaternion = np.where(quaternion[..., :1] < 0, -quaternion, quaternion)
    w, vector = quaternion[..., :1], quaternion[..., 1:]
    sine = np.linalg.norm(vector, axis=-1, keepdims=True)
    tiny = sine < 1e-12
    factor = np.where(tiny, 2.0, 2 * np.arctan2(sine, w) / np.where(tiny, 1.0, sine))
    return factor * vector


def right_jacobian(axis_angle: np.ndarray) -> np.ndarray:
    """J with exp(w + d) = exp(w) exp(J d) to first order in d; (..., 3) -> (..., 3, 3)."""
    axis_angle = np.asarray(axis_angle, dtype=np.float64)
    _, second, third = _coefficients(np.linalg.norm(axis_angle, axis=-1)[..., None, None])
    hat = skew(axis_angle)
    return np.eye(3) - second * hat + third * (hat @ hat)


def inverse_right_jacobian(axis_angle: np.ndarray) -> np.ndarray:
    """J with log(exp(w) exp(d)) = w + J d to first order in d, for angles under 2 pi; (..., 3) -> (..., 3, 3)."""
    axis_angle = np.asarray(axis_angle, dtype=np.float64)
    angle = np.linalg.norm(axis_angle, axis=-1)[..., None, None]
    small = angle < _SMALL_FOR_INVERSE
    safe = np.where(small, 1.0, angle)
    square = angle * angle
    factor = np.where(
        small, 1 / 12 + square * (1 / 720 + square / 30240), (1 - 0.5 * safe / np.tan(0.5 * safe)) / safe**2
    )
    hat = skew(axis_angle)
    return np.eye(3) + 0.5 * hat + factor * (hat @ hat)


def unit_vectors(vectors: np.ndarray) -> np.ndarray:
    """Vectors (..., 3) made 1 long; those of no length stay so."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12))
