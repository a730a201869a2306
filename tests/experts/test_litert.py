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
