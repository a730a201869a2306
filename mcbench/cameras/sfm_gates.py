"""Quality gates of structure from motion: what cannot work is declined for a typed reason.

Lengths in `static_camera` and `pure_rotation` are px of the small frames of `mcbench.cameras.keyframes`. All
thresholds are ours; they were set on rendered clips and the shared real material.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from mcbench.cameras.camera import Array, Camera, camera_center
from mcbench.cameras.keyframes import Motion, Segment
from mcbench.cameras.matching import VerifiedPair
from mcbench.errors import Rejected

#: A corner rests when it stays this near to where it started, share of the frame's longer side: less than that moves
#: a hand that tries to hold a camera still, and gives no depth.
_REST_SHARE = 0.02
#: The camera is static when this share of the grid cells with corners rests in this share of the frames.
_REST_CELLS = 0.4
_REST_FRAMES = 0.95
_GRID = (8, 6)
#: A pair of frames shows parallax when this share of its tracks leaves the best homography by this much.
_PARALLAX_PX = 1.0
_PARALLAX_SHARE = 0.15
#: Motion that a homography can be tested on, px (median over tracks).
_TESTABLE_PX = 10.0
_MIN_TRACKS = 30


def check_motion(motion: Motion) -> None:
    """Decline a clip whose camera stands still or only turns.

    Raises
    ------
    Rejected : `static_camera` or `pure_rotation`. Where corners cannot be followed nothing is concluded.
    """
    if static_camera(motion):
        raise Rejected(
            "the camera does not move: the background rests while structure from motion needs parallax",
            reason="static_camera",
        )
    if pure_rotation(motion):
        raise Rejected(
            "the camera turns on the spot: a homography explains its images, there is no parallax",
            reason="pure_rotation",
        )


def static_camera(motion: Motion) -> bool:
    """Whether the background rests throughout, people in front of it moving or not.

    Corners are judged by cells of a grid, so that a textured person does not outvote a plain wall.
    """
    if len(motion.start) < _MIN_TRACKS or not len(motion.revisited):
        return False
    return bool((resting_cells(motion) >= _REST_CELLS).mean() >= _REST_FRAMES)


def resting_cells(motion: Motion) -> Array:
    """Share of grid cells in which most corners that are found again rest, for every revisit (R,)."""
    moved = np.linalg.norm(motion.revisited - motion.start, axis=2)
    rests = moved < _REST_SHARE * max(motion.size)
    found = np.isfinite(moved)
    cell = np.floor(motion.start / motion.size * _GRID).astype(int) @ [1, _GRID[0]]
    cells = [rests[:, cell == c].sum(axis=1) > 0.5 * found[:, cell == c].sum(axis=1) for c in np.unique(cell)]
    return np.mean(cells, axis=0)


def pure_rotation(motion: Motion) -> bool:
    """Whether the images move and every pair of frames that can be tested is explained by a homography."""
    shares = [share for segment in motion.segments for share in _parallax_shares(segment)]
    return bool(shares) and max(shares) < _PARALLAX_SHARE


def _parallax_shares(segment: Segment) -> list[float]:
    """Share of tracks off the best homography between the anchor and some later frames of a segment."""
    shares = []
    for tracks in segment.tracks[:: max(1, len(segment.tracks) // 6)][::-1]:
        known = np.isfinite(tracks[:, 0])
        if known.sum() < _MIN_TRACKS:
            continue
        a, b = segment.start[known].astype(np.float64), tracks[known].astype(np.float64)
        if np.median(np.linalg.norm(b - a, axis=1)) < _TESTABLE_PX:
            continue
        shares.append(off_homography_share(a, b))
    return shares


def off_homography_share(a: Array, b: Array) -> float:
    """Share of matches (N, 2), (N, 2) that leave their best homography by more than a pixel."""
    homography, _ = cv2.findHomography(a, b, cv2.RANSAC, _PARALLAX_PX)
    if homography is None:
        return 1.0
    mapped = cv2.perspectiveTransform(a[:, None], homography)[:, 0]
    return float((np.linalg.norm(mapped - b, axis=1) > _PARALLAX_PX).mean())


def check_features(counts: Sequence[int], minimum: int) -> None:
    """Raises Rejected `too_few_features` when the median image has fewer than `minimum` features."""
    if np.median(counts) < minimum:
        raise Rejected(
            f"the median image has {int(np.median(counts))} features, {minimum} are needed", reason="too_few_features"
        )


def check_matches(pairs: Sequence[VerifiedPair], n_images: int, *, min_share: float, min_inliers: int = 30) -> None:
    """Decline images that do not match into one component.

    Parameters
    ----------
    min_inliers : verified matches that make a pair count.
    min_share : share of the images that the largest component must hold.

    Raises
    ------
    Rejected : `too_few_matches` when hardly any image matches another, `fragmented` when they match in parts.
    """
    strong = [(p.a, p.b) for p in pairs if len(p.matches) >= min_inliers]
    matched = len({i for pair in strong for i in pair})
    largest = max(component_sizes(n_images, strong), default=0)
    if matched < min_share * n_images:
        raise Rejected(
            f"only {matched} of {n_images} images share {min_inliers} verified matches with another",
            reason="too_few_matches",
        )
    if largest < min_share * n_images:
        raise Rejected(
            f"images match in separate parts, the largest holds {largest} of {n_images}", reason="fragmented"
        )


def component_sizes(n: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """Sizes of the connected components of a graph of n nodes."""
    root = list(range(n))

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    for i, j in edges:
        root[find(i)] = find(j)
    return np.unique([find(i) for i in range(n)], return_counts=True)[1].tolist()


def check_focal(camera: Camera, smallest: float = 0.35, largest: float = 4.0) -> None:
    """Raises Rejected `implausible_focal` when the focal length over the longer side is outside a lens's range."""
    ratio = camera.fx / max(camera.width, camera.height)
    if not smallest <= ratio <= largest:
        raise Rejected(
            f"focal length is {ratio:.2f} of the image's longer side, expected {smallest} to {largest}",
            reason="implausible_focal",
        )


def check_geometry(
    poses: Array, xyz: Array, errors: npt.NDArray[np.float64], angles: Array, *, max_error: float, min_angle_deg: float
) -> None:
    """Decline a model whose points or cameras are not well determined.

    Parameters
    ----------
    poses : cam_from_world (F, 3, 4); xyz : points (N, 3); errors : (N,) mean reprojection errors, px of an image
        1000 px long, NaN where unknown; angles : (N,) largest triangulation angle of each point, radians.

    Raises
    ------
    Rejected : `degenerate`, `high_reprojection_error`, `low_triangulation_angle`.
    """
    if len(xyz) < 50 or not np.isfinite(poses).all() or np.ptp(camera_center(poses), axis=0).max() == 0:
        raise Rejected(f"the model has {len(xyz)} points and {len(poses)} cameras", reason="degenerate")
    error = float(np.nanmean(errors)) if np.isfinite(errors).any() else np.inf
    if error > max_error:
        raise Rejected(
            f"mean reprojection error is {error:.2f} px, at most {max_error} allowed",
            reason="high_reprojection_error",
        )
    angle = np.degrees(np.median(angles))
    if angle < min_angle_deg:
        raise Rejected(
            f"median triangulation angle is {angle:.2f} degrees, at least {min_angle_deg} needed",
            reason="low_triangulation_angle",
        )
