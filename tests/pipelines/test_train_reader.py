"""One command from rendered scenes to a reader that is trained and scored."""

from __future__ import annotations

import json
from pathlib import Path

from running import mcbench

from mcbench.body.model import BodyModel
from mcbench.reader.network import load_reader


def test_from_rendered_scenes_to_a_reader_that_is_scored(open_body: BodyModel, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("train-reader", out, "--recipe", "toy", "--steps", 2, "--batch", 2, "--jobs", 1, "--json")
    made = json.loads(mcbench(*options).stdout)
    assert made["people"] >= 1
    (scores,) = made["scored"].values()
    assert scores["people"] >= 1 and 0 <= scores["visible_right"] <= 1
    load_reader(Path(made["model"]))
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.mp4")}
    assert json.loads(mcbench(*options).stdout) == made
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.mp4")} == before
    refused = mcbench("train-reader", out, "--recipe", "toy", "--steps", 3, "--batch", 2, "--jobs", 1, status=2)
    assert "other settings" in refused.output
