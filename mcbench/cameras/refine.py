"""Bundle adjustment of a sparse model: all poses, all points and the cameras' parameters together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pycolmap

from mcbench.cameras.colmap import from_colmap, to_colmap
from mcbench.cameras.sparse_model import SparseModel

_MAX_ITERATIONS = 10
#: Relative decrease of the cost at which a step is the last one.
_TOLERANCE = 1e-4


def adjust(model: SparseModel, *, loss_px: float) -> SparseModel:
    """The model with the poses, points and cameras that minimise its reprojection errors under a Cauchy loss.

    The same input gives the same bits on the same machine: one thread sums in one order.

    Parameters
    ----------
    model : every point is seen at least twice.
    loss_px : scale of the loss, px; errors well above it hardly count.
    """
    cameras = list(dict.fromkeys(model.cameras.values()))
    reconstruction = pycolmap.Reconstruction()
    config = pycolmap.BundleAdjustmentConfig()
    for i, camera in enumerate(cameras):
        reconstruction.add_camera_with_trivial_rig(to_colmap(camera, i + 1))
    position = np.zeros(len(model.frame), dtype=np.int64)
    for index in sorted(model.poses):
        rows = np.flatnonzero(model.frame == index)
        position[rows] = np.arange(len(rows))
        image = pycolmap.Image(
            name=f"{index:06d}",
            keypoints=model.pixels[rows],
            camera_id=cameras.index(model.cameras[index]) + 1,
            image_id=index + 1,
        )
        reconstruction.add_image_with_trivial_frame(image, pycolmap.Rigid3d(model.poses[index]))
        config.add_image(index + 1)
    ids = [
        reconstruction.add_point3D(xyz, track) for xyz, track in zip(model.xyz, _tracks(model, position), strict=True)
    ]
    config.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    pycolmap.create_default_bundle_adjuster(_options(loss_px), config, reconstruction).solve()

    adjusted = {camera: from_colmap(reconstruction.cameras[i + 1]) for i, camera in enumerate(cameras)}
    return replace(
        model,
        cameras={index: adjusted[camera] for index, camera in model.cameras.items()},
        poses={index: np.array(reconstruction.image(index + 1).cam_from_world().matrix()) for index in model.poses},
        xyz=np.array([reconstruction.point3D(i).xyz for i in ids]).reshape(-1, 3),
    )


def _tracks(model: SparseModel, position: npt.NDArray[np.int64]) -> list[pycolmap.Track]:
    """A track for every point; `position` (M,) are the rows of the observations among those of their frame."""
    tracks = [pycolmap.Track() for _ in model.xyz]
    for point, frame, row in zip(model.point.tolist(), model.frame.tolist(), position.tolist(), strict=True):
        tracks[point].add_element(frame + 1, row)
    return tracks


def _options(loss_px: float) -> pycolmap.BundleAdjustmentOptions:
    options = pycolmap.BundleAdjustmentOptions()
    options.print_summary = False
    options.ceres.loss_function_type = pycolmap.LossFunctionType.CAUCHY
    options.ceres.loss_function_scale = loss_px
    # Dense algebra for all maps of keyframes: what a sparse library does may depend on the threads it is given.
    options.ceres.max_num_images_direct_dense_cpu_solver = 200
    solver = options.ceres.solver_options
    solver.num_threads = 1
    solver.max_num_iterations = _MAX_ITERATIONS
    solver.function_tolerance = _TOLERANCE
    return options
