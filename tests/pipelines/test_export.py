"""`mcbench export` on a hand-made workspace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from handmade import FRAMES, HEIGHT, WIDTH, add_scene, pose, standing, toy_body
from running import mcbench

from mcbench.cameras.camera import transform
from mcbench.dataset.benchmark import Benchmark
from mcbench.dataset.files import digest_tree
from mcbench.dataset.locks import lock
from mcbench.joints import SMPL24
from mcbench.pipelines import finished
from mcbench.workspace.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(finished, "load_body", lambda path: toy_body())
    made = Workspace.open_or_create(tmp_path / "ws")
    add_scene(made, "room", standing(3), [True, False, True])
    add_scene(made, "nobody good", standing(1), [False])
    add_scene(made, "still", standing(1), reject="static_camera")
    return tmp_path / "ws"


def test_what_is_in_it(workspace: Path, tmp_path: Path) -> None:
    manifest = json.loads(mcbench("export", workspace, tmp_path / "bench", "--json").stdout)
    assert manifest["counts"] == {"scenes": 1, "images": FRAMES - 1, "people": 2}  # one frame has no camera
    assert manifest["left_out"] == {"nobody_good": "nobody accepted", "still": "sfm rejected: static_camera"}
    benchmark = Benchmark.load(tmp_path / "bench")
    assert benchmark.damaged() == []
    (scene,) = benchmark.scenes
    people = scene.people
    np.testing.assert_array_equal(people.person, [0, 2])
    truth = pose(standing(3))
    np.testing.assert_allclose(people.vertices, truth.vertices[[0, 2]], atol=1e-6)
    np.testing.assert_allclose(people.error_bar, 0.02 * np.sqrt(6.2514), rtol=1e-4)
    assert scene.image(0).shape == (HEIGHT, WIDTH, 3)
    assert [c.index for c in scene.cameras.frames] == [0, 1, 3, 4, 5, 6, 7]
    assert len(benchmark.index) == FRAMES - 1


def test_boxes_hold_the_projected_bodies(workspace: Path, tmp_path: Path) -> None:
    mcbench("export", workspace, tmp_path / "bench")
    (scene,) = Benchmark.load(tmp_path / "bench").scenes
    for camera, boxes in zip(scene.cameras.frames, scene.people.box, strict=True):
        assert camera.cam_from_world is not None
        for vertices, box in zip(scene.people.vertices, boxes, strict=True):
            pixels = camera.camera.project(transform(camera.cam_from_world, vertices))
            expected = np.clip([*pixels.min(0), *pixels.max(0)], 0, [WIDTH, HEIGHT] * 2)
            np.testing.assert_allclose(box, expected, atol=1e-4)


def test_joints_of_an_unknown_limb_are_nowhere_visible(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mcbench("export", workspace, tmp_path / "known")
    told = finished.FinishedScene.info.func

    def info(self: finished.FinishedScene) -> dict[str, Any]:
        people = told(self)["people"]
        people[2]["unknown_limbs"] = ["right_leg"]
        return {**told(self), "people": people}

    monkeypatch.setattr(finished.FinishedScene, "info", property(info))
    mcbench("export", workspace, tmp_path / "unknown")
    known, unknown = (Benchmark.load(tmp_path / name).scenes[0].people.visible for name in ("known", "unknown"))
    leg = [SMPL24.index(f"right_{name}") for name in ("knee", "ankle", "foot")]
    assert known[:, 1, leg].any() and not unknown[:, 1, leg].any()
    known[:, 1, leg] = False
    np.testing.assert_array_equal(unknown, known)


def test_two_exports_are_equal_and_the_second_replaces_the_first(workspace: Path, tmp_path: Path) -> None:
    mcbench("export", workspace, tmp_path / "a")
    mcbench("export", workspace, tmp_path / "b")
    assert digest_tree(tmp_path / "a") == digest_tree(tmp_path / "b")
    mcbench("export", workspace, tmp_path / "a", "--every", 3, "--image-format", "png")
    assert [p.name for p in sorted((tmp_path / "a/scenes/room/images").iterdir())] == [
        "000000.png",
        "000004.png",
        "000007.png",
    ]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b", "ws"]  # nothing half-built is left


def test_png_is_exact(workspace: Path, tmp_path: Path) -> None:
    mcbench("export", workspace, tmp_path / "bench", "--image-format", "png")
    source = cv2.imread(str(workspace / "scenes/room/source/images/003.png"))
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "bench/scenes/room/images/000003.png")), source)


def test_something_else_is_never_overwritten(workspace: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.tex").write_text("…")
    result = mcbench("export", workspace, precious, status=2)
    assert "precious" in result.stderr
    assert [p.name for p in precious.iterdir()] == ["thesis.tex"]
    (tmp_path / "file").write_text("…")
    mcbench("export", workspace, tmp_path / "file", status=2)
    mcbench("export", workspace, tmp_path / "bench", "--every", 0, status=2)
    assert not (tmp_path / "bench").exists()


def test_nobody_to_export_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finished, "load_body", lambda path: toy_body())
    add_scene(Workspace.open_or_create(tmp_path / "ws"), "still", standing(1), reject="static_camera")
    document = json.loads(mcbench("export", tmp_path / "ws", tmp_path / "bench", "--json", status=1).stdout)
    assert document["error"]["reason"] == "nobody_accepted"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ws"]


def test_people_fitted_with_another_body_are_refused(workspace: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(finished, "load_body", lambda path: toy_body(digest="d2"))
    document = json.loads(mcbench("export", workspace, tmp_path / "bench", "--json", status=1).stdout)
    assert document["error"]["reason"] == "other_body"


def test_what_the_user_put_into_a_benchmark_is_not_deleted(workspace: Path, tmp_path: Path) -> None:
    mcbench("export", workspace, tmp_path / "bench")
    (tmp_path / "bench/predictions").mkdir()
    notes = tmp_path / "bench/predictions/notes.txt"
    notes.write_text("mine")
    result = mcbench("export", workspace, tmp_path / "bench", status=2)
    assert "predictions/notes.txt" in result.stderr and notes.read_text() == "mine"
    notes.unlink()
    mcbench("export", workspace, tmp_path / "bench")  # an empty folder is nobody's work


def test_two_exports_to_one_folder_at_once(workspace: Path, tmp_path: Path) -> None:
    mcbench("export", workspace, tmp_path / "bench")
    before = digest_tree(tmp_path / "bench")
    with lock(tmp_path / ".bench.lock", "busy"):
        document = json.loads(mcbench("export", workspace, tmp_path / "bench", "--json", status=1).stdout)
    assert document["error"]["reason"] == "locked"
    assert digest_tree(tmp_path / "bench") == before
    mcbench("export", workspace, tmp_path / "bench")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bench", "ws"]


def test_an_export_that_was_killed_between_its_renames(workspace: Path, tmp_path: Path) -> None:
    mcbench("export", workspace, tmp_path / "bench")
    before = digest_tree(tmp_path / "bench")
    (tmp_path / "bench").rename(tmp_path / ".bench.old")
    (workspace / "scenes/room/validate/people.json").write_text("{}")
    mcbench("export", workspace, tmp_path / "bench", status=1)  # what was there before comes back
    assert digest_tree(tmp_path / "bench") == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bench", "ws"]


def test_into_the_folder_one_is_in(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    mcbench("export", workspace, ".")
    assert Benchmark.load(tmp_path / "here").damaged() == []


@pytest.mark.parametrize("file", ["fit/people.npz", "validate/people.json", "source/images/003.png"])
def test_nothing_is_exported_of_damaged_results(workspace: Path, tmp_path: Path, file: str) -> None:
    mcbench("export", workspace, tmp_path / "bench")
    before = digest_tree(tmp_path / "bench")
    path = workspace / "scenes/room" / file
    path.write_bytes(path.read_bytes() + b" ")
    document = json.loads(mcbench("export", workspace, tmp_path / "bench", "--json", status=1).stdout)
    assert document["error"]["reason"] == "damaged" and file in document["error"]["message"]
    assert digest_tree(tmp_path / "bench") == before


def test_verify_checks_a_benchmark(workspace: Path, tmp_path: Path) -> None:
    mcbench("export", workspace, tmp_path / "bench")
    assert json.loads(mcbench("verify", tmp_path / "bench", "--json").stdout)["damage"] == []
    (tmp_path / "bench/scenes/room/images/000003.jpg").unlink()
    (tmp_path / "bench/stray").write_text("")
    result = mcbench("verify", tmp_path / "bench", "--json", status=1)
    document = json.loads(result.stdout)
    assert document["damage"] == ["scenes/room/images/000003.jpg"] and document["strangers"] == ["stray"]
