"""Bodies to learn from: a population in a T-pose, and posed by linear blend skinning."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcbench.body.anny_rig import AnnyRig, RestShapes
from mcbench.body.formats import FORMATS
from mcbench.body.rotations import exp_so3

Array = npt.NDArray[np.float64]

# anny stands Z up and faces -Y; SMPL stands Y up and faces +Z. Both have the body's left at +X.
SMPL_FROM_ANNY = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])


@dataclass(frozen=True)
class Population:
    """Bodies in SMPL's frame, the pelvis at the origin: vertices (N, V, 3), heads of bones (N, 104, 3),
    `smpl24` joints (N, 24, 3); metres."""

    vertices: Array
    heads: Array
    joints: Array

    def part(self, bodies: slice) -> Population:
        return Population(self.vertices[bodies], self.heads[bodies], self.joints[bodies])


def t_pose(rig: AnnyRig, shapes: RestShapes) -> Population:
    """Straighten the arms of bodies at rest (an A-pose) to SMPL's T-pose."""
    vertices, bones = [], []
    for rest, heads in zip(shapes.vertices, shapes.heads, strict=True):
        rotations = np.tile(np.eye(3), (len(rig.bones), 1, 1))
        for side, direction in ((".L", 1.0), (".R", -1.0)):
            target = np.array([direction, 0.0, 0.0])
            upper = _direction(heads, rig, f"upperarm01{side}", f"lowerarm01{side}")
            lower = _direction(heads, rig, f"lowerarm01{side}", f"wrist{side}")
            raised = _rotation_between(upper, target)
            rotations[rig.bone(f"upperarm01{side}")] = raised
            rotations[rig.bone(f"lowerarm01{side}")] = raised.T @ _rotation_between(raised @ lower, target) @ raised
        posed, moved = rig.pose(rest, heads, rotations)
        pelvis = rig.smpl24_from_bones(moved)[0]
        vertices.append((posed - pelvis) @ SMPL_FROM_ANNY.T)
        bones.append((moved - pelvis) @ SMPL_FROM_ANNY.T)
    return Population(np.array(vertices), np.array(bones), rig.smpl24_from_bones(np.array(bones)))


def _direction(heads: Array, rig: AnnyRig, start: str, end: str) -> Array:
    arrow = heads[rig.bone(end)] - heads[rig.bone(start)]
    return arrow / np.linalg.norm(arrow)


def _rotation_between(a: Array, b: Array) -> Array:
    """The smallest rotation that takes unit vector a to unit vector b."""
    axis = np.cross(a, b)
    sine = np.linalg.norm(axis)
    return np.eye(3) if sine < 1e-12 else exp_so3(axis / sine * np.arctan2(sine, a @ b))


def posed(rig: AnnyRig, population: Population, joints: Array, rotations: Array, skinning: Array) -> Population:
    """A population in other poses (Loper et al. 2015, section 3, without pose blend shapes).

    Parameters
    ----------
    joints : (N, J, 3) at rest, of SMPL or SMPL-X. rotations : (N, J, 3, 3) of every joint relative to its parent.
    skinning : (V, J).
    """
    form = FORMATS[joints.shape[1]]
    of_bone = rig.joint_of_bone(form.joints)
    mover = np.array([of_bone[max(parent, 0)] for parent in rig.parents])  # a bone's head hangs on the bone above it
    vertices, heads = [], []
    for rest, bones, at_rest, turns in zip(population.vertices, population.heads, joints, rotations, strict=True):
        turned, moved = turns.copy(), at_rest.copy()
        for j, parent in enumerate(form.parents[1:], 1):
            turned[j] = turned[parent] @ turns[j]
            moved[j] = moved[parent] + turned[parent] @ (at_rest[j] - at_rest[parent])
        offset = moved - np.einsum("jxy,jy->jx", turned, at_rest)
        blended = np.einsum("vj,jxy->vxy", skinning, np.concatenate([turned, offset[..., None]], axis=-1))
        vertices.append(np.einsum("vxy,vy->vx", blended[..., :3], rest) + blended[..., 3])
        heads.append(np.einsum("bxy,by->bx", turned[mover], bones) + offset[mover])
    return Population(np.array(vertices), np.array(heads), rig.smpl24_from_bones(np.array(heads)))
