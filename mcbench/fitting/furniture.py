"""What stands on the floor between people and cameras, from a scene's sparse points.

Nobody has fitted tables and boxes, but they have points: those on them that are neither floor nor person. Furniture
stands on the floor, so below each such point it is taken to reach down to it; above the height of a table there is
none. Rims of bodies that it hides are not looked for, or a leg behind a box would count as one that is not there.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_dilation, label, maximum_filter, uniform_filter
from scipy.spatial import cKDTree

from mcbench.cameras.views import Views
from mcbench.fitting.depth_order import at_pixels, splat
from mcbench.fitting.gravity import rotation_to_z

Array = npt.NDArray[np.float64]

#: Heights over the floor at which points are of furniture, m.
_LOWEST, _HIGHEST = 0.12, 1.4
#: Points so near to a person are the person's, m.
_OF_PERSON = 0.15
#: Side of a cell of the floor, m, and how many points there must be in a cell and those round it.
_CELL, _POINTS = 0.08, 4
#: A piece of furniture is no longer than this, m, and its points no farther apart than twice so many cells.
_LONGEST, _GAP = 1.6, 2
#: What hides a point is nearer by this at least, m.
_CLEAR = 0.2
#: Side of the cells of the images, px.
_CELL_PX = 8


@dataclass(frozen=True)
class Furniture:
    """What stands on the floor before some views.

    Attributes
    ----------
    depths : for each view (rows, columns) float32, the depth of the nearest furniture in each cell, infinite where
        there is none.
    """

    depths: list[npt.NDArray[np.float32]]

    @classmethod
    def of_points(cls, points: Array, up: Array, floor: float, people: Array, views: Views) -> Furniture | None:
        """From the sparse points (N, 3) m of a scene; None where they show none.

        Parameters
        ----------
        up : (3,) unit. floor : its height along `up`, m. people : (M, 3) points everywhere on people's surfaces, m.
        """
        solid = _columns(points, up, floor, people)
        if not len(solid):
            return None
        return cls([splat(solid, m, s, _CELL_PX) for m, s in zip(views.projection, views.size, strict=True)])

    def hides(self, view: int, pixels: Array, depth: Array) -> npt.NDArray[np.bool_]:
        """Whether furniture is before points (N, 2) px of a view at depths (N,)."""
        return at_pixels(self.depths[view], pixels, _CELL_PX) < depth - _CLEAR


def _columns(points: Array, up: Array, floor: float, people: Array) -> Array:
    """Points (M, 3) all over the inside of what stands on the floor."""
    height = points @ up - floor
    mine = points[(height > _LOWEST) & (height < _HIGHEST)]
    if len(mine) and len(people):
        mine = mine[cKDTree(people).query(mine, distance_upper_bound=_OF_PERSON)[0] > _OF_PERSON]
    if not len(mine):
        return mine
    to_z = rotation_to_z(up)
    turned = mine @ to_z.T
    corner = turned[:, :2].min(0) - 2 * _CELL
    cell = ((turned[:, :2] - corner) / _CELL).astype(np.int64)
    count, top = (np.zeros(tuple(cell.max(0) + 3)) for _ in range(2))
    np.add.at(count, tuple(cell.T), 1.0)
    np.maximum.at(top, tuple(cell.T), turned[:, 2] - floor)
    filled = 9 * uniform_filter(count, 3, mode="constant") >= _POINTS - 0.5
    tops = np.where(filled, maximum_filter(top, 3, mode="constant"), 0.0)
    tops = np.maximum(tops, _inside(tops))
    x, y = np.nonzero(tops)
    tops = tops[x, y]
    levels = np.arange(0.0, _HIGHEST, _CELL / 2)
    column, level = np.nonzero(levels < tops[:, None])
    places = corner + (np.stack([x, y], axis=1) + 0.5) * _CELL
    return np.column_stack([places[column], floor + levels[level]]) @ to_z


def _inside(tops: Array) -> Array:
    """Heights (rows, columns) of pieces of furniture between their edges, where most of their points are; 0 elsewhere.

    A piece is as wide as its hull, and as high as most of it; what is longer than furniture is a wall, and has no
    inside.
    """
    pieces, count = label(binary_dilation(tops > 0, iterations=_GAP))
    found = np.zeros_like(tops)
    for piece in range(1, count + 1):
        cells = np.argwhere((pieces == piece) & (tops > 0))
        if np.ptp(cells, axis=0).max() * _CELL > _LONGEST:
            continue
        hull = cv2.convexHull(np.ascontiguousarray(cells[:, ::-1], dtype=np.int32))
        inside = cv2.fillConvexPoly(np.zeros(tops.shape, dtype=np.uint8), hull, 1) > 0
        found[inside] = np.maximum(found[inside], np.median(tops[tuple(cells.T)]))
    return found
