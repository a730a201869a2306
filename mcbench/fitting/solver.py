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

    K. Madsen, H. B. Nielsen, O. Tingleff, "Methods for non-linear least squares problems", 2004, section 3.2.

    Parameters
    ----------
    problem : the energy.
    state : where to start.
    max_iterations : bound on linearisations after the first.
    tolerance : stop when the model predicts a relative gain below this.
    damping : first damping, relative to the diagonal of the normal matrix.
    """
    system = problem.linearise(state)
    growth = 2.0
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
        trial = problem.retract(state, step)
        trial_system = problem.linearise(trial)
        gain = (system.value - trial_system.value) / predicted
        if np.isfinite(gain) and gain > 0:
            state, system = trial, trial_system
            damping, growth = damping * max(1 / 3, 1 - (2 * gain - 1) ** 3), 2.0
        else:
            damping, growth = damping * growth, growth * 2
            if damping > _MAX_DAMPING:
                return Solution(state, system, iteration + 1, True)
    return Solution(state, system, max_iterations, False)


@dataclass(frozen=True)
class DenseSystem:
    """Normal equations without structure: value E, gradient (n,), hessian (n, n)."""

    value: float
    gradient: Array
    hessian: Array

    def solve(self, damping: float) -> tuple[Array, float]:
        factor = cho_factor(_damped(self.hessian, damping))
        step = -cho_solve(factor, self.gradient)
        return step, _decrease(step, self.gradient, self.hessian)


@dataclass(frozen=True)
class ArrowSystem:
    """Normal equations of blocks that see each other only through a few shared unknowns.

    The step is the blocks' steps one after another, then the shared one; solved by the Schur complement of the
    shared unknowns, so time grows linearly with the number of blocks.

    Attributes
    ----------
    value : the energy.
    blocks : a `DenseSystem` (its value is not used) for each block, n_i unknowns.
    coupling : (n_i, m) second derivatives between block i and the shared unknowns.
    shared : a `DenseSystem` (its value is not used) of the m shared unknowns.
    """

    value: float
    blocks: Sequence[DenseSystem]
    coupling: Sequence[Array]
    shared: DenseSystem

    def solve(self, damping: float) -> tuple[Array, float]:
        factors = [cho_factor(_damped(block.hessian, damping)) for block in self.blocks]
        schur = _damped(self.shared.hessian, damping)
        rhs = -self.shared.gradient
        for block, factor, coupling in zip(self.blocks, factors, self.coupling, strict=True):
            schur = schur - coupling.T @ cho_solve(factor, coupling)
            rhs = rhs + coupling.T @ cho_solve(factor, block.gradient)
        common = cho_solve(cho_factor(schur), rhs)
        steps, decrease = [], _decrease(common, self.shared.gradient, self.shared.hessian)
        for block, factor, coupling in zip(self.blocks, factors, self.coupling, strict=True):
            step = -cho_solve(factor, block.gradient + coupling @ common)
            decrease += _decrease(step, block.gradient, block.hessian) - float(step @ coupling @ common)
            steps.append(step)
        return np.concatenate([*steps, common]), decrease

    def shared_covariance(self) -> Array:
        """Inverse (m, m) of the Schur complement: the marginal covariance of the shared unknowns."""
        schur = self.shared.hessian.copy()
        for block, coupling in zip(self.blocks, self.coupling, strict=True):
            schur -= coupling.T @ cho_solve(cho_factor(block.hessian), coupling)
        return np.asarray(np.linalg.inv(schur))


def _damped(hessian: Array, damping: float) -> Array:
    diagonal = np.diagonal(hessian)
    floor = 1e-9 * max(float(diagonal.max(initial=0.0)), 1e-12)  # unknowns that nothing determines stay put
    return hessian + np.diag(damping * np.maximum(diagonal, floor) + floor * 1e-3)


def _decrease(step: Array, gradient: Array, hessian: Array) -> float:
    return -float(step @ gradient + 0.5 * step @ hessian @ step)


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
