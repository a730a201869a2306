"""Reduced bodies say what the whole body says, and their derivatives are those of what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from body.hand_made import PARENTS, smpl_arrays
from scipy import sparse

from mcbench.body.model import BodyModel, load_body
from mcbench.body.reduced import ReducedBody
from mcbench.body.rotations import exp_so3
from mcbench.dataset.files import write_npz

POINTS, UNKNOWN = 7, 4
NEAR = 1e-6  # smplx rounds the arrays of a body to single precision
#: Rows that are not plain means: weights of both signs, and a sum that is not one.
SUMS = np.array([1, 1, 1, 1, 0, 1, 0.5])


#: Whether there are pose blend shapes, joints, and shape components of the file: in SMPL-X the last are expressions.
KINDS = {"posedirs": (True, 24, 10), "no posedirs": (False, 24, 10), "SMPL-X": (True, 55, 16)}


@pytest.fixture(scope="module", params=KINDS.values(), ids=list(KINDS))
def body(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> BodyModel:
    path = tmp_path_factory.mktemp("body") / "hand_made.npz"
    posedirs, joints, components = request.param
    write_npz(path, smpl_arrays(posedirs=posedirs, joints=joints, components=components))
    return load_body(path)


def regressor(body: BodyModel) -> sparse.csr_matrix:
    rng = np.random.default_rng(1)
    rows = np.zeros((POINTS, body.n_vertices))
    for row, total in zip(rows, SUMS, strict=True):
        row[rng.choice(body.n_vertices, 5, replace=False)] = rng.dirichlet(np.ones(5)) * total
    rows[2, :2] += 0.3, -0.3
    return sparse.csr_matrix(rows)


def somebody(body: BodyModel, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    someone = {
        "betas": rng.normal(0, 1.5, body.n_betas),
        "rotations": exp_so3(rng.normal(0, 0.8, (body.n_joints, 3))),
        "transl": rng.normal(0, 2, 3),
    }
    return {**someone, "expression": rng.normal(0, 1, body.n_expression)} if body.n_expression else someone


def said_by_all_vertices(body: BodyModel, rows: sparse.csr_matrix, person) -> tuple[np.ndarray, np.ndarray]:
    posed = body.forward(**{name: value[None] for name, value in person.items()})
    return rows @ posed.vertices[0], posed.joints[0]


@pytest.mark.parametrize("seed", range(4))
def test_points_and_joints_are_those_of_the_whole_body(body: BodyModel, seed: int) -> None:
    rows, person = regressor(body), somebody(body, seed)
    points, joints = said_by_all_vertices(body, rows, person)
    for jacobian in (True, False):
        said = ReducedBody(body, rows).evaluate(**person, jacobian=jacobian)
        np.testing.assert_allclose(said.joints, joints, rtol=0, atol=NEAR)
        np.testing.assert_allclose(np.delete(said.points, UNKNOWN, 0), np.delete(points, UNKNOWN, 0), rtol=0, atol=NEAR)
        assert np.isnan(said.points[UNKNOWN]).all()


def test_some_keypoints_are_as_among_all(body: BodyModel) -> None:
    person, chosen = somebody(body, 5), np.array([5, 0, UNKNOWN, 2])
    whole = ReducedBody(body, regressor(body))
    all_of_them, some = whole.evaluate(**person), whole.keypoints(chosen).evaluate(**person)
    assert all_of_them.d_points is not None and some.d_points is not None
    np.testing.assert_allclose(some.points, all_of_them.points[chosen], atol=1e-14)
    np.testing.assert_allclose(some.d_points, all_of_them.d_points[chosen], atol=1e-14)
    np.testing.assert_array_equal(some.joints, all_of_them.joints)


def test_rest_is_the_template(body: BodyModel) -> None:
    rows = regressor(body)
    said = ReducedBody(body, rows).evaluate(np.zeros(10), np.tile(np.eye(3), (body.n_joints, 1, 1)), np.zeros(3))
    np.testing.assert_allclose(said.joints, body.joint_template, rtol=0, atol=1e-14)
    expected = np.delete(rows @ body.v_template, UNKNOWN, 0)
    np.testing.assert_allclose(np.delete(said.points, UNKNOWN, 0), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("seed", range(3))
def test_derivatives_are_central_differences(body: BodyModel, seed: int) -> None:
    reduced = ReducedBody(body, regressor(body))
    person, n_joints = somebody(body, seed), body.n_joints
    said = reduced.evaluate(**person)
    assert said.d_points is not None and said.d_joints is not None
    assert reduced.size == 10 + body.n_expression + 3 * n_joints + 3
    assert said.d_points.shape == (POINTS, 3, reduced.size) and said.d_joints.shape == (n_joints, 3, reduced.size)
    step = 1e-5

    def moved(nudge: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        betas, expression, turns, transl = np.split(nudge, np.cumsum([10, body.n_expression, 3 * n_joints]))
        there = {
            "betas": person["betas"] + betas,
            "rotations": person["rotations"] @ exp_so3(turns.reshape(n_joints, 3)),
            "transl": person["transl"] + transl,
        }
        if body.n_expression:
            there["expression"] = person["expression"] + expression
        said_there = reduced.evaluate(**there, jacobian=False)
        return said_there.points, said_there.joints

    for i, direction in enumerate(step * np.eye(reduced.size)):
        ahead, behind = moved(direction), moved(-direction)
        for derivative, there, back in zip((said.d_points, said.d_joints), ahead, behind, strict=True):
            numeric = (there - back) / (2 * step)
            np.testing.assert_allclose(derivative[..., i], numeric, rtol=0, atol=1e-8)  # NaN where unknown


def test_derivatives_along_directions_are_those_of_all_coordinates(body: BodyModel) -> None:
    reduced, person = ReducedBody(body, regressor(body)), somebody(body, 6)
    expected = reduced.evaluate(**person)
    assert expected.d_points is not None
    by = np.random.default_rng(3).normal(size=(POINTS, 3))
    points, rows = reduced.along(
        person["betas"], person["rotations"], person["transl"], person.get("expression"), lambda found: by * found
    )
    np.testing.assert_allclose(points, expected.points, atol=1e-12)
    along = by * expected.points
    np.testing.assert_allclose(rows, np.einsum("kx,kxn->kn", along, expected.d_points), atol=1e-12)


def some_unknowns(reduced: ReducedBody) -> np.ndarray:
    """Three betas, some joints' turns, and translation."""
    shapes = reduced.size - 3 * reduced.n_joints - 3
    joints = np.array([0, 1, 4, 13, 16, 22])
    turns = (shapes + 3 * joints[:, None] + np.arange(3)).ravel()
    return np.concatenate([[0, 2, 9], turns, reduced.size - 3 + np.arange(3)])


def test_derivatives_by_some_unknowns_are_as_among_all(body: BodyModel) -> None:
    reduced, person = ReducedBody(body, regressor(body)), somebody(body, 7)
    expected, unknowns = reduced.evaluate(**person), some_unknowns(ReducedBody(body, regressor(body)))
    assert expected.d_points is not None
    where = person["betas"], person["rotations"], person["transl"], person.get("expression")
    points, d_points = reduced.with_jacobian(*where, unknowns)
    np.testing.assert_allclose(points, np.nan_to_num(expected.points), atol=1e-12)
    np.testing.assert_allclose(d_points, np.nan_to_num(expected.d_points[..., unknowns]), atol=1e-12)
    by = np.random.default_rng(4).normal(size=(POINTS, 3))
    _, rows = reduced.along(*where, lambda _: by, unknowns)
    np.testing.assert_allclose(rows, np.einsum("kx,kxn->kn", by, expected.d_points[..., unknowns]), atol=1e-12)


def test_a_joint_is_sought_as_a_whole(body: BodyModel) -> None:
    reduced, person = ReducedBody(body, regressor(body)), somebody(body, 7)
    where = person["betas"], person["rotations"], person["transl"], person.get("expression")
    for wrong in (np.delete(some_unknowns(reduced), 4), some_unknowns(reduced)[:-3]):
        with pytest.raises(ValueError, match="sought"):
            reduced.with_jacobian(*where, wrong)


def test_without_derivatives_there_are_none(body: BodyModel) -> None:
    said = ReducedBody(body, regressor(body)).evaluate(**somebody(body, 0), jacobian=False)
    assert said.d_points is None and said.d_joints is None


def test_a_turn_moves_only_what_hangs_on_the_joint(body: BodyModel) -> None:
    d_joints = ReducedBody(body, regressor(body)).evaluate(**somebody(body, 0)).d_joints
    assert d_joints is not None
    n_joints = body.n_joints
    turns = np.abs(d_joints[:, :, -3 * n_joints - 3 : -3]).reshape(n_joints, 3, n_joints, 3).max((1, 3))
    for joint in range(n_joints):
        above, chain = joint, []
        while (above := PARENTS[n_joints][above]) >= 0:
            chain.append(above)
        assert set(np.nonzero(turns[joint] > 1e-9)[0]) == set(chain)


def test_a_face_at_rest_has_no_expression(tmp_path: Path) -> None:
    write_npz(tmp_path / "body.npz", smpl_arrays(joints=55, components=20))
    body = load_body(tmp_path / "body.npz")
    reduced, person = ReducedBody(body, regressor(body)), somebody(body, 0)
    moving = person.pop("expression")
    rest, zero = reduced.evaluate(**person), reduced.evaluate(**person, expression=np.zeros(10))
    np.testing.assert_array_equal(rest.points, zero.points)
    assert np.nanmax(np.abs(reduced.evaluate(**person, expression=moving).points - rest.points)) > 1e-3


def test_the_open_body(open_body: BodyModel) -> None:
    rows, person = open_body.keypoint_regressor("coco17"), somebody(open_body, 5)
    points, joints = said_by_all_vertices(open_body, rows, person)
    said = ReducedBody(open_body, rows).evaluate(**person, jacobian=False)
    np.testing.assert_allclose(said.points, points, rtol=0, atol=NEAR)
    np.testing.assert_allclose(said.joints, joints, rtol=0, atol=NEAR)
