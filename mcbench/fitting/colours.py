"""Colours of surfaces: read in images, taken together over views, and compared."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Colours = npt.NDArray[np.float32]

#: Stands for a colour that is not known: far from all.
_NONE = np.float32(1e4)


def likeness(colours: Colours, palette: Colours, deviation: float, shading: float = 1.0) -> Colours:
    """How like (…, T) colours (…, T, 3) are to the nearest of a palette (…, N, 3), 1 where they are the same.

    A normal density of standard `deviation`, of 255, over its height; colours of the palette that are NaN are none.
    In the direction of brighter and darker it is wider by `shading`: the same cloth in another light.
    """
    known = np.where(np.isfinite(palette).all(axis=-1, keepdims=True), palette, _NONE)
    product = known @ colours.swapaxes(-1, -2)  # (…, N, T): the least of N is soonest found along the rows
    own, square = (known**2).sum(-1)[..., None], (colours**2).sum(-1)
    if shading == 1.0:
        squared = (own - 2 * product).min(-2) + square
    else:
        length = np.sqrt(np.maximum(own, 1.0))
        along = product / length - length
        squared = (own - 2 * product - (1 - shading**-2.0) * along**2).min(-2) + square
    return np.asarray(np.exp(-0.5 * np.maximum(squared, 0) / deviation**2))


def median_over_views(values: Colours) -> Colours:
    """Median (S, C) of values (F, S, C) that are NaN where unknown; NaN where all are."""
    ordered = np.sort(values, axis=0)  # NaN last
    count = np.isfinite(values[..., 0]).sum(0)
    middle = np.maximum(count - 1, 0)
    column = np.arange(values.shape[1])
    return (ordered[middle // 2, column] + ordered[(middle + 1) // 2, column]) / 2


def sample_colours(image: npt.NDArray[np.uint8], points: Array) -> Colours:
    """Colours (..., 3) at points (..., 2) px, bilinear."""
    at = (points.reshape(-1, 2) - 0.5).astype(np.float32)
    # remap takes no more than 32767 columns
    rows = -(-len(at) // 4096)
    padded = np.zeros((rows * 4096, 2), dtype=np.float32)
    padded[: len(at)] = at
    grid = padded.reshape(rows, 4096, 2)
    if not rows:
        return np.zeros((*points.shape[:-1], 3), dtype=np.float32)
    values = cv2.remap(image, grid[..., 0], grid[..., 1], cv2.INTER_LINEAR).reshape(-1, 3)[: len(at)]
    return values.reshape(*points.shape[:-1], 3).astype(np.float32)
