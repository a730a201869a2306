"""The solver on problems whose minimum is known."""

from __future__ import annotations

import numpy as np
import pytest

from mcbench.fitting.robust import geman_mcclure
from mcbench.fitting.solver import ArrowSystem, DenseSystem, LeastSquares, minimise


def rosenbrock(x):
    return np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]]), np.array([[-20 * x[0], 10], [-1, 0]])


def test_rosenbrock_valley():
    solution = minimise(LeastSquares(rosenbrock), np.array([-1.2, 1.0]), tolerance=1e-14)
    assert solution.converged
    np.testing.assert_allclose(solution.state, [1, 1], atol=1e-6)
    assert solution.iterations < 60


def exponential(t, y):
    def residuals(x):
        decay = np.exp(-x[1] * t)
        return x[0] * decay + x[2] - y, np.stack([decay, -x[0] * t * decay, np.ones_like(t)], 1)

    return residuals


def test_exponential_fit():
    t = np.linspace(0, 4, 40)
    y = 3.0 * np.exp(-1.3 * t) + 0.5
    solution = minimise(LeastSquares(exponential(t, y)), np.array([1.0, 0.5, 0.0]), tolerance=1e-14)
    np.testing.assert_allclose(solution.state, [3.0, 1.3, 0.5], rtol=1e-6)


def test_outliers_are_shrugged_off_with_a_robust_kernel_only():
    rng = np.random.default_rng(4)
    t = np.linspace(0, 4, 60)
    y = 3.0 * np.exp(-1.3 * t) + 0.5 + rng.normal(0, 0.005, t.size)
    y[::6] += 5
    sigma = 0.005
    residuals = exponential(t, y)

    def scaled(x):
        r, jacobian = residuals(x)
        return r / sigma, jacobian / sigma

    start = np.array([2.5, 1.0, 0.3])
    plain = minimise(LeastSquares(scaled), start)
    robust = minimise(LeastSquares(scaled, lambda u: geman_mcclure(u, 30.0)), start)
    assert np.abs(plain.state - [3.0, 1.3, 0.5]).max() > 0.3
    np.testing.assert_allclose(robust.state, [3.0, 1.3, 0.5], atol=0.02)


def test_geman_mcclure_weight_is_the_derivative_and_the_bound_holds():
    u = np.array([0.0, 0.3, 2.0, 50.0, 1e9])
    rho, weight = geman_mcclure(u, 3.0)
    step = 1e-6 * np.maximum(u, 1)
    numeric = (geman_mcclure(u + step, 3.0)[0] - rho) / step
    np.testing.assert_allclose(weight, numeric, rtol=1e-3, atol=1e-9)
    assert rho[-1] == pytest.approx(9.0, rel=1e-6)
    assert rho[0] == 0 and weight[0] == 1


def test_arrow_system_solves_as_the_dense_one():
    rng = np.random.default_rng(0)
    sizes, m = (4, 2, 5), 2
    n = sum(sizes) + m
    hessian = np.zeros((n, n))
    blocks, couplings, start = [], [], 0
    shared = np.zeros((m, m))
    gradient = rng.normal(size=n)
    for size in sizes:
        j = rng.normal(size=(12, size + m))
        h = j.T @ j
        own = slice(start, start + size)
        hessian[own, own] += h[:size, :size]
        hessian[own, -m:] += h[:size, size:]
        hessian[-m:, own] += h[size:, :size]
        shared += h[size:, size:]
        blocks.append(DenseSystem(0.0, gradient[own], h[:size, :size]))
        couplings.append(h[:size, size:])
        start += size
    hessian[-m:, -m:] += shared
    arrow = ArrowSystem(1.0, blocks, couplings, DenseSystem(0.0, gradient[-m:], shared))
    dense = DenseSystem(1.0, gradient, hessian)
    for damping in (0.0, 0.1):
        step, decrease = arrow.solve(damping)
        expected_step, expected_decrease = dense.solve(damping)
        np.testing.assert_allclose(step, expected_step, rtol=1e-5, atol=1e-8)
        assert decrease == pytest.approx(expected_decrease, rel=1e-6)
    np.testing.assert_allclose(arrow.shared_covariance(), np.linalg.inv(hessian)[-m:, -m:], rtol=1e-6)


def test_an_undetermined_unknown_stays_put():
    def residuals(x):
        return np.array([x[0] - 2.0]), np.array([[1.0, 0.0]])

    solution = minimise(LeastSquares(residuals), np.array([0.0, 7.0]))
    np.testing.assert_allclose(solution.state, [2.0, 7.0], atol=1e-4)
