"""People of a rendered scene: bodies with exact joints, their looks, and where they stand."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from mcbench.body.anny_rig import PARTS, AnnyRig
from mcbench.body.anthropometry import sample_people
from mcbench.body.face_landmarks import face_landmarks
from mcbench.body.rotations import exp_so3
from mcbench.synth.poses import Pose, bone_rotations, individual

Array = npt.NDArray[np.float64]

_CLEARANCE_M = 0.02
#: Landmarks of the contour, which come first and are no truth: where a face ends depends on where it is seen from.
_CONTOUR = 17
_SKIN = np.array([[0.95, 0.78, 0.67], [0.88, 0.68, 0.55], [0.74, 0.53, 0.40], [0.55, 0.37, 0.26], [0.38, 0.25, 0.18]])
_HAIR = np.array([[0.08, 0.06, 0.05], [0.22, 0.14, 0.09], [0.42, 0.29, 0.17], [0.72, 0.58, 0.36], [0.6, 0.6, 0.6]])
_EXPRESSIONS = (
    "mouthSmileLeft+mouthSmileRight",
    "jawOpen",
    "browInnerUp",
    "mouthPucker",
    "eyeSquintLeft+eyeSquintRight",
)


@dataclass(frozen=True)
class Person:
    """One person, standing at the origin of the world and facing -Y until placed.

    Attributes
    ----------
    vertices : (V, 3) of the open body's topology, metres, Z up. rest : (V, 3) at rest, for textures that move along.
    joints : (24, 3) `smpl24`. hands : (2, 21, 3) left, right, in the order of `hand21`. face : (51, 3) landmarks
        `face_17` to `face_67`.
    colours : (V, 3) in [0, 1]. cloth : (V,) bool, covered by cloth. seat : top of a seat (x, y, z) or None.
    info : sex, age, stature, pose.
    """

    vertices: Array
    rest: Array
    joints: Array
    hands: Array
    face: Array
    colours: Array
    cloth: npt.NDArray[np.bool_]
    seat: Array | None
    info: dict

    def placed(self, position: Array, yaw: float) -> Person:
        """Turned by `yaw` about the vertical and moved to `position` (2,) on the floor."""
        turn = exp_so3(np.array([0.0, 0.0, yaw]))
        shift = np.array([position[0], position[1], 0.0])
        moved = {name: getattr(self, name) @ turn.T + shift for name in ("vertices", "joints", "hands", "face")}
        seat = None if self.seat is None else self.seat @ turn.T + shift
        return replace(self, **moved, seat=seat)


def make_people(rng: np.random.Generator, poses: list[Pose]) -> list[Person]:
    """People of a population (10 % children), with shapes that ten components cannot say, in these poses."""
    rig = AnnyRig.load()
    count = len(poses)
    if not count:
        return []
    who = sample_people(rng, count)
    changed = rng.choice(len(rig.local_changes), 40, replace=False)
    local = {rig.local_changes[i]: np.clip(rng.normal(0, 0.12, count), -0.4, 0.4) for i in changed}
    local = {name: value for name, value in local.items() if "measure" not in name and "head" not in name}
    actions = _expressions(rng, rig, count)
    phenotypes = rig.phenotypes(who, rng)
    shapes = rig.shape(phenotypes, local, actions)
    statures = rig.statures(shapes)
    people = []
    for i, kind in enumerate(poses):
        pose = individual(rng, kind)
        vertices, heads = rig.pose(shapes.vertices[i], shapes.heads[i], bone_rotations(rig, shapes.heads[i], pose, rng))
        # on the floor by the soles or whatever is lowest
        shift = np.array([*-heads[rig.bone("root")][:2], -vertices[:, 2].min()])
        vertices, heads = vertices + shift, heads + shift
        colours, cloth = _looks(rng, rig, shapes.vertices[i], bool(who.female[i]))
        people.append(
            Person(
                vertices,
                shapes.vertices[i],
                rig.smpl24_from_bones(heads),
                rig.hand_points(vertices, heads),
                face_landmarks().on(vertices)[_CONTOUR:],
                colours,
                cloth,
                _seat(rig, vertices, heads) if pose.seated else None,
                {
                    "female": bool(who.female[i]),
                    "age": round(float(who.age[i]), 1),
                    "stature": round(float(statures[i]), 4),
                    "pose": pose.name,
                },
            )
        )
    return people


def _expressions(rng: np.random.Generator, rig: AnnyRig, count: int) -> dict[str, Array]:
    actions: dict[str, Array] = {}
    for names in _EXPRESSIONS:
        strength = np.where(rng.random(count) < 0.4, rng.uniform(0, 0.6, count), 0.0)
        actions.update(dict.fromkeys(names.split("+"), strength))
    return {name: value for name, value in actions.items() if name in rig.facial_actions}


def _seat(rig: AnnyRig, vertices: Array, heads: Array) -> Array:
    """Middle of the seat's top: below the pelvis, as high as the lowest of hips and thighs near it."""
    pelvis = heads[rig.bone("root")]
    near = np.linalg.norm(vertices[:, :2] - pelvis[:2], axis=1) < 0.2
    trunk = np.isin(rig.part, [PARTS.index("torso"), PARTS.index("thigh")])
    return np.array([pelvis[0], pelvis[1] + 0.05, vertices[near & trunk, 2].min() - 0.005])


def _looks(rng: np.random.Generator, rig: AnnyRig, rest: Array, female: bool) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Colours (V, 3) of skin, hair, eyes, clothes and shoes, and which vertices clothes cover."""
    height = (rest[:, 2] - rest[:, 2].min()) / np.ptp(rest[:, 2])
    part = np.array(PARTS)[rig.part]
    tone = rng.uniform(0, len(_SKIN) - 1)
    skin = np.array([np.interp(tone, range(len(_SKIN)), _SKIN[:, c]) for c in range(3)])
    colours = np.tile(skin, (len(rest), 1))
    head = part == "head"
    top_of_head, chin = rest[head, 2].max(), rest[head, 2].min()
    level = (rest[:, 2] - chin) / (top_of_head - chin)
    back = rest[:, 1] - np.median(rest[head, 1])
    hair = head & rig.skin_mask & ((level > 0.82) | ((back > 0.01) & (level > (0.15 if female else 0.45))))
    colours[hair] = _HAIR[rng.integers(len(_HAIR))] * rng.uniform(0.8, 1.2)
    eyes = rig.skinning[:, [rig.bone("eye.L"), rig.bone("eye.R")]].sum(1) > 0.5
    front = eyes & (rest[:, 1] < rest[eyes, 1].min() + 0.004)
    colours[eyes] = 0.92
    colours[front] = rng.uniform(0.05, 0.3, 3)
    lips = head & (np.abs(level - 0.2) < 0.03) & (np.abs(rest[:, 0]) < 0.025) & (back < -0.05)
    colours[lips] = colours[lips] * np.array([0.95, 0.7, 0.7])
    top, bottom, shoes = (rng.uniform(0.08, 0.95, 3) for _ in range(3))
    cloth = np.zeros(len(rest), dtype=bool)
    waist = rng.uniform(0.54, 0.6)
    sleeves = {"torso", "upper_arm"} if rng.random() < 0.5 else {"torso", "upper_arm", "forearm"}
    legs = {"thigh", "shank"} if rng.random() < 0.75 else {"thigh"}
    worn = np.isin(part, list(sleeves)) & (height > waist)
    trousers = (np.isin(part, list(legs)) | (part == "torso")) & (height <= waist)
    foot = part == "foot"
    for covered, colour in ((worn, top), (trousers, bottom), (foot, shoes * 0.6)):
        colours[covered] = colour
        cloth |= covered
    return np.clip(colours, 0.02, 0.98), cloth


def collides(person: Person, others: list[Person]) -> bool:
    """Whether a person touches or passes through any of the others."""
    for other in others:
        low = np.maximum(person.vertices.min(0), other.vertices.min(0))
        high = np.minimum(person.vertices.max(0), other.vertices.max(0))
        if (low > high + _CLEARANCE_M).any():
            continue
        distance, _ = cKDTree(other.vertices).query(person.vertices[::2], distance_upper_bound=_CLEARANCE_M)
        if np.isfinite(distance).any() or _inside(person, other) or _inside(other, person):
            return True
    return False


def _inside(person: Person, other: Person) -> bool:
    """Whether a joint of a person lies deep in another's trunk."""
    trunk = other.joints[[0, 3, 6, 9, 12]]
    return bool((np.linalg.norm(person.joints[:, None] - trunk[None], axis=-1) < 0.12).any())
