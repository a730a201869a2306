"""A body reduced to what a fit looks at: joints and keypoints, with exact derivatives.

A keypoint is a weighted mean of vertices, and linear blend skinning is linear in the vertices. So a keypoint k that
reads vertices u with weights r_ku is, for skinning weights w_uj and the joints' rigid motions (A_j, t_j),

    p_k = sum_j [ A_j m_kj + s_kj (t_j - A_j J_j) ] + S_k transl,   m_kj = sum_u r_ku w_uj v_u,   s_kj = sum_u r_ku w_uj

where J_j is the joint's rest position and S_k the sum of its weights. The moments m are linear in shape and expression
(and in the pose features of a model with pose blend shapes), so no vertex is touched at run time. Skinning as in Loper
et al., "SMPL: A Skinned Multi-Person Linear Model" (2015), section 3; derivatives by perturbing each joint's rotation
on the right.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from mcbench.body.kinematics import joint_motions, levels
from mcbench.body.model import BodyModel
from mcbench.body.rotations import skew

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Reduced:
    """Points and joints of one body in one pose, metres.

    Attributes
    ----------
    points : (K, 3), NaN for keypoints that the body does not have. joints : (J, 3).
    d_points : (K, 3, n), d_joints : (J, 3, n) derivatives by (betas, expression, w (J x 3), transl); None where not
        asked for.
    """

    points: Array
    joints: Array
    d_points: Array | None
    d_joints: Array | None


@dataclass(frozen=True)
class _PosedPairs:
    """World rotations (J, 3, 3) and places (J, 3) of the joints, and every pair's part (P, 3) of its keypoint."""

    turns: Array
    places: Array
    parts: Array


class ReducedBody:
    """Keypoints and joints of a body model as functions of shape, expression, pose and place.

    Parameters
    ----------
    body : the model, of J joints. regressor : (K, V) sparse; rows read keypoints from the posed vertices, an empty row
        is an unknown keypoint.
    """

    def __init__(self, body: BodyModel, regressor: sparse.csr_matrix) -> None:
        regressor = sparse.csr_matrix(regressor)
        self.n_betas = body.n_betas
        self.n_expression = body.n_expression
        self.n_joints = body.n_joints
        self.parents = body.parents
        self.joint_template = body.joint_template
        self._unknown = np.diff(regressor.indptr) == 0
        self._joint_shape = body.joint_shapedirs
        shapes = body.shapedirs
        if body.expression_dirs is not None:
            shapes = np.concatenate([shapes, body.expression_dirs], axis=-1)
            self._joint_shape = np.concatenate([self._joint_shape, body.joint_expression_dirs], axis=-1)
        # Moments of the (keypoint, joint) pairs that matter: m = rest + shape @ coefficients (+ pose @ features).
        self._k, self._j, blend, used = _blending(regressor, body.skinning)
        self._rest = blend @ body.v_template[used]
        self._shape = _blended(blend, shapes[used])
        self._pose = None if body.posedirs is None else _blended(blend, body.posedirs[used])
        self._pair_weight = np.asarray(blend.sum(1)).ravel()
        self._index(regressor.shape[0])

    def _index(self, n_keypoints: int) -> None:
        """What follows from the pairs: how they add up to keypoints, and which turns move these."""
        count = len(self._k)
        ones, pairs = np.ones(count), np.arange(count)
        self._sum = sparse.csr_matrix((ones, (self._k, pairs)), shape=(n_keypoints, count))
        self._total = self._sum @ self._pair_weight
        # A pair's joint and all above it move its keypoint: the movers, (keypoint, joint), and what hangs on each.
        above: list[list[int]] = []
        for parent in self.parents:
            above.append([len(above), *(above[parent] if parent >= 0 else [])])
        depth = np.array([len(joints) for joints in above], dtype=np.int64)[self._j]
        pair = np.repeat(pairs, depth)
        mover = np.array([joint for j in self._j for joint in above[j]], dtype=np.int64)
        key, place = np.unique(self._k[pair] * self.n_joints + mover, return_inverse=True)
        self._mover_k, self._mover_j = key // self.n_joints, key % self.n_joints
        self._hanging = sparse.csr_matrix((np.ones(len(pair)), (place, pair)), shape=(len(key), count))
        self._mover_weight = self._hanging @ self._pair_weight
        # joints, and those above them that move them
        self._moved = np.repeat(np.arange(self.n_joints), [len(joints) for joints in above])
        self._moving = np.array([joint for joints in above for joint in joints], dtype=np.int64)
        self._levels = levels(self.parents)

    def keypoints(self, chosen: npt.NDArray[np.int64]) -> ReducedBody:
        """The same body with the keypoints `chosen` (L,) of its K."""
        part = copy.copy(self)
        place = np.full(len(self._total), -1)
        place[chosen] = np.arange(len(chosen))
        pairs = np.flatnonzero(place[self._k] >= 0)
        part._k, part._j = place[self._k[pairs]], self._j[pairs]
        part._rest, part._shape, part._pair_weight = self._rest[pairs], self._shape[pairs], self._pair_weight[pairs]
        part._pose = None if self._pose is None else self._pose[pairs]
        part._unknown = self._unknown[chosen]
        part._index(len(chosen))
        return part

    @property
    def size(self) -> int:
        """Number n of parameters: betas, expression, J x 3 rotation, 3 translation."""
        return self.n_betas + self.n_expression + 3 * self.n_joints + 3

    def evaluate(
        self,
        betas: Array,
        rotations: Array,
        transl: Array,
        jacobian: bool = True,
        expression: Array | None = None,
    ) -> Reduced:
        """Keypoints and joints, with derivatives.

        Parameters
        ----------
        betas : (B,). rotations : (J, 3, 3) of every joint relative to its parent (the root's: to the world).
        transl : (3,) SMPL's translation, metres. expression : (E,), None for a face at rest.
        jacobian : whether to compute derivatives. Those by w are at w = 0 of `rotations[j] @ exp(w[j])`.
        """
        rotations, transl = np.asarray(rotations), np.asarray(transl)
        posed = self._pose_pairs(np.asarray(betas), rotations, expression)
        a, t, weight = posed.turns, posed.places, self._pair_weight
        points = self._points(posed, transl)
        joints = t + transl
        if not jacobian:
            return Reduced(points, joints, None, None)

        n_points, n_shape, n_joints, n = len(points), self._shape.shape[-1], self.n_joints, self.size
        turns = slice(n_shape, n - 3)
        d_t = self._d_joints_by_shape(a)
        d_points = np.zeros((n_points, 3, n))
        d_joints = np.zeros((n_joints, 3, n))
        d_joints[:, :, :n_shape] = d_t
        a_pair, d_offset = a[self._j], d_t - a @ self._joint_shape
        d_parts = a_pair @ self._shape + weight[:, None, None] * d_offset[self._j]
        d_points[:, :, :n_shape] = (self._sum @ d_parts.reshape(len(weight), -1)).reshape(n_points, 3, n_shape)

        # A turn of joint i about itself moves what hangs on it: d = (A_i w) x (sum of parts - their weight t_i).
        turn = np.zeros((n_points, 3, n_joints, 3))
        turn[self._mover_k, :, self._mover_j] = _crossed(a[self._mover_j], self._lever(posed))
        if self._pose is not None:
            turn[:, :, 1:] += self._turn_by_pose_features(rotations, a_pair)
        d_points[:, :, turns] = turn.reshape(n_points, 3, -1)
        i, j = self._moving, self._moved
        joint_turn = np.zeros((n_joints, 3, n_joints, 3))
        joint_turn[j, :, i] = _crossed(a[i], t[j] - t[i])
        d_joints[:, :, turns] = joint_turn.reshape(n_joints, 3, -1)
        d_points[:, :, n - 3 :] = self._total[:, None, None] * np.eye(3)
        d_joints[:, :, n - 3 :] = np.eye(3)
        d_points[self._unknown] = np.nan
        return Reduced(points, joints, d_points, d_joints)

    def along(
        self,
        betas: Array,
        rotations: Array,
        transl: Array,
        expression: Array | None,
        direction: Callable[[Array], Array],
    ) -> tuple[Array, Array]:
        """Keypoints (K, 3), and the derivatives (K, n) of their coordinates along a direction each.

        direction : from the keypoints (K, 3) to their directions (K, 3), of any length.
        """
        rotations, transl = np.asarray(rotations), np.asarray(transl)
        posed = self._pose_pairs(np.asarray(betas), rotations, expression)
        points = self._points(posed, transl)
        by = direction(points)
        n_shape, n = self._shape.shape[-1], self.size
        rows = np.zeros((len(points), n))
        a_pair, by_pair = posed.turns[self._j], by[self._k]
        d_offset = self._d_joints_by_shape(posed.turns) - posed.turns @ self._joint_shape
        by_shape = (by_pair[:, None] @ a_pair @ self._shape)[:, 0]
        by_shape += self._pair_weight[:, None] * (by_pair[:, None] @ d_offset[self._j])[:, 0]
        rows[:, :n_shape] = self._sum @ by_shape
        # b . ((A w) x l) = w . A^T (l x b)
        pulled = np.cross(self._lever(posed), by[self._mover_k])
        turn = np.zeros((len(points), self.n_joints, 3))
        turn[self._mover_k, self._mover_j] = (pulled[:, None] @ posed.turns[self._mover_j])[:, 0]
        if self._pose is not None:
            turn[:, 1:] += np.einsum("kx,kxjc->kjc", by, self._turn_by_pose_features(rotations, a_pair))
        rows[:, n_shape : n - 3] = turn.reshape(len(points), -1)
        rows[:, n - 3 :] = self._total[:, None] * by
        rows[self._unknown] = np.nan
        return points, rows

    def _pose_pairs(self, betas: Array, rotations: Array, expression: Array | None) -> _PosedPairs:
        shape = betas
        if self.n_expression:
            shape = np.concatenate([shape, np.zeros(self.n_expression) if expression is None else expression])
        rest = self.joint_template + self._joint_shape @ shape
        a, t = joint_motions(self._levels, rest, rotations)
        moments = self._rest + self._shape @ shape
        if self._pose is not None:
            moments = moments + self._pose @ (rotations[1:] - np.eye(3)).ravel()
        offset = t - (a @ rest[..., None])[..., 0]
        parts = (a[self._j] @ moments[..., None])[..., 0] + self._pair_weight[:, None] * offset[self._j]
        return _PosedPairs(a, t, parts)

    def _points(self, posed: _PosedPairs, transl: Array) -> Array:
        points = self._sum @ posed.parts + self._total[:, None] * transl
        points[self._unknown] = np.nan
        return np.asarray(points)

    def _lever(self, posed: _PosedPairs) -> Array:
        """Of every mover, from its joint to what hangs on it, times the weight of that: (N, 3)."""
        return np.asarray(self._hanging @ posed.parts - self._mover_weight[:, None] * posed.places[self._mover_j])

    def _d_joints_by_shape(self, a: Array) -> Array:
        """Derivative (J, 3, B + E) of the joints' positions by betas and expression."""
        d_t = np.empty_like(self._joint_shape)
        d_t[0] = self._joint_shape[0]
        for j, p in self._levels:
            d_t[j] = d_t[p] + a[p] @ (self._joint_shape[j] - self._joint_shape[p])
        return d_t

    def _turn_by_pose_features(self, rotations: Array, a_pair: Array) -> Array:
        """What turns of all joints but the root do by way of pose blend shapes: (K, 3, J - 1, 3)."""
        assert self._pose is not None
        count = self.n_joints - 1
        generators = skew(np.eye(3))  # (3, 3, 3): the derivative of exp(w) at 0 along each axis
        d_rotation = np.einsum("jxy,cyz->jxzc", rotations[1:], generators).reshape(count, 9, 3)
        pose = self._pose.reshape(-1, count, 9).transpose(1, 0, 2)
        moved = (pose @ d_rotation).reshape(count, -1, 3, 3)  # joint, pair, coordinate, axis
        turned = a_pair @ moved.transpose(1, 2, 0, 3).reshape(len(a_pair), 3, -1)
        return (self._sum @ turned.reshape(len(a_pair), -1)).reshape(-1, 3, count, 3)


def _blending(
    regressor: sparse.csr_matrix, skinning: Array
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], sparse.csr_matrix, npt.NDArray[np.int64]]:
    """Keypoints (P,) and joints (P,) of the pairs that matter, and what each takes of some vertices: (P, U), and which.

    Parameters
    ----------
    regressor : (K, V). skinning : (V, J).
    """
    keypoint = np.repeat(np.arange(regressor.shape[0]), np.diff(regressor.indptr))
    used, vertex = np.unique(regressor.indices, return_inverse=True)
    weights = sparse.csr_matrix(skinning[used])
    each = np.diff(weights.indptr)[vertex]  # joints that move the vertex of each entry of the regressor
    entry = np.repeat(np.arange(len(vertex)), each)
    within = np.arange(len(entry)) - np.repeat(np.cumsum(each) - each, each)
    at = weights.indptr[vertex[entry]] + within
    key, pair = np.unique(keypoint[entry] * skinning.shape[1] + weights.indices[at], return_inverse=True)
    values = regressor.data[entry] * weights.data[at]
    blend = sparse.csr_matrix((values, (pair, vertex[entry])), shape=(len(key), len(used)))
    return key // skinning.shape[1], key % skinning.shape[1], blend, used


def _blended(blend: sparse.csr_matrix, directions: Array) -> Array:
    """(P, 3, D) what pairs take of directions (U, 3, D)."""
    count, _, n = directions.shape
    return np.asarray((blend @ directions.reshape(count, 3 * n)).reshape(-1, 3, n))


def _crossed(a: Array, lever: Array) -> Array:
    """(N, 3, 3): the columns of rotations a (N, 3, 3), crossed with levers (N, 3)."""
    x, y, z = a[:, 0], a[:, 1], a[:, 2]  # (N, 3) each: rows
    u, v, w = lever[:, 0, None], lever[:, 1, None], lever[:, 2, None]
    return np.stack([y * w - z * v, z * u - x * w, x * v - y * u], axis=1)
