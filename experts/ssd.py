"""Decoding of the single-shot detectors of the Blaze family: anchors, boxes with keypoints, weighted suppression.

After Liu et al., "SSD: Single Shot MultiBox Detector", ECCV 2016, with anchors of one fixed size, and Bazarevsky et
al., "BlazeFace", 2019, for the suppression that averages instead of choosing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mcbench.experts.crops import Roi


@dataclass(frozen=True)
class SsdDetections:
    """Candidates in an image: score (N,), box (N, 4) x0, y0, x1, y1 and keypoints (N, K, 2), in px of that image."""

    score: np.ndarray
    box: np.ndarray
    keypoints: np.ndarray

    def __len__(self) -> int:
        return len(self.score)

    def __getitem__(self, rows: np.ndarray) -> SsdDetections:
        return SsdDetections(self.score[rows], self.box[rows], self.keypoints[rows])

    def placed(self, region: Roi, size: int) -> SsdDetections:
        """The same in px of the image, found in a region of it at `size` px a side; boxes must lie upright."""
        corners = region.to_image(self.box.reshape(-1, 2, 2) / size)
        return SsdDetections(self.score, corners.reshape(-1, 4), region.to_image(self.keypoints / size))

    @staticmethod
    def concatenate(parts: Sequence[SsdDetections]) -> SsdDetections:
        return SsdDetections(*(np.concatenate([getattr(p, n) for p in parts]) for n in ("score", "box", "keypoints")))


def anchor_centers(size: int, strides: Sequence[int], per_layer: int = 2) -> np.ndarray:
    """Centres of the anchors (N, 2) in px of a square input, row by row, finest layer first.

    Parameters
    ----------
    size : side of the input, px.
    strides : stride of every layer, px; equal neighbours share one grid, whose cells hold the anchors of all of them.
    per_layer : anchors a layer puts into a cell (they differ in nothing once their size is fixed).
    """
    centers = []
    for stride in sorted(set(strides)):
        cells = -(-size // stride)
        axis = (np.arange(cells) + 0.5) * size / cells
        grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
        centers.append(np.repeat(grid, per_layer * list(strides).count(stride), axis=0))
    return np.concatenate(centers)


def decode(raw: np.ndarray, logits: np.ndarray, anchors: np.ndarray, min_score: float) -> SsdDetections:
    """Candidates of at least `min_score`, px of the network's input.

    Parameters
    ----------
    raw : (N, 4 + 2 K) offsets from the anchors in px: centre x, y, width, height, then K points x, y.
    logits : (N,) or (N, 1).
    anchors : (N, 2) from `anchor_centers`.
    """
    score = 1.0 / (1.0 + np.exp(-np.clip(logits.reshape(-1).astype(np.float64), -100.0, 100.0)))
    keep = score >= min_score
    raw, anchors = raw[keep].astype(np.float64), anchors[keep]
    center, half = raw[:, :2] + anchors, np.abs(raw[:, 2:4]) / 2
    points = raw[:, 4:].reshape(len(raw), (raw.shape[1] - 4) // 2, 2) + anchors[:, None]
    return SsdDetections(score[keep], np.concatenate([center - half, center + half], axis=1), points)


def box_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (N, 4) and (M, 4) -> (N, M); boxes without area have none."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = np.prod(np.clip(high - low, 0.0, None), axis=-1)
    area_a, area_b = (np.prod(np.clip(x[:, 2:] - x[:, :2], 0.0, None), axis=-1) for x in (a, b))
    union = area_a[:, None] + area_b[None] - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def overlapping(found: SsdDetections, min_iou: float = 0.3) -> list[SsdDetections]:
    """Groups of candidates that overlap the best of the group, best group first, each by falling score."""
    rest = np.argsort(-found.score, kind="stable")
    groups = []
    while len(rest):
        same = box_iou(found.box[rest[:1]], found.box[rest])[0] > min_iou
        same[0] = True
        groups.append(found[rest[same]])
        rest = rest[~same]
    return groups


def weighted_suppression(found: SsdDetections, min_iou: float = 0.3) -> SsdDetections:
    """Every group of overlapping candidates as one: score-weighted means with the best one's score."""
    merged = []
    for group in overlapping(found, min_iou):
        weight = group.score / group.score.sum()
        box = (weight[:, None] * group.box).sum(0, keepdims=True)
        keypoints = (weight[:, None, None] * group.keypoints).sum(0, keepdims=True)
        merged.append(SsdDetections(group.score[:1], box, keypoints))
    return SsdDetections.concatenate(merged) if merged else found
