"""Levenberg-Marquardt on problems that give their own normal equations.

A problem linearises itself at a state (any object: rotations need no flat vector) into a quadratic model whose
normal equations it knows how to solve, dense or with the structure of the problem. Nothing here knows of bodies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from scipy.linalg import LinAlgError, cho_factor, cho_solve

Array = npt.NDArray[np.float64]
S = TypeVar("S")

_MAX_DAMPING = 1e12
_MAX_STRETCH = 1.6


class System(Protocol):
    """Quadratic model of an energy E at a state: E + g.d + d.H.d / 2 for a step d."""

    @property
    def value(self) -> float:
        """The energy E at the state."""

    def solve(self, damping: float) -> tuple[Array, float]:
        """Minimiser d of the model with H + damping * diag(H), and the decrease of E that the model predicts.

        Raises `scipy.linalg.LinAlgError` where the damped matrix is not positive definite.
        """


class Problem(Protocol[S]):
    """An energy over states of type S."""

    def linearise(self, state: S) -> System:
        """The quadratic model at `state`."""

    def retract(self, state: S, step: Array) -> S:
        """The state reached from `state` by a step in its tangent space."""


@dataclass(frozen=True)
class Solution(Generic[S]):
    """What `minimise` found.

    Attributes
    ----------
    state : the best state.
    system : the quadratic model there.
    iterations : number of linearisations after the first.
    converged : the steps or gains had become negligible before `max_iterations`.
    """

    state: S
    system: System
    iterations: int
    converged: bool

    @property
    def value(self) -> float:
        return self.system.value


def minimise(
    problem: Problem[S], state: S, *, max_iterations: int = 100, tolerance: float = 1e-7, damping: float = 1e-3
) -> Solution[S]:
    """Levenberg-Marquardt with Marquardt's scaling and Nielsen's update of the damping.

    K. Madsen, H. B. Nielsen, O. Tingleff, "Methods for non-linear least squares problems", 2004, section 3.2. Of robust
    kernels, reweighted normal equations are too steep, so a step is stretched by what the gain of the one before says.

    Parameters
    ----------
    problem : the energy.
    state : where to start.
    max_iterations : bound on linearisations after the first.
    tolerance : stop when the model predicts a relative gain below this.
    damping : first damping, relative to the diagonal of the normal matrix.
    """
    system = problem.linearise(state)
    growth, stretch = 2.0, 1.0
    for iteration in range(max_iterations):
        try:
            step, predicted = system.solve(damping)
        except LinAlgError:
            damping, growth = damping * growth, growth * 2
            if damping > _MAX_DAMPING:
                return Solution(state, system, iteration, False)
            continue
        if predicted <= tolerance * max(abs(system.value), np.finfo(float).tiny):
            return Solution(state, system, iteration, True)
        trial = problem.retract(state, stretch * step)
        trial_system = problem.linearise(trial)
        fall = (system.value - trial_system.value) / predicted
        if np.isfinite(fall) and fall > 0:
            state, system = trial, trial_system
            # along the step: predicted (2 x - x^2) if it were as steep as the model says, (2 x - steepness x^2) in fact
            gain = fall / (stretch * (2 - stretch))
            steepness = (2 * stretch - fall) / stretch**2
            stretch = 1 / min(max(steepness, 1 / _MAX_STRETCH), 1.0)
            damping, growth = damping * max(1 / 3, 1 - (2 * gain - 1) ** 3), 2.0
        else:
            damping, growth, stretch = damping * growth, growth * 2, 1.0
            if damping > _MAX_DAMPING:
                return Solution(state, system, iteration + 1, True)
    return Solution(state, system, max_iterations, False)


@dataclass(frozen=True)
class Condensed:
    """Normal equations from which the unknowns that belong to one system alone, and come cheap, are eliminated.

    Attributes
    ----------
    hessian, gradient : over the n unknowns that are left, the last of which may be shared with other systems: these
        are not damped, the others are. diagonal : (m,) of the shared unknowns, before the elimination.
    expand : from a step (n,) of what is left to the step of all unknowns.
    """

    hessian: Array
    gradient: Array
    diagonal: Array
    expand: Callable[[Array], Array]


class Block(Protocol):
    """A system that may share its last unknowns with others."""

    @property
    def value(self) -> float:
        """The energy."""

    def condense(self, damping: float, shared: int) -> Condensed:
        """The normal equations of what is not eliminated, all damped but the last `shared` unknowns."""

    def decrease(self, step: Array) -> float:
        """What the energy falls by with a step of all unknowns."""


@dataclass(frozen=True)
class DenseSystem:
    """Normal equations without structure: value E, gradient (n,), hessian (n, n)."""

    value: float
    gradient: Array
    hessian: Array

    def solve(self, damping: float) -> tuple[Array, float]:
        return _solve_alone(self, damping)

    def condense(self, damping: float, shared: int) -> Condensed:
        diagonal = np.diagonal(self.hessian)
        own = len(diagonal) - shared
        hessian = self.hessian.copy()
        hessian[range(own), range(own)] += _added(diagonal[:own], diagonal[:own], damping)
        return Condensed(hessian, self.gradient, diagonal[own:], lambda step: step)

    def decrease(self, step: Array) -> float:
        return -float(step @ self.gradient + 0.5 * step @ self.hessian @ step)


@dataclass(frozen=True)
class OffsetSystem:
    """Normal equations of n unknowns that move K points, each of which has an offset of its own, too.

    A step is (d (n,), o (K, 3) flattened): point k moves by J_k d + o_k. The offsets see each other through d alone,
    so they are eliminated exactly, by the Schur complement of 3 x 3 blocks: B. Triggs et al., "Bundle adjustment - a
    modern synthesis" (2000), section 6.1.

    Attributes
    ----------
    value : the energy.
    rest : the terms that do not look at the points, over the n unknowns (its value is not used).
    jacobian : (K, 3, n) how the unknowns move the points.
    point_gradient : (K, 3), point_hessian : (K, 3, 3) of the terms that look at the points, by the points.
    offsets : (K, 3) the present ones. precision : (K,) of their prior, centred on zero.
    """

    value: float
    rest: DenseSystem
    jacobian: Array
    point_gradient: Array
    point_hessian: Array
    offsets: Array
    precision: Array

    @property
    def gradient(self) -> Array:
        """(n + 3 K,) of the energy."""
        return np.concatenate([self._outer_gradient(self.point_gradient), self._offset_gradient.ravel()])

    @property
    def _offset_gradient(self) -> Array:
        return self.point_gradient + self.precision[:, None] * self.offsets

    def _outer_gradient(self, by_points: Array) -> Array:
        flat = self.jacobian.reshape(-1, self.jacobian.shape[-1])
        return self.rest.gradient + by_points.ravel() @ flat

    def solve(self, damping: float) -> tuple[Array, float]:
        return _solve_alone(self, damping)

    def condense(self, damping: float, shared: int = 0) -> Condensed:
        n = self.jacobian.shape[-1]
        own = n - shared
        flat = self.jacobian.reshape(-1, n)
        weighted = self.point_hessian @ self.jacobian
        diagonal = np.diagonal(self.rest.hessian) + (flat * weighted.reshape(flat.shape)).sum(0)
        offset_diagonal = np.diagonal(self.point_hessian, axis1=1, axis2=2) + self.precision[:, None]
        all_own = np.concatenate([diagonal[:own], offset_diagonal.ravel()])
        added = self.precision[:, None] + _added(offset_diagonal, all_own, damping)  # (K, 3): what only offsets feel
        inverse = np.linalg.inv(self.point_hessian + added[:, :, None] * np.eye(3))
        # N - N (N + A)^-1 N = N (N + A)^-1 A, without the loss of digits
        carried = self.point_hessian @ inverse
        felt = carried * added[:, None]
        felt = (felt + np.swapaxes(felt, 1, 2)) / 2
        hessian = self.rest.hessian + flat.T @ (felt @ self.jacobian).reshape(flat.shape)
        hessian[range(own), range(own)] += _added(diagonal[:own], all_own, damping)
        offset_gradient = self._offset_gradient
        gradient = self._outer_gradient(self.point_gradient - (carried @ offset_gradient[..., None])[..., 0])

        def expand(step: Array) -> Array:
            pulled = offset_gradient + (self.point_hessian @ (self.jacobian @ step)[..., None])[..., 0]
            return np.concatenate([step, -(inverse @ pulled[..., None]).ravel()])

        return Condensed(hessian, gradient, diagonal[own:], expand)

    def decrease(self, step: Array) -> float:
        n = self.jacobian.shape[-1]
        own, offsets = step[:n], step[n:].reshape(-1, 3)
        moved = self.jacobian @ own + offsets
        curvature = float((moved * (self.point_hessian @ moved[..., None])[..., 0]).sum())
        curvature += float(own @ self.rest.hessian @ own) + float(self.precision @ (offsets**2).sum(1))
        return -float(step @ self.gradient) - 0.5 * curvature

    def covariance(self) -> Array:
        """(n, n) the part of the inverse of the whole normal matrix that belongs to the unknowns other than offsets."""
        return np.asarray(np.linalg.inv(self.condense(0.0).hessian))


@dataclass(frozen=True)
class ArrowSystem:
    """Normal equations of blocks that see each other only through a few shared unknowns.

    The step is the blocks' own steps one after another, then the shared one; solved by the Schur complement of the
    shared unknowns, so time grows linearly with the number of blocks.

    Attributes
    ----------
    blocks : systems, the last `shared` of whose unknowns (in an `OffsetSystem`: of those before the offsets) are the
        ones that all of them share.
    """

    blocks: Sequence[Block]
    shared: int

    @property
    def value(self) -> float:
        return sum(block.value for block in self.blocks)

    def solve(self, damping: float) -> tuple[Array, float]:
        condensed = [block.condense(damping, self.shared) for block in self.blocks]
        factors = [cho_factor(c.hessian[: -self.shared, : -self.shared]) for c in condensed]
        diagonal = np.sum([c.diagonal for c in condensed], axis=0)
        schur = np.diag(_added(diagonal, diagonal, damping))
        rhs = np.zeros(self.shared)
        for c, factor in zip(condensed, factors, strict=True):
            coupling = c.hessian[: -self.shared, -self.shared :]
            schur += c.hessian[-self.shared :, -self.shared :] - coupling.T @ cho_solve(factor, coupling)
            rhs += coupling.T @ cho_solve(factor, c.gradient[: -self.shared]) - c.gradient[-self.shared :]
        common = cho_solve(cho_factor(schur), rhs)
        steps, decrease = [], 0.0
        for block, c, factor in zip(self.blocks, condensed, factors, strict=True):
            own = len(c.gradient) - self.shared
            step = -cho_solve(factor, c.gradient[:own] + c.hessian[:own, own:] @ common)
            whole = c.expand(np.concatenate([step, common]))
            decrease += block.decrease(whole)
            steps += [whole[:own], whole[own + self.shared :]]
        return np.concatenate([*steps, common]), decrease

    def shared_covariance(self) -> Array:
        """Inverse (m, m) of the Schur complement: the marginal covariance of the shared unknowns."""
        schur = np.zeros((self.shared, self.shared))
        for block in self.blocks:
            hessian = block.condense(0.0, self.shared).hessian
            coupling = hessian[: -self.shared, -self.shared :]
            own = cho_factor(hessian[: -self.shared, : -self.shared])
            schur += hessian[-self.shared :, -self.shared :] - coupling.T @ cho_solve(own, coupling)
        return np.asarray(np.linalg.inv(schur))


def _solve_alone(block: Block, damping: float) -> tuple[Array, float]:
    condensed = block.condense(damping, 0)
    step = condensed.expand(-cho_solve(cho_factor(condensed.hessian), condensed.gradient))
    return step, block.decrease(step)


def _added(diagonal: Array, of_all: Array, damping: float) -> Array:
    """What damping adds to a part `diagonal` of the normal matrix's diagonal `of_all`."""
    floor = 1e-9 * max(float(of_all.max(initial=0.0)), 1e-12)  # unknowns that nothing determines stay put
    return np.asarray(damping * np.maximum(diagonal, floor) + floor * 1e-3)


@dataclass(frozen=True)
class LeastSquares:
    """The problem 1/2 sum rho(r_i(x)^2) over plain vectors x.

    Attributes
    ----------
    residuals : x (n,) to (r (m,), dr/dx (m, n)).
    kernel : squared residuals (m,) to (rho, weight); None for plain least squares.
    """

    residuals: Callable[[Array], tuple[Array, Array]]
    kernel: Callable[[Array], tuple[Array, Array]] | None = None

    def linearise(self, state: Array) -> DenseSystem:
        r, jacobian = self.residuals(state)
        rho, weight = (r**2, np.ones_like(r)) if self.kernel is None else self.kernel(r**2)
        weighted = weight[:, None] * jacobian
        return DenseSystem(0.5 * float(rho.sum()), weighted.T @ r, weighted.T @ jacobian)

    def retract(self, state: Array, step: Array) -> Array:
        return state + step
