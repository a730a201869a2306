"""A limb as a chain of two bones: its skin, where it goes for each pose, and poses that it may have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcbench.body.kinematics import joint_motions, levels
from mcbench.body.model import BodyModel
from mcbench.body.rotations import exp_so3, log_so3, unit_vectors
from mcbench.fitting.gravity import Floor
from mcbench.fitting.motion_ranges import smpl_ranges
from mcbench.fitting.priors import LIMIT_SOFTNESS, limit_excess
from mcbench.fitting.state import BodyState
from mcbench.joints import SMPL24

Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Upper and lower joint of each limb, and the joint at its end.
LIMBS = tuple(
    tuple(SMPL24.index(f"{side}_{joint}") for joint in joints)
    for joints in (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle"))
    for side in ("left", "right")
)
LIMB_NAMES = ("left_arm", "right_arm", "left_leg", "right_leg")
#: The joints of `smpl24` that a limb's upper joint moves.
HANGING = tuple(
    tuple(SMPL24.index(f"{side}_{joint}") for joint in joints)
    for joints in (("elbow", "wrist", "hand"), ("knee", "ankle", "foot"))
    for side in ("left", "right")
)
#: Points of a limb's skin that are looked at.
_SAMPLES = 60
#: A limb may be this deep under the floor, m, as floor and body are known so well; and the standard deviation of more.
_FLOOR_SLACK_M, _FLOOR_SD_M = 0.04, 0.02
#: Turns of a lower joint from its least bend to its largest, and of the upper one about its bone, that are tried with
#: the upper bone where it is.
_BENDS, _TWISTS = 8, np.radians([-60.0, -40.0, -20.0, 0.0, 20.0, 40.0, 60.0])
#: A limb bends so much, as a sine, if it tells which way its hinge lies.
_BENT = 0.15
_SEED = 20201120


@dataclass(frozen=True)
class LimbSurface:
    """A limb's skin.

    Attributes
    ----------
    joints : upper joint, lower joint, end. samples : (S,) vertices.
    limb_vertices : (V,) bool, what moves with the limb.
    """

    joints: tuple[int, int, int]
    samples: IntArray
    limb_vertices: npt.NDArray[np.bool_]


def limb_surfaces(body: BodyModel) -> list[LimbSurface]:
    """Left and right arm, left and right leg, in the order of `LIMBS`."""
    found = []
    for upper, lower, end in LIMBS:
        below = _below(body.parents, upper)
        own = body.skinning[:, below].sum(1) > 0.5
        skin = np.flatnonzero(own & body.skin_mask)
        order = np.random.default_rng(_SEED).permutation(len(skin))
        share = body.vertex_area[skin][order]
        # evenly by area: as many of a fine mesh's vertices as of a coarse one's
        picks = np.searchsorted(np.cumsum(share), (np.arange(_SAMPLES) + 0.5) / _SAMPLES * share.sum())
        samples = np.unique(skin[order][picks])
        found.append(LimbSurface((upper, lower, end), samples, own))
    return found


def _below(parents: tuple[int, ...], joint: int) -> list[int]:
    """A joint and all that hang on it."""
    found = [joint]
    for index in range(joint + 1, len(parents)):
        if parents[index] in found:
            found.append(index)
    return found


class LimbChain:
    """A limb that turns in its upper and lower joint, what is below the lower one rigid.

    A point of the skin is, with the shares w of what does not move, of the upper joint U and of all that is below the
    lower joint L, x = fixed + w_U (A_U (v - J_U) + t_U) + A_L y + w_L t_L, where y is constant.
    """

    def __init__(self, body: BodyModel, state: BodyState, limb: LimbSurface) -> None:
        upper, lower, end = limb.joints
        rest = body.joint_template + body.joint_shapedirs @ state.betas
        turned, moved = joint_motions(levels(body.parents), rest, state.rotations)
        index = limb.samples
        shaped = body.v_template[index] + body.shapedirs[index] @ state.betas
        weights = body.skinning[index]
        each = np.einsum("jab,vjb->vja", turned, shaped[:, None] - rest) + moved  # (S, J, 3)
        below = _below(body.parents, lower)
        others = np.array([j for j in range(len(rest)) if j != upper and j not in below])
        self._fixed = np.einsum("vj,vja->va", weights[:, others], each[:, others]) + state.transl
        self._upper_weight = weights[:, upper, None]
        self._upper = shaped - rest[upper]
        local = (each[:, below] - moved[lower]) @ turned[lower]
        self._lower = np.einsum("vj,vja->va", weights[:, below], local)
        self._lower_weight = weights[:, below].sum(1)[:, None]
        self._parent = turned[body.parents[upper]]
        self._start = moved[upper]
        self._bone = rest[lower] - rest[upper]
        self._last = (moved[end] - moved[lower]) @ turned[lower]
        self._turned = turned[upper], turned[lower]
        self._transl = state.transl
        self._turn, self._joint = state.rotations[upper], lower

    def swung(self) -> Array:
        """Axis-angles (B * T, 2, 3) of the upper and lower joint: the upper bone where it is, the lower one bent."""
        axis = self._bone / np.linalg.norm(self._bone)
        about = log_so3(self._turn @ exp_so3(_TWISTS[:, None] * axis))
        hinge, low, high = _hinge(self._joint)
        bends = np.zeros((_BENDS, 3))
        bends[:, hinge] = np.linspace(low, high, _BENDS)
        pairs = [np.stack([turn, bend]) for turn in about for bend in bends]
        return np.array(pairs)

    def reaching(self, ends: Array) -> Array:
        """Axis-angles (H, 2, 3) of the upper and lower joint that bring the limb nearest to places (H, 2, 3) of its
        lower joint and its end: bones point there, whatever their length, and the lower joint bends as a hinge does.

        A limb that is hardly bent keeps the twist that it has.
        """
        hinge, low, high = _hinge(self._joint)
        axis = np.zeros(3)
        axis[hinge] = np.sign(low + high)
        local = (ends - self._transl - self._start) @ self._parent
        first, second = unit_vectors(local[:, 0]), unit_vectors(local[:, 1] - local[:, 0])
        across = np.cross(first, second)
        bent = np.linalg.norm(across, axis=-1, keepdims=True) > _BENT
        across = np.where(bent, across, self._turn @ axis)
        turn = _frames(first, across) @ _frames(self._bone[None], axis[None]).swapaxes(1, 2)
        wanted = np.einsum("hba,hb->ha", turn, second)
        return np.stack([log_so3(turn), _between(unit_vectors(self._last), wanted)], axis=1)

    @property
    def lengths(self) -> tuple[float, float]:
        """Of the upper and the lower bone, m."""
        return float(np.linalg.norm(self._bone)), float(np.linalg.norm(self._last))

    @property
    def start(self) -> Array:
        """(3,) where the limb begins, m."""
        return np.asarray(self._start + self._transl)

    def place(self, upper: Array, lower: Array, normals: Array) -> tuple[Array, Array, Array]:
        """Points (H, S, 3), normals (H, S, 3), and the lower joint and the end (H, 2, 3), for turns (H, 3, 3) of the
        upper and the lower joint; `normals` (S, 3) are those of the pose that the chain was made of."""
        first = self._parent @ upper
        second = first @ lower
        elbow = self._start + first @ self._bone
        points = (
            self._fixed
            + self._upper_weight * (self._upper @ first.swapaxes(1, 2) + self._start)
            + self._lower @ second.swapaxes(1, 2)
            + self._lower_weight * elbow[:, None]
        )
        lower_most = self._lower_weight[:, 0] > 0.5
        by_upper = (normals @ self._turned[0]) @ first.swapaxes(1, 2)
        by_lower = (normals @ self._turned[1]) @ second.swapaxes(1, 2)
        ends = np.stack([elbow, elbow + second @ self._last], axis=1) + self._transl
        return points, np.where(lower_most[:, None], by_lower, by_upper), ends


def under_floor(points: Array, floor: Floor) -> Array:
    """Cost (H,) of points (H, S, 3) of bodies under a floor."""
    deepest = floor.height - (points @ floor.up).min(-1)
    return np.asarray(0.5 * (np.maximum(deepest - _FLOOR_SLACK_M, 0) / _FLOOR_SD_M) ** 2)


def poses_from_prior(rng: np.random.Generator, joints: Sequence[int], count: int) -> Array:
    """Axis-angles (count, 2, 3) of the upper and the lower joint of a limb, wider spread than they are usual."""
    rows = [joint - 1 for joint in joints[:2]]
    ranges = smpl_ranges()
    return np.asarray(rng.normal(ranges.mean[rows], 1.3 * ranges.deviation[rows], (count, 2, 3)))


def pose_cost(limb: LimbSurface, angles: Array) -> Array:
    """Cost (H,) of poses (H, 2, 3), axis-angles of the upper and the lower joint: how unusual they are."""
    rows = [joint - 1 for joint in limb.joints[:2]]
    ranges = smpl_ranges()
    all_angles = np.tile(ranges.mean, (len(angles), 1, 1))
    all_angles[:, rows] = angles
    beyond = limit_excess(all_angles)[:, rows] / np.radians(LIMIT_SOFTNESS)
    usual = (angles - ranges.mean[rows]) / ranges.deviation[rows]
    return 0.5 * np.asarray((usual**2 + beyond**2).sum((1, 2)))


def _hinge(joint: int) -> tuple[int, float, float]:
    """The axis about which a knee or an elbow bends, to one side, and its least and largest angle."""
    low, high = (ends[joint - 1] for ends in (smpl_ranges().low, smpl_ranges().high))
    axis = int(np.abs(low + high).argmax())
    return axis, float(low[axis]), float(high[axis])


def _frames(along: Array, across: Array) -> Array:
    """Rotations (H, 3, 3) whose first column is along vectors (H, 3), the second across them as far as it goes."""
    first = unit_vectors(along)
    second = unit_vectors(across - (across * first).sum(-1, keepdims=True) * first)
    return np.stack([first, second, np.cross(first, second)], axis=-1)


def _between(start: Array, ends: Array) -> Array:
    """Axis-angles (H, 3) of the smallest turns of a unit vector (3,) to others (H, 3)."""
    axis = np.cross(start, ends)
    sine, cosine = np.linalg.norm(axis, axis=-1, keepdims=True), (ends @ start)[:, None]
    return np.asarray(axis / np.maximum(sine, 1e-12) * np.arctan2(sine, cosine))
