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


@dataclass(frozen=True)
class _Sought:
    """Some of a body's unknowns: S of shape and expression, the turns of T joints, translation.

    Attributes
    ----------
    shape : (P, 3, S), joint_shape : (J, 3, S) what shapes do to moments and to joints at rest.
    joints : (T,) rising. above : for each the place among them of the nearest above it, -1 where there is none.
    hanging : (T K, P) sparse, adds up the pairs that hang on each joint and on none below it, a keypoint.
    weight : (T, K) of all that hangs on a joint.
    """

    shape: Array
    joint_shape: Array
    joints: npt.NDArray[np.int64]
    above: list[int]
    hanging: sparse.csr_matrix
    weight: Array

    @property
    def n_shapes(self) -> int:
        return int(self.shape.shape[-1])

    @property
    def n(self) -> int:
        return self.n_shapes + 3 * len(self.joints) + 3

    def gathered(self, hung: Array) -> Array:
        """From what hangs on each joint alone, (T, …), to what hangs on it and on those below it (in place)."""
        for joint in range(len(self.above) - 1, 0, -1):
            if self.above[joint] >= 0:
                hung[self.above[joint]] += hung[joint]
        return hung


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
        """What follows from the pairs: how they add up to keypoints."""
        count = len(self._k)
        ones, pairs = np.ones(count), np.arange(count)
        self._sum = sparse.csr_matrix((ones, (self._k, pairs)), shape=(n_keypoints, count))
        self._total = self._sum @ self._pair_weight
        self._weights = sparse.csr_matrix((self._pair_weight, (self._k, self._j)), shape=(n_keypoints, self.n_joints))
        # joints, and those above them that move them
        above: list[list[int]] = []
        for parent in self.parents:
            above.append([len(above), *(above[parent] if parent >= 0 else [])])
        self._moved = np.repeat(np.arange(self.n_joints), [len(joints) for joints in above])
        self._moving = np.array([joint for joints in above for joint in joints], dtype=np.int64)
        self._levels = levels(self.parents)
        self._known_sought: dict[bytes, _Sought] = {}

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
        a, t = posed.turns, posed.places
        points = self._points(posed, transl)
        if not jacobian:
            return Reduced(points, t + transl, None, None)
        sought, n_joints, n = self._sought(None), self.n_joints, self.size
        d_points = self._d_points(posed, rotations, sought)
        d_points[self._unknown] = np.nan
        d_joints = np.zeros((n_joints, 3, n))
        d_joints[:, :, : sought.n_shapes] = self._d_joints_by_shape(a, sought)
        i, j = self._moving, self._moved
        joint_turn = np.zeros((n_joints, 3, n_joints, 3))
        joint_turn[j, :, i] = _crossed(a[i], t[j] - t[i])
        d_joints[:, :, sought.n_shapes : n - 3] = joint_turn.reshape(n_joints, 3, -1)
        d_joints[:, :, n - 3 :] = np.eye(3)
        return Reduced(points, t + transl, d_points, d_joints)

    def with_jacobian(
        self,
        betas: Array,
        rotations: Array,
        transl: Array,
        expression: Array | None,
        unknowns: npt.NDArray[np.int64] | None = None,
    ) -> tuple[Array, Array]:
        """Keypoints (K, 3), zeros for those that the body does not have, and their derivatives (K, 3, u) by some of the
        parameters.

        unknowns : (u,) rising, with all three of a joint's turn or none, and those of translation; None: all.
        """
        rotations = np.asarray(rotations)
        posed = self._pose_pairs(np.asarray(betas), rotations, expression)
        points = self._points(posed, np.asarray(transl))
        points[self._unknown] = 0.0
        return points, self._d_points(posed, rotations, self._sought(unknowns))

    def along(
        self,
        betas: Array,
        rotations: Array,
        transl: Array,
        expression: Array | None,
        direction: Callable[[Array], Array],
        unknowns: npt.NDArray[np.int64] | None = None,
    ) -> tuple[Array, Array]:
        """Keypoints (K, 3), and the derivatives (K, u) of their coordinates along a direction each.

        direction : from the keypoints (K, 3) to their directions (K, 3), of any length. unknowns : as in
            `with_jacobian`.
        """
        rotations, transl = np.asarray(rotations), np.asarray(transl)
        posed, sought = self._pose_pairs(np.asarray(betas), rotations, expression), self._sought(unknowns)
        points = self._points(posed, transl)
        by = direction(points)
        n_shapes, turns = sought.n_shapes, posed.turns
        rows = np.empty((sought.n, len(points)))
        local = np.einsum("pxy,px->py", turns[self._j], by[self._k])
        by_shape = self._sum @ np.einsum("px,pxs->ps", local, sought.shape)
        offset = self._d_joints_by_shape(turns, sought) - turns @ sought.joint_shape
        for axis in range(3):
            by_shape += by[:, axis, None] * (self._weights @ offset[:, axis])
        rows[:n_shapes] = by_shape.T
        # b . ((A w) x l) = w . A^T (l x b)
        (u, v, w), (x, y, z) = self._levers(posed, sought), by.T
        pulled = np.stack([v * z - w * y, w * x - u * z, u * y - v * x], axis=1)
        turn = turns[sought.joints].transpose(0, 2, 1) @ pulled
        if self._pose is not None:
            by_pose = np.einsum("kx,kxjc->jck", by, self._turn_by_pose_features(rotations, turns[self._j]))
            turned = sought.joints > 0
            turn[turned] += by_pose[sought.joints[turned] - 1]
        rows[n_shapes:-3] = turn.reshape(-1, len(points))
        rows[-3:] = self._total * by.T
        rows[:, self._unknown] = np.nan
        return points, rows.T

    def _d_points(self, posed: _PosedPairs, rotations: Array, sought: _Sought) -> Array:
        """Derivatives (K, 3, u) of the keypoints; zeros for those that the body does not have."""
        a, n_shapes = posed.turns, sought.n_shapes
        d_points = np.empty((len(self._total), 3, sought.n))
        offset = self._d_joints_by_shape(a, sought) - a @ sought.joint_shape
        d_parts = a[self._j] @ sought.shape + self._pair_weight[:, None, None] * offset[self._j]
        d_points[:, :, :n_shapes] = (self._sum @ d_parts.reshape(len(d_parts), -1)).reshape(-1, 3, n_shapes)
        # A turn of joint i about itself moves what hangs on it: d = (A_i w) x (sum of parts - their weight t_i).
        turn = d_points[:, :, n_shapes:-3].reshape(len(d_points), 3, -1, 3)
        x, y, z = a[sought.joints].transpose(1, 0, 2)  # (T, 3) each: rows
        u, v, w = (lever.T[..., None] for lever in self._levers(posed, sought))
        turn[:, 0], turn[:, 1], turn[:, 2] = y * w - z * v, z * u - x * w, x * v - y * u
        if self._pose is not None:
            turned = np.flatnonzero(sought.joints > 0)
            turn[:, :, turned] += self._turn_by_pose_features(rotations, a[self._j])[:, :, sought.joints[turned] - 1]
        d_points[:, :, -3:] = self._total[:, None, None] * np.eye(3)
        return d_points

    def _sought(self, unknowns: npt.NDArray[np.int64] | None) -> _Sought:
        """What is to be known for derivatives by some unknowns."""
        key = b"all" if unknowns is None else unknowns.tobytes()
        if key not in self._known_sought:
            chosen = np.arange(self.size) if unknowns is None else unknowns
            self._known_sought[key] = self._seeking(chosen)
        return self._known_sought[key]

    def _seeking(self, unknowns: npt.NDArray[np.int64]) -> _Sought:
        n_shapes, n_keypoints = self._shape.shape[-1], len(self._total)
        shapes = unknowns[unknowns < n_shapes]
        joints = np.unique((unknowns[len(shapes) : -3] - n_shapes) // 3)
        if len(unknowns) != len(shapes) + 3 * len(joints) + 3 or unknowns[-3] != self.size - 3:
            raise ValueError("some of a joint's turn is sought, not all, or translation is not")
        nearest = np.full(self.n_joints, -1)
        above: list[int] = []
        for joint, parent in enumerate(self.parents):
            nearest[joint] = nearest[parent] if parent >= 0 else -1
            if len(above) < len(joints) and joint == joints[len(above)]:
                above.append(int(nearest[joint]))
                nearest[joint] = len(above) - 1
        pairs = np.flatnonzero(nearest[self._j] >= 0)
        place = nearest[self._j[pairs]] * n_keypoints + self._k[pairs]
        shape = len(joints) * n_keypoints, len(self._k)
        hanging = sparse.csr_matrix((np.ones(len(pairs)), (place, pairs)), shape=shape)
        sought = _Sought(
            np.ascontiguousarray(self._shape[..., shapes]),
            np.ascontiguousarray(self._joint_shape[..., shapes]),
            joints,
            above,
            hanging,
            (hanging @ self._pair_weight).reshape(len(joints), n_keypoints),
        )
        sought.gathered(sought.weight)
        return sought

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

    def _levers(self, posed: _PosedPairs, sought: _Sought) -> Array:
        """From each joint to what hangs on it, times the weight of that: (3, T, K)."""
        hung = np.ascontiguousarray((sought.hanging @ posed.parts).T).reshape(3, len(sought.joints), -1)
        sought.gathered(hung.swapaxes(0, 1))
        hung -= posed.places[sought.joints].T[..., None] * sought.weight
        return hung

    def _d_joints_by_shape(self, a: Array, sought: _Sought) -> Array:
        """Derivative (J, 3, S) of the joints' positions by betas and expression."""
        by_shape = sought.joint_shape
        d_t = np.empty_like(by_shape)
        d_t[0] = by_shape[0]
        for j, p in self._levels:
            d_t[j] = d_t[p] + a[p] @ (by_shape[j] - by_shape[p])
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
