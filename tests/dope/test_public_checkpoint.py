"""The public network: the same outputs for the same weights."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from mcbench.dope.boxes import iou
from mcbench.dope.public_checkpoint import load_public


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
