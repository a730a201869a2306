"""Which images to match, and what survives the geometric verification of their matches."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pycolmap

from mcbench.cameras.features import Features, match

#: Features of the largest scales that vote on whether two images overlap at all, and the votes it takes
#: (preemptive matching: C. Wu, "Towards Linear-time Incremental Structure from Motion", 3DV 2013).
_PREEMPTIVE_FEATURES = 256
_PREEMPTIVE_MATCHES = 6


@dataclass(frozen=True)
class VerifiedPair:
    """Matches of images `a` < `b` that agree on one two-view geometry; `matches` (K, 2) are rows of their features."""

    a: int
    b: int
    geometry: pycolmap.TwoViewGeometry

    @property
    def matches(self) -> npt.NDArray[np.uint32]:
        return np.asarray(self.geometry.inlier_matches, dtype=np.uint32).reshape(-1, 2)


def exhaustive_pairs(n: int) -> list[tuple[int, int]]:
    """All pairs of n images."""
    return list(combinations(range(n), 2))


def sequential_pairs(n: int, overlap: int) -> list[tuple[int, int]]:
    """Every image with its next `overlap` ones, and with those 2, 4, 8, … 2^(overlap - 1) further on."""
    steps = sorted({*range(1, overlap + 1), *(2**k for k in range(overlap))})
    return [(i, i + step) for i in range(n) for step in steps if i + step < n]


def loop_pairs(features: Sequence[Features], known: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Pairs besides the known ones whose largest features match often enough to be worth matching in full."""
    largest = [f.descriptors[:_PREEMPTIVE_FEATURES] for f in features]
    others = sorted(set(exhaustive_pairs(len(features))) - set(known))
    return [(i, j) for i, j in others if len(match(largest[i], largest[j])) >= _PREEMPTIVE_MATCHES]


def verify_pairs(
    features: Sequence[Features],
    cameras: Sequence[pycolmap.Camera],
    pairs: Sequence[tuple[int, int]],
    *,
    seed: int,
    threads: int = 1,
    min_inliers: int = 15,
) -> list[VerifiedPair]:
    """Match pairs of images and keep those whose matches agree on an epipolar geometry or a homography.

    Every pair's RANSAC starts from the same seed, so that threads change nothing.

    Parameters
    ----------
    features, cameras : one an image.
    pairs : (a, b) with a < b.
    """
    options = pycolmap.TwoViewGeometryOptions()
    options.min_num_inliers = min_inliers
    options.ransac.random_seed = seed

    def verify(pair: tuple[int, int]) -> VerifiedPair | None:
        a, b = pair
        rows = match(features[a].descriptors, features[b].descriptors)
        if len(rows) < min_inliers:
            return None
        geometry = pycolmap.estimate_two_view_geometry(
            cameras[a], features[a].points, cameras[b], features[b].points, rows, options
        )
        return VerifiedPair(a, b, geometry) if len(geometry.inlier_matches) >= min_inliers else None

    with ThreadPoolExecutor(threads) as pool:
        return [pair for pair in pool.map(verify, pairs) if pair is not None]
