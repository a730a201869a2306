"""Each gate declines what it should, for its own reason, and lets the rest pass."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pycolmap
import pytest
from planes import pose

from mcbench.cameras import sfm_gates
from mcbench.cameras.camera import Camera
from mcbench.cameras.known_cameras import check_poses
from mcbench.cameras.matching import VerifiedPair
from mcbench.dataset.cameras_file import FrameCamera, SceneCameras
from mcbench.errors import Rejected


def _reason(check: Callable[[], object]) -> str | None:
    try:
        check()
    except Rejected as rejected:
        return rejected.reason
    return None


def _pair(a: int, b: int, matches: int) -> VerifiedPair:
    geometry = pycolmap.TwoViewGeometry()
    geometry.inlier_matches = np.zeros((matches, 2), np.uint32)
    return VerifiedPair(a, b, geometry)


def test_component_sizes() -> None:
    assert sorted(sfm_gates.component_sizes(7, [(0, 1), (1, 2), (4, 5), (2, 0)])) == [1, 1, 2, 3]
    assert sfm_gates.component_sizes(0, []) == []


@pytest.mark.parametrize(
    ("edges", "reason"),
    [
        ([(i, i + 1, 50) for i in range(9)], None),
        ([(i, i + 1, 50) for i in range(6)], None),  # 7 of 10
        ([(i, i + 1, 50) for i in range(5)], "too_few_matches"),
        ([(i, i + 1, 29) for i in range(9)], "too_few_matches"),
        ([(i, i + 1, 50) for i in range(9) if i != 4], "fragmented"),
        ([], "too_few_matches"),
    ],
)
def test_matches(edges: list[tuple[int, int, int]], reason: str | None) -> None:
    pairs = [_pair(*edge) for edge in edges]
    assert _reason(lambda: sfm_gates.check_matches(pairs, 10, min_share=0.7)) == reason


@pytest.mark.parametrize(("counts", "reason"), [([10, 500, 500], None), ([10, 20, 500], "too_few_features")])
def test_features(counts: list[int], reason: str | None) -> None:
    assert _reason(lambda: sfm_gates.check_features(counts, 150)) == reason


@pytest.mark.parametrize(("share", "reason"), [(0.2, "implausible_focal"), (0.9, None), (8.0, "implausible_focal")])
def test_focal(share: float, reason: str | None) -> None:
    camera = Camera("SIMPLE_RADIAL", 480, 640, (share * 640, 240.0, 320.0, 0.0))
    assert _reason(lambda: sfm_gates.check_focal(camera)) == reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"xyz": np.zeros((10, 3))}, "degenerate"),
        ({"poses": np.stack([pose()] * 5)}, "degenerate"),
        ({"errors": np.full(100, 3.0)}, "high_reprojection_error"),
        ({"errors": np.r_[np.full(99, 3.0), np.nan]}, "high_reprojection_error"),
        ({"angles": np.full(100, np.radians(0.5))}, "low_triangulation_angle"),
    ],
)
def test_geometry(change: dict[str, np.ndarray], reason: str | None) -> None:
    model = {
        "poses": np.stack([pose(0.2 * i) for i in range(5)]),
        "xyz": np.random.default_rng(0).normal(size=(100, 3)),
        "errors": np.full(100, 0.6),
        "angles": np.full(100, np.radians(5.0)),
        **change,
    }
    assert _reason(lambda: sfm_gates.check_geometry(**model, max_error=2.0, min_angle_deg=1.5)) == reason


@pytest.mark.parametrize(
    ("poses", "reason"),
    [
        ([pose(), pose(1.0)], None),
        ([pose(), None], "degenerate_cameras"),
        ([pose(), pose(turn=0.3)], "degenerate_cameras"),
        ([pose(), 2 * pose(1.0)], "degenerate_cameras"),
        ([pose(), np.diag([1.0, 1, -1]) @ pose(1.0)], "degenerate_cameras"),
        ([pose(), np.full((3, 4), np.nan)], "degenerate_cameras"),
    ],
)
def test_known_cameras_must_be_cameras(poses: list[np.ndarray | None], reason: str | None) -> None:
    camera = Camera("PINHOLE", 480, 360, (400.0, 400.0, 240.0, 180.0))
    frames = [FrameCamera(i, f"{i}.png", camera, matrix) for i, matrix in enumerate(poses)]
    assert _reason(lambda: check_poses(SceneCameras(frames, "metre", None, "colmap"))) == reason
