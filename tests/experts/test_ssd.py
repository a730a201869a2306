"""Anchors, decoding and suppression with known answers."""

from __future__ import annotations

import numpy as np
import pytest

from mcbench.experts.ssd import SsdDetections, anchor_centers, box_iou, decode, weighted_suppression


@pytest.mark.parametrize(
    ("size", "strides", "count"),
    [
        (224, (8, 16, 32, 32, 32), 2254),  # pose_detection
        (192, (8, 16, 16, 16), 2016),  # palm_detection_full
        (128, (8, 16, 16, 16), 896),  # face_detection_short_range
    ],
)
def test_number_of_anchors_is_the_networks(size: int, strides: tuple[int, ...], count: int) -> None:
    centers = anchor_centers(size, strides)
    assert centers.shape == (count, 2)
    np.testing.assert_allclose(centers[[0, -1]], [[4, 4], [size - strides[-1] / 2] * 2])


def test_decode_adds_the_anchor_and_keeps_good_scores() -> None:
    raw = np.array([[1.0, 2, 10, 20, 3, 4, 5, 6], [0] * 8])
    found = decode(raw, np.array([0.0, -5.0]), np.array([[100.0, 50.0], [0, 0]]), 0.3)
    np.testing.assert_allclose(found.score, [0.5])
    np.testing.assert_allclose(found.box, [[96, 42, 106, 62]])
    np.testing.assert_allclose(found.keypoints, [[[103, 54], [105, 56]]])


def test_decode_of_nothing_keeps_the_shape() -> None:
    found = decode(np.zeros((3, 12)), np.full(3, -9.0), np.zeros((3, 2)), 0.5)
    assert len(found) == 0 and found.keypoints.shape == (0, 4, 2)


def test_iou() -> None:
    boxes = np.array([[0.0, 0, 2, 2], [1, 1, 3, 3], [5, 5, 5, 5]])
    np.testing.assert_allclose(box_iou(boxes, boxes), [[1, 1 / 7, 0], [1 / 7, 1, 0], [0, 0, 0]])


def test_suppression_averages_overlapping_candidates() -> None:
    found = SsdDetections(
        np.array([0.3, 0.9, 0.5]),
        np.array([[0.0, 0, 10, 10], [4, 0, 14, 10], [50, 50, 60, 60]]),
        np.array([[[0.0, 0.0]], [[4.0, 4.0]], [[9.0, 9.0]]]),
    )
    merged = weighted_suppression(found, 0.3)
    np.testing.assert_allclose(merged.score, [0.9, 0.5])
    np.testing.assert_allclose(merged.box, [[3, 0, 13, 10], [50, 50, 60, 60]])
    np.testing.assert_allclose(merged.keypoints[0], [[3, 3]])


def test_suppression_of_nothing() -> None:
    assert len(weighted_suppression(SsdDetections(np.zeros(0), np.zeros((0, 4)), np.zeros((0, 4, 2))))) == 0
