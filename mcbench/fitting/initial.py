"""A first guess of a body from triangulated keypoints: rigid torso, then limb by limb."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mcbench.body.formats import N_SHARED
from mcbench.body.reduced import ReducedBody
from mcbench.cameras.alignment import umeyama
from mcbench.fitting.state import BodyState
from mcbench.joints import SMPL24, JointSet

Array = npt.NDArray[np.float64]

#: Pairs of keypoints whose distance hardly depends on pose.
SEGMENTS = (
    ("left_shoulder", "right_shoulder"),
    ("left_hip", "right_hip"),
    *((f"{side}_{a}", f"{side}_{b}") for side in ("left", "right") for a, b in (
        ("shoulder", "hip"), ("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"),
    )),
)  # fmt: skip
_TORSO = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
_STRAIGHT = 0.15  # sine of the bend below which a limb's plane is taken from its rest pose rather than seen


@dataclass(frozen=True)
class _Limb:
    """Two bones and the hinge between them: keypoints, joints, and the axis of flexion at rest."""

    keypoints: tuple[str, str, str]
    joints: tuple[int, int]
    hinge: tuple[float, float, float]


_LIMBS = tuple(
    _Limb(
        (f"{side}_{a}", f"{side}_{b}", f"{side}_{c}"),
        (SMPL24.index(f"{side}_{a}"), SMPL24.index(f"{side}_{b}")),
        hinge[side],
    )
    for a, b, c, hinge in (
        ("hip", "knee", "ankle", {"left": (1.0, 0.0, 0.0), "right": (1.0, 0.0, 0.0)}),
        ("shoulder", "elbow", "wrist", {"left": (0.0, -1.0, 0.0), "right": (0.0, 1.0, 0.0)}),
    )
    for side in ("left", "right")
)


class Initialiser:
    """First guesses with the mean shape of a body reduced to a detector's keypoints.

    mean_turns : (J - 1, 3, 3) the turns of its joints that keypoints do not tell of: fingers, jaw, eyes.
    """

    def __init__(self, body: ReducedBody, keypoints: JointSet, mean_turns: Array | None = None) -> None:
        self._at_rest = BodyState.at_rest(body.n_betas, body.n_joints, body.n_expression)
        if mean_turns is not None and body.n_joints > len(SMPL24):
            self._at_rest.rotations[N_SHARED:] = mean_turns[N_SHARED - 1 :]
        self._names = keypoints.joints
        rest = body.evaluate(self._at_rest.betas, self._at_rest.rotations, np.zeros(3), jacobian=False)
        self._rest = dict(zip(self._names, rest.points, strict=True))
        self._root = rest.joints[0]

    def scale(self, tracks: Sequence[Array]) -> float | None:
        """Metres a unit: median ratio of the mean body's segments to the tracks' (each (K, 3)); None if none is seen.

        Each track is summed up by its own median first, so that a track with many segments does not outvote others.
        """
        logs = [np.median(r) for points in tracks if len(r := self._log_ratios(points))]
        return float(np.exp(np.median(logs))) if logs else None

    def _log_ratios(self, points: Array) -> Array:
        seen = dict(zip(self._names, points, strict=True))
        pairs = [(a, b) for a, b in SEGMENTS if a in seen and b in seen]
        rest = np.array([np.linalg.norm(self._rest[a] - self._rest[b]) for a, b in pairs])
        here = np.array([np.linalg.norm(seen[a] - seen[b]) for a, b in pairs])
        ratios = np.log(rest / np.where(here > 0, here, np.nan))
        return np.asarray(ratios[np.isfinite(ratios)])

    def guess(self, points: Array) -> BodyState | None:
        """A body near triangulated keypoints (K, 3) in metres; None where they do not determine its orientation."""
        seen = {n: p for n, p in zip(self._names, points, strict=True) if np.isfinite(p).all()}
        shared = [n for n in seen if np.isfinite(self._rest[n]).all()]
        torso = [n for n in _TORSO if n in shared]
        chosen = torso if len(torso) >= 3 else shared
        try:
            rigid = umeyama([self._rest[n] for n in chosen], [seen[n] for n in chosen], with_scale=False)
        except ValueError:
            return None
        rotations = self._at_rest.rotations.copy()
        rotations[0] = rigid.R
        for limb in _LIMBS:
            self._bend(limb, seen, rigid.R, rotations)
        # SMPL turns the root about the pelvis J: R (x - J) + J + transl = R x + t.
        transl = rigid.t + rigid.R @ self._root - self._root
        return replace(self._at_rest, rotations=rotations, transl=transl)

    def _bend(self, limb: _Limb, seen: dict[str, Array], torso: Array, rotations: Array) -> None:
        """Turn a limb's two joints (in place) so that its bones point as seen and bend about its hinge."""
        a, b, c = limb.keypoints
        upper, lower = limb.joints
        if a not in seen or b not in seen:
            return
        rest_upper = _unit(self._rest[b] - self._rest[a])
        seen_upper = _unit(torso.T @ (seen[b] - seen[a]))
        shortest = _shortest_turn(rest_upper, seen_upper)
        if c not in seen:
            rotations[upper] = shortest
            return
        hinge = np.array(limb.hinge)
        seen_lower = _unit(torso.T @ (seen[c] - seen[b]))
        axis = np.cross(seen_upper, seen_lower) + _STRAIGHT * shortest @ hinge
        rotations[upper] = _frame(seen_upper, axis) @ _frame(rest_upper, hinge).T
        rest_lower = _unit(self._rest[c] - self._rest[b])
        rotations[lower] = _shortest_turn(rest_lower, rotations[upper].T @ seen_lower)


def _unit(vector: Array) -> Array:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)


def _frame(first: Array, second: Array) -> Array:
    """Orthonormal columns: `first`, the part of `second` across it, and their cross product."""
    across = _unit(second - (second @ first) * first)
    return np.stack([first, across, np.cross(first, across)], axis=1)


def _shortest_turn(source: Array, target: Array) -> Array:
    """The smallest rotation that maps one unit vector onto another."""
    axis = np.cross(source, target)
    cosine = float(source @ target)
    if cosine < -1 + 1e-9:  # opposite: any axis across the vector will do
        axis = _unit(np.cross(source, np.eye(3)[np.argmin(np.abs(source))]))
        return 2 * np.outer(axis, axis) - np.eye(3)
    hat = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + hat + hat @ hat / (1 + cosine)
