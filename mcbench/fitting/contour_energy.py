"""The energy of a body's outlines: how far its rims project from where images show them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import sparse

from mcbench.body.formats import N_SHARED
from mcbench.body.model import BodyModel
from mcbench.body.reduced import ReducedBody
from mcbench.cameras.views import Views
from mcbench.fitting.contours import ContourReadings
from mcbench.fitting.observations import view_weights
from mcbench.fitting.robust import geman_mcclure
from mcbench.fitting.solver import DenseSystem
from mcbench.fitting.state import BodyState

Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Standard deviation of a reading, px, and of the outline of whom the body model cannot be, metres: the open body's
#: shapes leave 4 mm of real ones, and clothes are no skin.
_READING_PX, _MODEL_M = 1.0, 0.005
#: Readings nearer to each other than this along an outline err alike, metres, and those of views nearer than
#: `_CORRELATION_DEG`, as the body's misfit is the same in them.
_CORRELATION_M, _CORRELATION_DEG = 0.04, 10.0
_KERNEL = 3.0


@dataclass(frozen=True)
class ContourTerm:
    """Robust point-to-line errors of M points of a body's rims, in px.

    Attributes
    ----------
    rim : the body reduced to the M points.
    K : (M, 3, 3) px. cam_from_world : (M, 3, 4), of each point's view.
    normal : (M, 2), place : (M,) px, as in `ContourReadings`. vertex : (M,) a vertex at each point.
    sigma : (M,) standard deviations, px. weight : (M,) share of an independent reading that each counts for.
    """

    rim: ReducedBody
    K: Array
    cam_from_world: Array
    normal: Array
    place: Array
    vertex: IntArray
    sigma: Array
    weight: Array

    @classmethod
    def of_readings(cls, readings: ContourReadings, body: BodyModel, views: Views, centre: Array) -> ContourTerm:
        """The term for readings in `views`, in metres, of a person about `centre` (3,)."""
        count = len(readings)
        rows = np.repeat(np.arange(count), 2)
        middle = sparse.csr_matrix(
            (np.full(2 * count, 0.5), (rows, readings.edge.ravel())), shape=(count, body.n_vertices)
        )
        K, cam_from_world = views.K[readings.view], views.cam_from_world[readings.view]
        px_per_m = np.sqrt(K[:, 0, 0] * K[:, 1, 1]) / readings.depth
        of_view = view_weights(views.cam_from_world, centre, _CORRELATION_DEG)
        along = np.minimum(1.0, readings.spacing_px / px_per_m / _CORRELATION_M)
        return cls(
            ReducedBody(body, middle),
            K,
            cam_from_world,
            readings.normal,
            readings.place,
            readings.edge[:, 0],
            np.hypot(_READING_PX, px_per_m * _MODEL_M),
            of_view[readings.view] * along,
        )

    def grown(self, factor: float) -> ContourTerm:
        """The same in a world larger by `factor`."""
        cam_from_world = self.cam_from_world.copy()
        cam_from_world[:, :, 3] *= factor
        return replace(self, cam_from_world=cam_from_world)

    def without(self, part: npt.NDArray[np.bool_]) -> ContourTerm:
        """The same with nothing read of a part (V,) of the body."""
        return replace(self, weight=np.where(part[self.vertex], 0.0, self.weight))

    def linearise(self, body: BodyState, shrink: float, active: IntArray | None = None) -> DenseSystem:
        """Quadratic model over the body's unknowns and, last, the log of the scale by which it is shrunk.

        body : the body, its translation in the views' world. shrink : the views' units a metre. active : the
        unknowns of the body that are sought, rising, translation last; None: all. Of the others nothing is said.
        """
        focal = np.stack([self.K[:, 0, 0], self.K[:, 1, 1]], axis=-1)
        residual = by_point = np.zeros(0)

        def look(at_origin: Array) -> Array:
            """Where the points are seen from outlines, and how that changes as they move."""
            nonlocal residual, by_point
            cam = (self.cam_from_world[:, :, :3] @ (at_origin * shrink + body.transl)[..., None])[..., 0]
            cam += self.cam_from_world[:, :, 3]
            depth = np.maximum(cam[:, 2], 1e-3)
            image = cam[:, :2] / depth[:, None]
            residual = ((focal * image + self.K[:, :2, 2]) * self.normal).sum(1) - self.place
            along = self.normal * focal / depth[:, None]
            by_cam = np.concatenate([along, -(along * image).sum(1, keepdims=True)], axis=1)
            by_point = (by_cam[:, None] @ self.cam_from_world[:, :, :3])[:, 0]
            return by_point

        # fingers, jaw and eyes are too small for outlines to tell how they are turned
        size = body.size
        moving = np.r_[: body.first_turn + 3 * N_SHARED, size - 3 : size]
        moving = moving if active is None else np.intersect1d(moving, active)
        points, rows = self.rim.along(body.betas, body.rotations, np.zeros(3), body.expression, look, moving)
        rho, robust = geman_mcclure((residual / self.sigma) ** 2, _KERNEL)
        root = np.sqrt(robust * self.weight) / self.sigma
        # a row an unknown: the product of a matrix and its own transpose takes half the time of any other
        weighted = np.empty((len(moving) + 1, len(residual)))
        np.multiply(rows.T, shrink * root, out=weighted[:-1])
        np.multiply(by_point.T, root, out=weighted[-4:-1])  # transl is in the views' world
        weighted[-1] = -(by_point * points).sum(1) * shrink * root
        value = 0.5 * float((self.weight * rho).sum())
        gradient, hessian = np.zeros(size + 1), np.zeros((size + 1, size + 1))
        moving = np.append(moving, size)
        gradient[moving] = weighted @ (root * residual)
        hessian[np.ix_(moving, moving)] = weighted @ weighted.T
        return DenseSystem(value, gradient, hessian)
