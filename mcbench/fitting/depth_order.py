"""Who stands in front of whom: depths of fitted people in the views, on coarse grids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mcbench.cameras.views import Views

Array = npt.NDArray[np.float64]

#: A surface this much nearer than a point hides it, metres: fits are off by a few centimetres.
_SLACK_M = 0.06
#: ... and this much nearer, a point inside a body.
_DEEP_M = 0.15
#: Nothing is nearer to a camera, metres.
_NEAREST_M = 0.05


@dataclass(frozen=True)
class DepthOrder:
    """Depths of P people in F views.

    Attributes
    ----------
    own : P of F of (rows, columns) float32: depth of a person's nearest surface in each cell, infinite where none is.
    others : the same for everybody else together.
    cell : side of a cell, px.
    """

    own: list[list[npt.NDArray[np.float32]]]
    others: list[list[npt.NDArray[np.float32]]]
    cell: int

    @classmethod
    def of_people(cls, points: Sequence[Array], views: Views, cell: int) -> DepthOrder:
        """From points on people's surfaces, P of (N, 3) m, each taken to be as large as its cell's neighbourhood.

        They should lie at most two cells apart in the images: bodies' vertices do for cells of 6 px unless the camera
        is very near.
        """
        projection, size = views.projection, views.size
        own = [[splat(p, m, s, cell) for m, s in zip(projection, size, strict=True)] for p in points]
        others = [
            [
                np.minimum.reduce(
                    [own[q][view] for q in range(len(own)) if q != person] or [np.full_like(mine, np.inf)]
                )
                for view, mine in enumerate(own[person])
            ]
            for person in range(len(own))
        ]
        return cls(own, others, cell)

    def in_front(self, person: int, view: int, pixels: Array, depth: Array) -> npt.NDArray[np.bool_]:
        """Whether points of a person (N, 2) px at depths (N,) are the first surface, of anybody, on their rays."""
        nearest = np.minimum(self.own[person][view], self.others[person][view])
        return self._at(nearest, pixels) > depth - _SLACK_M

    def anybody(self, person: int, view: int, pixels: Array) -> npt.NDArray[np.bool_]:
        """Whether somebody's surface, the person's own included, is met at pixels (N, 2)."""
        return np.isfinite(self._at(np.minimum(self.own[person][view], self.others[person][view]), pixels))

    def hidden(self, person: int, view: int, pixels: Array, depth: Array) -> npt.NDArray[np.bool_]:
        """Whether points inside a person's body (N, 2) px at depths (N,) are behind somebody else."""
        return self._at(self.others[person][view], pixels) < depth - _DEEP_M

    def free_rim(
        self, person: int, view: int, pixels: Array, normal: Array, depth: Array, clear: Sequence[float]
    ) -> npt.NDArray[np.bool_]:
        """Whether points of the rim (N, 2) px are outlines that the view shows: nobody else is in front, nor is there
        more of the own body outwards, at distances `clear` px along the normals (N, 2)."""
        mine, others = self.own[person][view], self.others[person][view]
        free = self._at(others, pixels - 3 * normal) > depth - _SLACK_M
        free &= self._at(others, pixels + 6 * normal) > depth - _SLACK_M / 2
        for distance in clear:
            free &= np.isinf(self._at(mine, pixels + distance * normal))
        return free

    def _at(self, grid: npt.NDArray[np.float32], pixels: Array) -> npt.NDArray[np.float32]:
        return at_pixels(grid, pixels, self.cell)


def at_pixels(grid: npt.NDArray[np.float32], pixels: Array, cell: int) -> npt.NDArray[np.float32]:
    """Values (N,) of a grid with cells of `cell` px at pixels (N, 2), those outside at its border."""
    column, row = (pixels.T / cell).astype(np.int64)
    rows, columns = grid.shape
    column, row = np.minimum(np.maximum(column, 0), columns - 1), np.minimum(np.maximum(row, 0), rows - 1)
    return np.asarray(grid.ravel()[row * columns + column])


def splat(points: Array, projection: Array, size: Array, cell: int) -> npt.NDArray[np.float32]:
    """Least depth of the points in each cell, gaps of a cell closed."""
    columns, rows = (int(length) // cell + 1 for length in size)
    x, y, depth = projection[:, :3] @ points.T + projection[:, 3:]
    ahead = np.maximum(depth, _NEAREST_M)
    column, row = (x / (ahead * cell)).astype(np.int64), (y / (ahead * cell)).astype(np.int64)
    inside = (depth > _NEAREST_M) & (x >= 0) & (y >= 0) & (column < columns) & (row < rows)
    grid = np.full(rows * columns, np.inf, dtype=np.float32)
    np.minimum.at(grid, row[inside] * columns + column[inside], depth[inside].astype(np.float32))
    return np.asarray(cv2.erode(grid.reshape(rows, columns), np.ones((3, 3))))
