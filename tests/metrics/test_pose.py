"""Pose metrics: agreement with public evaluators, known answers, invariances, degenerate input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from mcbench.errors import UsageError
from mcbench.metrics.pose import mean_distance, mpjpe, pa_mpjpe, pa_pve, procrustes_onto, pve
from mcbench.metrics.protocols import PROTOCOLS, protocol

HIPS = (1, 2)


@pytest.fixture(scope="module")
def reference(test_data: Path) -> dict[str, np.ndarray]:
    with np.load(test_data / "reference_metrics.npz") as archive:
        return {key: archive[key] for key in archive.files}


def bodies(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    true = rng.normal(size=(n, 24, 3))
    return true + 0.1 * rng.normal(size=true.shape), true


def test_agrees_with_3dpw(reference: dict[str, np.ndarray]) -> None:
    score = protocol("3dpw").joint_scores(reference["pred_joints"], reference["gt_joints"])
    assert score["mpjpe"].mean() == pytest.approx(float(reference["3dpw/return_0_mpjpe_m"]), abs=1e-9)
    assert score["pa_mpjpe"].mean() == pytest.approx(float(reference["3dpw/return_1_pa_mpjpe_m"]), abs=1e-9)


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("emdb", ("emdb/mpjpe_pf", "emdb/mpjpe_pf_pa", "emdb/mve_pf", "emdb/mve_pf_pa")),
        ("agora", ("agora/mpjpe_m", "agora/pa_mpjpe_m", "agora/mve_m", "agora/pa_mve_m")),
    ],
)
def test_agrees_with_emdb_and_agora(reference: dict[str, np.ndarray], name: str, keys: tuple[str, ...]) -> None:
    pj, tj = reference["pred_joints"], reference["gt_joints"]
    pv, tv = reference["pred_vertices"], reference["gt_vertices"]
    scores = protocol(name).joint_scores(pj, tj)
    scores |= protocol(name).vertex_scores(pv, tv, pj, tj, np.ones(pv.shape[1]))
    for metric, key in zip(("mpjpe", "pa_mpjpe", "pve", "pa_pve"), keys, strict=True):
        np.testing.assert_allclose(scores[metric], reference[key], atol=1e-8)


def test_root_matters(reference: dict[str, np.ndarray]) -> None:
    pelvis = mpjpe(reference["pred_joints"], reference["gt_joints"], (0,)).mean()
    hips = mpjpe(reference["pred_joints"], reference["gt_joints"], HIPS).mean()
    assert abs(pelvis - hips) > 0.01


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_a_batch_is_scored_as_its_members(n: int) -> None:
    predicted, true = bodies(n)
    for function in (mpjpe, pa_mpjpe):
        alone = [function(predicted[i : i + 1], true[i : i + 1])[0] for i in range(n)]
        np.testing.assert_allclose(function(predicted, true), alone, atol=1e-12)


def test_empty_batch() -> None:
    nothing = np.zeros((0, 24, 3))
    assert mpjpe(nothing, nothing).shape == pa_mpjpe(nothing, nothing).shape == (0,)
    assert pa_pve(nothing, nothing, nothing, nothing).shape == (0,)


def test_known_answers() -> None:
    true = np.random.default_rng(1).normal(size=(1, 24, 3))
    moved = true.copy()
    moved[0, 5] += [0.0, 0.3, 0.4]
    assert mpjpe(moved, true)[0] == pytest.approx(0.5 / 24)
    assert mpjpe(moved + 7.0, true)[0] == pytest.approx(0.5 / 24)  # a translation costs nothing
    assert mpjpe(moved, true, joints=[0, 1, 2])[0] == pytest.approx(0.0, abs=1e-12)
    vertices = np.zeros((1, 4, 3))
    off = vertices.copy()
    off[0, 0, 2] = 1.0
    assert pve(off, vertices, true, true)[0] == pytest.approx(0.25)
    assert pve(off, vertices, true, true, weights=[3, 1, 0, 0])[0] == pytest.approx(0.75)


def test_all_zero_prediction_is_a_number() -> None:
    _, true = bodies(3)
    zero = np.zeros_like(true)
    spread = np.linalg.norm(true - true.mean(axis=1, keepdims=True), axis=-1).mean(axis=-1)
    np.testing.assert_allclose(pa_mpjpe(zero, true), spread)
    np.testing.assert_allclose(pa_pve(zero, true, zero, true), spread)
    np.testing.assert_allclose(mpjpe(zero, true), np.linalg.norm(true - true[:, :1], axis=-1).mean(axis=-1))


def test_alignment_never_reflects() -> None:
    _, true = bodies(1)
    assert pa_mpjpe(true * [-1, 1, 1], true)[0] > 0.1


def test_vertices_may_be_aligned_by_joints_or_by_themselves() -> None:
    rng = np.random.default_rng(3)
    true_joints, true = rng.normal(size=(2, 24, 3)), rng.normal(size=(2, 50, 3))
    turn = Rotation.from_rotvec([0.1, 0.2, 0.3]).as_matrix()
    by_vertices = pa_pve(true @ turn.T, true, true_joints, true_joints, "vertices")
    by_joints = pa_pve(true @ turn.T, true, true_joints, true_joints, "joints")
    np.testing.assert_allclose(by_vertices, 0.0, atol=1e-12)
    assert (by_joints > 0.1).all()


def test_unknown_points_of_no_weight_do_not_count() -> None:
    points = np.array([[[0.0, 0, 0], [np.nan, 0, 0]]])
    assert mean_distance(points, np.zeros((1, 2, 3)), weights=[1, 0])[0] == 0.0
    assert np.isnan(mean_distance(points, np.zeros((1, 2, 3)), weights=[0, 0])[0])


@settings(max_examples=25)
@given(
    st.floats(0.1, 10),
    st.tuples(*[st.floats(-3, 3)] * 3),
    st.tuples(*[st.floats(-5, 5)] * 3),
    st.integers(0, 1000),
)
def test_procrustes_undoes_any_similarity(
    scale: float, turn: tuple[float, ...], shift: tuple[float, ...], seed: int
) -> None:
    _, true = bodies(2, seed)
    moved = scale * true @ Rotation.from_rotvec(turn).as_matrix().T + shift
    np.testing.assert_allclose(procrustes_onto(moved, true), true, atol=1e-8)
    assert (pa_mpjpe(moved, true) < 1e-8).all()


@settings(max_examples=25)
@given(st.integers(0, 1000))
def test_procrustes_is_the_least_squares_answer(seed: int) -> None:
    predicted, true = bodies(1, seed)
    best = ((procrustes_onto(predicted, true) - true) ** 2).sum()
    rng = np.random.default_rng(seed)
    nudge = Rotation.from_rotvec(0.05 * rng.normal(size=3)).as_matrix()
    other = (1 + 0.05 * rng.normal()) * procrustes_onto(predicted, true) @ nudge.T + 0.02 * rng.normal(size=3)
    assert ((other - true) ** 2).sum() >= best


def test_unknown_protocol_is_named() -> None:
    with pytest.raises(UsageError, match="3dpw"):
        protocol("h36m")
    assert set(PROTOCOLS) >= {"mcbench", "3dpw", "emdb", "agora"}
