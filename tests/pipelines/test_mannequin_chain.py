"""A Mannequin Challenge folder with the true cameras of rendered clips, from download to audit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from running import mcbench
from video_server import Resource, VideoServer

from mcbench.dataset.cameras_file import SceneCameras
from mcbench.dataset.mannequin_lists import write_clip_list
from mcbench.dataset.truth import SceneTruth
from mcbench.dataset.video import scan_video
from mcbench.metrics.scene_audit import counting_people
from mcbench.workspace.workspace import Workspace

#: Units of the lists a metre: the chain must find out.
UNITS = 0.37


@pytest.fixture(scope="module")
def server() -> Iterator[VideoServer]:
    with VideoServer().running() as running:
        yield running


class Lists:
    """Writes lists of one rendered clip."""

    def __init__(self, folder: Path, clip: Path, truth: SceneTruth, address: str) -> None:
        self.folder, self.truth, self.address = folder, truth, address
        self.times_us = 1e6 * np.array(scan_video(clip).times)

    def write(
        self, name: str, rows: np.ndarray, poses: np.ndarray | None = None, later_us: float = 0, row: str = ""
    ) -> None:
        """A list of some frames; `poses` (rows, 3, 4) instead of the true cameras; `row` stands in line 6."""
        path = self.folder / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        written = (self.truth.cam_from_world[rows] if poses is None else poses).copy()
        written[:, :, 3] *= UNITS
        size, K = self.truth.image_size, self.truth.K[rows]
        write_clip_list(path, self.address, self.times_us[rows] + later_us, K, size, written)
        if row:
            lines = path.read_text().splitlines()
            path.write_text("\n".join([*lines[:5], row, *lines[6:]]))


@pytest.fixture(scope="module")
def lists(rendered: Path, server: VideoServer, tmp_path_factory: pytest.TempPathFactory) -> Lists:
    """The folder: good lists in `train`, lists that are wrong in some way in `test`."""
    [clip] = (rendered / "clips").glob("easy_*.mp4")
    truth = SceneTruth.load(rendered / "truth" / f"{clip.stem}.json")
    folder = tmp_path_factory.mktemp("mannequin") / "MannequinChallenge"
    lists = Lists(folder, clip, truth, server.add(f"/{clip.name}", Resource(clip.read_bytes())))
    every = np.arange(len(truth.cam_from_world))
    true = truth.cam_from_world
    lists.write("train/9f3ac1", every)
    lists.write(f"train/{clip.stem}", every[::2])
    lists.write("test/later", every, later_us=lists.times_us[20])  # 12 frames are there, 20 beyond the end
    lists.write("test/elsewhere", every, later_us=60e6)
    lists.write("test/opengl", every, poses=np.diag([1.0, -1, -1]) @ true)
    lists.write("test/behind", every, poses=np.concatenate([true[:, :, :3], -true[:, :, 3:]], axis=2))
    lists.write("test/mirrored", every, poses=np.diag([-1.0, 1, 1]) @ true)
    lists.write("test/nan", every, row="133333 0.9 1.5 0.5 0.5 0 0 1 0 0 nan 0 1 0 0 0 0 1 0")
    lists.write("test/no_rotation", every, row="133333 0.9 1.5 0.5 0.5 0 0 1 0 0 0 0 2 0 0 0 0 1 0")
    return lists


@pytest.fixture(scope="module")
def downloaded(lists: Lists, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A workspace made from the folder, and what `download` said."""
    workspace = tmp_path_factory.mktemp("mannequin") / "ws"
    result = mcbench("download", lists.folder, workspace, "--backoff", 0, "--json", status=1)
    return workspace, json.loads(result.stdout)


def test_lists_are_read_or_declined_for_a_reason(
    downloaded: tuple[Path, dict[str, Any]], lists: Lists, server: VideoServer
) -> None:
    _, report = downloaded
    outcomes = {clip["clip"]: (clip["reason"], clip["frames"]) for clip in report["clips"]}
    assert outcomes == {
        "9f3ac1": (None, 32),
        lists.truth.stem: (None, 16),
        "later": (None, 12),
        "elsewhere": ("no_frame_at_time", 0),
        "opengl": (None, 32),
        "behind": (None, 32),
        "test/mirrored.txt": ("bad_list", 0),
        "test/nan.txt": ("bad_list", 0),
        "test/no_rotation.txt": ("bad_list", 0),
    }
    assert report["coverage"]["frames"]["by_reason"] == {"no_frame_at_time": 20 + 32}
    messages = {clip["clip"]: clip["message"] for clip in report["clips"] if clip["message"]}
    assert "60.000 to 61.033 s" in messages["elsewhere"] and "0 to 1.033 s" in messages["elsewhere"]
    assert "line 6: column 11 is 'nan'" in messages["test/nan.txt"]
    assert len(server.asked(f"/{lists.truth.clip}")) <= 2, "one look and one download for all lists"


def test_every_clip_of_a_video_has_its_truth(
    downloaded: tuple[Path, dict[str, Any]], lists: Lists, rendered: Path
) -> None:
    """By the video's name, whatever the list's; and only the frames that the list spans are asked for."""
    root, _ = downloaded
    document = json.loads(mcbench("audit", root, "--truth", rendered / "truth", "--json").stdout)
    rows = {row["scene"]: row for row in document["per_scene"]}
    assert set(rows) == {"9f3ac1", lists.truth.stem, "later", "opengl", "behind"}
    assert {row["clip"] for row in rows.values()} == {lists.truth.stem}
    assert document["scenes_without_truth"] == document["truth_without_scene"] == []
    expected = {"9f3ac1": lists.truth, "later": lists.truth.part(20, 32)}
    for name, truth in expected.items():
        assert rows[name]["people_true"] == counting_people(truth).sum()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_from_lists_to_audit(downloaded: tuple[Path, dict[str, Any]], lists: Lists, rendered: Path) -> None:
    root, _ = downloaded
    good, wrong = ("9f3ac1", lists.truth.stem), ("opengl", "behind")
    scenes = [word for scene in (*good, *wrong) for word in ("--scene", scene)]
    mcbench("sfm", root, *scenes, "--cameras", "list", "--workers", 1, status=1)
    for stage in ("detect", "fit", "validate"):
        mcbench(stage, root, *scenes, "--workers", 1, status=None)

    workspace = Workspace.open(root)
    for name in wrong:
        record = workspace.scene(name).record("sfm")
        assert record is not None and (record.status, record.reason) == ("rejected", "inconsistent_cameras")
        assert workspace.scene(name).record("fit") is None, "what is rejected goes no further"

    for name, step in zip(good, (1, 2), strict=True):
        record = workspace.scene(name).record("sfm")
        assert record is not None and record.summary["agreeing_pairs"] == record.summary["checked_pairs"] > 0
        cameras = SceneCameras.load(workspace.scene(name).stage_folder("sfm") / "cameras.json")
        assert (cameras.origin, cameras.units) == ("mannequinchallenge", "unknown")
        expected = lists.truth.cam_from_world[::step].copy()
        expected[:, :, 3] *= UNITS
        np.testing.assert_allclose([c.cam_from_world for c in cameras.posed], expected, atol=1e-12)
        fitted = json.loads((workspace.scene(name).stage_folder("fit") / "scene.json").read_text())
        assert abs(fitted["scale"] * UNITS - 1) < 0.1

    document = json.loads(mcbench("audit", root, "--truth", rendered / "truth", "--json").stdout)
    rows = {row["scene"]: row for row in document["per_scene"]}
    for name in good:
        row = rows[name]
        assert row["status"] == "ok" and row["camera_center_mm"] < 1 and row["scale_error_pct"] < 10
        assert row["people_true"] == row["people_found"] > 0
        accepted = [p for p in row["people"] if p["accepted"]]
        assert len(accepted) > len(row["people"]) / 2
        assert all(p["true_person"] is not None for p in row["people"])
        assert row["pve_scaled_mm"]["median"] < 60
    for name in wrong:
        assert (rows[name]["status"], rows[name]["stage"]) == ("rejected", "sfm")
        assert rows[name]["people_true"] > 0 == rows[name]["people_accepted"]
