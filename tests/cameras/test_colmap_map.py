"""Mapping of synthetic matches, whose cameras and points are known."""

from __future__ import annotations

import numpy as np
import pycolmap
import pytest

from mcbench.cameras.alignment import umeyama
from mcbench.cameras.camera import Array, camera_center
from mcbench.cameras.colmap import initial_camera
from mcbench.cameras.colmap_map import MapInput, map_images
from mcbench.cameras.features import DESCRIPTOR_NORM, Features
from mcbench.cameras.matching import VerifiedPair, loop_pairs, sequential_pairs, verify_pairs
from mcbench.cameras.sparse_model import SparseModel, from_reconstruction

IMAGES = 8


def _synthetic(seed: int, noise_px: float = 0.0) -> tuple[MapInput, pycolmap.Reconstruction]:
    """Exact matches of one camera at 8 places, and the truth."""
    pycolmap.set_random_seed(seed)
    options = pycolmap.SyntheticDatasetOptions()
    options.num_rigs, options.num_cameras_per_rig, options.num_frames_per_rig = 1, 1, IMAGES
    options.num_points3D = 200
    database = pycolmap.Database.open(":memory:")
    truth = pycolmap.synthesize_dataset(options, database)
    ids = sorted(image.image_id for image in database.read_all_images())
    rng = np.random.default_rng(seed)
    features = []
    for image_id in ids:
        points = np.asarray(database.read_keypoints(image_id))[:, :2].astype(np.float64)
        points += rng.normal(0, noise_px, points.shape) if noise_px else 0.0
        n = len(points)
        # a descriptor of its own for every point: the same one in every image
        own = np.array([p.point3D_id if p.has_point3D() else 10**6 + i for i, p in
                        enumerate(truth.image(image_id).points2D)], dtype=np.uint64)  # fmt: skip
        raw = np.abs(np.stack([np.random.default_rng(int(key % 2**32)).normal(size=128) for key in own]))
        descriptors = DESCRIPTOR_NORM * raw / np.linalg.norm(raw, axis=1, keepdims=True)
        grey = np.full((n, 3), 7, np.uint8)
        features.append(Features(points, np.ones(n, np.float32), descriptors.astype(np.uint8), grey))
    cameras = [initial_camera(1024, 768)]
    pairs = [(a, b) for a in range(IMAGES) for b in range(a + 1, IMAGES)]
    verified = verify_pairs(features, cameras * IMAGES, pairs, seed=0)
    return MapInput([f"{i}" for i in range(IMAGES)], features, cameras, [0] * IMAGES, verified), truth


def _model(data: MapInput) -> SparseModel:
    models = map_images(data, seed=0)
    assert models
    return from_reconstruction(models[0], range(len(data.features)), data.features)


def _truth_centres(truth: pycolmap.Reconstruction) -> Array:
    return np.stack([camera_center(truth.image(i).cam_from_world().matrix()) for i in sorted(truth.reg_image_ids())])


@pytest.mark.parametrize("noise_px", [0.0, 0.5])
def test_cameras_are_those_of_the_truth(noise_px: float) -> None:
    data, truth = _synthetic(3, noise_px)
    assert len(data.pairs) == IMAGES * (IMAGES - 1) // 2
    model = _model(data)
    assert sorted(model.poses) == list(range(IMAGES))
    expected = _truth_centres(truth)
    centres = np.stack([camera_center(model.poses[i]) for i in range(IMAGES)])
    aligned = umeyama(centres, expected).apply(centres)
    size = np.linalg.norm(np.ptp(expected, axis=0))
    assert np.linalg.norm(aligned - expected, axis=1).max() < (1e-4 + 0.01 * noise_px) * size
    camera = next(iter(model.cameras.values()))
    assert camera.fx == pytest.approx(1280, rel=1e-3 + 0.02 * noise_px)
    assert np.median(model.point_errors()) < 0.05 + 2 * noise_px
    assert (model.triangulation_angles() > 0).all()
    assert (model.rgb == 7).all()


def test_the_same_matches_give_the_same_bits() -> None:
    data, _ = _synthetic(4, 0.5)
    a, b = _model(data), _model(data)
    assert all(np.array_equal(a.poses[i], b.poses[i]) for i in a.poses)
    assert np.array_equal(a.xyz, b.xyz)


def test_the_largest_model_comes_first() -> None:
    """Images 0-4 and 5-7 share no match: two models, or the larger one alone."""
    data, _ = _synthetic(5)
    apart = [p for p in data.pairs if (p.a < 5) == (p.b < 5)]
    models = map_images(MapInput(data.names, data.features, data.cameras, data.camera_of, apart), seed=0)
    assert sorted(i - 1 for i in models[0].reg_image_ids()) == [0, 1, 2, 3, 4]


def test_no_matches_no_model() -> None:
    data, _ = _synthetic(6)
    assert map_images(MapInput(data.names, data.features, data.cameras, data.camera_of, []), seed=0) == []


def test_threads_do_not_change_what_is_verified() -> None:
    data, _ = _synthetic(7, 0.5)
    cameras, pairs = [data.cameras[0]] * IMAGES, [(0, 1), (2, 5), (3, 4)]
    one, many = (verify_pairs(data.features, cameras, pairs, seed=0, threads=n) for n in (1, 3))
    assert all(isinstance(pair, VerifiedPair) for pair in one)
    assert [p.matches.tolist() for p in one] == [p.matches.tolist() for p in many]


def test_pairs_that_are_matched() -> None:
    assert sequential_pairs(4, 2) == [(0, 1), (0, 2), (1, 2), (1, 3), (2, 3)]
    assert (0, 8) in sequential_pairs(10, 4) and (0, 7) not in sequential_pairs(10, 4)
    data, _ = _synthetic(8)
    assert loop_pairs(data.features[:4], [(0, 1), (1, 2), (2, 3)]) == [(0, 2), (0, 3), (1, 3)]
