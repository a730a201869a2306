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

Array = npt.NDArray[np.float64]

#: Texels a metre of walls, of floor and ceiling, of furniture, of cloth.
_WALL, _FLOOR, _FURNITURE, _CLOTH = 260, 220, 220, 900
_CELL_M = 0.3  # between the vertices that carry light
_CLOTH_TEXELS = 512
_SKY_RAYS = 20


@dataclass(frozen=True)
class Room:
    """A box of a room with pictures on its walls, and boxes as furniture.

    Attributes
    ----------
    size : width (x), depth (y), height, metres; centred on the origin, floor at z = 0.
    boxes : (B, 2, 3) lower and upper corners of furniture, metres.
    """

    size: tuple[float, float, float]
    boxes: Array


@dataclass
class Surfaces:
    """A triangle mesh to be looked at.

    Attributes
    ----------
    vertices : (V, 3). triangles : (T, 3). colours : (V, 3), light included. uv : (V, 2) in the atlas' finest texels.
    density : (T,) texels a metre. person : (T,) index, -1 for the room.
    first : index of every person's first vertex.
    """

    vertices: npt.NDArray[np.float32]
    triangles: npt.NDArray[np.int64]
    colours: npt.NDArray[np.float32]
    uv: npt.NDArray[np.float32]
    density: npt.NDArray[np.float32]
    person: npt.NDArray[np.int64]
    first: list[int]
    atlas: textures.Atlas

    def __post_init__(self) -> None:
        self.rebuild()

    def rebuild(self) -> None:
        """Make the ray caster's structure anew, after vertices have moved."""
        self._scene = EmbreeScene()
        self._mesh = TriangleMesh(self._scene, self.vertices[self.triangles])

    def cast(self, origins: npt.ArrayLike, directions: npt.ArrayLike) -> dict[str, npt.NDArray]:
        """First hits of rays (N, 3): `primID` (-1: none), `tfar`, `u`, `v`."""
        return dict(
            self._scene.run(
                np.ascontiguousarray(origins, dtype=np.float32),
                np.ascontiguousarray(directions, dtype=np.float32),
                output=1,
            )
        )


class _Builder:
    def __init__(self) -> None:
        self.vertices: list[Array] = []
        self.triangles: list[npt.NDArray[np.int64]] = []
        self.colours: list[Array] = []
        self.texture: list[tuple[int, Array]] = []
        self.density: list[npt.NDArray] = []
        self.person: list[npt.NDArray] = []
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
    ) -> int:
        first = self.count
        self.vertices.append(vertices)
        self.triangles.append(triangles + first)
        self.colours.append(colours)
        self.texture.append((texture, uv))
        self.density.append(np.full(len(triangles), density))
        self.person.append(np.full(len(triangles), person))
        self.count += len(vertices)
        return first

    def quad(self, origin: Array, along_u: Array, along_v: Array, density: float, texture: int) -> None:
        """A rectangle cut into cells, its texture fitted to it."""
        length = [float(np.linalg.norm(a)) for a in (along_u, along_v)]
        nu, nv = (max(1, round(x / _CELL_M)) for x in length)
        s, t = np.meshgrid(np.linspace(0, 1, nu + 1), np.linspace(0, 1, nv + 1))
        s, t = s.ravel()[:, None], t.ravel()[:, None]
        i = (np.arange(nv)[:, None] * (nu + 1) + np.arange(nu)).ravel()
        triangles = np.concatenate([np.stack([i, i + 1, i + nu + 1], 1), np.stack([i + 1, i + nu + 2, i + nu + 1], 1)])
        h, w = self.textures[texture].shape[:2]
        self.add(
            origin + s * along_u + t * along_v,
            triangles,
            np.ones((len(s), 3)),
            np.concatenate([s * (w - 1) + 0.5, t * (h - 1) + 0.5], axis=1),
            density,
            -1,
            texture,
        )

    def painted(self, picture: textures.Image) -> int:
        self.textures.append(picture.astype(np.float32))
        return len(self.textures) - 1


def build_surfaces(rng: np.random.Generator, room: Room, people: list[Person], brightness: float = 1.0) -> Surfaces:
    """Room, furniture and people, with the light of two lamps and of the walls."""
    made = _Builder()
    _add_room(made, rng, room)
    first = [_add_person(made, rng, i, person) for i, person in enumerate(people)]
    atlas = textures.Atlas.pack(made.textures)
    uv = np.concatenate([uv + np.array(atlas.origins[index]) for index, uv in made.texture])
    surfaces = Surfaces(
        np.concatenate(made.vertices).astype(np.float32),
        np.concatenate(made.triangles),
        np.concatenate(made.colours).astype(np.float32),
        uv.astype(np.float32),
        np.concatenate(made.density).astype(np.float32),
        np.concatenate(made.person).astype(np.int64),
        first,
        atlas,
    )
    light = _light(rng, surfaces, room)
    surfaces.colours *= (brightness * light[:, None]).astype(np.float32)
    return surfaces


def _add_room(made: _Builder, rng: np.random.Generator, room: Room) -> None:
    w, d, h = room.size
    x, y, z = np.eye(3)
    corner = np.array([-w / 2, -d / 2, 0.0])
    floor = made.painted(textures.floor(rng, int(d * _FLOOR), int(w * _FLOOR)))
    made.quad(corner, w * x, d * y, _FLOOR, floor)
    top = made.painted(textures.ceiling(rng, int(d * 100), int(w * 100)))
    made.quad(corner + h * z, w * x, d * y, 100, top)
    for origin, along, length in (
        (corner, x, w),
        (corner + d * y, x, w),
        (corner, y, d),
        (corner + w * x, y, d),
    ):
        paint = made.painted(textures.wall(rng, int(h * _WALL), int(length * _WALL)))
        made.quad(origin + h * z, length * along, -h * z, _WALL, paint)
    for low, high in room.boxes:
        size = high - low
        for a, b, c in ((0, 1, 2), (1, 2, 0), (0, 2, 1)):
            edge = np.eye(3) * size
            paint = made.painted(textures.furniture(rng, *(max(8, int(size[k] * _FURNITURE)) for k in (b, a))))
            for origin in (low, low + edge[c]):
                made.quad(origin, edge[a], edge[b], _FURNITURE, paint)


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
    first = made.add(person.vertices, rig.faces[covered], colours, uv, _CLOTH, index, cloth)
    made.add(person.vertices, rig.faces[~covered], colours, np.full_like(uv, 4.0), 1.0, index, skin)
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
    total = np.zeros(len(points))
    for _ in range(2):
        lamp = np.array([rng.uniform(-w, w) * 0.3, rng.uniform(-d, d) * 0.3, h - 0.15])
        arrow = lamp - start
        distance = np.linalg.norm(arrow, axis=1)
        arrow /= distance[:, None]
        facing = np.maximum((normals * arrow).sum(1), 0)
        lit = surfaces.cast(start, arrow)["tfar"] > distance - 0.05
        total += np.where(lit, facing, 0) * 0.42 / (0.6 + 0.05 * distance**2)
    open_share = np.zeros(len(points))
    for _ in range(_SKY_RAYS):
        direction = rng.standard_normal((len(points), 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        direction = normals + 0.98 * direction  # cosine-weighted about the normal
        open_share += np.minimum(surfaces.cast(start, direction)["tfar"], 1.5) / 1.5
    return 0.25 + 0.4 * open_share / _SKY_RAYS + total
