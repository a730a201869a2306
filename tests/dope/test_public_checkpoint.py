"""The public network: the same outputs for the same weights."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from mcbench.dope.boxes import iou
from mcbench.dope.detector import public_hand_order
from mcbench.dope.public_checkpoint import load_public, read_torch
from mcbench.errors import InputError
from mcbench.joints import HAND21


def made_of(name: str, shape: list[int]) -> torch.Tensor:
    """The weights that the reference's README makes of a name."""
    g = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("running_var"):
        value = g.uniform(0.5, 1.5, shape)
    elif name.endswith("running_mean"):
        value = g.normal(0, 0.1, shape)
    elif name.endswith("anchor_poses"):
        value = g.uniform(0, 1, shape)
        value[..., 2:] = g.normal(0, 0.3, value[..., 2:].shape)
    elif ".bn" in name or "downsample.1" in name:
        value = g.uniform(0.5, 1.0, shape) if name.endswith("weight") else g.normal(0, 0.1, shape)
    elif name.endswith("bias"):
        value = g.normal(0, 0.05, shape)
    else:
        value = g.normal(0, np.sqrt(1.6 / np.prod(shape[1:])), shape)
    return torch.from_numpy(np.asarray(value, dtype=np.float32))


@pytest.fixture(scope="module")
def reference(test_data: Path) -> Path:
    folder = test_data / "dope_reference"
    if not folder.is_dir():
        pytest.skip(f"real test data absent: {folder}")
    return folder


@pytest.fixture(scope="module")
def released(reference: Path) -> dict:
    layout = json.loads((reference / "layout.json").read_text())
    state = {name: made_of(name, shape) for name, shape in layout.items()}
    kwargs = {"num_anchor_poses": {"body": 20, "hand": 10, "face": 10}, "min_size": 256, "max_size": 400}
    ppi = {"body_ppi_kwargs": {}, "hand_ppi_kwargs": {"K": 5}, "face_ppi_kwargs": {}}
    return {"state_dict": state, "dope_kwargs": kwargs, "half": False, **ppi}


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def test_gives_the_reference_outputs(reference: Path, released: dict, tmp_path: Path) -> None:
    state = dict(released["state_dict"])  # as released in 2020
    for part in ("weight", "bias"):
        state[f"rpn.head.conv.{part}"] = state.pop(f"rpn.head.conv.0.0.{part}")
    network = load_public(saved(tmp_path / "old.pth", {**released, "state_dict": state}))
    expected = np.load(reference / "outputs.npz")
    found = network(torch.from_numpy(expected["image"]))
    assert abs(len(found["body"].boxes) - int(expected["num_boxes"])) <= 2
    boxes = torch.from_numpy(expected["boxes"])
    overlap, which = iou(boxes, found["body"].boxes).max(dim=1)
    assert overlap.min() > 0.99
    for kind, part in found.items():
        np.testing.assert_allclose(part.boxes[which], boxes, atol=0.05)
        np.testing.assert_allclose(part.scores[which], expected[f"{kind}_scores"], atol=1e-3)
        np.testing.assert_allclose(part.pose2d[which], expected[f"{kind}_pose2d"], atol=0.05)
        np.testing.assert_allclose(part.pose3d[which], expected[f"{kind}_pose3d"], atol=1e-3)
    assert [int(network.config.upper_from), network.config.left_from, network.config.bases_first] == [10, 5, True]


class Evil:
    """Runs code where it is unpickled."""

    def __reduce__(self) -> tuple:
        return (print, ("unpickled",))


@pytest.mark.parametrize(
    "content",
    [
        {"state_dict": {}, "dope_kwargs": {"num_anchor_poses": {"body": 2, "hand": 2, "face": 2}}},
        {"state_dict": {"x": torch.zeros(1)}, "dope_kwargs": {"num_anchor_poses": {"body": 2, "hand": 2, "face": 2}}},
        {"state_dict": {}},
        {"state_dict": {}, "dope_kwargs": {"num_anchor_poses": 3}},
        [1, 2],
        Evil(),
    ],
    ids=["empty", "unknown entry", "no settings", "odd settings", "no dictionary", "code"],
)
def test_what_is_no_checkpoint_is_told_so(tmp_path: Path, content: object, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(InputError) as caught:
        load_public(saved(tmp_path / "x.pth", content))
    assert caught.value.reason == "bad_checkpoint"
    assert "unpickled" not in capsys.readouterr().out


def test_damaged_and_missing_files(tmp_path: Path) -> None:
    whole = saved(tmp_path / "x.pth", {"state_dict": {}}).read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.pth").write_bytes(b"")
    for name, reason in (("cut", "bad_checkpoint"), ("empty", "empty_file"), ("none", "missing_file")):
        with pytest.raises(InputError) as caught:
            load_public(tmp_path / f"{name}.pth")
        assert caught.value.reason == reason


def test_a_flipped_bit_is_found_by_its_checksum(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.pth", {"a": torch.full((1000,), 1.25)})
    assert read_torch(path)["a"][500] == 1.25
    data = bytearray(path.read_bytes())
    data[data.index(np.full(10, 1.25, np.float32).tobytes()) + 2000] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="checksum") as caught:
        read_torch(path)
    assert caught.value.reason == "bad_checkpoint" and caught.value.path == path


def test_public_hands_come_bases_first() -> None:
    names = ["wrist", *(f"{finger}_1" for finger in ("thumb", "index", "middle", "ring", "pinky"))]
    names += [f"{finger}_{i}" for finger in ("thumb", "index", "middle", "ring", "pinky") for i in (2, 3, 4)]
    assert tuple(names[i] for i in public_hand_order()) == HAND21.joints
