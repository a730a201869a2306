"""Distributions of keypoints over a square: what is asked for in training, and what readings are made of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import maximum_filter, uniform_filter

from mcbench.reader.network import CELL, CELLS

Array = npt.NDArray[np.float64]

#: Standard deviation of a keypoint that is asked for, cells.
_SPREAD = 0.9
#: A reading is as sure as the chances in so many cells a side, about the likeliest of such lots.
_LOT = 3
#: Peaks of heatmaps are the likeliest lots of so many cells a side, from this chance on.
_APART, _LEAST = 5, 0.08
_MIDDLES = CELL * (np.arange(CELLS) + 0.5)


def heat_targets(points: Array, visible: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Distributions (K, CELLS² + 1) of keypoints at points (K, 2) px of the square, not seen where not `visible`."""
    x, y = (
        np.exp(-0.5 * ((_MIDDLES - along[:, None]) / (_SPREAD * CELL)) ** 2)
        for along in np.where(visible[:, None], points, 0.0).T
    )
    cells = (y[:, :, None] * x[:, None, :]).reshape(len(points), -1)
    cells *= visible[:, None] / np.maximum(cells.sum(axis=1, keepdims=True), 1e-30)
    return np.concatenate([cells, ~visible[:, None]], axis=1).astype(np.float32)


@dataclass(frozen=True)
class HeatReading:
    """What one person's distributions say, px of the square.

    Attributes
    ----------
    points : (K, 2) the likeliest places. score : (K,) how likely the keypoints are there, in [0, 1].
    keypoint : (M,) int64, pixels : (M, 2), value : (M,) all places that are likely, several a keypoint maybe.
    """

    points: Array
    score: Array
    keypoint: npt.NDArray[np.int64]
    pixels: Array
    value: Array

    @staticmethod
    def of(distributions: npt.ArrayLike) -> HeatReading:
        """Of distributions (K, CELLS² + 1)."""
        cells = np.asarray(distributions, np.float64)[:, :-1].reshape(-1, CELLS, CELLS)
        lots = np.minimum(1.0, _LOT**2 * uniform_filter(cells, size=(1, _LOT, _LOT), mode="constant"))
        best = lots.reshape(len(lots), -1).argmax(axis=1)
        points = np.array([_middle(cells[k], *divmod(int(b), CELLS)) for k, b in enumerate(best)])
        peaks = np.nonzero((lots >= _LEAST) & (lots == maximum_filter(lots, size=(1, _APART, _APART))))
        keypoint = peaks[0].astype(np.int64)
        pixels = np.array([_middle(cells[k], row, column) for k, row, column in zip(*peaks, strict=True)])
        return HeatReading(
            points, lots.reshape(len(lots), -1).max(axis=1), keypoint, pixels.reshape(-1, 2), lots[peaks]
        )


def _middle(cells: Array, row: int, column: int) -> Array:
    """The mean place (2,) px in the lot about a cell."""
    reach = _LOT // 2
    rows = slice(max(0, row - reach), row + reach + 1)
    columns = slice(max(0, column - reach), column + reach + 1)
    lot = cells[rows, columns]
    total = max(float(lot.sum()), 1e-30)
    return np.array([lot.sum(axis=0) @ _MIDDLES[columns], lot.sum(axis=1) @ _MIDDLES[rows]]) / total
