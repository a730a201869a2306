"""Single-shot detectors run on regions of an image, and finders of parts: a search of the whole image by them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mcbench.experts.crops import Pyramid, Roi, search_regions
from mcbench.experts.litert import LiteRtModel
from mcbench.experts.parts import Part, PartLandmark
from mcbench.experts.ssd import SsdDetections, anchor_centers, decode, weighted_suppression
from mcbench.experts.weights import weight_path


class SsdDetector:
    """A detector of the Blaze family.

    Parameters
    ----------
    weights : name of its file. strides, per_layer : of its anchors, see `anchor_centers`.
    signed : whether it reads values in [-1, 1]; else in [0, 1].

    Raises
    ------
    InputError : the weights are not in the cache.
    """

    def __init__(self, weights: str, strides: Sequence[int], per_layer: int = 2, *, signed: bool) -> None:
        self._model = LiteRtModel(weight_path(weights))
        self._anchors = anchor_centers(self._model.size, strides, per_layer)
        self._signed = signed

    def __call__(self, image: Pyramid, region: Roi, min_score: float) -> SsdDetections:
        """What it finds in an upright region, each once, in px of the image."""
        crop = image.crop(region, self._model.size)
        raw, logits = self._model(crop / 127.5 - 1.0 if self._signed else crop / 255.0)
        return weighted_suppression(decode(raw, logits, self._anchors, min_score)).placed(region, self._model.size)


class PartFinder:
    """Finds parts of one kind anywhere in an image.

    Parameters
    ----------
    landmark : reads the part in a region. detectors : find candidates of at least `min_score`.
    region_of : the region for a candidate, by its box (4,) and its points (K, 2) px.
    """

    def __init__(
        self,
        landmark: PartLandmark,
        detectors: Sequence[SsdDetector],
        min_score: float,
        region_of: Callable[[np.ndarray, np.ndarray], Roi],
    ) -> None:
        self._landmark = landmark
        self._detectors = detectors
        self._min_score = min_score
        self._region_of = region_of

    def __call__(self, image: Pyramid, regions: Sequence[Roi] | None = None) -> list[Part]:
        """The parts in upright regions of an image, all over it by default, each once, by falling score."""
        if regions is None:
            regions = search_regions(*image.size)
        found = [detector(image, region, self._min_score) for region in regions for detector in self._detectors]
        if not found:
            return []
        merged = weighted_suppression(SsdDetections.concatenate(found))
        return self._landmark.read_all(image, map(self._region_of, merged.box, merged.keypoints))
