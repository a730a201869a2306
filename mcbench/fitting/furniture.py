"""What stands on the floor between people and cameras, from a scene's sparse points.

Nobody has fitted tables and boxes, but they have points: those on them that are neither floor nor person. Furniture
stands on the floor, so below each such point it is taken to reach down to it; above the height of a table there is
none. Rims of bodies that it hides are not looked for, or a leg behind a box would count as one that is not there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import maximum_filter, uniform_filter
from scipy.spatial import cKDTree

from mcbench.fitting.gravity import rotation_to_z

Array = npt.NDArray[np.float64]

#: Heights over the floor at which points are of furniture, m.
_LOWEST, _HIGHEST = 0.12, 1.4
#: Points so near to a person are the person's, m.
_OF_PERSON = 0.15
#: Side of a cell of the map, m, and how many points there must be in a cell and those round it.
_CELL, _POINTS = 0.08, 4
#: How far from a hidden point its hider is at least, m, and how far apart a ray is looked at, m.
_CLEAR, _STEP = 0.2, 0.05


@dataclass(frozen=True)
class Furniture:
    """A map of heights over the floor.

    Attributes
    ----------
    to_z : (3, 3) turns the world's up to Z. floor : height of the floor after it, m.
    corner : (2,) of the map, m. heights : (X, Y) m over the floor of what stands in each cell, 0 where nothing does.
    """

    to_z: Array
    floor: float
    corner: Array
    heights: Array

    @classmethod
    def of_points(cls, points: Array, up: Array, floor: float, people: Array) -> Furniture | None:
        """From the sparse points (N, 3) m of a scene; None where they show none.

        Parameters
        ----------
        up : (3,) unit. floor : its height along `up`, m. people : (M, 3) points everywhere on people's surfaces, m.
        """
        to_z = rotation_to_z(up)
        height = points @ up - floor
        mine = points[(height > _LOWEST) & (height < _HIGHEST)]
        if len(mine) and len(people):
            mine = mine[cKDTree(people).query(mine, distance_upper_bound=_OF_PERSON)[0] > _OF_PERSON]
        if not len(mine):
            return None
        turned = mine @ to_z.T
        corner = turned[:, :2].min(0) - 2 * _CELL
        cell = ((turned[:, :2] - corner) / _CELL).astype(np.int64)
        shape = tuple(cell.max(0) + 3)
        count, heights = np.zeros(shape), np.zeros(shape)
        np.add.at(count, tuple(cell.T), 1.0)
        np.maximum.at(heights, tuple(cell.T), turned[:, 2] - floor)
        filled = 9 * uniform_filter(count, 3, mode="constant") >= _POINTS - 0.5
        heights = np.where(filled, maximum_filter(heights, 3, mode="constant"), 0.0)
        return cls(to_z, floor, corner, heights)

    def hides(self, points: Array, center: Array) -> npt.NDArray[np.bool_]:
        """Which points (N, 3) m furniture hides from a camera at `center` (3,)."""
        start, end = points @ self.to_z.T, self.to_z @ center
        ray = end - start
        length = np.linalg.norm(ray, axis=1)
        hidden = np.zeros(len(points), dtype=bool)
        if not len(points):
            return hidden
        for distance in np.arange(_CLEAR, float(length.max()), _STEP):
            at = start + ray * (distance / np.maximum(length, 1e-9))[:, None]
            low = at[:, 2] - self.floor < _HIGHEST
            if not low.any():
                break
            cell = ((at[:, :2] - self.corner) / _CELL).astype(np.int64)
            inside = low & (distance < length) & (at[:, :2] >= self.corner).all(1) & (cell < self.heights.shape).all(1)
            hidden[inside] |= self.heights[tuple(cell[inside].T)] > at[inside, 2] - self.floor
        return hidden
