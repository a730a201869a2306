"""Poses of the frames between keyframes: mapped points followed from the neighbouring keyframes, then resection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pycolmap

from mcbench.cameras.camera import Array, Camera, transform
from mcbench.cameras.colmap import to_colmap
from mcbench.cameras.features import to_original, to_working
from mcbench.cameras.klt import follow

#: Side of the patches followed, px of the working image.
_WINDOW = 11
#: Largest mean absolute difference of grey levels between a point's patch in its anchor and in the frame.
_MAX_DIFFERENCE = 20.0
_MIN_INLIERS = 20
_MIN_INLIER_SHARE = 0.3


@dataclass(frozen=True)
class Anchor:
    """A mapped keyframe.

    Attributes
    ----------
    index : its frame.
    cam_from_world : (3, 4).
    point_ids : (N,) the points seen in it; xyz : (N, 3) their positions in the world.
    """

    index: int
    cam_from_world: Array
    point_ids: npt.NDArray[np.int64]
    xyz: Array


@dataclass(frozen=True)
class Located:
    """A frame's pose `cam_from_world` (3, 4) with the points it was found from: ids (K,) and pixels (K, 2)."""

    index: int
    cam_from_world: Array
    point_ids: npt.NDArray[np.int64]
    pixels: Array


def locate_frames(
    frames: Iterable[tuple[int, npt.NDArray[np.uint8]]],
    anchors: Mapping[int, Anchor],
    camera: Camera,
    *,
    max_points: int,
    seed: int,
) -> Iterator[Located]:
    """Poses of all frames that can be located, anchors left out, in order.

    Points are followed from an anchor by pyramidal Lucas-Kanade, always against the anchor's own image, so that no
    drift adds up; they start from their projections rather than from the detected features, so that a feature's
    localisation error does not enter every frame around it.

    Parameters
    ----------
    frames : (index, grey working image) in rising order, anchors included.
    anchors : mapped keyframes by frame index.
    camera : the camera of all frames, in px of the original image.
    """
    before: tuple[int, npt.NDArray[np.uint8]] | None = None
    waiting: list[tuple[int, npt.NDArray[np.uint8]]] = []
    for index, grey in frames:
        if index not in anchors:
            waiting.append((index, grey))
            continue
        yield from _between(waiting, before, (index, grey), anchors, camera, max_points, seed)
        before, waiting = (index, grey), []
    yield from _between(waiting, before, None, anchors, camera, max_points, seed)


def _between(
    waiting: list[tuple[int, npt.NDArray[np.uint8]]],
    before: tuple[int, npt.NDArray[np.uint8]] | None,
    after: tuple[int, npt.NDArray[np.uint8]] | None,
    anchors: Mapping[int, Anchor],
    camera: Camera,
    max_points: int,
    seed: int,
) -> Iterator[Located]:
    """Locate the frames between two anchors, of which one may be missing."""
    found: dict[int, list[tuple[npt.NDArray[np.int64], Array, Array]]] = {index: [] for index, _ in waiting}
    for anchor, ordered in ((before, waiting), (after, waiting[::-1])):
        if anchor is None:
            continue
        for index, ids, xyz, pixels in _follow(anchors[anchor[0]], anchor[1], ordered, camera, max_points):
            found[index].append((ids, xyz, pixels))
    for index, parts in found.items():
        if parts:
            ids, xyz, pixels = (np.concatenate(columns) for columns in zip(*parts, strict=True))
            located = resect(xyz, pixels, camera, seed=seed)
            if located is not None:
                pose, inliers = located
                yield Located(index, pose, ids[inliers], pixels[inliers])


def _follow(
    anchor: Anchor,
    image: npt.NDArray[np.uint8],
    ordered: list[tuple[int, npt.NDArray[np.uint8]]],
    camera: Camera,
    max_points: int,
) -> Iterator[tuple[int, npt.NDArray[np.int64], Array, Array]]:
    """Follow an anchor's points outwards; yields (frame, point ids, xyz, pixels) until too few are left."""
    chosen = _spread(anchor, max_points)
    ids, xyz = anchor.point_ids[chosen], anchor.xyz[chosen]
    start = to_working(camera.project(transform(anchor.cam_from_world, xyz)), image, camera)
    now = start
    for index, grey in ordered:
        now, difference = follow(image, grey, start, now, window=_WINDOW)
        now[difference > _MAX_DIFFERENCE] = np.nan
        rows = np.flatnonzero(np.isfinite(now[:, 0]))
        if len(rows) < _MIN_INLIERS:
            return
        yield index, ids[rows], xyz[rows], to_original(now[rows], grey, camera)


def _spread(anchor: Anchor, count: int) -> npt.NDArray[np.intp]:
    """At most `count` of an anchor's points, evenly from its list."""
    n = len(anchor.point_ids)
    return np.arange(n) if n <= count else np.unique(np.linspace(0, n - 1, count).astype(np.intp))


def resect(
    xyz: Array, pixels: Array, camera: Camera, *, seed: int, max_error_px: float = 4.0
) -> tuple[Array, npt.NDArray[np.bool_]] | None:
    """Pose of one image from 2D-3D matches: LO-RANSAC, then refinement under a Cauchy loss.

    Parameters
    ----------
    xyz : (N, 3) in the world; pixels : (N, 2) px.

    Returns
    -------
    cam_from_world (3, 4) and the inliers (N,), or None when too few agree.
    """
    if len(xyz) < _MIN_INLIERS:
        return None
    options = pycolmap.AbsolutePoseEstimationOptions()
    options.ransac.random_seed = seed
    options.ransac.max_error = max_error_px
    answer = pycolmap.estimate_and_refine_absolute_pose(pixels, xyz, to_colmap(camera), options)
    if answer is None:
        return None
    inliers = np.asarray(answer["inlier_mask"], dtype=bool)
    if inliers.sum() < _MIN_INLIERS or inliers.mean() < _MIN_INLIER_SHARE:
        return None
    return np.array(answer["cam_from_world"].matrix()), inliers
