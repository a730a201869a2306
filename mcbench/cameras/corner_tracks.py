"""Many precise points for a map: corners of its keyframes, followed into the keyframes around them.

A blob's place in an image is known to some quarter of a pixel, and there are few of them at the scales that mapping
looks at; a corner is followed to about a tenth of a pixel, and every keyframe has thousands.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from mcbench.cameras.camera import Array, Camera, camera_center, transform
from mcbench.cameras.features import to_original, to_working, working_image
from mcbench.cameras.klt import Grey, corners, follow
from mcbench.cameras.sparse_model import SparseModel
from mcbench.cameras.triangulation import midpoints

#: Side of the patches followed, px of the working image, and how often they are halved: corners are looked for where
#: the map says that they are, so that a small search will do.
_WINDOW = 9
_LEVELS = 1
#: Largest mean absolute difference of grey levels between a corner's patch in its own keyframe and in another.
_MAX_DIFFERENCE = 20.0
#: A corner is followed into this many keyframes on either side of its own.
_REACH = 4
#: Map points around a corner that tell where to look for it.
_NEIGHBOURS = 3
#: Largest reprojection error of a point from two views, and of one from all its views, px of the working image.
_MAX_ERROR_PX = 1.0
_MIN_VIEWS = 3
#: Smallest spread of a point's rays: the mean squared sine of their angles to the best common direction.
_MIN_SPREAD = 1e-5


@dataclass(frozen=True)
class _Keyframe:
    """A mapped keyframe with its grey working image, and its corners (N, 2) in px of that (first pixel's centre 0)."""

    index: int
    cam_from_world: Array
    grey: Grey
    corners: npt.NDArray[np.float32]
    colours: npt.NDArray[np.uint8]


def add_corners(
    model: SparseModel, images: Iterable[tuple[int, npt.NDArray[np.uint8]]], *, count: int, max_size: int
) -> SparseModel:
    """The model with points at up to `count` corners a keyframe added to its own; poses stay.

    Parameters
    ----------
    model : keyframes that share one camera, and points that tell roughly how far things are.
    images : (frame index, RGB image) of all posed frames of the model, in rising order.
    max_size : longer side of the images worked on, px.
    """
    camera = next(iter(model.cameras.values()))
    keyframes = []
    for index, image in images:
        grey = working_image(image, max_size)
        found = corners(grey, count)
        column, row = np.floor(to_original(found, grey, camera)).astype(int).T
        colours = image[np.clip(row, 0, camera.height - 1), np.clip(column, 0, camera.width - 1)]
        keyframes.append(_Keyframe(index, model.poses[index], grey, found, colours))
    frame, point, pixels = [], [], []
    first = 0
    for i, keyframe in enumerate(keyframes):
        for index, rows, seen in _tracks(keyframes, i, model, camera):
            frame.append(np.full(len(rows), index))
            point.append(first + rows)
            pixels.append(seen)
        first += len(keyframe.corners)
    if not frame:
        return model
    tracks = replace(
        model,
        xyz=np.full((first, 3), np.nan),
        rgb=np.concatenate([keyframe.colours for keyframe in keyframes]),
        frame=np.concatenate(frame).astype(np.int64),
        point=np.concatenate(point).astype(np.int64),
        pixels=np.concatenate(pixels),
    )
    ratio = camera.width / keyframes[0].grey.shape[1]
    return model.joined(_agreeing(tracks, camera, _MAX_ERROR_PX * ratio))


def _directions(pixels: Array, cam_from_world: Array, camera: Camera) -> Array:
    """Directions (N, 3) in the world, of unit depth, of pixels (N, 2) in a camera or in one camera each (N, 3, 4)."""
    flat = (camera.undistort(pixels) - [camera.cx, camera.cy]) / [camera.fx, camera.fy]
    return np.einsum("...ji,...j->...i", cam_from_world[..., :3], np.column_stack([flat, np.ones(len(flat))]))


def _tracks(
    keyframes: Sequence[_Keyframe], i: int, model: SparseModel, camera: Camera
) -> Iterator[tuple[int, npt.NDArray[np.intp], Array]]:
    """Where corners of keyframe i are seen: (frame index, rows of its corners, pixels), itself included."""
    anchor = keyframes[i]
    if not len(anchor.corners) or not (model.frame == anchor.index).any():
        return
    pixels = to_original(anchor.corners, anchor.grey, camera)
    yield anchor.index, np.arange(len(pixels)), pixels
    start = _expected(anchor, pixels, model, camera)
    directions = _directions(pixels, anchor.cam_from_world, camera)
    centre = camera_center(anchor.cam_from_world)
    ratio = camera.width / anchor.grey.shape[1]
    for others in (keyframes[i + 1 : i + 1 + _REACH], keyframes[max(0, i - _REACH) : i][::-1]):
        xyz = start
        for other in others:
            guess = camera.project(transform(other.cam_from_world, xyz))
            there, difference = follow(
                anchor.grey,
                other.grey,
                anchor.corners,
                to_working(guess, other.grey, camera),
                window=_WINDOW,
                levels=_LEVELS,
            )
            seen = to_original(there, other.grey, camera)
            # what is found tells more exactly how far the corner is, and so where to look for it in the next one
            xyz = midpoints(
                centre,
                directions,
                camera_center(other.cam_from_world),
                _directions(seen, other.cam_from_world, camera),
            )
            error = np.linalg.norm(camera.project(transform(other.cam_from_world, xyz)) - seen, axis=1)
            good = (error < _MAX_ERROR_PX * ratio) & (difference <= _MAX_DIFFERENCE)
            xyz[~good] = np.nan
            rows = np.flatnonzero(good)
            if not len(rows):
                break
            yield other.index, rows, seen[rows]


def _expected(anchor: _Keyframe, pixels: Array, model: SparseModel, camera: Camera) -> Array:
    """Where corners (N, 2) px of a keyframe are in the world (N, 3), if they are as far as the map's nearest points."""
    rows = model.frame == anchor.index
    depth = transform(anchor.cam_from_world, model.xyz[model.point[rows]])[:, 2]
    count = min(_NEIGHBOURS, len(depth))
    _, nearest = cKDTree(model.pixels[rows]).query(pixels, k=np.arange(1, count + 1))
    away = np.median(depth[nearest], axis=1)
    directions = _directions(pixels, anchor.cam_from_world, camera)
    return camera_center(anchor.cam_from_world) + away[:, None] * directions


def _agreeing(tracks: SparseModel, camera: Camera, max_error_px: float) -> SparseModel:
    """The points that enough observations agree on, at the least-squares meeting of their rays."""
    poses = np.stack([tracks.poses[i] for i in tracks.frame.tolist()])
    centres, directions = camera_center(poses), _directions(tracks.pixels, poses, camera)
    good = np.ones(len(tracks.frame), dtype=bool)
    xyz = tracks.xyz
    for _ in range(2):
        xyz = meet(centres[good], directions[good], tracks.point[good], len(tracks.xyz))
        error = np.linalg.norm(
            camera.project(transform(poses, xyz[tracks.point][:, None])[:, 0]) - tracks.pixels, axis=1
        )
        good = error < max_error_px
        good &= np.bincount(tracks.point[good], minlength=len(xyz))[tracks.point] >= _MIN_VIEWS
    kept, point = np.unique(tracks.point[good], return_inverse=True)
    return replace(
        tracks,
        xyz=xyz[kept],
        rgb=tracks.rgb[kept],
        frame=tracks.frame[good],
        point=point.astype(np.int64),
        pixels=tracks.pixels[good],
    )


def meet(centres: Array, directions: Array, point: npt.NDArray[np.int64], count: int) -> Array:
    """Points (count, 3) nearest to their rays in the least-squares sense; NaN where rays are too parallel.

    Parameters
    ----------
    centres, directions : (M, 3) origins and directions of the rays; point : (M,) which point each ray belongs to.
    """
    unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    across = np.eye(3) - unit[:, :, None] * unit[:, None, :]
    normal, right = np.zeros((count, 3, 3)), np.zeros((count, 3))
    np.add.at(normal, point, across)
    np.add.at(right, point, np.einsum("mij,mj->mi", across, centres))
    rays = np.bincount(point, minlength=count)
    good = np.linalg.eigvalsh(normal)[:, 0] > _MIN_SPREAD * np.maximum(rays, 1)
    out = np.full((count, 3), np.nan)
    out[good] = np.linalg.solve(normal[good], right[good][..., None])[..., 0]
    return out
