"""The `anny` body (code Apache-2.0, assets CC0-1.0): mesh, 104 bones, shapes from phenotypes.

Its frame: metres, Z up, the body faces -Y, its left is +X, at rest in an A-pose. Importing anny is slow (seconds,
a minute the first time), so only what builds or renders bodies imports this module.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import anny
import numpy as np
import numpy.typing as npt
import torch
from anny.face_segmentation import get_face_segmentation_mask
from anny.keypoints import KeypointsRegressor
from anny.shape_distribution import SimpleShapeDistribution
from scipy.spatial import cKDTree

from mcbench.body.anthropometry import People
from mcbench.joints import SMPL24, JointSet

Array = npt.NDArray[np.float64]

_INNER = ("eye_back", "eye_front", "eye_cavity")
_INNER_LABELS = (*(f"{n}.{side}" for n in _INNER for side in "LR"), "mouth_cavity", "tongue")
#: The numbers that anny gives the fingers, in the order in which `hand21` has them.
FINGERS = {"thumb": 1, "index": 2, "middle": 3, "ring": 4, "pinky": 5}
#: SMPL's and SMPL-X's joints by the bones at whose heads they lie (their mean); the jaw has no bone.
_JOINT_BONES = {
    "pelvis": ("root",),
    "hip": ("upperleg01",),
    "spine1": ("spine04",),
    "knee": ("lowerleg01",),
    "spine2": ("spine02",),
    "ankle": ("foot",),
    "spine3": ("spine01",),
    "foot": tuple(f"toe{i}-1" for i in range(1, 6)),
    "neck": ("neck01",),
    "collar": ("clavicle",),
    "head": ("head",),
    "shoulder": ("upperarm01",),
    "elbow": ("lowerarm01",),
    "wrist": ("wrist",),
    "hand": tuple(f"finger{i}-1" for i in range(2, 6)),
    "jaw": (),
    "eye_smplhf": ("eye",),
    **{f"{finger}{i}": (f"finger{number}-{i}",) for finger, number in FINGERS.items() for i in (1, 2, 3)},
}
_SIDES = {"left": ".L", "right": ".R"}
#: Moves of vertices (m) that are nothing but errors of rounding.
_ROUNDING = 1e-9
#: Parts of the body, by the bone that moves a vertex most.
PARTS = ("torso", "neck", "head", "upper_arm", "forearm", "hand", "thigh", "shank", "foot")
_PART_OF_BONE = {
    "neck": "neck",
    "head": "head",
    "eye": "head",
    "upperarm": "upper_arm",
    "lowerarm": "forearm",
    "wrist": "hand",
    "finger": "hand",
    "metacarpal": "hand",
    "upperleg": "thigh",
    "lowerleg": "shank",
    "foot": "foot",
    "toe": "foot",
}


@dataclass(frozen=True)
class RestShapes:
    """N bodies at rest: vertices (N, V, 3), heads of the bones (N, 104, 3); metres, anny's frame."""

    vertices: Array
    heads: Array

    def __len__(self) -> int:
        return len(self.vertices)


@dataclass(frozen=True)
class AnnyRig:
    """Mesh and bones that all bodies share.

    Attributes
    ----------
    faces : (F, 3). bones : names of the 104 bones. parents : (104,), -1 for the root. skinning : (V, 104).
    skin_mask : (V,) bool, outer skin: no eyes, no inside of the mouth.
    part : (V,) index into `PARTS`.
    local_changes, facial_actions : names of what `shape` takes.
    """

    faces: npt.NDArray[np.int64]
    bones: tuple[str, ...]
    parents: npt.NDArray[np.int64]
    skinning: Array
    skin_mask: npt.NDArray[np.bool_]
    part: npt.NDArray[np.int64]
    local_changes: tuple[str, ...]
    facial_actions: tuple[str, ...]
    _model: anny.Anny

    @classmethod
    @functools.lru_cache(maxsize=1)
    def load(cls) -> AnnyRig:
        """Load anny once a process."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = anny.Anny(local_changes="default", facial_actions="all", phenotypes="all", skinning_method="lbs")
        faces = model.faces.numpy().astype(np.int64)
        inner = np.asarray(get_face_segmentation_mask(model, list(_INNER_LABELS)), dtype=bool)
        skin = np.zeros(len(model.template_vertices), dtype=bool)
        skin[faces[~inner].ravel()] = True
        bones = tuple(model.bone_labels)
        skinning = model.dense_vertex_bone_weights.numpy().astype(np.float64)
        of_bone = np.array([PARTS.index(_part(bone)) for bone in bones])
        by_part = np.stack([skinning[:, of_bone == i].sum(1) for i in range(len(PARTS))], axis=1)
        return cls(
            faces,
            bones,
            np.array([-1 if p is None else int(p) for p in model.bone_parents]),
            skinning,
            skin,
            by_part.argmax(1),
            tuple(model.local_change_labels),
            tuple(model.facial_action_labels),
            model,
        )

    def template(self) -> Array:
        """(V, 3) vertices of the mesh before any shape, metres."""
        return np.asarray(self._model.template_vertices.numpy(), dtype=np.float64)

    def bone(self, name: str) -> int:
        return self.bones.index(name)

    def shape(
        self,
        phenotypes: Mapping[str, npt.ArrayLike],
        local_changes: Mapping[str, npt.ArrayLike] | None = None,
        facial_actions: Mapping[str, npt.ArrayLike] | None = None,
    ) -> RestShapes:
        """Bodies at rest.

        Parameters
        ----------
        phenotypes : (N,) values in [0, 1] by name: gender (0 male), age, muscle, weight, height, proportions,
            cupsize, firmness, african, asian, caucasian.
        local_changes : (N,) values in [-1, 1] by name. facial_actions : (N,) values in [0, 1] by name.
        """
        as_tensors = [
            {k: torch.as_tensor(np.asarray(v, dtype=np.float64)).reshape(-1) for k, v in (group or {}).items()}
            for group in (phenotypes, local_changes, facial_actions)
        ]
        count = max(len(v) for v in as_tensors[0].values())
        vertices, heads = [], []
        for start in range(0, count, 16):  # anny holds all blend shapes of a batch at once
            parts = [{k: v[start : start + 16] for k, v in group.items()} for group in as_tensors]
            with torch.no_grad():
                out = self._model(
                    phenotype_kwargs=parts[0],
                    local_changes_kwargs=parts[1] or None,
                    facial_actions=parts[2] or None,
                )
            vertices.append(out["rest_vertices"].numpy().astype(np.float64))
            heads.append(out["rest_bone_poses"][:, :, :3, 3].numpy().astype(np.float64))
        return RestShapes(np.concatenate(vertices), np.concatenate(heads))

    def pose(self, vertices: Array, heads: Array, rotations: Array) -> tuple[Array, Array]:
        """Linear blend skinning of one body.

        Parameters
        ----------
        vertices : (V, 3), heads : (104, 3) at rest. rotations : (104, 3, 3) of every bone relative to its parent,
            about the rest frame's axes.

        Returns
        -------
        Vertices (V, 3) and heads (104, 3), the root's head where it was.
        """
        turned = np.empty((len(self.bones), 3, 3))
        moved = np.empty((len(self.bones), 3))
        for i, parent in enumerate(self.parents):
            if parent < 0:
                turned[i], moved[i] = rotations[i], heads[i]
            else:
                turned[i] = turned[parent] @ rotations[i]
                moved[i] = moved[parent] + turned[parent] @ (heads[i] - heads[parent])
        offset = moved - np.einsum("bxy,by->bx", turned, heads)
        matrices = np.concatenate([turned, offset[..., None]], axis=-1).reshape(len(self.bones), 12)
        blended = (self.skinning @ matrices).reshape(-1, 3, 4)
        return np.einsum("vxy,vy->vx", blended[..., :3], vertices) + blended[..., 3], moved

    def smpl24_from_bones(self, heads: Array) -> Array:
        """`smpl24` joints (..., 24, 3) from the bones' heads (..., 104, 3)."""
        return np.stack([heads[..., bones, :].mean(-2) for bones in self.joint_bones()], axis=-2)

    def joint_bones(self, joints: JointSet = SMPL24) -> list[list[int]]:
        """Bones at whose heads each joint of `smpl24` or `smplx55` lies."""
        found = []
        for joint in joints.joints:
            side, _, own = joint.partition("_")
            name, suffix = (own, _SIDES[side]) if side in _SIDES else (joint, "")
            found.append([self.bone(bone + suffix) for bone in _JOINT_BONES[name]])
        return found

    def joint_of_bone(self, joints: JointSet = SMPL24) -> npt.NDArray[np.int64]:
        """The joint (104,) that moves each bone: its own, else that of its nearest ancestor with one."""
        own = {bone: joint for joint, bones in enumerate(self.joint_bones(joints)) for bone in bones}
        found = np.zeros(len(self.bones), dtype=np.int64)
        for i, parent in enumerate(self.parents):
            found[i] = own.get(i, 0 if parent < 0 else found[parent])
        return found

    def folded_skinning(self, joints: JointSet) -> Array:
        """Skinning weights (V, J) with those of every bone folded onto the joint that moves it; rows sum to one."""
        folded = np.zeros((len(self.skinning), len(joints)))
        np.add.at(folded.T, self.joint_of_bone(joints), self.skinning.T)
        return np.asarray(folded / folded.sum(1, keepdims=True))

    @functools.cached_property
    def middling(self) -> RestShapes:
        """One body, in the middle of all phenotypes."""
        middle = dict.fromkeys(("gender", "muscle", "weight", "height", "proportions"), 0.5)
        return self.shape({**middle, "age": 0.6, **dict.fromkeys(("african", "asian", "caucasian"), 1 / 3)})

    @functools.cached_property
    def face_moves(self) -> Array:
        """What each of `facial_actions` does in full: moves (A, V, 3) of vertices at rest, m, alike on all bodies."""
        count = len(self.facial_actions)
        strength = dict(zip(self.facial_actions, np.eye(count + 1)[:count], strict=True))
        bodies = self.shape({"gender": np.full(count + 1, 0.5)}, None, strength).vertices
        moves = bodies[:count] - bodies[count]
        return np.where(np.abs(moves) < _ROUNDING, 0.0, moves)

    def finger_bones(self, side: str, finger: str) -> list[int]:
        """The three bones of a finger of the "left" or "right" hand, from the base."""
        return [self.bone(f"finger{FINGERS[finger]}-{i}{_SIDES[side]}") for i in (1, 2, 3)]

    @functools.cached_property
    def mirror(self) -> npt.NDArray[np.int64]:
        """The vertex (V,) on the other side of each; the mesh mirrors exactly."""
        template = self.template()
        return np.asarray(cKDTree(template).query(template * [-1, 1, 1])[1], dtype=np.int64)

    @functools.cached_property
    def fingertips(self) -> npt.NDArray[np.int64]:
        """Vertices (2, 5) at the tips of the fingers of the left and the right hand: the farthest along the finger."""
        vertices, heads = self.middling.vertices[0], self.middling.heads[0]
        tips = np.empty((2, 5), dtype=np.int64)
        for h, side in enumerate(_SIDES):
            for f, finger in enumerate(FINGERS):
                _, middle, last = self.finger_bones(side, finger)
                own = np.flatnonzero(self.skinning[:, last] > 0.5)
                tips[h, f] = own[(vertices[own] @ (heads[last] - heads[middle])).argmax()]
        return tips

    def hand_points(self, vertices: Array, heads: Array) -> Array:
        """Points (..., 2, 21, 3) of the left and the right hand, in the order of `hand21`: wrist, then of every finger
        its three joints and its tip; from vertices (..., V, 3) and heads (..., 104, 3)."""
        hands = []
        for h, side in enumerate(_SIDES):
            points = [heads[..., self.bone("wrist" + _SIDES[side]), :]]
            for f, finger in enumerate(FINGERS):
                points += [heads[..., bone, :] for bone in self.finger_bones(side, finger)]
                points.append(vertices[..., self.fingertips[h, f], :])
            hands.append(np.stack(points, axis=-2))
        return np.stack(hands, axis=-3)

    def finger_axis(self, heads: Array, side: str, finger: str) -> Array:
        """Unit axis (3,) about which the joints of a finger bend towards the palm, from heads (104, 3) at rest."""
        index, pinky = (heads[self.finger_bones(side, name)[0]] for name in ("index", "pinky"))
        across = _unit(index - pinky)
        base, middle, _ = (heads[bone] for bone in self.finger_bones(side, finger))
        along = _unit(middle - base)
        axis = _unit(across - (across @ along) * along)
        # towards the palm, where the thumb is
        palm = heads[self.finger_bones(side, "thumb")[1]] - heads[self.finger_bones(side, "middle")[0]]
        return -axis if np.cross(axis, along) @ palm < 0 else axis

    def phenotypes(self, people: People, rng: np.random.Generator) -> dict[str, Array]:
        """Phenotypes of people: age, sex and stature as given, the rest drawn about the middle."""
        count = len(people.age)
        ages = SimpleShapeDistribution(self._model).morphological_age_mapping
        with torch.no_grad():
            age = ages.morphological_to_anny_age(torch.as_tensor(people.age)).numpy()
        ancestry = rng.dirichlet(np.ones(3), count)
        drawn: dict[str, Array] = {
            "gender": people.female + np.where(people.female, -1, 1) * rng.uniform(0, 0.15, count),
            "age": age,
            "muscle": np.clip(rng.normal(0.5, 0.17, count), 0.05, 0.95),
            "weight": np.clip(rng.normal(0.5, 0.16, count), 0.05, 0.95),
            "proportions": np.clip(rng.normal(0.5, 0.2, count), 0, 1),
            "cupsize": np.clip(rng.normal(0.5, 0.2, count), 0, 1),
            "firmness": np.clip(rng.normal(0.5, 0.2, count), 0, 1),
            "african": ancestry[:, 0],
            "asian": ancestry[:, 1],
            "caucasian": ancestry[:, 2],
        }
        # Stature is linear in the height phenotype: two bodies tell the line.
        low, high = (self.statures(self.shape({**drawn, "height": np.full(count, h)})) for h in (0.25, 0.75))
        drawn["height"] = np.clip(0.25 + 0.5 * (people.stature - low) / (high - low), 0, 1)
        return drawn

    @staticmethod
    def statures(shapes: RestShapes) -> Array:
        """Stature (N,) at rest, metres."""
        return np.ptp(shapes.vertices[..., 2], axis=-1)

    def coco_regressor(self) -> tuple[tuple[str, ...], Array]:
        """anny's own keypoints: names, and weights (K, V) that sum to one."""
        regressor = KeypointsRegressor.coco(self._model)
        return tuple(regressor.labels), regressor.regression_weights.numpy().astype(np.float64)

    def inner_faces(self) -> npt.NDArray[np.bool_]:
        """(F,) faces of eyes and of the inside of the mouth."""
        return np.asarray(~self.skin_mask[self.faces].all(1))


def _unit(vector: Array) -> Array:
    return np.asarray(vector / np.linalg.norm(vector))


def _part(bone: str) -> str:
    return next((part for prefix, part in _PART_OF_BONE.items() if bone.startswith(prefix)), "torso")
