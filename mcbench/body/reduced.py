"""A body reduced to what a fit looks at: joints and keypoints, with exact derivatives.

A keypoint is a weighted mean of vertices, and linear blend skinning is linear in the vertices. So a keypoint k that
reads vertices u with weights r_ku is, for skinning weights w_uj and the joints' rigid motions (A_j, t_j),

    p_k = sum_j [ A_j m_kj + s_kj (t_j - A_j J_j) ] + S_k transl,   m_kj = sum_u r_ku w_uj v_u,   s_kj = sum_u r_ku w_uj

where J_j is the joint's rest position and S_k the sum of its weights. The moments m are linear in the shape (and in
the pose features of a model with pose blend shapes), so no vertex is touched at run time. Skinning as in Loper et
al., "SMPL: A Skinned Multi-Person Linear Model" (2015), section 3; derivatives by perturbing each joint's rotation
on the right.
"""

from __future__ import annotations

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
    points : (K, 3), NaN for keypoints that the body does not have. joints : (24, 3).
    d_points : (K, 3, n), d_joints : (24, 3, n) derivatives by (betas, w (24 x 3), transl); None where not asked for.
    """

    points: Array
    joints: Array
    d_points: Array | None
    d_joints: Array | None


class ReducedBody:
    """Keypoints and joints of a body model as functions of shape, pose and place.

    Parameters
    ----------
    body : the model.
    regressor : (K, V) sparse; rows read keypoints from the posed vertices, an empty row is an unknown keypoint.
    """

    def __init__(self, body: BodyModel, regressor: sparse.csr_matrix) -> None:
        regressor = sparse.csr_matrix(regressor)
        used = np.unique(regressor.indices)
        r = regressor[:, used].toarray()
        w = body.skinning[used]
        self.n_betas = body.n_betas
        self.parents = body.parents
        self._unknown = np.diff(regressor.indptr) == 0
        self._weight = np.einsum("ku,uj->kj", r, w)
        pairs = np.nonzero(np.einsum("ku,uj->kj", np.abs(r), w) > 0)
        # Moments of the (keypoint, joint) pairs that matter: m = rest + shape @ betas (+ pose @ features).
        self._k, self._j = pairs
        blend = r[self._k] * w[:, self._j].T  # (pairs, used vertices)
        self._rest = blend @ body.v_template[used]
        self._shape = np.einsum("pu,uxb->pxb", blend, body.shapedirs[used])
        self._pose = None if body.posedirs is None else np.einsum("pu,uxf->pxf", blend, body.posedirs[used])
        self._joint_rest = body.joint_template
        self._joint_shape = body.joint_shapedirs
        # below[i, j]: joint j is moved by a turn of joint i.
        self._below = np.eye(24)
        for j in range(1, 24):
            self._below[:, j] += self._below[:, self.parents[j]]
        # One matrix sums pairs to keypoints.
        self._sum = sparse.csr_matrix(
            (np.ones(len(self._k)), (self._k, np.arange(len(self._k)))), shape=(regressor.shape[0], len(self._k))
        ).toarray()
        self._pair_weight = self._weight[self._k, self._j]

    @property
    def size(self) -> int:
        """Number n of parameters: betas, 24 x 3 rotation, 3 translation."""
        return self.n_betas + 72 + 3

    def evaluate(self, betas: Array, rotations: Array, transl: Array, jacobian: bool = True) -> Reduced:
        """Keypoints and joints, with derivatives.

        Parameters
        ----------
        betas : (B,). rotations : (24, 3, 3) of every joint relative to its parent (the root's: to the world).
        transl : (3,) SMPL's translation, metres.
        jacobian : whether to compute derivatives. Those by w are at w = 0 of `rotations[j] @ exp(w[j])`.
        """
        betas, rotations, transl = np.asarray(betas), np.asarray(rotations), np.asarray(transl)
        rest = self._joint_rest + self._joint_shape @ betas
        a, t = self._motions(rest, rotations)
        moments = self._rest + self._shape @ betas
        if self._pose is not None:
            moments = moments + self._pose @ (rotations[1:] - np.eye(3)).ravel()
        weight = self._pair_weight
        a_pair = a[self._j]
        offset = t - np.einsum("jxy,jy->jx", a, rest)
        parts = np.einsum("pxy,py->px", a_pair, moments) + weight[:, None] * offset[self._j]
        total = self._weight.sum(1)
        points = self._sum @ parts + total[:, None] * transl
        points[self._unknown] = np.nan
        joints = t + transl
        if not jacobian:
            return Reduced(points, joints, None, None)

        n_points, nb, n = len(points), self.n_betas, self.size
        d_t = self._d_joints_by_shape(a)
        d_points = np.zeros((n_points, 3, n))
        d_joints = np.zeros((24, 3, n))
        d_joints[:, :, :nb] = d_t
        d_offset = d_t - np.einsum("jxy,jyb->jxb", a, self._joint_shape)
        d_parts = np.einsum("pxy,pyb->pxb", a_pair, self._shape) + weight[:, None, None] * d_offset[self._j]
        d_points[:, :, :nb] = np.einsum("kp,pxb->kxb", self._sum, d_parts, optimize=True)

        # A turn of joint i about itself moves what hangs on it: d = (A_i w) x (sum of parts - their weight t_i).
        below_pair = self._below[:, self._j]  # (24, pairs)
        sums = np.einsum("ip,kp,px->kix", below_pair, self._sum, parts, optimize=True)
        weights = np.einsum("ip,kp,p->ki", below_pair, self._sum, weight, optimize=True)
        lever = sums - weights[..., None] * t
        turn = -np.einsum("kixy,iyz->kxiz", skew(lever), a)
        if self._pose is not None:
            turn[:, :, 1:] += self._turn_by_pose_features(rotations, a_pair)
        d_points[:, :, nb : nb + 72] = turn.reshape(n_points, 3, 72)
        joint_lever = self._below.T[..., None] * (t[:, None] - t[None])
        d_joints[:, :, nb : nb + 72] = -np.einsum("jixy,iyz->jxiz", skew(joint_lever), a).reshape(24, 3, 72)
        d_points[:, :, nb + 72 :] = total[:, None, None] * np.eye(3)
        d_joints[:, :, nb + 72 :] = np.eye(3)
        d_points[self._unknown] = np.nan
        return Reduced(points, joints, d_points, d_joints)

    def _motions(self, rest: Array, rotations: Array) -> tuple[Array, Array]:
        """World rotation (24, 3, 3) and position (24, 3) of every joint, before `transl`."""
        a, t = np.empty((24, 3, 3)), np.empty((24, 3))
        a[0], t[0] = rotations[0], rest[0]
        for j in range(1, 24):
            p = self.parents[j]
            a[j] = a[p] @ rotations[j]
            t[j] = t[p] + a[p] @ (rest[j] - rest[p])
        return a, t

    def _d_joints_by_shape(self, a: Array) -> Array:
        """Derivative (24, 3, B) of the joints' positions by betas."""
        d_t = np.empty_like(self._joint_shape)
        d_t[0] = self._joint_shape[0]
        for j in range(1, 24):
            p = self.parents[j]
            d_t[j] = d_t[p] + a[p] @ (self._joint_shape[j] - self._joint_shape[p])
        return d_t

    def _turn_by_pose_features(self, rotations: Array, a_pair: Array) -> Array:
        """What turns of the 23 body joints do by way of pose blend shapes: (K, 3, 23, 3)."""
        assert self._pose is not None
        generators = skew(np.eye(3))  # (3, 3, 3): the derivative of exp(w) at 0 along each axis
        d_rotation = np.einsum("jxy,cyz->jxzc", rotations[1:], generators).reshape(23, 9, 3)
        pose = self._pose.reshape(*self._pose.shape[:2], 23, 9)
        moved = np.einsum("pxjf,jfc->pxjc", pose, d_rotation, optimize=True)
        return np.einsum("kp,pxy,pyjc->kxjc", self._sum, a_pair, moved, optimize=True)
