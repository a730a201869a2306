"""Keypoint models: the default from a body's regressors, and calibration files."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy import sparse

from mcbench.dataset.files import write_npz
from mcbench.errors import InputError
from mcbench.fitting.keypoint_model import KeypointModel
from mcbench.joints import BODY25, COCO17, COCO_WHOLEBODY133, joint_set


@dataclass
class NamedBody:
    """A body of 40 vertices that knows COCO's keypoints and a neck: keypoint i reads vertex i."""

    name: str = "named"
    n_vertices: int = 40

    def keypoint_regressor(self, set_name):
        names = [*COCO17.joints, "neck"]
        rows = joint_set(set_name).joints
        pairs = [(i, names.index(n)) for i, n in enumerate(rows) if n in names]
        matrix = sparse.lil_matrix((len(rows), self.n_vertices))
        for row, vertex in pairs:
            matrix[row, vertex] = 1.0
        return matrix.tocsr()


def test_own_set():
    model = KeypointModel.default(NamedBody(), "body25")
    known = [n for n, k in zip(BODY25.joints, model.known, strict=True) if k]
    assert set(known) == {*COCO17.joints, "neck"}


def test_a_set_that_the_body_does_not_have_is_put_together_by_name():
    model = KeypointModel.default(NamedBody(), "coco_wholebody133")
    assert model.regressor.shape == (133, 40)
    assert model.known[:17].all() and not model.known[17:].any()
    assert model.regressor[[COCO_WHOLEBODY133.index("left_knee")]].indices.tolist() == [COCO17.index("left_knee")]


def test_what_is_known_of_a_body_holds_when_hands_and_face_are_read_too():
    body = NamedBody()
    default, larger = KeypointModel.default(body, "blazepose33"), KeypointModel.default(body, "holistic143")
    np.testing.assert_array_equal(larger.noise[:33], default.noise)
    np.testing.assert_array_equal(larger.bias[:33], default.bias)
    learnt = replace(default, noise=default.noise / 2, bias=default.bias / 3, score_grid=np.array([1.0]))
    assert learnt.is_for(body, "holistic143") and learnt.is_for(body, "blazepose33")
    assert not learnt.is_for(body, "coco17") and not learnt.is_for(NamedBody(n_vertices=41), "holistic143")
    model = learnt.extended(body, "holistic143")
    assert model.keypoint_set == "holistic143" and model.regressor.shape == (143, 40)
    assert (model.regressor[:33] != learnt.regressor).nnz == 0 and not model.known[33:].any()
    np.testing.assert_array_equal(model.noise, [*learnt.noise, *larger.noise[33:]])
    np.testing.assert_array_equal(model.bias, [*learnt.bias, *larger.bias[33:]])
    np.testing.assert_array_equal(model.score_grid, [1.0])


def test_nothing_in_common_is_an_error():
    with pytest.raises(InputError, match="hand21"):
        KeypointModel.default(NamedBody(), "hand21")


def test_hips_are_less_sure_than_eyes():
    model = KeypointModel.default(NamedBody(), "coco17")
    hip, eye = COCO17.index("left_hip"), COCO17.index("left_eye")
    assert model.noise[hip] > model.noise[eye] and model.bias[hip] > model.bias[eye]


def test_round_trip(tmp_path):
    default = KeypointModel.default(NamedBody(), "coco17")
    model = replace(default, score_grid=np.array([0.2, 1.0]), score_doubt=np.array([5.0, 1.0]))
    model.save(tmp_path / "a.npz")
    again = KeypointModel.load(tmp_path / "a.npz")
    assert (again.regressor != model.regressor).nnz == 0
    np.testing.assert_array_equal(again.noise, model.noise)
    np.testing.assert_allclose(again.doubt([0.0, 0.2, 0.6, 1.0]), [5, 5, 3, 1])
    np.testing.assert_allclose(default.doubt([0.0, 0.25, 1.0]), [20**0.5, 2, 1])
    assert (again.keypoint_set, again.body_model, again.provenance) == ("coco17", "named", model.provenance)
    again.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_another_file_is_named_in_the_error(tmp_path):
    write_npz(tmp_path / "other.npz", {"format": np.array("something/1")})
    with pytest.raises(InputError, match=r"other\.npz.*something/1"):
        KeypointModel.load(tmp_path / "other.npz")
