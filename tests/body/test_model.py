"""Files in SMPL's layout: read alike as .npz and .pkl, posed as by hand, refused with a reason where they are not."""

from __future__ import annotations

import hashlib
import json
import pickle
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from body.hand_made import VERTICES, Arrays, pose_by_hand, smpl_arrays
from scipy import sparse

from mcbench.body.model import OPEN_BODY, OPEN_BODY_VERSION, OPEN_BODY_X, load_body, open_body_path, vertex_areas
from mcbench.body.rotations import exp_so3
from mcbench.dataset.files import write_npz
from mcbench.errors import InputError
from mcbench.joints import COCO17, SMPL24, SMPL24_PARENTS

NEAR = 1e-6  # smplx rounds the arrays of a body to single precision
REST = np.tile(np.eye(3), (1, 24, 1, 1))


@pytest.fixture
def chumpy(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """Classes with chumpy's names and the state that chumpy's objects have in a pickle."""
    made: dict[str, Any] = {}
    monkeypatch.setitem(sys.modules, "chumpy", types.ModuleType("chumpy"))
    for module, name in (("chumpy.ch", "Ch"), ("chumpy.reordering", "Select"), ("chumpy.ch_ops", "add")):
        made[name] = type(name, (), {"__module__": module})
        stand_in = types.ModuleType(module)
        setattr(stand_in, name, made[name])
        monkeypatch.setitem(sys.modules, module, stand_in)

    def build(name: str, **state: Any) -> Any:
        thing = made[name]()
        thing.__dict__.update(state, _dirty_vars=set(state), _itr=None, _depends_on_deps={}, _status="new")
        return thing

    return types.SimpleNamespace(
        array=lambda x: build("Ch", x=x),
        select=lambda a, idxs, shape: build("Select", a=a, idxs=idxs, preferred_shape=shape),
        add=lambda a, b: build("add", a=a, b=b),
    )


def as_npz(arrays: Arrays, path: Path) -> Path:
    write_npz(path, arrays)
    return path


def as_pickle(arrays: Arrays, path: Path, protocol: int = 2) -> Path:
    path.write_bytes(pickle.dumps(arrays, protocol=protocol))
    return path


def people(count: int, seed: int = 0, n_betas: int = 10) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    rotations = exp_so3(rng.normal(0, 0.7, (count, 24, 3)))
    return rng.normal(0, 1, (count, n_betas)), rotations, rng.normal(0, 1, (count, 3))


def assert_posed_as_by_hand(path: Path, arrays: Arrays, n_betas: int = 10) -> None:
    parameters = people(3, n_betas=n_betas)
    posed = load_body(path).forward(*parameters)
    for i, one in enumerate(zip(*parameters, strict=True)):
        vertices, joints = pose_by_hand(arrays, *one)
        np.testing.assert_allclose(posed.vertices[i], vertices, rtol=0, atol=NEAR)
        np.testing.assert_allclose(posed.joints[i], joints, rtol=0, atol=NEAR)


@pytest.mark.parametrize("posedirs", [True, False])
def test_an_npz_is_posed_as_by_hand(posedirs: bool, tmp_path: Path) -> None:
    arrays = smpl_arrays(posedirs=posedirs)
    path = as_npz(arrays, tmp_path / "body.npz")
    assert_posed_as_by_hand(path, arrays)
    body = load_body(path)
    assert (body.name, body.n_vertices, body.n_betas) == ("body", VERTICES, 10)
    assert body.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (body.posedirs is None) is not posedirs


@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
def test_a_pickle_is_posed_as_by_hand(protocol: int, tmp_path: Path) -> None:
    arrays = smpl_arrays()
    written = {**arrays, "J_regressor": sparse.csc_matrix(arrays["J_regressor"]), "bs_style": "lbs"}
    assert_posed_as_by_hand(as_pickle(written, tmp_path / "body.pkl", protocol), arrays)


@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
def test_a_pickle_with_chumpy_is_posed_as_by_hand(protocol: int, tmp_path: Path, chumpy: types.SimpleNamespace) -> None:
    """As SMPL's own files are: some arrays are chumpy's, `shapedirs` a choice of the first of many components."""
    arrays = smpl_arrays()
    many = np.concatenate([arrays["shapedirs"], np.full((VERTICES, 3, 6), 99.0)], axis=2)
    first = np.arange(many.size).reshape(many.shape)[:, :, :10]
    written = {
        **arrays,
        "shapedirs": chumpy.select(chumpy.array(many), first.ravel(), first.shape),
        "posedirs": chumpy.array(arrays["posedirs"]),
        "v_template": chumpy.array(arrays["v_template"]),
        "J_regressor": sparse.csc_matrix(arrays["J_regressor"]),
    }
    assert_posed_as_by_hand(as_pickle(written, tmp_path / "body.pkl", protocol), arrays)


def test_a_chumpy_expression_is_refused(tmp_path: Path, chumpy: types.SimpleNamespace) -> None:
    arrays = smpl_arrays()
    arrays["v_template"] = chumpy.add(chumpy.array(arrays["v_template"]), 1.0)
    with pytest.raises(InputError, match="chumpy expression") as caught:
        load_body(as_pickle(arrays, tmp_path / "body.pkl"))
    assert caught.value.reason == "unsupported_pickle"


@pytest.mark.parametrize(("components", "used"), [(300, 10), (4, 4)])
def test_ten_shape_components_or_as_many_as_there_are(components: int, used: int, tmp_path: Path) -> None:
    arrays = smpl_arrays()
    arrays["shapedirs"] = np.random.default_rng(3).normal(0, 0.03, (VERTICES, 3, components))
    path = as_npz(arrays, tmp_path / "body.npz")
    assert load_body(path).n_betas == used
    assert_posed_as_by_hand(path, arrays, used)


def test_posing_prints_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load_body(as_npz(smpl_arrays(), tmp_path / "body.npz")).forward(*people(1))
    assert capsys.readouterr().out == ""


def test_pose_blend_shapes_of_nothing_are_none(tmp_path: Path) -> None:
    arrays = {**smpl_arrays(), "posedirs": np.zeros((VERTICES, 3, 207), dtype=np.float32)}
    assert load_body(as_npz(arrays, tmp_path / "body.npz")).posedirs is None


def test_nobody_is_posed_to_nothing(tmp_path: Path) -> None:
    body = load_body(as_npz(smpl_arrays(), tmp_path / "body.npz"))
    posed = body.forward(np.zeros((0, 10)), np.zeros((0, 24, 3, 3)), np.zeros((0, 3)))
    assert posed.vertices.shape == (0, VERTICES, 3) and posed.joints.shape == (0, 24, 3)


def test_the_body_turns_about_its_root_which_is_not_the_origin(tmp_path: Path) -> None:
    body = load_body(as_npz(smpl_arrays(), tmp_path / "body.npz"))
    root, transl = body.joint_template[0], np.array([[1.0, 2.0, 3.0]])
    assert np.linalg.norm(root) > 0.2
    turned = REST.copy()
    turned[0, 0] = exp_so3(np.array([0, np.pi / 2, 0]))  # x to -z, z to x
    posed = body.forward(np.zeros((1, 10)), turned, transl)
    np.testing.assert_allclose(posed.joints[0, 0], root + transl[0], rtol=0, atol=NEAR)
    x, y, z = (body.v_template - root).T
    np.testing.assert_allclose(posed.vertices[0] - root - transl[0], np.stack([z, y, -x], axis=1), rtol=0, atol=NEAR)


def test_shape_moves_joints_as_it_moves_what_they_are_means_of(tmp_path: Path) -> None:
    arrays = smpl_arrays()
    body = load_body(as_npz(arrays, tmp_path / "body.npz"))
    betas = np.linspace(-1, 1, 10)
    joints = body.joint_template + body.joint_shapedirs @ betas
    np.testing.assert_allclose(joints, body.forward(betas[None], REST, np.zeros((1, 3))).joints[0], rtol=0, atol=NEAR)
    np.testing.assert_allclose(body.joint_template, arrays["J_regressor"] @ arrays["v_template"], atol=1e-14)


def changed(**changes: Any) -> Arrays:
    return {name: value for name, value in {**smpl_arrays(), **changes}.items() if value is not None}


def spoiled(name: str, value: float, dtype: Any = np.float64) -> Arrays:
    array = smpl_arrays()[name].astype(dtype)
    array[(-1,) * array.ndim] = value
    return changed(**{name: array})


BAD = {
    **{f"lacks {name}": changed(**{name: None}) for name in smpl_arrays(posedirs=False)},
    "v_template has shape (60, 2)": changed(v_template=np.zeros((60, 2))),
    "v_template has shape (60,)": changed(v_template=np.zeros(60)),
    "f has shape (9, 4)": changed(f=np.zeros((9, 4), dtype=int)),
    "f holds what is no number of a vertex": spoiled("f", 60),
    "f holds what is no number of a vertex, negative": spoiled("f", -1, np.int64),
    "f holds what is no number of a vertex, broken": spoiled("f", 0.5),
    "shapedirs has shape (59, 3, 10)": changed(shapedirs=np.zeros((59, 3, 10))),
    "shapedirs has shape (60, 30)": changed(shapedirs=np.zeros((60, 30))),
    "posedirs has shape (60, 3, 459)": changed(posedirs=np.zeros((60, 3, 459))),
    "posedirs has shape (207, 180)": changed(posedirs=np.zeros((207, 180))),
    "weights has shape (60, 52)": changed(weights=np.zeros((60, 52))),
    "weights has shape (60, 24, 1)": changed(weights=np.zeros((60, 24, 1))),
    "J_regressor has shape (60, 24)": changed(J_regressor=np.zeros((60, 24))),
    "skin_mask has shape (59,)": changed(skin_mask=np.ones(59, dtype=bool)),
    "kintree_table has 23 joints": changed(kintree_table=np.zeros((2, 23), dtype=int)),
    "its kinematic tree is not SMPL-H's": changed(kintree_table=np.zeros((2, 52), dtype=int)),
    "kintree_table has shape (24,)": changed(kintree_table=np.array(SMPL24_PARENTS)),
    "its kinematic tree is not SMPL's": spoiled("kintree_table", 0)
    | {"kintree_table": np.array([[-1, 0, *SMPL24_PARENTS[2:-1], 20], range(24)])},
    "v_template holds what is not a finite number": spoiled("v_template", np.nan),
    "shapedirs holds what is not a finite number": spoiled("shapedirs", np.inf),
    "weights holds what is not a finite number": spoiled("weights", np.nan),
    "J_regressor holds what is not a finite number": spoiled("J_regressor", np.nan),
    "could not convert string to float": changed(v_template=np.full((60, 3), "x")),
    "exceeds matrix dimension": changed(
        **{"keypoint/nose/vertices": np.array([60]), "keypoint/nose/weights": np.ones(1)}
    ),
    "keypoint/nose/weights": changed(**{"keypoint/nose/vertices": np.array([1])}),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_body_is_refused_with_a_reason_in_one_line(case: str, tmp_path: Path) -> None:
    path = as_npz(BAD[case], tmp_path / "body.npz")
    with pytest.raises(InputError) as caught:
        load_body(path)
    assert (caught.value.reason, caught.value.path) == ("bad_body", path)
    assert case.split(", ")[0] in caught.value.message or case in caught.value.message
    assert "\n" not in str(caught.value)


def test_a_sparse_matrix_of_unheard_size_is_refused_and_never_made_dense(tmp_path: Path) -> None:
    huge = sparse.csr_matrix((24, 10**12))
    with pytest.raises(InputError, match="J_regressor has shape") as caught:
        load_body(as_pickle(changed(J_regressor=huge), tmp_path / "body.pkl"))
    assert caught.value.reason == "bad_body"


def test_files_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCBENCH_CACHE", str(tmp_path / "cache"))
    cases = {tmp_path: "not_a_file", tmp_path / "absent.npz": "missing_file", tmp_path / "absent.pkl": "missing_file"}
    for path, reason in cases.items():
        with pytest.raises(InputError) as caught:
            load_body(path)
        assert (caught.value.reason, caught.value.path) == (reason, path)
    with pytest.raises(InputError, match="mcbench body") as caught:
        load_body()
    assert (caught.value.reason, caught.value.path) == ("no_body", open_body_path())
    assert open_body_path().is_relative_to(tmp_path / "cache")


@pytest.mark.parametrize("told", [{"version": 1}, {}, None])
def test_an_open_body_of_another_version_is_to_be_built_again(
    told: dict | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCBENCH_CACHE", str(tmp_path))
    for name, kind in ((OPEN_BODY, {}), (OPEN_BODY_X, {"joints": 55, "components": 20})):
        path = open_body_path(name)
        path.parent.mkdir(exist_ok=True)
        said = {} if told is None else {"provenance": np.array(json.dumps(told))}
        as_npz({**smpl_arrays(**kind), **said}, path)
        with pytest.raises(InputError, match="another version") as caught:
            load_body(name)
        assert (caught.value.reason, caught.value.path) == ("no_body", path)
        now = {"provenance": np.array(json.dumps({"version": OPEN_BODY_VERSION}))}
        as_npz({**smpl_arrays(**kind), **now}, path)
        assert load_body(name).name == load_body(Path(name)).name == name
    assert load_body().n_joints == 24


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    path = as_npz(smpl_arrays(seed=0), tmp_path / "body.npz")
    before = load_body(path)
    assert load_body(path) is before
    as_npz(smpl_arrays(seed=1), path)
    assert load_body(path).digest != before.digest


def test_vertex_areas_of_known_solids() -> None:
    tetrahedron = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    slanted = np.sqrt(3) / 2
    np.testing.assert_allclose(vertex_areas(tetrahedron, faces), [0.5, *[(1 + slanted) / 3] * 3])

    cube = np.array([[x, y, z] for x in (0.0, 1) for y in (0, 1) for z in (0, 1)])
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    halves = np.array([half for a, b, c, d in quads for half in ((a, b, c), (a, c, d))])
    areas = vertex_areas(np.vstack([cube, [[9.0, 9, 9]]]), halves)
    assert areas.sum() == pytest.approx(6) and areas[8] == 0
    # a corner has a third of each triangle of half a square metre that meets in it
    np.testing.assert_allclose(areas[:8] * 6, np.bincount(halves.ravel()))


def test_keypoints_that_the_file_names_are_used(tmp_path: Path) -> None:
    named = {"nose": ([3, 8], [0.25, 0.75]), "left_knee": ([5], [1.0])}
    arrays = smpl_arrays()
    for name, (vertices, weights) in named.items():
        arrays[f"keypoint/{name}/vertices"] = np.array(vertices)
        arrays[f"keypoint/{name}/weights"] = np.array(weights)
    body = load_body(as_npz(arrays, tmp_path / "body.npz"))
    assert set(body.keypoints) == set(named)
    read = body.keypoint_regressor("coco17")
    assert read.shape == (17, VERTICES)
    sums = np.asarray(read.sum(axis=1)).ravel()
    assert [n for n, s in zip(COCO17.joints, sums, strict=True) if s] == ["nose", "left_knee"]
    np.testing.assert_allclose(sums[sums > 0], 1)
    template = arrays["v_template"]
    np.testing.assert_allclose((read @ template)[0], 0.25 * template[3] + 0.75 * template[8])


def test_a_body_that_names_none_has_those_at_its_joints(tmp_path: Path) -> None:
    arrays = smpl_arrays()
    body = load_body(as_npz(arrays, tmp_path / "body.npz"))
    read, joints = body.keypoint_regressor("body25").toarray(), arrays["J_regressor"]
    from_joints = {"neck", "mid_hip"} | {n for n in COCO17.joints if n in SMPL24.joints}
    assert set(body.keypoints) == from_joints
    np.testing.assert_allclose(read[1], joints[SMPL24.index("neck")])
    np.testing.assert_allclose(read[8], (joints[1] + joints[2]) / 2)
    np.testing.assert_allclose(read[4], joints[SMPL24.index("right_wrist")])
    assert not read[0].any()  # no nose


def test_smpls_own_mesh_has_a_face_and_feet(tmp_path: Path) -> None:
    """The numbers of SMPL's vertices are public: `smplx/vertex_ids.py`."""
    arrays = smpl_arrays(vertices=6890, posedirs=False)
    body = load_body(as_npz(arrays, tmp_path / "smpl.npz"))
    known = {"nose": 332, "left_eye": 2800, "right_eye": 6260, "left_ear": 583, "right_ear": 4071,
             "left_big_toe": 3216, "right_big_toe": 6617, "left_heel": 3387, "right_heel": 6787}  # fmt: skip
    for name, vertex in known.items():
        assert (body.keypoints[name].indices.tolist(), body.keypoints[name].data.tolist()) == ([vertex], [1.0]), name
    sums = np.asarray(body.keypoint_regressor("coco17").sum(axis=1)).ravel()
    np.testing.assert_allclose(sums, 1)
