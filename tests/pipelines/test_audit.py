"""`mcbench audit` on a hand-made workspace whose numbers are known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from handmade import add_scene, make_truth, standing, toy_body
from running import mcbench

from mcbench.dataset.files import read_npz, write_npz
from mcbench.pipelines import finished
from mcbench.workspace.workspace import Workspace

#: The keys of the audit's table of definitions.
KEYS = [
    "scenes",
    "scenes_rejected",
    "people_true",
    "people_found",
    "people_accepted",
    "recall",
    "good_accepted_share",
    "accepted_wrong",
    "accepted_wrong_share",
    "pve_mm",
    "pve_scaled_mm",
    "pve_all_mm",
    "pve_scaled_all_mm",
    "pa_mpjpe_mm",
    "scale_error_pct",
    "camera_center_mm",
    "coverage90",
    "coverage90_absolute",
    "ellipsoid_mm",
    "scale_coverage90",
    "hand_mm",
    "hand_recall",
    "face_mm",
    "face_recall",
    "moved_mm",
    "seconds_fit_per_person",
    "per_scene",
]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two people, one of them rejected, in a scene that is ok; and a rejected scene."""
    monkeypatch.setattr(finished, "load_body", lambda path: toy_body())
    made = Workspace.open_or_create(tmp_path / "ws")
    people = standing(2)
    add_scene(made, "two people (1)", people, [True, False])
    add_scene(made, "still", standing(1, seed=1), reject="static_camera")
    make_truth("two people (1).mp4", people).save(tmp_path / "truth")
    make_truth("still.mp4", standing(3, seed=1)).save(tmp_path / "truth")
    make_truth("never imported.mp4", standing(1)).save(tmp_path / "truth")
    return tmp_path / "ws"


def audit(workspace: Path) -> dict:
    return json.loads(mcbench("audit", workspace, "--truth", workspace.parent / "truth", "--json").stdout)


def test_every_key_is_there_and_adds_up(workspace: Path) -> None:
    document = audit(workspace)
    assert set(KEYS) <= set(document)
    assert document["scenes"] == 2 and document["scenes_rejected"] == 1
    assert document["people_true"] == 5 and document["people_found"] == 2 and document["people_accepted"] == 1
    assert document["recall"] == pytest.approx(0.2)
    assert document["good_accepted_share"] == 0.5
    assert document["pve_scaled_mm"]["median"] == pytest.approx(0.0, abs=1e-6)
    assert document["scale_coverage90"] == 1.0
    assert document["moved_mm"]["still"] == pytest.approx(2.0)
    assert document["hand_mm"] is None
    assert document["truth_without_scene"] == ["never imported"]


def test_per_scene_has_it_all(workspace: Path) -> None:
    rows = {row["scene"]: row for row in audit(workspace)["per_scene"]}
    assert list(rows) == ["still", "two_people_1"]
    assert all(set(KEYS) - {"per_scene"} <= set(row) for row in rows.values())
    assert rows["still"]["reason"] == "static_camera" and rows["still"]["recall"] == 0.0
    assert rows["still"]["pve_mm"] is None
    assert rows["two_people_1"]["clip"] == "two people (1)" and rows["two_people_1"]["recall"] == 0.5
    assert [p["accepted"] for p in rows["two_people_1"]["people"]] == [True, False]


def test_a_scene_that_was_not_run_has_its_people_missed(workspace: Path) -> None:
    (workspace / "scenes" / "two_people_1" / "validate" / "stage.json").unlink()
    document = audit(workspace)
    assert document["recall"] == 0.0 and document["people_true"] == 5
    row = next(row for row in document["per_scene"] if row["scene"] == "two_people_1")
    assert (row["status"], row["stage"]) == ("missing", "validate")


def test_the_table_for_people(workspace: Path) -> None:
    text = mcbench("audit", workspace, "--truth", workspace.parent / "truth").stdout
    assert "two_people_1" in text and "pve_scaled_mm" in text and "still 2, planted -" in text


def test_no_truth_is_an_error_with_the_path(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in ("empty", "absent"):
        result = mcbench("audit", workspace, "--truth", tmp_path / folder, status=1)
        assert folder in result.stderr and "Traceback" not in result.stderr
    (tmp_path / "other").mkdir()
    make_truth("stranger.mp4", standing(1)).save(tmp_path / "other")
    document = json.loads(mcbench("audit", workspace, "--truth", tmp_path / "other", "--json", status=1).stdout)
    assert document["error"]["reason"] == "no_truth"


def restate(workspace: Path, scene: str, **changes: object) -> None:
    record = workspace / "scenes" / scene / "source" / "stage.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), **changes}))


def test_truth_of_a_clip_of_another_length_is_left_out(workspace: Path) -> None:
    restate(workspace, "still", summary={"frames_in_media": 48})
    document = audit(workspace)
    assert list(document["scenes_with_unusable_truth"]) == ["still"] and document["people_true"] == 2
    assert "one of 48 frames: this one has 8" in document["scenes_with_unusable_truth"]["still"]
    restate(workspace, "two_people_1", summary={"frames_in_media": 48})
    result = mcbench("audit", workspace, "--truth", workspace.parent / "truth", "--json", status=1)
    assert json.loads(result.stdout)["error"]["reason"] == "other_clip"
    restate(workspace, "still", summary={"frames_in_media": 4}, settings={"salvage": True})
    assert list(audit(workspace)["scenes_with_unusable_truth"]) == ["two_people_1"]


def test_another_file_of_the_same_name_is_told(workspace: Path) -> None:
    """It may be the clip encoded again, or another rendering that has the same name and length."""
    truth = workspace.parent / "truth" / "still.json"
    truth.write_text(json.dumps({**json.loads(truth.read_text()), "info": {"clip_sha256": "a"}}))
    for digest, same in (("a", True), ("b", False)):
        restate(workspace, "still", resources={"video": digest})
        result = mcbench("audit", workspace, "--truth", workspace.parent / "truth", "--json")
        rows = {row["scene"]: row["same_file"] for row in json.loads(result.stdout)["per_scene"]}
        assert rows == {"still": same, "two_people_1": None}
        assert ("another rendering" in result.stderr) is not same


def test_one_damaged_truth_or_result_keeps_no_other_scene_from_its_numbers(workspace: Path) -> None:
    people = workspace / "scenes" / "two_people_1" / "fit" / "people.npz"
    people.write_bytes(people.read_bytes() + b" ")
    document = audit(workspace)
    row = next(row for row in document["per_scene"] if row["scene"] == "two_people_1")
    assert (row["status"], row["reason"], row["people_found"]) == ("failed", "damaged", 0)
    assert str(people) in row["message"] and document["people_true"] == 5 and document["scenes_rejected"] == 1
    (workspace.parent / "truth" / "still.npz").unlink()
    document = audit(workspace)
    assert "still.npz: no such file" in document["scenes_with_unusable_truth"]["still"]
    assert document["people_true"] == 2


@pytest.mark.parametrize("name", ["joints_visible", "K", "moved", "vertices"])
def test_truth_whose_arrays_do_not_fit_together(workspace: Path, name: str) -> None:
    path = workspace.parent / "truth" / "still.npz"
    arrays = read_npz(path)
    write_npz(path, {**arrays, name: arrays[name][:-1]})
    assert "has shape" in audit(workspace)["scenes_with_unusable_truth"]["still"]
