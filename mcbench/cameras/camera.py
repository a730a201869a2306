"""Cameras as in COLMAP and OpenCV: x right, y down, z forward; a pixel's centre is at +0.5."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

#: COLMAP camera models understood here, with the number of their parameters.
MODELS = {
    "SIMPLE_PINHOLE": 3,  # f, cx, cy
    "PINHOLE": 4,  # fx, fy, cx, cy
    "SIMPLE_RADIAL": 4,  # f, cx, cy, k1
    "RADIAL": 5,  # f, cx, cy, k1, k2
    "OPENCV": 8,  # fx, fy, cx, cy, k1, k2, p1, p2
    "FULL_OPENCV": 12,  # fx, fy, cx, cy, k1, k2, p1, p2, k3, k4, k5, k6
}
_ONE_FOCAL = {"SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL"}


@dataclass(frozen=True)
class Camera:
    """Intrinsics of one camera.

    Attributes
    ----------
    model : one of `MODELS`, COLMAP's names and order of parameters.
    width, height : image size, px.
    params : the model's parameters; focal lengths and principal point in px.
    """

    model: str
    width: int
    height: int
    params: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise ValueError(f"camera model {self.model!r} is not one of {sorted(MODELS)}")
        if len(self.params) != MODELS[self.model]:
            raise ValueError(f"camera model {self.model} has {MODELS[self.model]} parameters, got {len(self.params)}")

    @property
    def fx(self) -> float:
        return self.params[0]

    @property
    def fy(self) -> float:
        return self.params[0] if self.model in _ONE_FOCAL else self.params[1]

    @property
    def cx(self) -> float:
        return self.params[1] if self.model in _ONE_FOCAL else self.params[2]

    @property
    def cy(self) -> float:
        return self.params[2] if self.model in _ONE_FOCAL else self.params[3]

    @property
    def K(self) -> Array:
        """Calibration matrix (3, 3), px, without distortion."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    @property
    def distortion(self) -> Array:
        """OpenCV's coefficients (8,): k1, k2, p1, p2, k3, k4, k5, k6."""
        extra = self.params[3:] if self.model in _ONE_FOCAL else self.params[4:]
        out = np.zeros(8)
        out[: len(extra)] = extra
        return out

    def project(self, points_cam: npt.ArrayLike) -> Array:
        """Points (..., 3) in the camera's frame to pixels (..., 2); NaN for points not in front of it."""
        points = np.asarray(points_cam, dtype=np.float64)
        z = np.where(points[..., 2] > 1e-9, points[..., 2], np.nan)
        xy = self._distort(points[..., :2] / z[..., None])
        return xy * [self.fx, self.fy] + [self.cx, self.cy]

    def _distort(self, xy: Array) -> Array:
        k1, k2, p1, p2, k3, k4, k5, k6 = self.distortion
        if not self.distortion.any():
            return xy
        x, y = xy[..., 0], xy[..., 1]
        r2 = x * x + y * y
        radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
        dx = 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
        dy = p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
        return np.stack([x * radial + dx, y * radial + dy], axis=-1)

    def undistort(self, pixels: npt.ArrayLike, iterations: int = 30) -> Array:
        """Pixels (..., 2) to the pixels that `K` alone would give; fixed-point inversion of the distortion."""
        pixels = np.asarray(pixels, dtype=np.float64)
        focal, centre = np.array([self.fx, self.fy]), np.array([self.cx, self.cy])
        if not self.distortion.any():
            return pixels.copy()
        target = (pixels - centre) / focal
        xy = target.copy()
        for _ in range(iterations):
            xy = xy + (target - self._distort(xy))
        return xy * focal + centre

    def to_json(self) -> dict:
        return {
            "model": self.model,
            "width": self.width,
            "height": self.height,
            "params": [float(p) for p in self.params],
        }

    @classmethod
    def from_json(cls, data: dict) -> Camera:
        return cls(data["model"], int(data["width"]), int(data["height"]), tuple(data["params"]))


def transform(matrix: npt.ArrayLike, points: npt.ArrayLike) -> Array:
    """Apply rigid or affine transforms (..., 3, 4) to points (..., N, 3)."""
    m = np.asarray(matrix, dtype=np.float64)
    return np.asarray(points, dtype=np.float64) @ np.swapaxes(m[..., :3], -1, -2) + m[..., None, :, 3]


def camera_center(cam_from_world: npt.ArrayLike) -> Array:
    """Camera centres (..., 3) in the world of `cam_from_world` (..., 3, 4)."""
    m = np.asarray(cam_from_world, dtype=np.float64)
    return -np.einsum("...ji,...j->...i", m[..., :3], m[..., 3])
