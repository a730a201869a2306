"""Which fits deserve to be called ground truth: features of a person, and their thresholds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mcbench.cameras.camera import camera_center
from mcbench.dataset.cameras_file import SceneCameras
from mcbench.dataset.detections import Detections
from mcbench.dataset.people import FittedPeople
from mcbench.dataset.verdicts import Check, Verdict
from mcbench.fitting.keypoint_model import AGREES, STATURE, SURE
from mcbench.fitting.limb_chain import HANGING, LIMB_NAMES
from mcbench.fitting.priors import limit_excess
from mcbench.fitting.residuals import keypoint_errors
from mcbench.joints import COCO17, SMPL24

Array = npt.NDArray[np.float64]

_LIMB_JOINTS = [COCO17.index(f"{side}_{j}") for j in ("elbow", "wrist", "knee", "ankle") for side in ("left", "right")]
#: Which limb, in the order of `limb_outlines`, each belongs to.
_LIMB_OF = np.array([0, 1, 0, 1, 2, 3, 2, 3])
#: An outline is shown where the images have this share of it.
_OUTLINE_SHOWN = 0.55
#: People of a scene from whom on there is a usual share of outlines shown.
_USUAL_PEOPLE = 2
#: Fewer readings of a joint are not asked. Where so many of all agree, limbs are surely where they are read.
_MIN_READINGS, _SURELY_READ = 8, 0.9
#: What is read in so many of a person's detections is seen; of fewer, some are guesses at what is hidden.
_MOST = 0.5


@dataclass(frozen=True)
class ValidateSettings:
    """Thresholds; every default is ours."""

    min_views: int = field(default=3, metadata={"help": "Least number of views of a person (few_views)."})
    min_angle_deg: float = field(
        default=4.0, metadata={"help": "Least angle between a person's outermost views, degrees (low_parallax)."}
    )
    max_residual: float = field(
        default=0.045,
        metadata={"help": "Largest median reprojection error, as a share of a standing adult's height in the image."},
    )
    max_outliers: float = field(
        default=0.4, metadata={"help": "Largest share of keypoints off by 10 % of that height (high_residual)."}
    )
    min_limb_agreement: float = field(
        default=0.35,
        metadata={
            "help": "Least share of the sure readings of an elbow, wrist, knee or ankle that lie within 6 % of stature "
            "of the fit, for the one that agrees worst of those whose outline the images do not show (high_residual)."
        },
    )
    max_shape: float = field(
        default=6.0, metadata={"help": "Largest shape component, standard deviations (implausible_shape)."}
    )
    min_stature_m: float = field(default=0.85, metadata={"help": "Least stature, metres (implausible_shape)."})
    max_stature_m: float = field(default=2.15, metadata={"help": "Largest stature, metres (implausible_shape)."})
    max_limit_excess_deg: float = field(
        default=30.0, metadata={"help": "Furthest a joint may turn beyond its range, degrees (implausible_pose)."}
    )
    max_moved_m: float = field(
        default=0.06, metadata={"help": "Largest movement that a person surely made at least, metres (moved)."}
    )
    min_outline: float = field(
        default=0.6,
        metadata={
            "help": "Least share of a person's fitted outline that the images show, over the median of the scene's "
            "people, where they show most people's (off_outline)."
        },
    )
    min_leg_outline: float = field(
        default=0.6,
        metadata={
            "help": "Least share of a leg's fitted outline that the images show, the worse leg, over that of the whole "
            "outline (off_outline)."
        },
    )
    min_read_leg_outline: float = field(
        default=0.48,
        metadata={
            "help": "The same of someone whose limbs are surely read where they are fitted (limb_agreement of 0.9 or "
            "more): clothes may have the colours of what is behind them (off_outline)."
        },
    )
    min_arm_outline: float = field(
        default=0.25,
        metadata={
            "help": "The same of the worse arm, of which much may be before the body, of those whose hand is not known "
            "(off_outline)."
        },
    )
    fragment_m: float = field(
        default=0.9,
        metadata={"help": "Two people nearer than this who are never seen in one frame are one who moved, metres."},
    )
    max_joint_sd_m: float = field(
        default=0.025, metadata={"help": "Largest median error bar of the joints, an axis, metres (uncertain)."}
    )
    max_limb_sd_m: float = field(
        default=0.1,
        metadata={
            "help": "Largest error bar of the joint known worst, an axis, metres, limbs marked as unknown left "
            "out (uncertain)."
        },
    )


def validate_people(
    people: FittedPeople,
    scene_people: list[dict[str, Any]],
    cameras: SceneCameras,
    detections: Detections,
    settings: ValidateSettings,
) -> list[Verdict]:
    """Verdicts on all people of a scene.

    Parameters
    ----------
    people : the fits, in the world of `cameras`.
    scene_people : what `fit` measured of each (`people` of `scene.json`).
    cameras : metric cameras.
    detections : of the scene.
    """
    fragments = fragment_distances(people, detections)
    usual = usual_outline(scene_people)
    return [
        Verdict(
            person,
            _checks(person, people, measured, fragments[person], usual, cameras, detections, settings),
        )
        for person, measured in enumerate(scene_people)
    ]


def _checks(
    person: int,
    people: FittedPeople,
    measured: dict[str, Any],
    fragment: float | None,
    usual: float | None,
    cameras: SceneCameras,
    detections: Detections,
    settings: ValidateSettings,
) -> tuple[Check, ...]:
    rows = np.flatnonzero(people.detection_person == person)
    angle = widest_angle_deg(people.joints[person].mean(0), rows, detections, cameras)
    sizes = adult_heights_px(people.joints[person].mean(0), rows, detections, cameras)
    # of whom the detector takes for turned round, its left is compared with the person's right
    keypoints = people.keypoints[person][list(COCO17.flip) if measured.get("turned_round") else slice(None)]
    relative = keypoint_errors(keypoints, rows, detections, cameras) / sizes[:, None]
    counted = relative[~np.isnan(relative)]
    residual = float(np.median(counted)) if len(counted) else np.inf
    outliers = float((counted > 0.1).mean()) if len(counted) else 1.0
    excess = float(np.degrees(np.abs(limit_excess(people.body_pose[person])).max()))
    stature = float(measured["stature_m"])
    sure = keypoint_errors(keypoints, rows, detections, cameras, SURE) / sizes[:, None]
    outlines = limb_outlines(measured)
    agreement = limb_agreement(sure * (STATURE / stature), vouched_limbs(outlines))
    outline = None if usual is None else (measured.get("outline_share") or 0.0) / usual
    # a limb that is marked as unknown is not held against the person, unless it is to be seen somewhere else
    unknown = np.isin(LIMB_NAMES, measured.get("unknown_limbs", [])) & (_read_share(sure) < _MOST)
    deviations = np.sqrt(np.trace(people.joints_cov[person], axis1=-2, axis2=-1) / 3)[_known_joints(unknown)]
    # an arm before the body has hardly an outline; where its hand is known it needs none
    lost_arms = outlines[:2][np.isnan(people.hands[person]).all(axis=(1, 2)) & ~unknown[:2]]
    arm, leg = (worst_limb(part, measured.get("outline_share")) for part in (lost_arms, outlines[2:]))
    s = settings
    surely_read = agreement is not None and agreement >= _SURELY_READ
    least_leg = s.min_read_leg_outline if surely_read else s.min_leg_outline
    return (
        Check("views", float(len(rows)), float(s.min_views), "min", "few_views"),
        Check("residual_share", residual, s.max_residual, "max", "high_residual"),
        Check("outlier_share", outliers, s.max_outliers, "max", "high_residual"),
        Check("limb_agreement", agreement, s.min_limb_agreement, "min", "high_residual"),
        Check("outline", outline, s.min_outline, "min", "off_outline"),
        Check("arm_outline", arm, s.min_arm_outline, "min", "off_outline"),
        Check("leg_outline", leg, least_leg, "min", "off_outline"),
        Check("angle_deg", angle, s.min_angle_deg, "min", "low_parallax"),
        Check("shape_sd", float(np.abs(people.betas[person]).max()), s.max_shape, "max", "implausible_shape"),
        Check("stature_m", stature, s.min_stature_m, "min", "implausible_shape"),
        Check("stature_m", stature, s.max_stature_m, "max", "implausible_shape"),
        Check("limit_excess_deg", excess, s.max_limit_excess_deg, "max", "implausible_pose"),
        Check("moved_at_least_m", measured["moved_at_least_m"], s.max_moved_m, "max", "moved"),
        Check("fragment_m", fragment, s.fragment_m, "min", "moved"),
        Check("joint_sd_m", float(np.median(deviations)), s.max_joint_sd_m, "max", "uncertain"),
        Check("limb_sd_m", float(deviations.max()), s.max_limb_sd_m, "max", "uncertain"),
    )


def _known_joints(unknown: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Joints of `smpl24` after joint 0 that hang on none of the unknown limbs (4,)."""
    hanging = [j for limb, joints in enumerate(HANGING) if unknown[limb] for j in joints]
    return np.setdiff1d(np.arange(1, len(SMPL24)), hanging)


def _read_share(sure: Array) -> Array:
    """(4,) share of the detections in which a limb is surely read, of the joint that is read more often, from the
    errors (M, 17) of sure readings, NaN where there is none."""
    shares = (~np.isnan(sure[:, _LIMB_JOINTS])).mean(axis=0) if len(sure) else np.zeros(len(_LIMB_JOINTS))
    return np.array([shares[limb == _LIMB_OF].max() for limb in range(len(LIMB_NAMES))])


def limb_outlines(measured: dict[str, Any]) -> Array:
    """(4,) share of the outlines of left and right arm, left and right leg that images show; NaN where unknown."""
    found = measured.get("limb_outline_shares") or [None] * 4
    return np.array([np.nan if share is None else share for share in found], dtype=np.float64)


def usual_outline(scene_people: list[dict[str, Any]]) -> float | None:
    """The median share of their outlines that images show of a scene's people; None where that is little, as images
    from cameras of different colours have it, or where there are too few people to say what is usual."""
    shares = [share for person in scene_people if (share := person.get("outline_share")) is not None]
    usual = float(np.median(shares)) if len(shares) >= _USUAL_PEOPLE else 0.0
    return usual if usual >= _OUTLINE_SHOWN else None


def worst_limb(shares: Array, whole: float | None) -> float | None:
    """The least of limbs' shown outlines, over what is shown of the whole one; None where none is known."""
    known = shares[np.isfinite(shares)]
    return float(known.min()) / whole if whole and len(known) else None


def vouched_limbs(outlines: Array) -> npt.NDArray[np.bool_]:
    """(4,) limbs that no contradiction among the detector's readings speaks against, from their `limb_outlines`.

    Those whose outlines the images show; and, where images were looked at, arms: a wrong one is a small part of a body,
    told by its error bars, while half the readings of an arm behind a back are guesses.
    """
    looked = bool(np.isfinite(outlines).any())
    return np.asarray((outlines >= _OUTLINE_SHOWN) | (looked & (np.arange(4) < 2)))


def limb_agreement(relative: Array, vouched: npt.NDArray[np.bool_] | None = None) -> float | None:
    """Share of a limb joint's readings that agree with the fit, the least over elbows, wrists, knees and ankles.

    A detector that takes another's hand for this person's, or guesses at an arm behind a back, contradicts itself from
    view to view, and the median over all keypoints does not show it.

    Parameters
    ----------
    relative : (M, 17) errors of the `coco17` keypoints as shares of stature, NaN where not read.
    vouched : (4,) limbs (left and right arm, left and right leg) whose readings are not asked.

    Joints read in fewer than `_MIN_READINGS` detections are left out; None where that leaves none.
    """
    errors = relative[:, _LIMB_JOINTS]
    if vouched is not None:
        errors = np.where(vouched[_LIMB_OF], np.nan, errors)
    counts = (~np.isnan(errors)).sum(axis=0)
    shares = (errors < AGREES).sum(axis=0)[counts >= _MIN_READINGS] / counts[counts >= _MIN_READINGS]
    return float(shares.min()) if len(shares) else None


def _poses(rows: npt.NDArray[np.int64], detections: Detections, cameras: SceneCameras) -> tuple[Array, Array]:
    """Poses (M, 3, 4) and focal lengths (M,) of the cameras of detections `rows` (M,)."""
    frames = {frame.index: frame for frame in cameras.posed}
    mine = [frames[int(detections.frame[row])] for row in rows]
    poses = np.array([frame.cam_from_world for frame in mine], dtype=np.float64).reshape(-1, 3, 4)
    return poses, np.array([np.sqrt(frame.camera.fx * frame.camera.fy) for frame in mine])


def adult_heights_px(
    centre: Array, rows: npt.NDArray[np.int64], detections: Detections, cameras: SceneCameras
) -> Array:
    """Height (M,) px that a standing adult at `centre` (3,) would have in the images of detections `rows` (M,)."""
    poses, focal = _poses(rows, detections, cameras)
    depth = np.maximum((poses[:, :, :3] @ centre + poses[:, :, 3])[:, 2], 1e-6)
    return np.asarray(focal * STATURE / depth)


def widest_angle_deg(
    centre: Array, rows: npt.NDArray[np.int64], detections: Detections, cameras: SceneCameras
) -> float:
    """Largest angle between the rays from `centre` (3,) to the cameras of detections `rows`; 0 for fewer than two."""
    if len(rows) < 2:
        return 0.0
    rays = camera_center(_poses(rows, detections, cameras)[0]) - centre
    rays /= np.maximum(np.linalg.norm(rays, axis=1, keepdims=True), 1e-12)
    return float(np.degrees(np.arccos(np.clip((rays @ rays.T).min(), -1, 1))))


def fragment_distances(people: FittedPeople, detections: Detections) -> list[float | None]:
    """Distance (m) from each person to the nearest other who is never seen in one frame with them; None without.

    A person who walks through a clip makes several still people, one after another, near each other. Two real people
    so near each other are seen together now and then.
    """
    frames = [set(detections.frame[people.detection_person == p].tolist()) for p in range(len(people))]
    nearest: list[float | None] = []
    for p in range(len(people)):
        apart = [q for q in range(len(people)) if q != p and not frames[p] & frames[q]]
        distances = [float(np.linalg.norm(people.joints[p, 0] - people.joints[q, 0])) for q in apart]
        nearest.append(min(distances) if distances else None)
    return nearest
