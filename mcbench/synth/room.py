"""The room of a rendered scene: rectangles of walls, floor, ceiling and furniture, and where rays meet them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]

#: The first rectangles of a room: floor, ceiling and four walls.
SHELL = 6


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

    def rectangles(self) -> Array:
        """(6 + 6 B, 3, 3) corner, along and down: floor, ceiling, front, back, left, right; then those of boxes."""
        w, d, h = self.size
        x, y, z = np.eye(3)
        corner = np.array([-w / 2, -d / 2, 0.0])
        found = [(corner, w * x, d * y), (corner + h * z, w * x, d * y)]
        walls = ((corner, w * x), (corner + d * y, w * x), (corner, d * y), (corner + w * x, d * y))
        found += [(origin + h * z, along, -h * z) for origin, along in walls]
        for low, high in self.boxes:
            edge = np.eye(3) * (high - low)
            for a, b, c in ((0, 1, 2), (1, 2, 0), (0, 2, 1)):
                found += [(origin, edge[a], edge[b]) for origin in (low, low + edge[c])]
        return np.array(found)

    def walls_ahead(self, origins: Numbers, directions: Numbers) -> Numbers:
        """How far (3, N) rays from within go to the wall before them across x, y, z, in units of their direction.

        Parameters
        ----------
        origins : (3, N) or (3, 1), metres. directions : (3, N).
        """
        low, high = self._corners()
        with np.errstate(divide="ignore"):
            return np.asarray(np.abs(np.where(directions > 0, high, low) - origins) / np.abs(directions))

    def shell(self, origins: Numbers, directions: Numbers) -> tuple[Indices, Numbers, Numbers, Numbers]:
        """The wall, floor or ceiling that rays from within meet: rectangle, s, t, distance (N,); see `walls_ahead`."""
        across = self.walls_ahead(origins, directions)
        distance = across.min(0)
        level, sideways = across[2] == distance, across[1] == distance
        ahead = directions > 0
        rectangle = np.where(level, ahead[2], np.where(sideways, 2 + ahead[1], 4 + ahead[0])).astype(np.int64)
        low, high = self._corners()
        x, y, z = (origins + distance * directions - low) / (high - low)
        return rectangle, np.where(level | sideways, x, y), np.where(level, y, 1 - z), distance

    def _corners(self) -> tuple[Numbers, Numbers]:
        w, d, h = self.size
        low, high = np.array([[-w / 2, -d / 2, 0], [w / 2, d / 2, h]], dtype=np.float32)
        return low[:, None], high[:, None]


@dataclass(frozen=True)
class Grid:
    """A rectangle cut into cells, a vertex at every corner, row by row; every cell is two triangles.

    Attributes
    ----------
    first : index of the first vertex. across, down : number of cells.
    """

    first: int
    across: int
    down: int

    def triangles(self) -> npt.NDArray[np.int64]:
        """(2 * across * down, 3): the cells' upper left halves, row by row, then their lower right ones."""
        row = self.across + 1
        i = self.first + (np.arange(self.down)[:, None] * row + np.arange(self.across)).ravel()
        return np.concatenate([np.stack([i, i + 1, i + row], 1), np.stack([i + 1, i + row + 1, i + row], 1)])

    def halves(self) -> npt.NDArray[np.int64]:
        """(2, 3): the whole rectangle as one cell."""
        one, two, three = (self.first + k for k in (0, self.across, self.down * (self.across + 1)))
        return np.array([[one, two, three], [two, three + self.across, three]])


class Panels:
    """What the rectangles of a room look like at many places at a time.

    Parameters
    ----------
    grids : of the R rectangles. uv, light : (V, 2), (V,) of vertices. normal : (R,) axis across which a rectangle lies.
    density : (R,) texels a metre.
    """

    def __init__(
        self, grids: list[Grid], uv: Numbers, light: Numbers, normal: npt.NDArray[np.int64], density: Numbers
    ) -> None:
        counts = np.array([(g.first, g.across, g.down) for g in grids], dtype=np.int64)
        self._first, self._across, self._down = counts.T.copy()
        corner, right, below = (uv[[g.halves()[0, k] for g in grids]] for k in range(3))
        self._u, self._v = corner.T.copy()
        self._u_wide, self._v_high = right[:, 0] - corner[:, 0], below[:, 1] - corner[:, 1]
        self._light, self._normal, self._density = light, normal, density

    def look(self, rectangle: Indices, s: Numbers, t: Numbers, directions: Numbers) -> Numbers:
        """(5, N): light, place in the atlas (u, v), texels a metre, facing (times the length of a direction).

        Parameters
        ----------
        rectangle : (N,) index. s, t : (N,) share of the way along and down it. directions : (3, N) of the rays.
        """
        out = np.empty((5, len(s)), dtype=np.float32)
        out[0] = self._light_at(rectangle, s, t)
        out[1] = self._u[rectangle] + s * self._u_wide[rectangle]
        out[2] = self._v[rectangle] + t * self._v_high[rectangle]
        out[3] = self._density[rectangle]
        normal = self._normal[rectangle]
        out[4] = np.abs(np.where(normal == 2, directions[2], np.where(normal == 1, directions[1], directions[0])))
        return out

    def _light_at(self, rectangle: Indices, s: Numbers, t: Numbers) -> Numbers:
        """Light (N,) between the three corners of the triangle that is hit."""
        across, down = self._across[rectangle], self._down[rectangle]
        s, t = s * across.astype(np.float32), t * down.astype(np.float32)
        # a hit on the rim may lie beyond it by a rounding
        column = np.clip(s.astype(np.int64), 0, across - 1)
        row = np.clip(t.astype(np.int64), 0, down - 1)
        s -= column.astype(np.float32)
        t -= row.astype(np.float32)
        upper_left = self._first[rectangle] + row * (across + 1) + column
        second = s + t > 1
        to_right, to_below = np.where(second, 1 - t, s), np.where(second, 1 - s, t)
        apex = self._light[upper_left + np.where(second, across + 2, 0)]
        right, below = self._light[upper_left + 1], self._light[upper_left + across + 1]
        return apex * (1 - to_right - to_below) + right * to_right + below * to_below
