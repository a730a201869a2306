"""Plausible poses of people who hold still: directions of limbs, turned into rotations of anny's bones.

A pose is said as one would say it: where the upper arms, forearms, thighs and shanks point in the frame of trunk or
pelvis (x to the body's left, y backwards, z up: anny's frame), how the trunk bends and where the head looks. Elbows
and knees bend about their hinges only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mcbench.body.anny_rig import FINGERS, AnnyRig
from mcbench.body.rotations import exp_so3

Array = npt.NDArray[np.float64]

_SPINE = ("spine05", "spine04", "spine03", "spine02", "spine01")
_NECK = ("neck01", "neck02", "neck03", "head")
_SIDES = ((".L", 1.0), (".R", -1.0))
#: Below this sine of the angle between two bones a limb counts as straight.
_STRAIGHT = 0.1


@dataclass(frozen=True)
class Limb:
    """Directions of a limb's two bones: outwards, forwards, upwards (any length)."""

    upper: tuple[float, float, float]
    lower: tuple[float, float, float]


@dataclass(frozen=True)
class Pose:
    """What a person does.

    Attributes
    ----------
    arms, legs : left and right. trunk : bend forwards, to the left, and turn to the left, radians. head : likewise.
    curl : bend of the fingers' joints of each hand, radians. seated : on a seat as high as the pelvis needs.
    """

    arms: tuple[Limb, Limb]
    legs: tuple[Limb, Limb]
    trunk: tuple[float, float, float] = (0.0, 0.0, 0.0)
    head: tuple[float, float, float] = (0.0, 0.0, 0.0)
    curl: tuple[float, float] = (0.3, 0.3)
    seated: bool = False
    name: str = field(default="", compare=False)


_HANGING = Limb((0.22, 0.05, -1), (0.12, 0.25, -1))
_STANDING = Limb((0.08, 0.02, -1), (0.04, -0.05, -1))
_ON_HIP = Limb((0.8, -0.3, -0.75), (-0.75, 0.35, -0.45))
_FORWARD = Limb((0.15, 1, -0.35), (0.0, 1, 0.1))
_RAISED = Limb((0.6, 0.25, 0.75), (0.15, 0.2, 1))
_SIDEWAYS = Limb((1, 0.15, 0.0), (1, 0.3, 0.1))
_BENT = Limb((0.25, 0.2, -1), (-0.25, 1, 0.05))
_PHONE = Limb((0.3, 0.45, -1), (-0.35, 0.65, 0.75))
_SEATED_LEG = Limb((0.18, 1, -0.05), (0.05, -0.1, -1))
_CROUCHED_LEG = Limb((0.22, 1, 0.0), (0.1, -0.75, -1))
_STEP_FRONT = Limb((0.06, 0.4, -1), (0.04, 0.1, -1))
_STEP_BACK = Limb((0.06, -0.22, -1), (0.04, -0.6, -1))
_KNEELING_UP = Limb((0.1, 1, -0.1), (0.05, -0.05, -1))
_KNEELING_DOWN = Limb((0.1, 0.1, -1), (0.05, -1, -0.12))


def _stand(rng: np.random.Generator) -> Pose:
    arms = [_HANGING, _HANGING, _HANGING, _ON_HIP, _BENT, _PHONE, _FORWARD]
    return Pose((_pick(rng, arms), _pick(rng, arms)), (_STANDING, _STANDING))


def _reach(rng: np.random.Generator) -> Pose:
    arms = [_pick(rng, [_FORWARD, _RAISED, _SIDEWAYS]), _pick(rng, [_HANGING, _ON_HIP, _BENT, _FORWARD])]
    order = rng.permutation(2)
    return Pose((arms[order[0]], arms[order[1]]), (_STANDING, _STANDING), (rng.uniform(-0.05, 0.3), 0, 0))


def _walk(rng: np.random.Generator) -> Pose:
    forward = Limb((0.2, 0.45, -1), (0.05, 0.8, -0.8))
    backward = Limb((0.2, -0.4, -1), (0.1, -0.05, -1))
    if rng.random() < 0.5:
        return Pose((backward, forward), (_STEP_FRONT, _STEP_BACK), (0.06, 0, 0))
    return Pose((forward, backward), (_STEP_BACK, _STEP_FRONT), (0.06, 0, 0))


def _sit(rng: np.random.Generator) -> Pose:
    lap = Limb((0.2, 0.35, -1), (-0.1, 1, -0.25))
    arms = [lap, lap, _BENT, _PHONE, _FORWARD]
    return Pose(
        (_pick(rng, arms), _pick(rng, arms)), (_SEATED_LEG, _SEATED_LEG), (rng.uniform(-0.1, 0.25), 0, 0), seated=True
    )


def _crouch(rng: np.random.Generator) -> Pose:
    arms = [_FORWARD, _BENT, Limb((0.25, 0.9, -0.7), (-0.2, 0.8, -0.5))]
    return Pose(
        (_pick(rng, arms), _pick(rng, arms)),
        (_CROUCHED_LEG, _CROUCHED_LEG),
        (rng.uniform(0.25, 0.5), 0, 0),
        (-0.3, 0, 0),
    )


def _kneel(rng: np.random.Generator) -> Pose:
    legs = (_KNEELING_UP, _KNEELING_DOWN) if rng.random() < 0.5 else (_KNEELING_DOWN, _KNEELING_UP)
    return Pose((_pick(rng, [_BENT, _FORWARD, _HANGING]), _pick(rng, [_BENT, _HANGING])), legs, (0.1, 0, 0))


def greeting(rng: np.random.Generator) -> Pose:
    """Someone who reaches for a person in front: a handshake, a hand on a shoulder."""
    other = _pick(rng, [_HANGING, _HANGING, _ON_HIP, _BENT])
    reaching = Limb((0.12, 0.9, -0.6), (-0.1, 1, 0.15))
    return Pose((other, reaching), (_STANDING, _STANDING), (0.05, 0, 0), name="greet")


_KINDS: dict[str, tuple[float, Callable[[np.random.Generator], Pose]]] = {
    "stand": (0.36, _stand),
    "reach": (0.22, _reach),
    "walk": (0.14, _walk),
    "sit": (0.14, _sit),
    "crouch": (0.07, _crouch),
    "kneel": (0.07, _kneel),
}


def sample_pose(rng: np.random.Generator) -> Pose:
    """A pose of a random kind, not yet individual (see `individual`)."""
    names = list(_KINDS)
    weights = np.array([_KINDS[n][0] for n in names])
    name = names[int(rng.choice(len(names), p=weights / weights.sum()))]
    pose = _KINDS[name][1](rng)
    return Pose(pose.arms, pose.legs, pose.trunk, pose.head, pose.curl, pose.seated, name)


def individual(rng: np.random.Generator, pose: Pose) -> Pose:
    """The pose as one person holds it: limbs, trunk, head and fingers vary."""
    legs = 0.03 if pose.seated or pose.name in ("stand", "greet") else 0.05
    return Pose(
        (_varied(rng, pose.arms[0], 0.13), _varied(rng, pose.arms[1], 0.13)),
        (_varied(rng, pose.legs[0], legs), _varied(rng, pose.legs[1], legs)),
        _plus(pose.trunk, rng.normal(0, (0.05, 0.05, 0.12))),
        _plus(pose.head, rng.normal(0, (0.12, 0.08, 0.3))),
        tuple(rng.uniform(0.08, 0.75, 2)),
        pose.seated,
        pose.name,
    )


def _pick(rng: np.random.Generator, limbs: list[Limb]) -> Limb:
    return limbs[int(rng.integers(len(limbs)))]


def _varied(rng: np.random.Generator, limb: Limb, spread: float) -> Limb:
    upper, lower = (_unit(np.array(d)) + rng.normal(0, spread, 3) for d in (limb.upper, limb.lower))
    return Limb(tuple(upper), tuple(lower))


def _plus(angles: tuple[float, float, float], change: Array) -> tuple[float, float, float]:
    return (angles[0] + change[0], angles[1] + change[1], angles[2] + change[2])


def _unit(vector: Array) -> Array:
    return vector / np.linalg.norm(vector)


def bone_rotations(rig: AnnyRig, heads: Array, pose: Pose, rng: np.random.Generator) -> Array:
    """Rotations (104, 3, 3) of every bone relative to its parent, as `AnnyRig.pose` takes them.

    Parameters
    ----------
    heads : (104, 3) of the body at rest, metres. rng : for the fingers.
    """
    rotations = np.tile(np.eye(3), (len(rig.bones), 1, 1))
    for bones, angles in ((_SPINE, pose.trunk), (_NECK, pose.head)):
        share = exp_so3(np.array([angles[0], -angles[1], angles[2]]) / len(bones))
        for bone in bones:
            rotations[rig.bone(bone)] = share
    for index, (suffix, side) in enumerate(_SIDES):
        for limb, chain, rest_hinge in (
            (pose.arms[index], ("upperarm01", "lowerarm01", "wrist"), np.array([0.0, 0.0, -side])),
            (pose.legs[index], ("upperleg01", "lowerleg01", "foot"), np.array([1.0, 0.0, 0.0])),
        ):
            _turn_limb(rig, heads, rotations, limb, [name + suffix for name in chain], side, rest_hinge)
        _curl_fingers(rig, heads, rotations, pose.curl[index], suffix, rng)
        # feet flat where the shank is near upright, else as the ankle allows
        rotations[rig.bone("foot" + suffix)] = _level_foot(rig, rotations, suffix)
    return rotations


def _turn_limb(
    rig: AnnyRig, heads: Array, rotations: Array, limb: Limb, chain: list[str], side: float, rest_hinge: Array
) -> None:
    """Turn a limb's two bones to their directions; the lower one about the hinge alone."""
    upper_bone, lower_bone, end = (rig.bone(name) for name in chain)
    rest_upper = _unit(heads[lower_bone] - heads[upper_bone])
    rest_lower = _unit(heads[end] - heads[lower_bone])
    # out, forwards, up -> anny's frame, in which forwards is -y
    upper, lower = (_unit(np.array([side * d[0], -d[1], d[2]])) for d in (limb.upper, limb.lower))
    hinge = np.cross(rest_upper, rest_lower)
    if np.linalg.norm(hinge) < _STRAIGHT or abs(_unit(hinge) @ rest_hinge) < 0.3:
        hinge = rest_hinge - (rest_hinge @ rest_upper) * rest_upper
    hinge = _unit(hinge)
    wanted = np.cross(upper, lower)
    if np.linalg.norm(wanted) < _STRAIGHT:  # straight: as the rest pose turned the shortest way
        wanted = _shortest(rest_upper, upper) @ hinge
    wanted = _unit(wanted - (wanted @ upper) * upper)
    raised = _frame(upper, wanted) @ _frame(rest_upper, hinge).T
    rotations[upper_bone] = raised
    # in the raised limb's frame: from the rest direction of the lower bone to where it is to point
    rotations[lower_bone] = _shortest(rest_lower, raised.T @ lower)


def _frame(direction: Array, hinge: Array) -> Array:
    return np.stack([direction, hinge, np.cross(direction, hinge)], axis=1)


def _shortest(a: Array, b: Array) -> Array:
    axis = np.cross(a, b)
    sine = np.linalg.norm(axis)
    return np.eye(3) if sine < 1e-12 else exp_so3(axis / sine * np.arctan2(sine, a @ b))


def _curl_fingers(
    rig: AnnyRig, heads: Array, rotations: Array, curl: float, suffix: str, rng: np.random.Generator
) -> None:
    """Bend the fingers' joints about the axis across the knuckles, the thumb a little."""
    side = "left" if suffix == ".L" else "right"
    for finger in FINGERS:
        bend = (0.25 if finger == "thumb" else 1.0) * curl * rng.uniform(0.7, 1.3)
        rotations[rig.finger_bones(side, finger)] = exp_so3(rig.finger_axis(heads, side, finger) * bend)


def _level_foot(rig: AnnyRig, rotations: Array, suffix: str) -> Array:
    """Rotation of the foot that keeps its sole level, as far as an ankle turns."""
    shank = rotations[rig.bone("upperleg01" + suffix)] @ rotations[rig.bone("lowerleg01" + suffix)]
    # pitch of the shank's frame about x
    pitch = np.arctan2(shank[2, 1], shank[1, 1])
    return exp_so3(np.array([-np.clip(pitch, -0.7, 0.5), 0.0, 0.0]))
