"""One scene's fits against exact truth: alignment, matching, errors and coverage of the error bars.

The definitions are those of the audit in `docs/protocols.md`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mcbench.cameras.alignment import Similarity, umeyama
from mcbench.cameras.camera import camera_center
from mcbench.dataset.truth import SceneTruth
from mcbench.joints import SMPL24
from mcbench.metrics.ellipsoid import ellipsoid_radius, in_ellipsoid
from mcbench.metrics.matching import match, mean_joint_distance
from mcbench.metrics.pose import mean_distance, pa_mpjpe

Array = npt.NDArray[np.float64]

#: Joints and vertices are judged where they are visible in at least so many frames.
MIN_FRAMES = 5
#: A true person counts if at least so many joints are judged, hips and shoulders among them.
MIN_JOINTS = 12
NEEDED = tuple(SMPL24.index(f"{side}_{joint}") for joint in ("hip", "shoulder") for side in ("left", "right"))
MATCH_GATE_M = 0.5
#: Hands and faces are judged that are at least so large in at least `MIN_FRAMES` frames, px.
MIN_PART_PX = 40.0
_HEAD = SMPL24.index("head")
#: Who moves farther than this from the first frame (m) did not stand still.
STILL_M = 1e-3

GROUPS = {
    "torso": ("left_hip", "right_hip", "spine1", "spine2", "spine3", "neck", "left_collar", "right_collar"),
    "head": ("head",),
    "arms": tuple(f"{s}_{j}" for s in ("left", "right") for j in ("shoulder", "elbow", "wrist", "hand")),
    "legs": tuple(f"{s}_{j}" for s in ("left", "right") for j in ("knee", "ankle", "foot")),
}


@dataclass(frozen=True)
class SceneFit:
    """What the chain says of a scene, in its own metric world.

    Attributes
    ----------
    frame : (F,) frame of the truth that each camera belongs to.
    centers : (F, 3) camera centres.
    joints : (P, 24, 3); joints_cov : (P, 24, 3, 3); hands : (P, 2, 21, 3); face : (P, 51, 3) as in `FittedPeople`.
    vertices : (P, V, 3) in the truth's topology, or None.
    skin_area : (V,) area of each vertex on the outer skin, zero off it; None with `vertices`.
    accepted : (P,) bool.
    moved : (P,) measured movement, metres; NaN where not measured.
    scale_interval : the 90 % interval of the factor between this world's scale and the true one, as (low, high)
        around 1; None where none is stated.
    """

    frame: npt.NDArray[np.int64]
    centers: Array
    joints: Array
    joints_cov: Array
    hands: Array
    face: Array
    vertices: Array | None
    skin_area: Array | None
    accepted: npt.NDArray[np.bool_]
    moved: Array
    scale_interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Coverage:
    """Joints against their error bars: a row a joint judged.

    Attributes
    ----------
    joint : (M,) joint of `smpl24`.
    inside : (M,) bool, relative to the root; inside_absolute : (M,) bool, in the world.
    radius : (M,) mean semi-axis of the relative 90 % ellipsoid, metres.
    """

    joint: npt.NDArray[np.int64]
    inside: npt.NDArray[np.bool_]
    inside_absolute: npt.NDArray[np.bool_]
    radius: Array


@dataclass(frozen=True)
class PersonAudit:
    """A fitted person against the true one it was matched with. Errors in metres, None where not measured.

    Attributes
    ----------
    fitted : index among the fitted people.
    person_id : id of the true person, None where nobody is there.
    counts : whether that true person counts (is visible enough).
    planted_mover : whether that true person moves.
    hands : of each of the two hands that count, its error, NaN where the fit does not know it. face : likewise.
    """

    fitted: int
    accepted: bool
    person_id: int | None = None
    counts: bool = False
    planted_mover: bool = False
    moved: float | None = None
    pve: float | None = None
    pve_scaled: float | None = None
    pve_all: float | None = None
    pve_scaled_all: float | None = None
    pa_mpjpe: float | None = None
    coverage: Coverage | None = None
    hands: tuple[float, ...] = ()
    face: tuple[float, ...] = ()


@dataclass(frozen=True)
class PartsTrue:
    """How many hands and faces of the true people who count are large enough to be asked for."""

    hands: int = 0
    faces: int = 0

    @classmethod
    def of(cls, truth: SceneTruth) -> PartsTrue:
        counts = counting_people(truth)
        hands, faces = counting_parts(truth)
        return cls(int(hands[counts].sum()), int(faces[counts].sum()))


@dataclass(frozen=True)
class SceneAudit:
    """A scene audited; a scene that the chain rejected has true people only.

    Attributes
    ----------
    rejected : whether the chain declined the scene.
    people_true : how many true people count; parts_true : how many of their hands and faces do.
    people : one entry a fitted person.
    scale_error : |fitted / true scale - 1|. camera_errors : (F,) distances of the centres after the similarity, m.
    scale_covered : whether the true scale lies in the stated interval.
    seconds_fit : wall time of the fit.
    """

    scene: str
    rejected: bool
    people_true: int
    people: list[PersonAudit] = field(default_factory=list)
    scale_error: float | None = None
    camera_errors: Array = field(default_factory=lambda: np.zeros(0))
    scale_covered: bool | None = None
    seconds_fit: float | None = None
    parts_true: PartsTrue = PartsTrue()


def judged_joints(truth: SceneTruth) -> npt.NDArray[np.bool_]:
    """(P, 24) joints visible in at least `MIN_FRAMES` frames."""
    return np.asarray(truth.joints_visible.sum(axis=0) >= MIN_FRAMES)


def counting_people(truth: SceneTruth) -> npt.NDArray[np.bool_]:
    """(P,) true people who are visible enough to be asked for."""
    judged = judged_joints(truth)
    return np.asarray((judged.sum(axis=1) >= MIN_JOINTS) & judged[:, NEEDED].all(axis=1))


def counting_parts(truth: SceneTruth) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Hands (P, 2) and faces (P,) that are known and seen large enough to be asked for."""
    hands = (truth.hands_px >= MIN_PART_PX).sum(axis=0) >= MIN_FRAMES
    faces = (truth.face_px >= MIN_PART_PX).sum(axis=0) >= MIN_FRAMES
    known_hands, known_faces = np.isfinite(truth.hands).all(axis=(2, 3)), np.isfinite(truth.face).all(axis=(1, 2))
    return np.asarray(hands & known_hands), np.asarray(faces & known_faces)


def audit_scene(scene: str, fit: SceneFit, truth: SceneTruth, seconds_fit: float | None = None) -> SceneAudit:
    """Judge a scene's fits.

    Raises
    ------
    ValueError : the camera centres do not determine a similarity (fewer than three, or on a line).
    """
    true_centers = camera_center(truth.cam_from_world[fit.frame])
    truth_from_fit = umeyama(fit.centers, true_centers)
    camera_errors = np.linalg.norm(truth_from_fit.apply(fit.centers) - true_centers, axis=-1)

    judged, counts = judged_joints(truth), counting_people(truth)
    distance = mean_joint_distance(truth_from_fit.apply(fit.joints), truth.joints, judged)
    pairs = match(distance, MATCH_GATE_M)
    matched = dict(pairs)
    scale = _common_scale([p for p in pairs if fit.accepted[p[0]]] or pairs, fit, truth, truth_from_fit.R, judged)
    people = [
        _judge(i, matched[i], fit, truth, truth_from_fit, scale, judged, bool(counts[matched[i]]))
        if i in matched
        else PersonAudit(i, bool(fit.accepted[i]), moved=_known(fit.moved[i]))
        for i in range(len(fit.joints))
    ]
    covered = None
    if fit.scale_interval is not None:
        covered = fit.scale_interval[0] <= truth_from_fit.scale <= fit.scale_interval[1]
    return SceneAudit(
        scene,
        False,
        int(counts.sum()),
        people,
        abs(1.0 / truth_from_fit.scale - 1.0),
        camera_errors,
        covered,
        seconds_fit,
        PartsTrue.of(truth),
    )


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _vertex_weights(fit: SceneFit, truth: SceneTruth, person: int) -> tuple[Array, Array] | None:
    """Weights (V,) over the visible and over the whole skin; None where the vertices cannot be compared."""
    if fit.vertices is None or fit.skin_area is None or fit.vertices.shape[1] != truth.vertices.shape[1]:
        return None
    seen = truth.vertices_visible[person] >= MIN_FRAMES
    return np.where(seen, fit.skin_area, 0.0), fit.skin_area


def _points(
    pair: tuple[int, int], fit: SceneFit, truth: SceneTruth, rotation: Array, judged: npt.NDArray[np.bool_]
) -> tuple[Array, Array, Array]:
    """Root-relative fitted (turned into the truth's axes) and true points (N, 3), and their weights (N,)."""
    i, j = pair
    weights = _vertex_weights(fit, truth, j)
    if weights is None or fit.vertices is None:
        fitted, true, weight = fit.joints[i], truth.joints[j], judged[j].astype(np.float64)
    else:
        fitted, true, weight = fit.vertices[i], truth.vertices[j], weights[0]
    return (fitted - fit.joints[i, 0]) @ rotation.T, true - truth.joints[j, 0], weight


def _common_scale(
    pairs: list[tuple[int, int]], fit: SceneFit, truth: SceneTruth, rotation: Array, judged: npt.NDArray[np.bool_]
) -> float:
    """Least-squares scale of all pairs' root-relative points: on visible skin, else on joints; 1 where none is seen."""
    numerator = denominator = 0.0
    for pair in pairs:
        fitted, true, weight = _points(pair, fit, truth, rotation, judged)
        total = weight.sum()
        if total > 0:
            numerator += float((weight / total) @ (fitted * true).sum(axis=1))
            denominator += float((weight / total) @ (fitted * fitted).sum(axis=1))
    return numerator / denominator if denominator > 0 else 1.0


def _judge(
    i: int,
    j: int,
    fit: SceneFit,
    truth: SceneTruth,
    truth_from_fit: Similarity,
    scale: float,
    judged: npt.NDArray[np.bool_],
    counts: bool,
) -> PersonAudit:
    """The fitted person i against the true person j."""
    errors: dict[str, float | None] = {}
    weights = _vertex_weights(fit, truth, j)
    if weights is not None and fit.vertices is not None:
        fitted, true, _ = _points((i, j), fit, truth, truth_from_fit.R, judged)
        for name, factor in (("pve", 1.0), ("pve_scaled", scale)):
            for suffix, weight in (("", weights[0]), ("_all", weights[1])):
                errors[name + suffix] = _known(mean_distance(factor * fitted[None], true[None], weight[None])[0])
    hands, face = counting_parts(truth)
    turn = scale * truth_from_fit.R
    seen = np.flatnonzero(judged[j])
    pa = pa_mpjpe(fit.joints[i : i + 1], truth.joints[j : j + 1], seen.tolist())[0] if len(seen) >= 3 else np.nan
    return PersonAudit(
        i,
        bool(fit.accepted[i]),
        int(truth.person_id[j]),
        counts,
        bool(np.linalg.norm(truth.moved[:, j], axis=-1).max(initial=0.0) > STILL_M),
        _known(fit.moved[i]),
        pa_mpjpe=_known(pa),
        hands=tuple(
            _apart(fit.hands[i, s, 1:], fit.hands[i, s, 0], truth.hands[j, s, 1:], truth.hands[j, s, 0], turn)
            for s in range(2)
            if hands[j, s]
        ),
        face=(_apart(fit.face[i], fit.joints[i, _HEAD], truth.face[j], truth.joints[j, _HEAD], turn),)
        if face[j]
        else (),
        coverage=joint_coverage(fit.joints[i], fit.joints_cov[i], truth.joints[j], judged[j], truth_from_fit, scale),
        **errors,
    )


def _apart(fitted: Array, origin: Array, true: Array, true_origin: Array, turn: Array) -> float:
    """Mean distance of points (N, 3) once shifted at their origins (3,); `turn` (3, 3) scales and turns the fitted."""
    return float(np.linalg.norm((fitted - origin) @ turn.T - (true - true_origin), axis=1).mean())


def joint_coverage(
    joints: Array, cov: Array, true: Array, judged: npt.NDArray[np.bool_], truth_from_fit: Similarity, scale: float
) -> Coverage:
    """Which judged joints of a person lie in their 90 % ellipsoids.

    Relative: joints less joint 0, after the rotation of the cameras' similarity and the scene's common scale.
    Absolute: after the whole similarity; the covariance of joint 0 is added to that of the joint relative to it.

    Parameters
    ----------
    joints, true : (24, 3). cov : (24, 3, 3) relative to joint 0, and joint 0's own; NaN where not estimated.
    """
    rotation = truth_from_fit.R
    chosen = np.flatnonzero(judged & np.isfinite(cov).all(axis=(1, 2)) & (np.arange(len(joints)) > 0))
    relative = scale * (joints[chosen] - joints[0]) @ rotation.T - (true[chosen] - true[0])
    absolute = truth_from_fit.apply(joints[chosen]) - true[chosen]
    turned = rotation @ cov[chosen] @ rotation.T
    root = rotation @ cov[0] @ rotation.T
    inside = in_ellipsoid(relative, scale**2 * turned)
    inside_absolute = in_ellipsoid(absolute, truth_from_fit.scale**2 * (turned + root))
    return Coverage(chosen, inside, inside_absolute, scale * ellipsoid_radius(turned))
