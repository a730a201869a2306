"""Stage `sfm`: a camera for every frame of a scene, from the images or as they came with the source.

Repeatable: features and matches do not depend on threads, every random choice has a seed, and COLMAP's mapping and
bundle adjustment run on one thread, so that the same source gives the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mcbench.cameras import sfm_gates
from mcbench.cameras.camera import Camera
from mcbench.cameras.colmap import initial_camera
from mcbench.cameras.colmap_map import MapInput, map_images
from mcbench.cameras.corner_tracks import add_corners
from mcbench.cameras.features import Features, extract, working_image
from mcbench.cameras.keyframes import measure_motion, select_keyframes
from mcbench.cameras.known_cameras import check_epipolar, check_poses
from mcbench.cameras.localise import Anchor, locate_frames
from mcbench.cameras.matching import exhaustive_pairs, loop_pairs, sequential_pairs, verify_pairs
from mcbench.cameras.refine import adjust
from mcbench.cameras.sparse_model import SparseModel, from_reconstruction
from mcbench.dataset.cameras_file import FrameCamera, SceneCameras
from mcbench.dataset.files import write_npz
from mcbench.dataset.source import Source
from mcbench.errors import InputError, Rejected
from mcbench.workspace.stage import Stage, StageContext

#: Sets of photos up to this size are matched all with all and mapped whole.
_EXHAUSTIVE = 30
#: Frames looked at when cameras are known and only checked.
_CHECKED_FRAMES = 12
#: Scale of the loss of the last adjustment, px of the working image: about the error with which corners are followed.
_LOSS_PX = 0.2


@dataclass(frozen=True)
class SfmSettings:
    """Settings of `sfm`."""

    cameras: str = field(
        default="auto",
        metadata={
            "help": "Where cameras come from: 'sfm' the images, 'list' what came with the source (a Mannequin "
            "Challenge list, a COLMAP model), 'auto' a COLMAP model where one came with the source, else the images.",
            "choices": ["auto", "sfm", "list"],
        },
    )
    min_keyframes: int = field(default=16, metadata={"help": "Fewest keyframes of a clip.", "least": 3})
    max_keyframes: int = field(default=60, metadata={"help": "Most keyframes of a clip.", "least": 3})
    max_features: int = field(default=2048, metadata={"help": "Features kept in a keyframe.", "least": 1})
    max_image_size: int = field(
        default=1600, metadata={"help": "Longer side of the images worked on, px.", "least": 64}
    )
    refine: bool = field(
        default=True,
        metadata={"help": "Make the map more exact: corners of keyframes as further points, a robust adjustment."},
    )
    max_corners: int = field(default=1500, metadata={"help": "Corners of a keyframe that refine the map.", "least": 1})
    max_tracked_points: int = field(default=1000, metadata={"help": "Points a keyframe hands to the frames around it."})
    min_features: int = field(default=150, metadata={"help": "Features that the median keyframe must have."})
    min_registered: float = field(default=0.7, metadata={"help": "Share of the frames that must get a pose."})
    max_error_px: float = field(default=2.0, metadata={"help": "Mean reprojection error allowed, px at 1000 px."})
    min_angle_deg: float = field(default=1.5, metadata={"help": "Median triangulation angle needed, degrees."})
    seed: int = field(default=0, metadata={"help": "Seed of all random choices."})
    threads: int = field(default=0, metadata={"help": "Threads; 0 for all cores. Changes no result.", "key": False})


def run(context: StageContext[SfmSettings]) -> dict[str, Any]:
    """Write cameras.json and points.npz of a scene; raises Rejected for a typed reason where that cannot work."""
    source = Source.load(context.inputs["source"])
    if _uses_known(source, context.settings):
        return _check_known(context, source)
    return _reconstruct(context, source)


def _uses_known(source: Source, settings: SfmSettings) -> bool:
    path = source.cameras_path
    if settings.cameras == "list" and path is None:
        raise InputError(
            "no cameras came with this source", path=source.folder, hint="--cameras sfm", reason="no_known_cameras"
        )
    if settings.cameras == "auto" and path is not None:
        return SceneCameras.load(path).origin == "colmap"
    return settings.cameras == "list"


def _check_known(context: StageContext[SfmSettings], source: Source) -> dict[str, Any]:
    """Pass known cameras on after a look at them."""
    settings = context.settings
    assert source.cameras_path is not None
    cameras = SceneCameras.load(source.cameras_path)
    if len(cameras.frames) != len(source.frames):
        raise InputError(f"has {len(cameras.frames)} cameras for {len(source.frames)} frames", path=source.cameras_path)
    check_poses(cameras)
    posed = cameras.posed
    looked_at = [posed[i] for i in np.unique(np.linspace(0, len(posed) - 1, _CHECKED_FRAMES).astype(int))]
    context.progress(0, None, "check cameras")
    features = _features(source, [frame.index for frame in looked_at], settings)
    check = check_epipolar(looked_at, features, exhaustive_pairs(len(looked_at)), seed=settings.seed)
    cameras.save(context.out / "cameras.json")
    write_npz(
        context.out / "points.npz",
        {"xyz": np.zeros((0, 3)), "rgb": np.zeros((0, 3), dtype=np.uint8), "error": np.zeros(0)},
    )
    return {
        "cameras": cameras.origin,
        "frames": len(source.frames),
        "registered": len(posed),
        "checked_pairs": check.pairs,
        "agreeing_pairs": check.agreeing,
        "epipolar_px": check.median_px,
    }


def _reconstruct(context: StageContext[SfmSettings], source: Source) -> dict[str, Any]:
    """Cameras from the images: keyframes, features, matches, map, and every other frame located in the map."""
    settings, progress = context.settings, context.progress
    n = len(source.frames)
    if n < 3:
        raise Rejected(f"{n} frames: structure from motion needs three", reason="too_few_frames")
    progress(0, 6, "keyframes")
    keyframes = _keyframes(source, settings)
    progress(1, 6, "features")
    features = _features(source, keyframes, settings)
    sfm_gates.check_features([len(f) for f in features], settings.min_features)
    progress(2, 6, "matches")
    sizes = [(source.frames[k].width, source.frames[k].height) for k in keyframes]
    groups = list(dict.fromkeys(sizes))
    cameras = [initial_camera(*size, camera_id=i + 1) for i, size in enumerate(groups)]
    camera_of = [groups.index(size) for size in sizes]
    pairs = _pairs(features)
    verified = verify_pairs(
        features, [cameras[i] for i in camera_of], pairs, seed=settings.seed, threads=_threads(settings)
    )
    sfm_gates.check_matches(verified, len(keyframes), min_share=settings.min_registered)
    progress(3, 6, "map")
    names = [f"{k:06d}" for k in keyframes]
    models = map_images(MapInput(names, features, cameras, camera_of, verified), seed=settings.seed)
    if not models:
        raise Rejected("no two images give a well-determined start for mapping", reason="degenerate")
    model = from_reconstruction(models[0], keyframes, features)
    if settings.refine:
        progress(4, 6, "refine")
        model = _refine(source, model, settings)
    progress(5, 6, "locate")
    model = _locate(source, model, settings)
    summary = _check_model(model, n, settings, len(models))
    _save(context, source, model, summary)
    progress(6, 6, "done")
    return {"cameras": "sfm", "frames": n, "keyframes": len(keyframes), **summary}


def _threads(settings: SfmSettings) -> int:
    return settings.threads or len(os.sched_getaffinity(0))


def _keyframes(source: Source, settings: SfmSettings) -> list[int]:
    """Frames to map; raises Rejected where the camera stands or only turns."""
    n = len(source.frames)
    if len({(frame.width, frame.height) for frame in source.frames}) > 1:
        return list(range(n))
    motion = measure_motion(image for _, image in source.images())
    sfm_gates.check_motion(motion)
    if source.kind == "images" and n <= _EXHAUSTIVE:
        return list(range(n))
    return select_keyframes(motion, min_keyframes=settings.min_keyframes, max_keyframes=settings.max_keyframes)


def _features(source: Source, indices: Sequence[int], settings: SfmSettings) -> list[Features]:
    """Features of some frames, in their order (rising)."""

    def one(image: npt.NDArray[np.uint8]) -> Features:
        return extract(image, max_features=settings.max_features, max_size=settings.max_image_size)

    with ThreadPoolExecutor(_threads(settings)) as pool:
        return list(pool.map(one, (image for _, image in source.images(indices))))


def _pairs(features: Sequence[Features]) -> list[tuple[int, int]]:
    if len(features) <= _EXHAUSTIVE:
        return exhaustive_pairs(len(features))
    pairs = sequential_pairs(len(features), overlap=4)
    return sorted({*pairs, *loop_pairs(features, pairs)})


def _refine(source: Source, model: SparseModel, settings: SfmSettings) -> SparseModel:
    """The map with corners of its keyframes added, where these share one camera, and all of it adjusted together."""
    camera = next(iter(model.cameras.values()))
    if len(set(model.cameras.values())) == 1:
        images = ((frame.index, image) for frame, image in source.images(sorted(model.poses)))
        model = add_corners(model, images, count=settings.max_corners, max_size=settings.max_image_size)
    shrunk = max(1.0, max(camera.width, camera.height) / settings.max_image_size)
    return adjust(model, loss_px=_LOSS_PX * shrunk)


def _locate(source: Source, model: SparseModel, settings: SfmSettings) -> SparseModel:
    """Pose the frames that were not mapped, where all frames share one camera."""
    missing = set(range(len(source.frames))) - set(model.poses)
    if not missing or len(set(model.cameras.values())) > 1:
        return model
    camera: Camera = next(iter(model.cameras.values()))
    anchors = {}
    for index, pose in model.poses.items():
        ids = model.point[model.frame == index]
        anchors[index] = Anchor(index, pose, ids, model.xyz[ids])
    located = list(
        locate_frames(
            _working_frames(source, settings),
            anchors,
            camera,
            max_points=settings.max_tracked_points,
            seed=settings.seed,
        )
    )
    return model.with_poses(
        {found.index: camera for found in located}, {found.index: found.cam_from_world for found in located}
    )


def _working_frames(source: Source, settings: SfmSettings) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    for frame, image in source.images():
        yield frame.index, working_image(image, settings.max_image_size)


def _check_model(model: SparseModel, n_frames: int, settings: SfmSettings, n_models: int) -> dict[str, Any]:
    """The gates of a finished model; returns its figures."""
    share = len(model.poses) / n_frames
    if share < settings.min_registered:
        raise Rejected(
            f"the largest of {n_models} models holds {len(model.poses)} of {n_frames} frames", reason="fragmented"
        )
    for camera in dict.fromkeys(model.cameras.values()):
        sfm_gates.check_focal(camera)
    camera = next(iter(model.cameras.values()))
    errors, angles = model.point_errors(), model.triangulation_angles()
    sfm_gates.check_geometry(
        np.stack(list(model.poses.values())),
        model.xyz,
        errors * 1000.0 / max(camera.width, camera.height),
        angles,
        max_error=settings.max_error_px,
        min_angle_deg=settings.min_angle_deg,
    )
    return {
        "models": n_models,
        "registered": len(model.poses),
        "points": len(model.xyz),
        "reprojection_px": round(float(np.nanmean(errors)), 4),
        "triangulation_angle_deg": round(float(np.degrees(np.median(angles))), 3),
        "focal_px": round(camera.fx, 3),
    }


def _save(context: StageContext[SfmSettings], source: Source, model: SparseModel, summary: dict[str, Any]) -> None:
    first = next(iter(model.cameras.values()))
    by_size = {(camera.width, camera.height): camera for camera in model.cameras.values()}
    frames = [
        FrameCamera(
            frame.index,
            frame.name,
            model.cameras.get(frame.index, by_size.get((frame.width, frame.height), first)),
            model.poses.get(frame.index),
        )
        for frame in source.frames
    ]
    SceneCameras(frames, units="unknown", up=None, origin="sfm", info=summary).save(context.out / "cameras.json")
    write_npz(context.out / "points.npz", {"xyz": model.xyz, "rgb": model.rgb, "error": model.point_errors()})


STAGE: Stage[SfmSettings] = Stage("sfm", 3, ("source",), SfmSettings, run)
