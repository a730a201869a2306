"""Incremental mapping with COLMAP: from verified matches to the largest model of cameras and points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pycolmap

from mcbench.cameras.features import Features
from mcbench.cameras.matching import VerifiedPair

#: Demands on the first pair of images, tried in turn: triangulation angle in degrees and share of forward motion.
#: The first are COLMAP's; a camera that walks straight ahead meets only the second.
_STARTS = ((16.0, 0.95), (4.0, 1.0))


@dataclass(frozen=True)
class MapInput:
    """What is mapped: images with one camera each (by position in `cameras`), their features and matches."""

    names: Sequence[str]
    features: Sequence[Features]
    cameras: Sequence[pycolmap.Camera]
    camera_of: Sequence[int]
    pairs: Sequence[VerifiedPair]


def mapping_options(seed: int) -> pycolmap.IncrementalPipelineOptions:
    """COLMAP's defaults, made repeatable: one thread (threaded bundle adjustment sums in any order) and a seed."""
    options = pycolmap.IncrementalPipelineOptions()
    options.num_threads = 1
    options.random_seed = seed
    options.mapper.num_threads = 1
    options.mapper.random_seed = seed
    options.triangulation.random_seed = seed
    options.extract_colors = False
    options.min_model_size = 3
    return options


def map_images(data: MapInput, *, seed: int) -> list[pycolmap.Reconstruction]:
    """All models that incremental mapping finds, most images first; image ids are positions + 1.

    The same input and seed give the same bits on the same machine.
    """
    database = pycolmap.Database.open(":memory:")
    try:
        _fill(database, data)
        options = mapping_options(seed)
        cache_options = pycolmap.DatabaseCacheOptions()
        cache_options.min_num_matches = options.min_num_matches
        cache = pycolmap.DatabaseCache.create(database, cache_options)
    finally:
        database.close()
    for min_angle_deg, max_forward in _STARTS:
        options.mapper.init_min_tri_angle = min_angle_deg
        options.mapper.init_max_forward_motion = max_forward
        pycolmap.set_random_seed(seed)
        manager = pycolmap.ReconstructionManager()
        pycolmap.IncrementalPipeline(options, cache, manager).run()
        models = [manager.get(i) for i in range(manager.size())]
        if models:
            return sorted(models, key=lambda m: (m.num_reg_images(), m.num_points3D()), reverse=True)
    return []


def _fill(database: pycolmap.Database, data: MapInput) -> None:
    for i, camera in enumerate(data.cameras):
        camera.camera_id = i + 1
        database.write_camera(camera, use_camera_id=True)
        rig = pycolmap.Rig(rig_id=i + 1)
        rig.add_ref_sensor(camera.sensor_id)
        database.write_rig(rig, use_rig_id=True)
    for i, (name, features) in enumerate(zip(data.names, data.features, strict=True)):
        image = pycolmap.Image(name=name, keypoints=np.zeros((0, 2)), camera_id=data.camera_of[i] + 1, image_id=i + 1)
        database.write_image(image, use_image_id=True)
        frame = pycolmap.Frame(frame_id=i + 1, rig_id=data.camera_of[i] + 1)
        frame.add_data_id(image.data_id)
        database.write_frame(frame, use_frame_id=True)
        database.write_keypoints(i + 1, features.points.astype(np.float32))
    for pair in data.pairs:
        database.write_two_view_geometry(pair.a + 1, pair.b + 1, pair.geometry)
