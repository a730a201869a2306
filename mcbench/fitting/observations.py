"""What the views say about one person: pixels, their noise, and how much each view adds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from mcbench.cameras.camera import camera_center
from mcbench.cameras.views import Views
from mcbench.dataset.detections import Detections
from mcbench.fitting.association import Track
from mcbench.fitting.keypoint_model import STATURE, KeypointModel
from mcbench.joints import joint_set

Array = npt.NDArray[np.float64]


#: What is told of every keypoint in every view.
_PER_KEYPOINT = ("pixels", "weight", "sigma", "doubt")


@dataclass(frozen=True)
class Readings:
    """The N keypoints of a person that were read, one after another by keypoint.

    Attributes
    ----------
    row : (N,) detection. keypoint : (N,), rising. first : (…,) where each keypoint that was read begins.
    axes : (3, 3, N) the axes of the view's camera, in the world: x, y and z. focal, principal : (2, N) px of it.
    pixels : (2, N). inverse_sigma : (N,) 1/px. weight : (N,).
    """

    row: npt.NDArray[np.int64]
    keypoint: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    axes: Array
    focal: Array
    principal: Array
    pixels: Array
    inverse_sigma: Array
    weight: Array


@dataclass(frozen=True)
class PersonObservations:
    """M detections of one person, K keypoints each.

    Attributes
    ----------
    rows : (M,) rows of the scene's detections.
    view : (M,) index into the views.
    frame : (M,) source frame.
    K : (M, 3, 3) px.
    cam_from_world : (M, 3, 4).
    pixels : (M, K, 2) undistorted px, 0 where unknown.
    weight : (M, K) share of an independent observation that a keypoint counts for; 0 where unknown.
    sigma : (M, K) standard deviation of an error in the image, an axis, px.
    doubt : (M, K) how much larger it is than a sure keypoint's, by the score (`KeypointModel.doubt`).
    """

    rows: npt.NDArray[np.int64]
    view: npt.NDArray[np.int64]
    frame: npt.NDArray[np.int64]
    K: Array
    cam_from_world: Array
    pixels: Array
    weight: Array
    sigma: Array
    doubt: Array

    def __len__(self) -> int:
        return len(self.rows)

    def select(self, mask: npt.NDArray[np.bool_]) -> PersonObservations:
        """The observations of some of the detections, `mask` (M,)."""
        return PersonObservations(*(getattr(self, name)[mask] for name in self.__dataclass_fields__))

    def keypoints(self, chosen: npt.NDArray[np.int64]) -> PersonObservations:
        """The observations of some of the keypoints, `chosen` (L,) of K."""
        return replace(self, **{name: getattr(self, name)[:, chosen] for name in _PER_KEYPOINT})

    @cached_property
    def readings(self) -> Readings:
        """What was read: of many keypoints, most are not in most views."""
        keypoint, row = np.nonzero(self.weight.T > 0)
        return Readings(
            row,
            keypoint,
            np.flatnonzero(np.diff(keypoint, prepend=-1)),
            np.ascontiguousarray(self.cam_from_world[row, :, :3].transpose(1, 2, 0)),
            np.stack([self.K[row, 0, 0], self.K[row, 1, 1]]),
            np.ascontiguousarray(self.K[row, :2, 2].T),
            np.ascontiguousarray(self.pixels[row, keypoint].T),
            1.0 / self.sigma[row, keypoint],
            self.weight[row, keypoint],
        )

    def mean_doubt(self) -> Array:
        """(K,) the doubt about a keypoint in all views together, the surest ones counting most; 1 where unknown."""
        total = self.weight.sum(0)
        precision = (self.weight / self.doubt**2).sum(0)
        return np.sqrt(np.divide(total, precision, out=np.ones_like(total), where=precision > 0))

    def doubted(self, factor: Array) -> PersonObservations:
        """The same with errors expected to be larger, each by its `factor` (M, K)."""
        return replace(self, sigma=self.sigma * factor, doubt=self.doubt * factor)

    def exchanged(self, rows: npt.NDArray[np.bool_], order: npt.NDArray[np.int64]) -> PersonObservations:
        """The same with the keypoints in another `order` (K,) in some of the detections, `rows` (M,)."""
        changed = {}
        for name in _PER_KEYPOINT:
            values = getattr(self, name).copy()
            values[rows] = values[rows][:, order]
            changed[name] = values
        return replace(self, **changed)

    def noisier(self, factor: Array) -> PersonObservations:
        """The same with larger errors of some keypoints, by `factor` (K,), which are doubted no more than before."""
        return replace(self, sigma=self.sigma * factor)

    def grown(self, factor: float) -> PersonObservations:
        """The same in a world larger by `factor`: a person of the same metres is smaller in the images then."""
        cam_from_world = self.cam_from_world.copy()
        cam_from_world[:, :, 3] *= factor
        return replace(self, cam_from_world=cam_from_world, sigma=self.sigma / factor)

    def same_as(self, other: PersonObservations) -> bool:
        """Whether the other says the same of the same views."""
        names = ("rows", "pixels", "weight", "sigma")
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in names)

    def with_noise(self, factor: float) -> PersonObservations:
        """The same with the variance of all errors times `factor`."""
        return replace(self, sigma=self.sigma * np.sqrt(factor))


def observe(
    views: Views,
    detections: Detections,
    track: Track,
    centre: Array,
    keypoints: KeypointModel,
    *,
    scale: float = 1.0,
    min_score: float = 0.0,
    correlation_deg: float = 10.0,
    max_views: int = 0,
) -> PersonObservations:
    """Collect what a track's detections say.

    Parameters
    ----------
    views : the posed cameras.
    detections : the scene's detections.
    track : the person's detections; those in frames without a camera are left out, those taken for left-right
        swapped are swapped back.
    centre : (3,) middle of the person in the views' world.
    keypoints : the noise of each keypoint, and how it grows as the score falls.
    scale : metres a unit of the views' world, for the size of the person in the image.
    min_score : keypoints with a lower score are unknown.
    correlation_deg : a detector errs alike in views less than about this angle apart, as seen from the person: the
        errors' correlation is taken as exp(-(angle / correlation)^2 / 2), and a view counts for the inverse of the
        sum of its correlations with all views, so that many views of one side weigh as few.
    max_views : of more detections, so many are taken, evenly spread: as neighbours err alike, the others would add
        little but time. 0: all.
    """
    row = np.asarray(track.rows, dtype=np.int64)
    view = views.of_frames(detections.frame[row])
    chosen = np.flatnonzero(view >= 0)
    if 0 < max_views < len(chosen):
        chosen = chosen[np.round(np.linspace(0, len(chosen) - 1, max_views)).astype(np.int64)]
    row, view, flipped = row[chosen], view[chosen], track.flipped[chosen]
    K, cam_from_world = views.K[view], views.cam_from_world[view]
    raw = detections.keypoints[row].astype(np.float64)
    score = np.nan_to_num(detections.keypoint_score[row].astype(np.float64))
    flip = np.array(joint_set(keypoints.keypoint_set).flip)
    raw[flipped], score[flipped] = raw[flipped][:, flip], score[flipped][:, flip]
    known = np.isfinite(raw).all(-1) & (score >= min_score) & keypoints.known
    pixels = np.where(known[..., None], views.undistort_each(view, np.where(known[..., None], raw, 0.0)), 0.0)
    depth = np.maximum((cam_from_world[:, :, :3] @ centre + cam_from_world[:, :, 3])[:, 2], 1e-6)
    focal = np.sqrt(K[:, 0, 0] * K[:, 1, 1])
    size_px = focal * STATURE / scale / depth
    weight = known * keypoints.independence * view_weights(cam_from_world, centre, correlation_deg)[:, None]
    doubt = keypoints.doubt(score)
    sigma = size_px[:, None] * keypoints.noise * doubt
    return PersonObservations(row, view, detections.frame[row], K, cam_from_world, pixels, weight, sigma, doubt)


def view_weights(cam_from_world: Array, centre: Array, correlation_deg: float) -> Array:
    """Weights (M,) of views (M, 3, 4) of a point (3,), of which those from similar directions share one view's."""
    rays = camera_center(cam_from_world) - centre
    rays /= np.maximum(np.linalg.norm(rays, axis=1, keepdims=True), 1e-12)
    angles = np.degrees(np.arccos(np.clip(rays @ rays.T, -1, 1)))
    return 1.0 / np.exp(-0.5 * (angles / correlation_deg) ** 2).sum(1)
