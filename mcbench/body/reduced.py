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
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

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


class ReducedBody:
    """Keypoints and joints of a body model as functions of shape, expression, pose and place.

    Parameters
    ----------
    body : the model, of J joints. regressor : (K, V) sparse; rows read keypoints from the posed vertices, an empty row
        is an unknown keypoint.
    """

    def __init__(self, body: BodyModel, regressor: sparse.csr_matrix) -> None:
        regressor = sparse.csr_matrix(regressor)
        used = np.unique(regressor.indices)
        r = regressor[:, used].toarray()
        w = body.skinning[used]
        self.n_betas = body.n_betas
        self.n_expression = body.n_expression
        self.n_joints = body.n_joints
        self.parents = body.parents
        self._unknown = np.diff(regressor.indptr) == 0
        weight = np.einsum("ku,uj->kj", r, w)
        # Moments of the (keypoint, joint) pairs that matter: m = rest + shape @ coefficients (+ pose @ features).
        self._k, self._j = np.nonzero(np.einsum("ku,uj->kj", np.abs(r), w) > 0)
        blend = r[self._k] * w[:, self._j].T  # (pairs, used vertices)
        self._rest = blend @ body.v_template[used]
        shapes, joint_shapes = body.shapedirs, body.joint_shapedirs
        if body.expression_dirs is not None:
            shapes = np.concatenate([shapes, body.expression_dirs], axis=-1)
            joint_shapes = np.concatenate([joint_shapes, body.joint_expression_dirs], axis=-1)
        self._shape = np.einsum("pu,uxb->pxb", blend, shapes[used])
        self._pose = None if body.posedirs is None else np.einsum("pu,uxf->pxf", blend, body.posedirs[used])
        self.joint_template = body.joint_template
        self._joint_shape = joint_shapes
        # below[i, j]: joint j is moved by a turn of joint i.
        self._below = np.eye(self.n_joints)
        for j in range(1, self.n_joints):
            self._below[:, j] += self._below[:, self.parents[j]]
        # One matrix sums pairs to keypoints.
        self._sum = _summing(self._k, regressor.shape[0])
        self._pair_weight = weight[self._k, self._j]
        self._total = weight.sum(1)
        self._weight_below = weight @ self._below.T

    def keypoints(self, chosen: npt.NDArray[np.int64]) -> ReducedBody:
        """The same body with the keypoints `chosen` (L,) of its K."""
        part = copy.copy(self)
        place = np.full(len(self._total), -1)
        place[chosen] = np.arange(len(chosen))
        pairs = np.flatnonzero(place[self._k] >= 0)
        part._k, part._j = place[self._k[pairs]], self._j[pairs]
        part._rest, part._shape, part._pair_weight = self._rest[pairs], self._shape[pairs], self._pair_weight[pairs]
        part._pose = None if self._pose is None else self._pose[pairs]
        part._unknown, part._total = self._unknown[chosen], self._total[chosen]
        part._weight_below = self._weight_below[chosen]
        part._sum = _summing(part._k, len(chosen))
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
        shape = np.asarray(betas)
        if self.n_expression:
            shape = np.concatenate([shape, np.zeros(self.n_expression) if expression is None else expression])
        rest = self.joint_template + self._joint_shape @ shape
        a, t = self._motions(rest, rotations)
        moments = self._rest + self._shape @ shape
        if self._pose is not None:
            moments = moments + self._pose @ (rotations[1:] - np.eye(3)).ravel()
        weight = self._pair_weight
        a_pair = a[self._j]
        offset = t - np.einsum("jxy,jy->jx", a, rest)
        parts = np.einsum("pxy,py->px", a_pair, moments) + weight[:, None] * offset[self._j]
        points = self._sum @ parts + self._total[:, None] * transl
        points[self._unknown] = np.nan
        joints = t + transl
        if not jacobian:
            return Reduced(points, joints, None, None)

        n_points, n_shape, n_joints, n = len(points), len(shape), self.n_joints, self.size
        turns = slice(n_shape, n - 3)
        d_t = self._d_joints_by_shape(a)
        d_points = np.zeros((n_points, 3, n))
        d_joints = np.zeros((n_joints, 3, n))
        d_joints[:, :, :n_shape] = d_t
        d_offset = d_t - a @ self._joint_shape
        d_parts = a_pair @ self._shape + weight[:, None, None] * d_offset[self._j]
        d_points[:, :, :n_shape] = (self._sum @ d_parts.reshape(len(weight), -1)).reshape(n_points, 3, n_shape)

        # A turn of joint i about itself moves what hangs on it: d = (A_i w) x (sum of parts - their weight t_i).
        by_joint = np.zeros((n_points, 3, n_joints))
        by_joint[self._k, :, self._j] = parts
        lever = by_joint @ self._below.T - self._weight_below[:, None] * t.T
        turn = _crossed(a, lever)
        if self._pose is not None:
            turn[:, :, 1:] += self._turn_by_pose_features(rotations, a_pair)
        d_points[:, :, turns] = turn.reshape(n_points, 3, -1)
        joint_lever = self._below.T[:, None] * (t[:, :, None] - t.T)
        d_joints[:, :, turns] = _crossed(a, joint_lever).reshape(n_joints, 3, -1)
        d_points[:, :, n - 3 :] = self._total[:, None, None] * np.eye(3)
        d_joints[:, :, n - 3 :] = np.eye(3)
        d_points[self._unknown] = np.nan
        return Reduced(points, joints, d_points, d_joints)

    def _motions(self, rest: Array, rotations: Array) -> tuple[Array, Array]:
        """World rotation (J, 3, 3) and position (J, 3) of every joint, before `transl`."""
        a, t = np.empty((self.n_joints, 3, 3)), np.empty((self.n_joints, 3))
        a[0], t[0] = rotations[0], rest[0]
        for j in range(1, self.n_joints):
            p = self.parents[j]
            a[j] = a[p] @ rotations[j]
            t[j] = t[p] + a[p] @ (rest[j] - rest[p])
        return a, t

    def _d_joints_by_shape(self, a: Array) -> Array:
        """Derivative (J, 3, B + E) of the joints' positions by betas and expression."""
        d_t = np.empty_like(self._joint_shape)
        d_t[0] = self._joint_shape[0]
        for j in range(1, self.n_joints):
            p = self.parents[j]
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


def _summing(owner: npt.NDArray[np.int64], count: int) -> sparse.csr_matrix:
    """The matrix (count, N) that adds up N rows by their owner (N,)."""
    return sparse.csr_matrix((np.ones(len(owner)), (owner, np.arange(len(owner)))), shape=(count, len(owner)))


def _crossed(a: Array, lever: Array) -> Array:
    """(K, 3, J, 3): the columns of the rotations a (J, 3, 3), crossed with levers (K, 3, J)."""
    x, y, z = a.swapaxes(0, 1)  # (J, 3) each: rows of all rotations
    u, v, w = lever.swapaxes(0, 1)[..., None]  # (K, J, 1) each
    return np.stack([y * w - z * v, z * u - x * w, x * v - y * u], axis=1)
