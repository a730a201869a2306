"""Hands and faces beside the body: which keypoints are theirs, and how they join a body that is fitted.

A detector reads hands and faces in crops of their own, so what is known of a body's readings (who stands in front,
which arms are exchanged) goes for the hands and the face that hang on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mcbench.body.formats import FORMATS, KNUCKLES, N_SHARED
from mcbench.body.reduced import ReducedBody
from mcbench.cameras.alignment import umeyama
from mcbench.cameras.triangulation import triangulate
from mcbench.fitting.observations import PersonObservations
from mcbench.fitting.state import BodyState
from mcbench.joints import SMPL24, JointSet

Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

HANDS = ("left_hand", "right_hand")
#: The parts that are read apart from the body.
PARTS = (*HANDS, "face")
#: A part that fewer views show is unknown.
MIN_VIEWS = 3
#: The body's keypoint from which a part hangs.
_ANCHOR = {"left_hand": "left_wrist", "right_hand": "right_wrist", "face": "nose"}
#: Keypoints of a hand that keep their distances however its fingers are bent.
_PALM = ("wrist", *(f"{finger}_1" for finger in KNUCKLES))
#: A hand's orientation is told by so many of them at least.
_MIN_PALM = 4
#: Scale of the robust cost of a triangulated keypoint, in standard deviations.
_KERNEL = 5.0


def part_of(name: str) -> str:
    """The part, of `PARTS`, that a keypoint belongs to, or "body"."""
    return next((part for part in PARTS if name.startswith(f"{part}_")), "body")


@dataclass(frozen=True)
class WholeBody:
    """The keypoints of a detector as body, hands and face.

    Attributes
    ----------
    joints : all K. body : indices of the body's own. parts : of each part's, those only that the body model can say.
    """

    joints: JointSet
    body: IntArray
    parts: dict[str, IntArray]

    @classmethod
    def of(cls, joints: JointSet, n_joints: int) -> WholeBody:
        """Of a body model of J joints: SMPL's 24 hold fingers straight and know no expression, SMPL-H's 52 no jaw."""
        where = np.array([part_of(name) for name in joints.joints])
        parts = {part: np.flatnonzero(where == part) for part in PARTS}
        if n_joints == len(SMPL24):
            for hand in HANDS:
                stiff = [f"{hand}_{name}" for name in _PALM]
                parts[hand] = np.array([k for k in parts[hand] if joints.joints[k] in stiff], dtype=np.int64)
        if n_joints != 55:
            parts["face"] = np.zeros(0, dtype=np.int64)
        return cls(joints, np.flatnonzero(where == "body"), {p: k for p, k in parts.items() if len(k)})

    @property
    def body_joints(self) -> JointSet:
        """The body's own keypoints as a set."""
        if len(self.body) == len(self.joints):
            return self.joints
        return JointSet(f"{self.joints.name} body", tuple(self.joints.joints[k] for k in self.body))

    def joined(self, everything: PersonObservations, body: PersonObservations) -> PersonObservations:
        """All K keypoints' readings, of the body as it has been judged.

        Parameters
        ----------
        everything : of all K keypoints as they were read. body : of the body's own, from the same views or some of
            them: some of them may be doubted, and arms exchanged.
        """
        everything = everything.select(np.isin(everything.rows, body.rows))
        place = {self.joints.joints[k]: i for i, k in enumerate(self.body)}
        everything = self._exchanged(everything, body, place)
        sigma, doubt = everything.sigma.copy(), everything.doubt.copy()
        for part, keypoints in self.parts.items():
            if (anchor := _ANCHOR[part]) in place:
                of_all = self.joints.index(anchor)
                more = body.doubt[:, place[anchor]] / everything.doubt[:, of_all]
                sigma[:, keypoints] *= more[:, None]
                doubt[:, keypoints] *= more[:, None]
        pixels, weight = everything.pixels.copy(), everything.weight.copy()
        for values, own in ((pixels, body.pixels), (weight, body.weight), (sigma, body.sigma), (doubt, body.doubt)):
            values[:, self.body] = own
        for keypoints in self.parts.values():
            if (weight[:, keypoints] > 0).any(axis=1).sum() < MIN_VIEWS:
                weight[:, keypoints] = 0.0
        return replace(everything, pixels=pixels, weight=weight, sigma=sigma, doubt=doubt)

    def _exchanged(
        self, everything: PersonObservations, body: PersonObservations, place: dict[str, int]
    ) -> PersonObservations:
        """Hands exchanged in the views where the arms are."""
        if not {"left_wrist", "right_wrist"} <= set(place) or not set(HANDS) <= set(self.parts):
            return everything
        left, right = (body.pixels[:, place[f"{side}_wrist"]] for side in ("left", "right"))
        was_left, was_right = (everything.pixels[:, self.joints.index(f"{side}_wrist")] for side in ("left", "right"))
        turned = (left == was_right).all(1) & (right == was_left).all(1) & (left != right).any(1)
        if not turned.any():
            return everything
        order = np.arange(len(self.joints))
        hands = np.concatenate([self.parts[hand] for hand in HANDS])
        order[hands] = np.array(self.joints.flip)[hands]
        return everything.exchanged(turned, order)

    def without(self, observations: PersonObservations, parts: Sequence[str]) -> PersonObservations:
        """The same with nothing read of some parts."""
        weight = observations.weight.copy()
        weight[:, np.concatenate([self.parts[part] for part in parts])] = 0.0
        return replace(observations, weight=weight)

    def seen(self, observations: PersonObservations) -> list[str]:
        """The parts of which something is read, of observations of all K keypoints."""
        return [part for part, keypoints in self.parts.items() if (observations.weight[:, keypoints] > 0).any()]

    def with_hands_turned(
        self, body: ReducedBody, state: BodyState, observations: PersonObservations
    ) -> BodyState | None:
        """The body with wrists turned so that palms lie as triangulated; None where none can be.

        Parameters
        ----------
        body : reduced to all K keypoints. state : where it is, in the views' world.
        """
        at_rest = BodyState.at_rest(body.n_betas, body.n_joints, body.n_expression)
        rest = body.evaluate(at_rest.betas, at_rest.rotations, at_rest.transl, jacobian=False).points
        rotations = state.rotations.copy()
        turned = False
        for hand in HANDS:
            palm = [self.joints.index(n) for p in _PALM if (n := f"{hand}_{p}") in self.joints.joints]
            if hand not in self.parts or not palm:
                continue
            read = observations.keypoints(np.array(palm))
            pixels = np.where(read.weight[..., None] > 0, read.pixels, np.nan)
            P = read.K @ read.cam_from_world
            points = triangulate(P, pixels, read.doubt**-2.0, _KERNEL * read.sigma).points
            known = np.isfinite(points).all(1) & np.isfinite(rest[palm]).all(1)
            if known.sum() < _MIN_PALM:
                continue
            try:
                palm_turn = umeyama(rest[palm][known], points[known], with_scale=False).R
            except ValueError:
                continue
            wrist = SMPL24.index(f"{hand.removesuffix('_hand')}_wrist")
            rotations[wrist] = _world_turn(rotations, body.parents, body.parents[wrist]).T @ palm_turn
            turned = True
        return replace(state, rotations=rotations) if turned else None


def _world_turn(rotations: Array, parents: Sequence[int], joint: int) -> Array:
    """Rotation (3, 3) of a joint's frame in the world."""
    turn = rotations[joint]
    while (joint := parents[joint]) >= 0:
        turn = rotations[joint] @ turn
    return np.asarray(turn)


def active_unknowns(body: ReducedBody, parts: Sequence[str]) -> IntArray | None:
    """Of a body of which some parts are read, the unknowns that these tell of; None: all.

    Fingers, jaw and expression of parts that are not read stay as they are, and so do eyes, which no landmark tells of.
    """
    if body.n_joints == len(SMPL24):
        return None
    names = FORMATS[body.n_joints].joints.joints
    turned = np.zeros(body.n_joints, dtype=bool)
    turned[:N_SHARED] = True
    for part in parts:
        fingers = [i for i, n in enumerate(names) if i >= N_SHARED and n.startswith(part.removesuffix("hand"))]
        turned[[names.index("jaw")] if part == "face" else [i for i in fingers if "eye" not in names[i]]] = True
    faces = np.full(body.n_expression, "face" in parts)
    mask = np.concatenate([np.ones(body.n_betas, dtype=bool), faces, np.repeat(turned, 3), np.ones(3, dtype=bool)])
    return np.flatnonzero(mask)
