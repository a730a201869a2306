"""The wrapper of LiteRT."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mcbench.experts.body import BlazePoseDetector
from mcbench.experts.litert import LiteRtModel
from mcbench.experts.weights import weight_path


def test_shapes_and_equal_answers(blazepose: BlazePoseDetector) -> None:
    model = LiteRtModel(weight_path("pose_detection.tflite"))
    image = np.random.default_rng(0).uniform(-1, 1, (model.size, model.size, 3))
    first, again = model(image), LiteRtModel(weight_path("pose_detection.tflite"))(image)
    assert model.size == 224 and [o.shape for o in first] == [(2254, 12), (2254, 1)]
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)


def test_tensors_inside_a_model_can_be_outputs_too(blazepose: BlazePoseDetector) -> None:
    """A later layer's input is an earlier one's output: after the last sigmoid of MultiPose's heatmaps all is in
    (0, 1), and its own output is as before."""
    path = weight_path("movenet_multipose_lightning.tflite")
    image = np.random.default_rng(0).integers(0, 255, (128, 192, 3), dtype=np.uint8)
    (alone,) = LiteRtModel(path)(image)
    people, heat = LiteRtModel(path, ["Sigmoid_1"])(image)
    np.testing.assert_array_equal(people, alone)
    assert heat.shape == (32, 48, 17) and heat.min() > 0 and heat.max() < 1
    with pytest.raises(KeyError):
        LiteRtModel(path, ["no such tensor"])


def test_answers_are_not_overwritten_by_the_next_call(blazepose: BlazePoseDetector) -> None:
    model = LiteRtModel(weight_path("pose_detection.tflite"))
    first = model(np.zeros((224, 224, 3)))[0]
    kept = first.copy()
    model(np.ones((224, 224, 3)))
    np.testing.assert_array_equal(first, kept)


def test_loading_writes_nothing_to_stderr_and_keeps_it_open(blazepose: BlazePoseDetector) -> None:
    script = (
        "import sys\n"
        "from mcbench.experts.body import BlazePoseDetector\n"
        "BlazePoseDetector()\n"
        "print('still here', file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=dict(os.environ), check=True
    )
    assert done.stderr == "still here\n"


def test_what_is_no_model_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "broken.tflite").write_bytes(b"no model")
    with pytest.raises(ValueError):
        LiteRtModel(tmp_path / "broken.tflite")
