"""Pictures of a scene's surfaces from a camera, antialiased, and what is seen in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcbench.cameras.camera import Camera
from mcbench.synth.room import Numbers, Panels
from mcbench.synth.surfaces import Surfaces

Array = npt.NDArray[np.float64]
Image = npt.NDArray[np.float32]
Reals = npt.NDArray[np.floating]

#: Offsets (px) of the rays by which pixels at edges are cast again: a rotated grid.
_SUBPIXELS = ((-0.125, -0.375), (0.375, -0.125), (0.125, 0.375), (-0.375, 0.125))
#: Relative depth step between neighbouring pixels that makes an edge.
_DEPTH_STEP = 0.02
#: Difference in a channel of paint that makes an edge.
_PAINT_STEP = 0.1
#: Rays shaded at a time: what is computed on the way stays in the processor's cache.
_RAYS = 1 << 14


@dataclass(frozen=True)
class Picture:
    """A picture and what is in it.

    Attributes
    ----------
    rgb : (H, W, 3) in [0, 1]. triangle : (H, W) index, -1 where nothing is hit. person : (H, W) index, -1 for the room
    and nothing. depth : (H, W) metres along the camera's axis.
    """

    rgb: Image
    triangle: npt.NDArray[np.int32]
    person: npt.NDArray[np.int16]
    depth: Image


class Renderer:
    """Renders one scene.

    Parameters
    ----------
    camera : without distortion.
    """

    def __init__(self, surfaces: Surfaces, camera: Camera) -> None:
        self.surfaces = surfaces
        self.camera = camera
        self._x = (np.arange(camera.width) + 0.5 - camera.cx) / camera.fx
        self._y = (np.arange(camera.height) + 0.5 - camera.cy) / camera.fy
        self._person = surfaces.person.astype(np.int16)
        corners = [grid.halves()[0] for grid in surfaces.grids]
        begins = np.cumsum([0, *(2 * grid.across * grid.down for grid in surfaces.grids)])[:-1]
        self._room = Panels(
            surfaces.grids,
            surfaces.uv,
            surfaces.colours[:, 0],
            np.array([np.ptp(surfaces.vertices[c], axis=0).argmin() for c in corners]),
            surfaces.density[begins],
        )
        # Of every triangle a row: colours and places in the atlas of its corners, density, normal. One row is one
        # fetch from memory; turned into a column a number, the rest is arithmetic on whole columns.
        self._looks = np.zeros((len(surfaces.triangles), 19), dtype=np.float32)
        self._looks[:, :9] = surfaces.colours[surfaces.triangles].reshape(-1, 9)
        self._looks[:, 9:15] = surfaces.uv[surfaces.triangles].reshape(-1, 6)
        self._looks[:, 15] = surfaces.density
        self._paint = self._looks[:, :3].copy()
        self.moved()

    def moved(self) -> None:
        """Take note that vertices have moved."""
        corners = self.surfaces.vertices[self.surfaces.triangles]
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        self._looks[:, 16:] = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)

    def render(self, cam_from_world: Array) -> Picture:
        """The picture from a camera; edges are cast again with four rays a pixel."""
        width, height = self.camera.width, self.camera.height
        rgb = np.empty((height, width, 3), dtype=np.float32)
        triangle = np.empty((height, width), dtype=np.int32)
        depth = np.empty((height, width), dtype=np.float32)
        step = max(1, _RAYS // width)
        for top in range(0, height, step):
            rows = slice(top, min(top + step, height))
            shape = (rows.stop - top, width)
            colour, hit, distance = self._shade(cam_from_world, self._x, self._y[rows, None])
            rgb[rows], triangle[rows] = colour.reshape(*shape, 3), hit.reshape(shape)
            depth[rows] = distance.reshape(shape)
        person = self._person[np.maximum(triangle, 0)]  # the first triangle is the room's
        where = np.flatnonzero(self._edges(triangle, person, depth))
        x, y = self._x[where % width], self._y[where // width]
        offsets = np.array(_SUBPIXELS) / [self.camera.fx, self.camera.fy]
        step = _RAYS // len(offsets)
        for begin in range(0, len(where), step):
            some = slice(begin, begin + step)
            colour, _, _ = self._shade(cam_from_world, x[some] + offsets[:, :1], y[some] + offsets[:, 1:])
            rgb.reshape(-1, 3)[where[some]] = colour.reshape(len(offsets), -1, 3).mean(0)
        return Picture(rgb, triangle, person, depth)

    def _shade(self, cam_from_world: Array, x: Reals, y: Reals) -> tuple[Image, npt.NDArray[np.int32], Image]:
        """Colour (N, 3), triangle (N,) and depth (N,) of the rays through (x, y) at depth one, which broadcast."""
        rotation, shift = cam_from_world[:, :3], cam_from_world[:, 3]
        along = np.stack([x * r[0] + (y * r[1] + r[2]) for r in rotation.T], dtype=np.float32, casting="same_kind")
        along = along.reshape(3, -1)
        hits = self.surfaces.cast((-rotation.T @ shift)[None], along.T)
        light, *look = self._room.look(hits.rectangle, hits.s, hits.t, along)
        paint = np.stack([light, light, light])
        body = np.flatnonzero(hits.triangle >= 0)
        if len(body):
            paint[:, body], body_look = self._bodies(hits.triangle[body], hits.u[body], hits.v[body], along[:, body])
            for whole, part in zip(look, body_look, strict=True):
                whole[body] = part
        u, v, density, facing = look
        length = np.sqrt(along[0] * along[0] + along[1] * along[1] + along[2] * along[2])
        # texels under a pixel: its width at the hit, stretched where the surface is seen at a slant
        slant = np.sqrt(np.maximum(facing / length, np.float32(0.05)))
        texels = hits.distance * length / np.float32(self.camera.fx) * density / slant
        colour = self.surfaces.atlas.sample(u, v, np.log2(np.maximum(texels, np.float32(1e-3))))
        for channel in range(3):
            colour[:, channel] *= paint[channel]
        return colour, hits.triangle, hits.distance

    def _bodies(
        self, triangle: npt.NDArray[np.int32], u: Numbers, v: Numbers, along: Numbers
    ) -> tuple[Numbers, list[Numbers]]:
        """Paint (3, N) of people, and (N,) each: place in the atlas (u, v), texels a metre, facing as of `Panels`."""
        looks = np.ascontiguousarray(self._looks[triangle].T)
        w = 1 - u - v
        paint = looks[0:3] * w + looks[3:6] * u + looks[6:9] * v
        place = looks[9:11] * w + looks[11:13] * u + looks[13:15] * v
        normal = looks[16:]
        facing = np.abs(normal[0] * along[0] + normal[1] * along[1] + normal[2] * along[2])
        return paint, [place[0], place[1], looks[15], facing]

    def _edges(
        self, triangle: npt.NDArray[np.int32], person: npt.NDArray[np.int16], depth: Image
    ) -> npt.NDArray[np.bool_]:
        """Pixels next to another object, a step in depth or of paint."""
        edge = np.zeros(triangle.shape, dtype=bool)
        for one, two in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
            near = np.minimum(depth[one], depth[two])
            gap = np.abs(depth[one] - depth[two])
            body = person[one] >= 0
            # steps within the room are those from one thing to another, not a floor seen at a slant
            step = (gap > np.float32(_DEPTH_STEP) * near) & (body | (gap > np.float32(0.1)))
            found = (person[one] != person[two]) | step
            where = np.nonzero(body)
            a, b = (self._paint.take(triangle[side][where], axis=0, mode="clip") for side in (one, two))
            found[where] |= (np.abs(a - b) > _PAINT_STEP).any(1)
            edge[one] |= found
            edge[two] |= found
        return edge
