"""The solver on problems whose minimum is known."""

from __future__ import annotations

import numpy as np
import pytest

from mcbench.fitting.robust import geman_mcclure
from mcbench.fitting.solver import ArrowSystem, DenseSystem, LeastSquares, OffsetSystem, minimise


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


def block_with_offsets(rng, n, points=7):
    """Points that the unknowns move, some seen well, some in part, one not at all; and terms that see none."""
    sights = rng.normal(size=(points, 5, 3)) * 10 ** rng.uniform(-1, 2, (points, 1, 1))
    sights[0] = 0.0
    sights[1, 2:] = 0.0
    other = rng.normal(size=(n, n))
    return OffsetSystem(
        1.5,
        DenseSystem(0.0, rng.normal(size=n), other.T @ other),
        rng.normal(size=(points, 3, n)),
        rng.normal(size=(points, 3)) * (np.arange(points) > 0)[:, None],
        np.swapaxes(sights, 1, 2) @ sights,
        rng.normal(size=(points, 3)),
        rng.uniform(0.5, 30, points),
    )


def dense(system, shared=0):
    """The same without structure: the unknowns, the offsets, then the shared unknowns."""
    if isinstance(system, DenseSystem):
        return system
    points, _, n = system.jacobian.shape
    moved = np.concatenate([system.jacobian.reshape(-1, n), np.eye(3 * points)], axis=1)
    weight = np.zeros((3 * points, 3 * points))
    for k, block in enumerate(system.point_hessian):
        weight[3 * k : 3 * k + 3, 3 * k : 3 * k + 3] = block
    hessian = moved.T @ weight @ moved
    hessian[:n, :n] += system.rest.hessian
    hessian[range(n, len(hessian)), range(n, len(hessian))] += np.repeat(system.precision, 3)
    order = np.r_[: n - shared, n : len(hessian), n - shared : n]
    return DenseSystem(system.value, system.gradient[order], hessian[np.ix_(order, order)])


@pytest.mark.parametrize("damping", [0.0, 1e-3, 10.0])
def test_offsets_are_eliminated_without_a_change_of_the_solution(damping):
    system = block_with_offsets(np.random.default_rng(3), 9)
    step, decrease = system.solve(damping)
    expected_step, expected_decrease = dense(system).solve(damping)
    np.testing.assert_allclose(step, expected_step, rtol=1e-9, atol=1e-9)
    assert decrease == pytest.approx(expected_decrease, rel=1e-9)


def test_covariance_without_offsets_is_the_marginal_one():
    system = block_with_offsets(np.random.default_rng(5), 6)
    expected = np.linalg.inv(dense(system).hessian)[:6, :6]
    np.testing.assert_allclose(system.covariance(), expected, rtol=1e-6, atol=1e-8)


def test_arrow_system_solves_as_the_dense_one():
    rng = np.random.default_rng(0)
    sizes, m = (4, 5, 3), 2
    jacobians = [rng.normal(size=(12, size + m)) for size in sizes]
    blocks = [DenseSystem(1.0, rng.normal(size=j.shape[1]), j.T @ j) for j in jacobians]
    blocks += [block_with_offsets(rng, size + m) for size in (6, 4)]
    whole = [dense(block, m) for block in blocks]
    n = sum(len(w.gradient) - m for w in whole) + m
    hessian, gradient, start = np.zeros((n, n)), np.zeros(n), 0
    for block in whole:
        own = len(block.gradient) - m
        where = np.r_[start : start + own, n - m : n]
        hessian[np.ix_(where, where)] += block.hessian
        gradient[where] += block.gradient
        start += own
    arrow, expected = ArrowSystem(blocks, m), DenseSystem(6.0, gradient, hessian)
    assert arrow.value == expected.value
    for damping in (0.0, 0.1):
        step, decrease = arrow.solve(damping)
        expected_step, expected_decrease = expected.solve(damping)
        np.testing.assert_allclose(step, expected_step, rtol=1e-5, atol=1e-7)
        assert decrease == pytest.approx(expected_decrease, rel=1e-6)
    np.testing.assert_allclose(arrow.shared_covariance(), np.linalg.inv(hessian)[-m:, -m:], rtol=1e-6)


def test_an_undetermined_unknown_stays_put():
    def residuals(x):
        return np.array([x[0] - 2.0]), np.array([[1.0, 0.0]])

    solution = minimise(LeastSquares(residuals), np.array([0.0, 7.0]))
    np.testing.assert_allclose(solution.state, [2.0, 7.0], atol=1e-4)


def test_robust_problems_are_solved_in_few_steps() -> None:
    """Two readings that contradict each other: reweighted steps alone leave 0.4 of the error each time."""
    problem = LeastSquares(lambda x: (x - [1.0, -1.0], np.ones((2, 1))), lambda squared: geman_mcclure(squared, 3.0))
    solution = minimise(problem, np.array([0.2]), tolerance=1e-15)
    assert solution.state[0] == pytest.approx(0.0, abs=1e-6)
    assert solution.iterations <= 9  # 17 without
