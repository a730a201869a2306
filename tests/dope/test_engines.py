"""Engines and the detector: the same answers by either engine, whatever the picture."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from mcbench.dope.checkpoint import config_from_json, load_network, save_network
from mcbench.dope.detector import DopeDetector, prepared
from mcbench.dope.engines import OnnxEngine, TorchEngine, export_onnx, open_engine
from mcbench.dope.network import Dope, DopeConfig
from mcbench.dope.people import KINDS
from mcbench.errors import InputError


@pytest.fixture(scope="module")
def network() -> Dope:
    """Random weights that find parts nearly everywhere."""
    torch.manual_seed(0)
    made = Dope(DopeConfig(min_size=256, max_size=256)).eval()
    for kind in KINDS:
        poses = made.roi_heads.anchor_poses(kind)
        poses[..., :2].uniform_(0, 1)
        poses[..., 2:].normal_(0, 0.3)
    with torch.no_grad():
        made.rpn.head.cls_logits.bias.fill_(0.5)
        # scores and overlaps far enough apart to have one order
        made.rpn.head.cls_logits.weight.normal_(0, 40)
        made.rpn.head.bbox_pred.weight.normal_(0, 4)
    return made


@pytest.fixture(scope="module")
def detector(network: Dope) -> DopeDetector:
    return DopeDetector(TorchEngine(network), 0.05)


@pytest.fixture(scope="module")
def exported(network: Dope, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    path = tmp_path_factory.mktemp("exported") / "x.onnx"
    export_onnx(network, path)
    return path


def copied(source: Path, path: Path) -> None:
    """A graph and its configuration at another place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for suffix in (".onnx", ".json"):
        shutil.copy(source.with_suffix(suffix), path.with_suffix(suffix))


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [(192, 256), (256, 160), (32, 256)])
def test_onnx_runtime_says_what_torch_says(network: Dope, exported: Path, size: tuple[int, int]) -> None:
    onnx, plain = OnnxEngine(exported, 1), TorchEngine(network)
    assert onnx.config == plain.config
    image = noise(*size)
    real = size[0] - 5, size[1]
    expected = plain.run(image, real)
    for kind, said in onnx.run(image, real).items():
        # of a few proposals of equal score either may stay
        gaps = np.abs(expected[kind].boxes[:, None] - said.boxes).max(axis=2)
        same = gaps.min(axis=1) < 5e-3
        assert gaps.shape[0] == gaps.shape[1] > 20 and same.mean() > 0.95
        for field in ("scores", "pose2d", "pose3d"):
            found = getattr(said, field)[gaps.argmin(axis=1)]
            np.testing.assert_allclose(found[same], getattr(expected[kind], field)[same], atol=2e-2)


def test_the_graph_has_operators_for_what_would_take_many(exported: Path) -> None:
    onnx = pytest.importorskip("onnx")
    nodes = [node.op_type for node in onnx.load(exported).graph.node]
    assert nodes.count("NonMaxSuppression") == len(KINDS) and "Pad" not in nodes


def test_a_saved_network_is_the_same_but_for_its_halves(network: Dope, tmp_path: Path) -> None:
    save_network(tmp_path / "x.pt", network, {"steps": 3})
    assert (tmp_path / "x.pt").stat().st_size < 25e6
    again = load_network(tmp_path / "x.pt")
    assert again.config == network.config
    state = again.state_dict()
    assert all(torch.equal(state[name], value.half().float()) for name, value in network.state_dict().items())


def test_files_that_are_no_networks(tmp_path: Path) -> None:
    for number, content in enumerate(({"format": "other/1"}, {"format": "mcbench-dope/1"}, {"x": 1})):
        torch.save(content, tmp_path / f"{number}.pt")
        with pytest.raises(InputError) as caught:
            open_engine(tmp_path / f"{number}.pt", "torch")
        assert caught.value.reason in ("bad_format", "bad_checkpoint")


def test_a_graph_without_its_configuration_or_of_another_network(exported: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    path, beside = tmp_path / "x.onnx", tmp_path / "x.json"
    copied(exported, path)
    good = json.loads(beside.read_text())["config"]
    bad = ({"min_size": "512"}, {"max_size": 0}, {"other": 1}, {"classes": [*KINDS]}, {"units": None})
    for document in ({}, [], {"config": 3}, *({"config": good | part} for part in bad)):
        beside.write_text(json.dumps(document))
        assert reason(path, beside) == "bad_json"
    beside.write_text(json.dumps({"config": good}))
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    other = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "other", ends[:1], ends[1:])
    made = onnx.helper.make_model(other, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    for content in (made.SerializeToString(), b"no graph"):
        path.write_bytes(content)
        assert reason(path, path) == "bad_graph"
    path.unlink()
    assert reason(path, path) == "missing_file"


def reason(graph: Path, told: Path) -> str:
    with pytest.raises(InputError) as caught:
        open_engine(graph)
    assert caught.value.path == told
    return caught.value.reason


def test_a_damaged_graph_in_the_cache_is_made_again(
    network: Dope, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exports: list[Path] = []

    def export(_: Dope, path: Path) -> None:
        exports.append(path)
        copied(exported, path)

    monkeypatch.setenv("MCBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("mcbench.dope.engines.export_onnx", export)
    save_network(tmp_path / "x.pt", network, {})
    for _ in range(2):  # once made, it is there
        open_engine(tmp_path / "x.pt", "onnx")
        assert len(exports) == 1
    graph, whole = exports[0], exported.read_bytes()
    for suffix, content in ((".onnx", whole[: len(whole) // 2]), (".onnx", b""), (".json", b"{"), (".json", b"[]")):
        exports.clear()
        graph.with_suffix(suffix).write_bytes(content)
        assert open_engine(tmp_path / "x.pt", "onnx").config == network.config
        assert exports == [graph]


@pytest.mark.parametrize("name", ["min_size", "max_size", "classes", "weights"])
def test_sizes_and_weights_that_are_none(network: Dope, tmp_path: Path, name: str) -> None:
    save_network(tmp_path / "x.pt", network, {})
    content = torch.load(tmp_path / "x.pt")
    assert load_network(tmp_path / "x.pt")
    for wrong in (0, -5, 3.5, "many", None):
        if name == "weights":
            next(iter(content["state_dict"].values())).view(-1)[0] = float("nan")
        else:
            content["config"][name] = dict.fromkeys(KINDS, wrong) if name == "classes" else wrong
        torch.save(content, tmp_path / "wrong.pt")
        with pytest.raises(InputError) as caught:
            load_network(tmp_path / "wrong.pt")
        assert caught.value.reason == "bad_checkpoint" and caught.value.path == tmp_path / "wrong.pt"


def test_a_configuration_must_be_whole(network: Dope) -> None:
    whole = network.config.to_json()
    assert config_from_json(whole) == network.config
    for name in whole:
        with pytest.raises(ValueError, match=name):
            config_from_json({key: value for key, value in whole.items() if key != name})


@pytest.mark.parametrize("size", [(200, 300), (20, 20), (3000, 4000), (1, 700)], ids=str)
def test_pictures_of_any_size(detector: DopeDetector, size: tuple[int, int]) -> None:
    image = noise(min(size[0], 300), min(size[1], 400))
    image = np.tile(image, (-(-size[0] // image.shape[0]), -(-size[1] // image.shape[1]), 1))[: size[0], : size[1]]
    for person in detector.detect(image):
        assert 0 < person.score <= 1
        assert (person.box[:2] >= -1e-3).all() and (person.box[2:] <= np.array(size[::-1]) + 1e-3).all()
        for part in person.parts.values():
            assert np.isfinite(part.pose2d).all() and np.isfinite(part.pose3d).all()


def test_a_grey_picture_and_nobody(network: Dope) -> None:
    grey = np.full((240, 320, 3), 127, np.uint8)
    DopeDetector(TorchEngine(network), 0.05).detect(grey)
    assert DopeDetector(TorchEngine(Dope(DopeConfig()).eval()), 0.3).detect(grey) == []


def test_pictures_are_scaled_and_padded() -> None:
    picture, size, scale = prepared(np.zeros((3000, 4000, 3), np.uint8), 512, 512)
    assert picture.shape == (384, 512, 3) and size == (384, 512)
    np.testing.assert_allclose(scale, 0.128)
    picture, size, _ = prepared(np.zeros((20, 10, 3), np.uint8), 256, 256)
    assert picture.shape == (256, 128, 3) and size == (256, 128)
    picture, size, _ = prepared(np.zeros((100, 300, 3), np.uint8), 256, 256)
    assert picture.shape == (96, 256, 3) and size == (85, 256)
    assert (picture[85:] == 127).all() and (picture[:85] == 0).all()


def test_results_are_in_the_pixels_of_the_picture(network: Dope) -> None:
    """Twice as large a picture has everything twice as large."""
    small = np.kron(noise(32, 40), np.ones((4, 4, 1), np.uint8)).astype(np.uint8)
    large = np.kron(small, np.ones((2, 2, 1), np.uint8)).astype(np.uint8)
    engine = TorchEngine(network)
    a, b = (DopeDetector(engine, 0.05).detect(image) for image in (small, large))
    assert a and b
    boxes = [np.array([p.box for p in people]) for people in (a, b)]
    assert boxes[1].max() > 1.6 * boxes[0].max()
