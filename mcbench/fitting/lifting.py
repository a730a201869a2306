"""From a detector's keypoints of one image to a rough body in the camera: `smpl24` joints and a place in space."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt

from mcbench.cameras.camera import Camera
from mcbench.fitting.association import Track
from mcbench.fitting.observations import PersonObservations
from mcbench.joints import SMPL24, JointSet

Array = npt.NDArray[np.float64]

#: A joint of `smpl24` as a weighted mean of keypoints by name; the first line whose keypoints are all known counts.
#: Where bodies and keypoint sets differ in definition (spine, collars, hands), the shares are our choice.
_Recipe = tuple[dict[str, float], ...]
_SHOULDERS = {"left_shoulder": 0.5, "right_shoulder": 0.5}
_HIPS = {"left_hip": 0.5, "right_hip": 0.5}


def _between(share: float) -> dict[str, float]:
    """A point on the spine, `share` of the way from the hips to the shoulders."""
    return {**{k: w * (1 - share) for k, w in _HIPS.items()}, **{k: w * share for k, w in _SHOULDERS.items()}}


def _recipes() -> dict[str, _Recipe]:
    made: dict[str, _Recipe] = {
        "pelvis": (_between(0.1),),
        "spine1": (_between(0.3),),
        "spine2": (_between(0.55),),
        "spine3": (_between(0.65),),
        "neck": (_between(1.05),),
        "head": ({"left_ear": 0.5, "right_ear": 0.5}, {"nose": 1.0}, _between(1.2)),
    }
    for side, other in (("left", "right"), ("right", "left")):
        for joint in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist"):
            made[f"{side}_{joint}"] = ({f"{side}_{joint}": 1.0},)
        made[f"{side}_collar"] = ({f"{side}_shoulder": 0.7, f"{other}_shoulder": 0.3},)
        made[f"{side}_foot"] = (
            {f"{side}_foot_index": 0.8, f"{side}_heel": 0.2},
            {f"{side}_big_toe": 0.8, f"{side}_heel": 0.2},
            {f"{side}_ankle": 1.0},
        )
        made[f"{side}_hand"] = ({f"{side}_index": 0.5, f"{side}_pinky": 0.5}, {f"{side}_wrist": 1.0})
    return made


_RECIPES = _recipes()


def smpl24_joints(keypoints: Array, joints: JointSet) -> Array:
    """`smpl24` joints (24, 3) from keypoints (K, 3) of the set `joints`; NaN where the keypoints do not tell."""
    known = {name: p for name, p in zip(joints.joints, keypoints, strict=True) if np.isfinite(p).all()}
    out = np.full((len(SMPL24), 3), np.nan)
    for i, name in enumerate(SMPL24.joints):
        for recipe in _RECIPES[name]:
            if all(k in known for k in recipe):
                out[i] = np.sum([weight * known[k] for k, weight in recipe.items()], axis=0)
                break
    return out


def lifted_points(
    observations: PersonObservations, keypoints3d: Array, track: Track, anchor: Array, joints: JointSet
) -> Array:
    """A person's keypoints (K, 3) in the world as the surest third of the views take them to be in 3D.

    Parameters
    ----------
    observations : of the person, in metres. track : where they come from.
    keypoints3d : (N, K, 3) of all of the scene's detections, as `Detections` has them.
    anchor : (K, 3) keypoints of the person in the world, NaN where unknown, of which the hips tell the place.
    joints : what the keypoints are.
    """
    hips = [joints.index(name) for name in _HIPS]
    points = keypoints3d[observations.rows].astype(np.float64)
    flipped = track.flipped[np.searchsorted(track.rows, observations.rows)]
    points[flipped] = points[flipped][:, list(joints.flip)]
    turned = np.einsum("mji,mkj->mki", observations.cam_from_world[:, :, :3], points)
    turned -= turned[:, hips].mean(1, keepdims=True)
    doubt = observations.doubt.mean(1)
    surest = np.argsort(doubt, kind="stable")[: max(3, len(doubt) // 3)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # keypoints that no view lifts are NaN
        return np.asarray(np.nanmedian(turned[surest], axis=0) + anchor[hips].mean(0))


def weak_perspective(points: Array, pixels: Array, camera: Camera, weights: Array | None = None) -> Array | None:
    """Where a body must stand to look as it does: the translation (3,) that puts `points` under `pixels`.

    Weak perspective takes all points to be at one depth: pixel = s * (x, y) + t in least squares, and the depth is
    f / s. Distortion is undone first.

    Parameters
    ----------
    points : (K, 3) metres relative to the body, camera axes; NaN where unknown.
    pixels : (K, 2) px of the image; NaN where unknown.
    weights : (K,) of the points; equal ones when None.

    Returns
    -------
    The translation, metres in the camera's frame, or None where the points do not determine it.
    """
    known = np.asarray(np.isfinite(points).all(axis=1) & np.isfinite(pixels).all(axis=1))
    weight = np.where(known, 1.0 if weights is None else weights, 0.0)
    if (weight > 0).sum() < 2:
        return None
    weight = weight / weight.sum()
    target = (camera.undistort(np.where(known[:, None], pixels, 0.0)) - [camera.cx, camera.cy]) / [camera.fx, camera.fy]
    source = np.where(known[:, None], points, 0.0)
    mean_source, mean_target = weight @ source, weight @ target
    a, b = source[:, :2] - mean_source[:2], target - mean_target
    spread = float(weight @ (a * a).sum(axis=1))
    scale = float(weight @ (a * b).sum(axis=1)) / spread if spread > 0 else 0.0
    if scale <= 0:
        return None
    depth = 1.0 / scale
    place = np.array([*(mean_target * depth), depth])
    return place - mean_source
