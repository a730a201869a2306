"""Pictures of a scene's surfaces from a camera, antialiased, and what is seen in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcbench.synth.surfaces import Surfaces

Array = npt.NDArray[np.float64]

#: Offsets (px) of the rays by which pixels at edges are cast again: a rotated grid.
_SUBPIXELS = ((-0.125, -0.375), (0.375, -0.125), (0.125, 0.375), (-0.375, 0.125))
#: Relative depth step between neighbouring pixels that makes an edge.
_DEPTH_STEP = 0.02


@dataclass(frozen=True)
class Picture:
    """rgb (H, W, 3) float32 in [0, 1]; triangle (H, W) index, -1 where nothing is hit; depth (H, W) metres."""

    rgb: npt.NDArray[np.float32]
    triangle: npt.NDArray[np.int64]
    depth: npt.NDArray[np.float32]


class Renderer:
    """Renders one scene.

    Parameters
    ----------
    K : (3, 3) px, no distortion. size : (width, height), px.
    """

    def __init__(self, surfaces: Surfaces, K: Array, size: tuple[int, int]) -> None:
        self.surfaces = surfaces
        self.K = K
        self.size = size
        self._prepare()

    def _prepare(self) -> None:
        s = self.surfaces
        self._corner_colours = s.colours[s.triangles].reshape(-1, 9)
        self._corner_uv = s.uv[s.triangles].reshape(-1, 6)
        self.moved()

    def moved(self) -> None:
        """Take note that vertices have moved."""
        corners = self.surfaces.vertices[self.surfaces.triangles]
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        self._normal = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)

    def render(self, cam_from_world: Array) -> Picture:
        """The picture from a camera; edges are cast again with four rays a pixel."""
        width, height = self.size
        x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
        colour, triangle, depth = self._shade(cam_from_world, np.stack([x.ravel(), y.ravel()], axis=1))
        colour, triangle, depth = (a.reshape(height, width, *a.shape[1:]) for a in (colour, triangle, depth))
        edge = self._edges(triangle, depth)
        where = np.flatnonzero(edge)
        if len(where):
            pixels = np.stack([x.ravel()[where], y.ravel()[where]], axis=1)
            finer = np.concatenate([pixels + offset for offset in np.array(_SUBPIXELS)])
            again = self._shade(cam_from_world, finer)[0].reshape(len(_SUBPIXELS), -1, 3).mean(0)
            colour.reshape(-1, 3)[where] = again
        return Picture(colour, triangle, depth)

    def _shade(self, cam_from_world: Array, pixels: Array) -> tuple[npt.NDArray, npt.NDArray, npt.NDArray]:
        rotation, shift = cam_from_world[:, :3], cam_from_world[:, 3]
        local = np.concatenate([(pixels - self.K[:2, 2]) / self.K[[0, 1], [0, 1]], np.ones((len(pixels), 1))], axis=1)
        directions = (local @ rotation).astype(np.float32)
        origin = np.broadcast_to((-rotation.T @ shift).astype(np.float32), directions.shape)
        hits = self.surfaces.cast(origin, directions)
        triangle = hits["primID"].astype(np.int64)
        t = np.maximum(triangle, 0)
        u, v = hits["u"].astype(np.float32)[:, None], hits["v"].astype(np.float32)[:, None]
        w = 1 - u - v
        corners = self._corner_colours[t]
        colour = corners[:, :3] * w + corners[:, 3:6] * u + corners[:, 6:] * v
        places = self._corner_uv[t]
        uv = places[:, :2] * w + places[:, 2:4] * u + places[:, 4:] * v
        depth = hits["tfar"].astype(np.float32)
        length = np.linalg.norm(directions, axis=1)
        facing = np.abs(np.einsum("nx,nx->n", self._normal[t], directions)) / length
        # texels under a pixel: its width at the hit, stretched where the surface is seen at a slant
        texels = depth * length / self.K[0, 0] * self.surfaces.density[t] / np.sqrt(np.maximum(facing, 0.05))
        level = np.log2(np.maximum(texels, 1e-3))
        colour *= self.surfaces.atlas.sample(uv, level.astype(np.float32))
        colour[triangle < 0] = 0
        return colour, triangle, depth

    def _edges(self, triangle: npt.NDArray, depth: npt.NDArray) -> npt.NDArray[np.bool_]:
        """Pixels next to another object, a step in depth or of paint."""
        t = np.maximum(triangle, 0)
        person = self.surfaces.person[t]
        colour = self._corner_colours[t, :3]
        edge = np.zeros(triangle.shape, dtype=bool)
        for axis in (0, 1):
            a, b = (slice(None, -1), slice(1, None))
            one, two = ((a, slice(None)), (b, slice(None))) if axis == 0 else ((slice(None), a), (slice(None), b))
            near = np.minimum(depth[one], depth[two])
            step = np.abs(depth[one] - depth[two]) > _DEPTH_STEP * near
            other = (person[one] != person[two]) | (step & (person[one] >= 0))
            paint = (person[one] >= 0) & (np.abs(colour[one] - colour[two]).max(-1) > 0.1)
            room = step & (np.abs(depth[one] - depth[two]) > 0.1)
            found = other | paint | room
            edge[one] |= found
            edge[two] |= found
        return edge
