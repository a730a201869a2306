"""A light check of cameras that came with the source: are they cameras, and do the images agree with them?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcbench.cameras.camera import Array, camera_center
from mcbench.cameras.colmap import to_colmap
from mcbench.cameras.features import Features
from mcbench.cameras.matching import VerifiedPair, verify_pairs
from mcbench.cameras.triangulation import midpoints, rays
from mcbench.dataset.cameras_file import FrameCamera, SceneCameras
from mcbench.errors import Rejected

#: A pair of images is a witness when it has this many verified matches.
_MIN_MATCHES = 30
#: Largest median distance of a witness's matches from the epipolar lines of the known cameras, share of image length.
_MAX_EPIPOLAR_SHARE = 0.01
#: Rays that meet at a smaller angle (radians) do not tell whether they meet in front of the cameras or behind.
_MIN_ANGLE = np.radians(1.0)


@dataclass(frozen=True)
class EpipolarCheck:
    """What the matches of the images say about known cameras.

    Attributes
    ----------
    pairs : number of image pairs with enough matches to be heard.
    agreeing : those whose matches lie near the epipolar lines.
    median_px : median over pairs of the median epipolar distance, px; NaN without pairs.
    """

    pairs: int
    agreeing: int
    median_px: float


def check_poses(cameras: SceneCameras) -> None:
    """Raises Rejected `degenerate_cameras` unless at least two frames have proper poses at distinct places."""
    posed = cameras.posed
    if len(posed) < 2:
        raise Rejected(f"{len(posed)} of the known cameras have a pose, two are needed", reason="degenerate_cameras")
    poses = np.stack([frame.cam_from_world for frame in posed if frame.cam_from_world is not None])
    if not np.isfinite(poses).all() or not all(np.isfinite(frame.camera.params).all() for frame in posed):
        raise Rejected("a known camera is not finite", reason="degenerate_cameras")
    if min(min(frame.camera.fx, frame.camera.fy) for frame in posed) <= 0:
        raise Rejected("a known camera has a focal length that is not positive", reason="degenerate_cameras")
    rotations = poses[:, :, :3]
    off = np.abs(rotations @ np.swapaxes(rotations, 1, 2) - np.eye(3)).max()
    if off > 1e-3 or (np.linalg.det(rotations) < 0).any():
        raise Rejected("a known camera's rotation is not a rotation", reason="degenerate_cameras")
    spread = np.linalg.norm(np.ptp(camera_center(poses), axis=0))
    if spread <= 1e-9 * max(1.0, float(np.abs(poses[:, :, 3]).max())):
        raise Rejected("all known cameras stand at one place: no parallax", reason="degenerate_cameras")


def check_epipolar(
    cameras: Sequence[FrameCamera], features: Sequence[Features], pairs: Sequence[tuple[int, int]], *, seed: int
) -> EpipolarCheck:
    """Compare verified matches with the epipolar geometry of known cameras.

    Wide baselines leave few matches or none; then nothing is said. Epipolar lines do not know front from back: they
    stay the same when all translations change their sign. So what matches must also lie in front of both cameras.

    Parameters
    ----------
    cameras, features : one an image, all posed.
    pairs : pairs (a, b), a < b, by position.

    Raises
    ------
    Rejected : `inconsistent_cameras` when there are witnesses and most of them disagree, or most matches of those who
        agree lie behind the cameras.
    """
    verified = verify_pairs(features, [to_colmap(c.camera) for c in cameras], pairs, seed=seed)
    heard = [pair for pair in verified if len(pair.matches) >= _MIN_MATCHES]
    medians = np.array([np.median(epipolar_distances(cameras, features, pair)) for pair in heard])
    limits = np.array([_MAX_EPIPOLAR_SHARE * max(cameras[p.a].camera.width, cameras[p.a].camera.height) for p in heard])
    agreeing = int((medians <= limits).sum())
    if len(heard) >= 2 and agreeing < 0.5 * len(heard):
        raise Rejected(
            f"the matches of {len(heard) - agreeing} of {len(heard)} image pairs contradict the known cameras "
            f"(median epipolar distance {np.median(medians):.1f} px)",
            reason="inconsistent_cameras",
        )
    front = np.concatenate([np.zeros(0, dtype=bool), *(in_front(cameras, features, pair) for pair in heard)])
    if len(heard) >= 2 and len(front) >= _MIN_MATCHES and front.mean() < 0.5:
        raise Rejected(
            f"{100 * (1 - front.mean()):.0f} % of what matches lies behind the known cameras: "
            "are their translations of the wrong sign?",
            reason="inconsistent_cameras",
        )
    return EpipolarCheck(len(heard), agreeing, float(np.median(medians)) if len(heard) else float("nan"))


def epipolar_distances(cameras: Sequence[FrameCamera], features: Sequence[Features], pair: VerifiedPair) -> Array:
    """Distances (K,) of a pair's matches in image b from their epipolar lines, px, distortion removed."""
    a, b = cameras[pair.a], cameras[pair.b]
    assert a.cam_from_world is not None and b.cam_from_world is not None
    rotation = b.cam_from_world[:, :3] @ a.cam_from_world[:, :3].T
    t = b.cam_from_world[:, 3] - rotation @ a.cam_from_world[:, 3]
    cross = np.array([[0, -t[2], t[1]], [t[2], 0, -t[0]], [-t[1], t[0], 0]])
    fundamental = np.linalg.inv(b.camera.K).T @ cross @ rotation @ np.linalg.inv(a.camera.K)
    xa, xb = _matched_points(cameras, features, pair)
    lines = np.column_stack([xa, np.ones(len(xa))]) @ fundamental.T
    return np.abs(np.einsum("ij,ij->i", lines[:, :2], xb) + lines[:, 2]) / np.linalg.norm(lines[:, :2], axis=1)


def in_front(cameras: Sequence[FrameCamera], features: Sequence[Features], pair: VerifiedPair) -> npt.NDArray[np.bool_]:
    """(K,) whether the rays of a match come nearest to each other in front of both cameras.

    K is the number of the pair's matches whose rays meet at an angle that tells.
    """
    a, b = cameras[pair.a], cameras[pair.b]
    assert a.cam_from_world is not None and b.cam_from_world is not None
    projection = np.stack([a.camera.K @ a.cam_from_world, b.camera.K @ b.cam_from_world])
    (centre_a, centre_b), (along_a, along_b) = rays(projection, np.stack(_matched_points(cameras, features, pair)))
    ahead = np.asarray(np.isfinite(midpoints(centre_a, along_a, centre_b, along_b)).all(axis=-1))
    lengths = np.linalg.norm(along_a, axis=1) * np.linalg.norm(along_b, axis=1)
    cosine = (along_a * along_b).sum(axis=1) / lengths
    return np.asarray(ahead[np.abs(cosine) < np.cos(_MIN_ANGLE)])


def _matched_points(
    cameras: Sequence[FrameCamera], features: Sequence[Features], pair: VerifiedPair
) -> tuple[Array, Array]:
    """Matched points (K, 2) of both images, px, distortion removed."""
    a, b = cameras[pair.a].camera, cameras[pair.b].camera
    return (
        a.undistort(features[pair.a].points[pair.matches[:, 0]]),
        b.undistort(features[pair.b].points[pair.matches[:, 1]]),
    )
