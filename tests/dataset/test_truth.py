"""Truth: saved and loaded, and a part of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from handmade import make_truth, standing

from mcbench.dataset.truth import SceneTruth


def test_saved_and_loaded(tmp_path: Path) -> None:
    truth = make_truth("a clip.mp4", standing(2))
    truth.save(tmp_path)
    loaded = SceneTruth.load(tmp_path / "a clip.json")
    assert loaded.clip == truth.clip and loaded.image_size == truth.image_size
    assert np.array_equal(loaded.joints, truth.joints)


def test_a_part_begins_where_people_are_by_then() -> None:
    whole = make_truth("clip.mp4", standing(2))
    walk = np.zeros_like(whole.moved)
    walk[:, 1, 0] = 0.1 * np.arange(len(walk))
    whole = replace(whole, moved=walk)
    part = whole.part(3, 7)
    assert len(part.K) == len(part.cam_from_world) == len(part.joints_visible) == len(part.moved) == 4
    assert np.array_equal(part.cam_from_world, whole.cam_from_world[3:7])
    for array in ("joints", "vertices"):
        there = getattr(whole, array)[None] + whole.moved[3:7, :, None]
        assert np.allclose(getattr(part, array)[None] + part.moved[:, :, None], there, equal_nan=True)
    assert np.array_equal(part.joints[0], whole.joints[0])
    assert len(whole.part(1000, 1001).K) == 0
