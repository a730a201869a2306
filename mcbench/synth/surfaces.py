"""The triangles of a rendered scene: room, furniture and people in one mesh, with light baked into its vertices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from mcbench.body.anny_rig import AnnyRig
from mcbench.synth import textures
from mcbench.synth.people import Person
from mcbench.synth.room import SHELL, Grid, Indices, Numbers, Room

Array = npt.NDArray[np.float64]

#: Texels a metre of walls, floor, ceiling, furniture and cloth.
_WALL, _FLOOR, _CEILING, _FURNITURE, _CLOTH = 260, 220, 100, 220, 900
_CELL_M = 0.3  # between the vertices that carry light
_CLOTH_TEXELS = 512
_SKY_RAYS = 20
_SKY_M = 1.5  # what is farther off takes no light away


@dataclass(frozen=True)
class Hits:
    """First hits of rays.

    Attributes
    ----------
    triangle : (N,) index where a person is hit, else -1. u, v : (N,) weights of its second and third corner.
    rectangle : (N,) index of what of the room is hit, or stands behind the person. s, t : (N,) where, in shares of its
    sides.
    distance : (N,) in units of the ray's direction.
    """

    triangle: npt.NDArray[np.int32]
    u: Numbers
    v: Numbers
    rectangle: Indices
    s: Numbers
    t: Numbers
    distance: Numbers


@dataclass
class Surfaces:
    """A triangle mesh to be looked at: first the room, rectangle by rectangle, then the people.

    Attributes
    ----------
    vertices : (V, 3). triangles : (T, 3). colours : (V, 3), light included. uv : (V, 2) in the atlas' finest texels.
    density : (T,) texels a metre. person : (T,) index, -1 for the room.
    first : index of every person's first vertex. grids : of the room's rectangles.
    """

    room: Room
    vertices: Numbers
    triangles: npt.NDArray[np.int64]
    colours: Numbers
    uv: Numbers
    density: Numbers
    person: npt.NDArray[np.int64]
    first: list[int]
    grids: list[Grid]
    atlas: textures.Atlas

    def __post_init__(self) -> None:
        self.bodies = sum(2 * g.across * g.down for g in self.grids)  # first triangle of a person
        # Cells are there for the light: the caster knows furniture by whole sides, and the walls it need not know.
        sides = [g.halves() for g in self.grids[SHELL:]]
        self._sides = 2 * len(sides)
        self._known = np.concatenate([*sides, self.triangles[self.bodies :]]).astype(np.int32)
        self.rebuild()

    def rebuild(self) -> None:
        """Make the ray caster's structure anew, after vertices have moved."""
        self._scene = EmbreeScene()
        if len(self._known):
            self._mesh = TriangleMesh(self._scene, self.vertices, self._known)

    def cast(self, origins: npt.ArrayLike, directions: npt.ArrayLike) -> Hits:
        """First hits of rays (N, 3) that start in the room; `origins` may be one for all, (1, 3)."""
        starts, columns = (np.ascontiguousarray(np.asarray(x, dtype=np.float32).T) for x in (origins, directions))
        rectangle, s, t, distance = self.room.shell(starts, columns)
        starts, ways = starts.T, np.ascontiguousarray(columns.T)
        found = self._scene.run(np.ascontiguousarray(np.broadcast_to(starts, ways.shape)), ways, output=1)
        known, u, v = found["primID"], found["u"], found["v"]
        known[found["tfar"] > distance] = -1  # nothing, or what is beyond a wall
        triangle = np.where(known >= self._sides, known + np.int32(self.bodies - self._sides), np.int32(-1))
        side = np.flatnonzero((known >= 0) & (known < self._sides))
        second = (known[side] & 1).astype(bool)
        rectangle[side] = SHELL + known[side] // 2
        s[side], t[side] = np.where(second, 1 - v[side], u[side]), np.where(second, u[side] + v[side], v[side])
        return Hits(triangle, u, v, rectangle, s, t, np.minimum(found["tfar"], distance))

    def blocked(self, origins: npt.ArrayLike, directions: npt.ArrayLike, most: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Whether anything lies on rays (N, 3) nearer than `most` (N,), in units of their direction."""
        starts, ways, reach = (np.ascontiguousarray(x, dtype=np.float32) for x in (origins, directions, most))
        walls = self.room.walls_ahead(starts.T, ways.T.copy()).min(0)
        return np.asarray((walls < reach) | (self._scene.run(starts, ways, reach, "OCCLUDED") >= 0))


class _Builder:
    def __init__(self) -> None:
        self.vertices: list[Array] = []
        self.triangles: list[npt.NDArray[np.int64]] = []
        self.colours: list[Array] = []
        self.texture: list[tuple[int, Array]] = []
        self.density: list[npt.NDArray] = []
        self.person: list[npt.NDArray] = []
        self.grids: list[Grid] = []
        self.textures: list[textures.Image] = []
        self.count = 0

    def add(
        self,
        vertices: Array,
        triangles: npt.NDArray,
        colours: Array,
        uv: Array,
        density: float,
        person: int,
        texture: int,
    ) -> None:
        """Add triangles, which name vertices by their index in the whole."""
        self.vertices.append(vertices)
        self.triangles.append(triangles)
        self.colours.append(colours)
        self.texture.append((texture, uv))
        self.density.append(np.full(len(triangles), density))
        self.person.append(np.full(len(triangles), person))
        self.count += len(vertices)

    def quad(self, origin: Array, along_u: Array, along_v: Array, density: float, texture: int) -> None:
        """A rectangle cut into cells, its texture fitted to it."""
        length = [float(np.linalg.norm(a)) for a in (along_u, along_v)]
        nu, nv = (max(1, round(x / _CELL_M)) for x in length)
        s, t = np.meshgrid(np.linspace(0, 1, nu + 1), np.linspace(0, 1, nv + 1))
        s, t = s.ravel()[:, None], t.ravel()[:, None]
        h, w = self.textures[texture].shape[:2]
        grid = Grid(self.count, nu, nv)
        self.grids.append(grid)
        self.add(
            origin + s * along_u + t * along_v,
            grid.triangles(),
            np.ones((len(s), 3)),
            np.concatenate([s * (w - 1) + 0.5, t * (h - 1) + 0.5], axis=1),
            density,
            -1,
            texture,
        )

    def painted(self, picture: textures.Image) -> int:
        self.textures.append(picture)
        return len(self.textures) - 1


def build_surfaces(rng: np.random.Generator, room: Room, people: list[Person], brightness: float = 1.0) -> Surfaces:
    """Room, furniture and people, with the light of two lamps and of the walls."""
    made = _Builder()
    _add_room(made, rng, room)
    first = [_add_person(made, rng, i, person) for i, person in enumerate(people)]
    atlas = textures.Atlas.pack(made.textures)
    uv = np.concatenate([uv + np.array(atlas.origins[index]) for index, uv in made.texture])
    surfaces = Surfaces(
        room,
        np.concatenate(made.vertices).astype(np.float32),
        np.concatenate(made.triangles),
        np.concatenate(made.colours).astype(np.float32),
        uv.astype(np.float32),
        np.concatenate(made.density).astype(np.float32),
        np.concatenate(made.person).astype(np.int64),
        first,
        made.grids,
        atlas,
    )
    light = _light(rng, surfaces, room)
    surfaces.colours *= (brightness * light[:, None]).astype(np.float32)
    return surfaces


def _add_room(made: _Builder, rng: np.random.Generator, room: Room) -> None:
    """Floor, ceiling and four walls, each with a picture of its own; two sides of a box share one."""
    paint = 0
    for index, (corner, along, down) in enumerate(room.rectangles()):
        wide, high = (float(np.linalg.norm(side)) for side in (along, down))
        if index == 0:
            density, make = _FLOOR, textures.floor
        elif index == 1:
            density, make = _CEILING, textures.ceiling
        else:
            density, make = (_WALL, textures.wall) if index < SHELL else (_FURNITURE, textures.furniture)
        if index < SHELL or index % 2 == 0:
            paint = made.painted(make(rng, *(max(8, int(side * density)) for side in (high, wide))))
        made.quad(corner, along, down, density, paint)


def _add_person(made: _Builder, rng: np.random.Generator, index: int, person: Person) -> int:
    rig = AnnyRig.load()
    cloth = made.painted(textures.weave(rng, _CLOTH_TEXELS))
    # Cloth lies on the body at rest seen from the front; it repeats by reflection, so that no seam shows.
    flat = (person.rest[:, [0, 2]] - person.rest.min(0)[[0, 2]]) * _CLOTH
    span = _CLOTH_TEXELS - 1
    uv = span - np.abs(flat % (2 * span) - span)
    colours = person.colours * textures.CLOTH_WHITE
    skin = made.painted(np.full((8, 8, 3), 1 / textures.CLOTH_WHITE, dtype=np.float32))
    uv = np.where(person.cloth[:, None], uv, 4.0)
    covered = person.cloth[rig.faces].all(1)
    first = made.count
    made.add(person.vertices, first + rig.faces[covered], colours, uv, _CLOTH, index, cloth)
    made.add(person.vertices, made.count + rig.faces[~covered], colours, np.full_like(uv, 4.0), 1.0, index, skin)
    return first


def _light(rng: np.random.Generator, surfaces: Surfaces, room: Room) -> Array:
    """Light (V,) that reaches every vertex: two lamps under the ceiling, and the open part of what it looks at."""
    corners = surfaces.vertices[surfaces.triangles].astype(np.float64)
    face_normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros((len(surfaces.vertices), 3))
    for k in range(3):
        np.add.at(normals, surfaces.triangles[:, k], face_normal)
    # a person's two groups of triangles share vertices that are the same in space
    for first in surfaces.first:
        n = len(AnnyRig.load().skin_mask)
        both = normals[first : first + n] + normals[first + n : first + 2 * n]
        normals[first : first + n] = normals[first + n : first + 2 * n] = both
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    w, d, h = room.size
    points = surfaces.vertices.astype(np.float64)
    is_room = np.ones(len(points), dtype=bool)
    if surfaces.first:
        is_room[surfaces.first[0] :] = False
    # the room's faces look inwards, whatever their winding; boxes away from their middle is as good
    towards = np.array([0.0, 0.0, h / 2]) - points
    flip = is_room & ((normals * towards).sum(1) < 0)
    normals[flip] *= -1
    start = points + 0.004 * normals
    # a person has every vertex twice, for cloth and for skin: most are used once
    used = np.zeros(len(points), dtype=bool)
    used[surfaces.triangles] = True
    known = np.concatenate([*(grid.halves() for grid in surfaces.grids), surfaces.triangles[surfaces.bodies :]])
    scene = EmbreeScene()
    mesh = TriangleMesh(scene, surfaces.vertices, known.astype(np.int32))

    def free(rays: npt.NDArray[np.bool_], ways: Array, most: npt.ArrayLike) -> Numbers:
        """How far the chosen rays go before anything, walls included, at most `most` of their `ways`."""
        reach = np.array(np.broadcast_to(most, rays.shape)[rays], dtype=np.float32)
        return np.asarray(scene.run(start[rays].astype(np.float32), ways[rays].astype(np.float32), reach, "DISTANCE"))

    total = np.zeros(len(points))
    for _ in range(2):
        lamp = np.array([rng.uniform(-w, w) * 0.3, rng.uniform(-d, d) * 0.3, h - 0.15])
        arrow = lamp - start
        distance = np.linalg.norm(arrow, axis=1)
        arrow /= distance[:, None]
        facing = np.maximum((normals * arrow).sum(1), 0)
        lit = used & (facing > 0)
        lit[lit] = free(lit, arrow, distance) > distance[lit] - 0.05
        total += np.where(lit, facing, 0) * 0.42 / (0.6 + 0.05 * distance**2)
    open_share = np.zeros(len(points))
    for _ in range(_SKY_RAYS):
        direction = rng.standard_normal((len(points), 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        direction = normals + 0.98 * direction  # cosine-weighted about the normal
        open_share[used] += free(used, direction, _SKY_M) / _SKY_M
    del mesh  # embree does not keep it alive
    return 0.25 + 0.4 * open_share / _SKY_RAYS + total
