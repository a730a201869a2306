"""Detections as the association sees them: undistorted body joints in posed views, and how a skeleton explains them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcbench.cameras.camera import Array
from mcbench.cameras.triangulation import BoolArray, Triangulation, triangulate
from mcbench.cameras.views import Views
from mcbench.dataset.detections import Detections
from mcbench.fitting.association_settings import AssociationSettings
from mcbench.joints import JointSet, joint_set

IntArray = npt.NDArray[np.int64]

#: Joints that tell people apart: one a body part, so that no face outvotes the limbs.
BODY_JOINTS = (
    *("nose", "neck", "left_ear", "right_ear"),
    *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
)
#: Skeletons compared with all observations at a time, to bound memory.
_CHUNK = 128


def body_joints(joints: JointSet) -> IntArray:
    """Indices (J,) of those of `BODY_JOINTS` that a joint set has."""
    return np.array([joints.index(name) for name in BODY_JOINTS if name in joints.joints], dtype=np.int64)


@dataclass(frozen=True)
class Observations:
    """Detections in posed views, N of them, with all K keypoints of their set; `body` picks the J body joints.

    Attributes
    ----------
    views : the posed views.
    row : (N,) rows in the `Detections`.
    view : (N,) view of each.
    xy : (N, K, 2) undistorted px.
    weight : (N, K) keypoint scores, 0 where unknown or below the least score.
    size : (N,) longer side of the person's box, px.
    score : (N,) of the detection.
    body : (J,) indices of the joints that tell people apart.
    flip : (K,) permutation that swaps left and right.
    """

    views: Views
    row: IntArray
    view: IntArray
    xy: Array
    weight: Array
    size: Array
    score: Array
    body: IntArray
    flip: IntArray

    def __len__(self) -> int:
        return len(self.row)

    @classmethod
    def from_detections(cls, views: Views, detections: Detections, settings: AssociationSettings) -> Observations:
        """Detections in posed views with at least `min_joints` known body joints."""
        joints = joint_set(detections.keypoint_set)
        named = body_joints(joints)
        body = named if len(named) >= settings.min_joints else np.arange(len(joints))

        score = np.where(np.isfinite(detections.keypoints).all(axis=-1), detections.keypoint_score, 0.0)
        weight = np.where(score >= settings.min_score, score, 0.0)
        view = views.of_frames(detections.frame)
        row = np.flatnonzero((view >= 0) & ((weight[:, body] > 0).sum(axis=1) >= settings.min_joints))
        view, weight = view[row], weight[row].astype(np.float64)
        xy = views.undistort_each(view, detections.keypoints[row])
        weight[~np.isfinite(xy).all(axis=-1)] = 0.0
        return cls(
            views,
            row,
            view,
            xy,
            weight,
            _sizes(detections.box[row].astype(np.float64), xy, weight),
            detections.score[row].astype(np.float64),
            body,
            np.array(joints.flip, dtype=np.int64),
        )

    @property
    def body_flip(self) -> IntArray:
        """(J,) permutation of the body joints that swaps left and right."""
        position = {int(joint): i for i, joint in enumerate(self.body)}
        return np.array([position[int(self.flip[joint])] for joint in self.body], dtype=np.int64)


def _sizes(box: Array, xy: Array, weight: Array) -> Array:
    """Longer side of each box (N,), px; of the known keypoints' extent where a box is unknown or empty."""
    side = np.maximum(box[:, 2] - box[:, 0], box[:, 3] - box[:, 1])
    known = (weight > 0)[..., None]
    low = np.where(known, xy, np.inf).min(axis=1)
    high = np.where(known, xy, -np.inf).max(axis=1)
    return np.maximum(np.where(np.isfinite(side) & (side > 0), side, (high - low).max(axis=1)), 1.0)


@dataclass(frozen=True)
class Explanation:
    """How well T skeletons explain N detections.

    Attributes
    ----------
    cost : (N, T) score-weighted mean Geman-McClure cost, in [0, 1]; inf where they share too few joints.
    flipped : (N, T) whether the detection fits with left and right swapped, and clearly not otherwise.
    """

    cost: Array
    flipped: BoolArray


def explain(observations: Observations, skeletons: Array, settings: AssociationSettings) -> Explanation:
    """Compare every detection with the projections of skeletons (T, J, 3), NaN where unknown."""
    n, t = len(observations), len(skeletons)
    cost, flipped = np.full((n, t), np.inf), np.zeros((n, t), dtype=bool)
    body, swap = observations.body, observations.body_flip
    xy, weight = observations.xy[:, body], observations.weight[:, body]
    sigma = (settings.sigma * observations.size)[:, None, None]
    for begin in range(0, t, _CHUNK):
        chunk = slice(begin, min(begin + _CHUNK, t))
        known: BoolArray = np.isfinite(skeletons[chunk].sum(axis=-1))
        projected = observations.views.project(skeletons[chunk])[observations.view]  # (N, T', J, 2)
        direct = _mean_cost(projected, known, xy, weight, sigma, settings.min_joints)
        swapped = _mean_cost(projected, known, xy[:, swap], weight[:, swap], sigma, settings.min_joints)
        flipped[:, chunk] = swapped < np.where(np.isfinite(direct), direct, 1.0) - settings.flip_margin
        cost[:, chunk] = np.where(flipped[:, chunk], swapped, direct)
    return Explanation(cost, flipped)


def _mean_cost(projected: Array, known: BoolArray, xy: Array, weight: Array, sigma: Array, min_joints: int) -> Array:
    """(N, T) costs of detections xy (N, J, 2) under projections (N, T, J, 2), whose NaNs lie behind the camera."""
    offset = projected - xy[:, None]
    squared = np.einsum("ntji,ntji->ntj", offset, offset) / sigma**2
    each = np.where(np.isfinite(squared), squared / (1.0 + squared), 1.0)
    w = weight[:, None] * known
    total = w.sum(axis=-1)
    enough = (w > 0).sum(axis=-1) >= min_joints
    return np.where(enough, np.einsum("ntj,ntj->nt", each, w) / np.where(enough, total, 1.0), np.inf)


def triangulate_members(
    observations: Observations,
    members: IntArray,
    flipped: BoolArray,
    sigma: float,
    min_angle_deg: float,
    joints: IntArray | None = None,
) -> Triangulation:
    """Triangulate the keypoints `joints` (all when None) of the detections `members` (M,).

    Parameters
    ----------
    flipped : (M,) detections whose left and right are swapped first.
    sigma : scale of the cost, a share of each person's size.
    """
    joints = np.arange(observations.xy.shape[1]) if joints is None else joints
    source = np.where(flipped[:, None], observations.flip[joints], joints)
    return triangulate(
        observations.views.projection[observations.view[members]],
        observations.xy[members[:, None], source],
        observations.weight[members[:, None], source],
        sigma * observations.size[members],
        np.deg2rad(min_angle_deg),
    )
