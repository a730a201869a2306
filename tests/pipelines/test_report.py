"""`mcbench report` on hand-made workspaces."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from handmade import FRAMES, HEIGHT, WIDTH, add_scene, make_truth, standing, toy_body
from running import mcbench
from whole_bodies import body

from mcbench.dataset.files import write_json
from mcbench.dope.people import WholeBody
from mcbench.metrics.whole_body import ImageTruth, WholeBodyScores
from mcbench.pipelines import finished
from mcbench.workspace.workspace import Workspace

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """A page's text and images; fails where tags do not match."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.images: dict[str, str] = {}
        self.source = path.read_text()
        self.feed(self.source)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        if tag == "img":
            self.images[str(dict(attrs)["alt"])] = str(dict(attrs)["src"])

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data if self.open[-1:] != ["style"] else ""

    def jpeg(self, alt: str) -> np.ndarray:
        data = base64.b64decode(self.images[alt].removeprefix("data:image/jpeg;base64,"))
        return cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three people, one of them rejected; a rejected scene; a scene that was only imported."""
    monkeypatch.setattr(finished, "load_body", lambda path: toy_body())
    made = Workspace.open_or_create(tmp_path / "ws")
    add_scene(made, "room <1>", standing(3), [True, False, True])
    add_scene(made, "still", standing(1), reject="static_camera")
    add_scene(made, "untouched", standing(1))
    for stage in ("sfm", "detect", "fit", "validate"):
        (tmp_path / "ws/scenes/untouched" / stage / "stage.json").unlink()
    return tmp_path / "ws"


def report(workspace: Path, *options: object) -> tuple[dict, Page]:
    out = workspace.parent / "out" / "report.html"
    document = json.loads(mcbench("report", workspace, "-o", out, "--json", *options).stdout)
    return document, Page(out)


def test_counts_add_up(workspace: Path) -> None:
    document, page = report(workspace)
    assert document["counts"] == {
        "scenes": {"total": 3, "ok": 1, "rejected": 1, "failed": 0, "unfinished": 1},
        "frames": {"total": 3 * FRAMES, "registered": FRAMES - 1, "unregistered": 1, "unsolved": 2 * FRAMES},
        "people": {"found": 3, "accepted": 2, "rejected": 1},
        "reasons": {"few_views": 1},
        "scene_reasons": {"static_camera": 1},
    }
    assert "1 ok, 1 rejected, 0 failed, 1 not finished" in page.text
    assert "2 accepted, 1 rejected" in page.text
    assert "rejected by sfm (static_camera)" in page.text and "sfm has not run" in page.text
    assert document["bytes"] == (workspace.parent / "out" / "report.html").stat().st_size


def test_people_are_told_with_their_error_bars(workspace: Path) -> None:
    document, page = report(workspace)
    room = next(s for s in document["scenes"] if s["scene"] == "room_1")
    assert [p["accepted"] for p in room["people"]] == [True, False, True]
    person = room["people"][1]
    assert person["broken"][0]["reason"] == "few_views" and "few_views (views 8 < 9)" in page.text
    assert person["views"] == FRAMES and person["residual_px"] == 2.0
    assert person["moved_mm"] == pytest.approx(2.0) and person["stature_m"] is None  # never measured: not zero
    assert person["error_radius_mm"] == pytest.approx(1000 * 0.02 * np.sqrt(6.2514), rel=1e-4)
    assert room["scale_interval_pct"] == pytest.approx([-5.0, 5.0])


def test_one_file_that_needs_nothing_else(workspace: Path) -> None:
    _, page = report(workspace)
    assert page.images and all(src.startswith("data:image/") for src in page.images.values())
    assert not re.search(r"(src|href)=\"(?!data:|#)", page.source)
    assert "url(" not in page.source and "<script" not in page.source
    assert "room <1>" in page.text and "room <1>" not in page.source  # escaped
    assert str(workspace) not in page.source
    assert [p.name for p in (workspace.parent / "out").iterdir()] == ["report.html"]


def test_pictures_show_the_frames_with_people_drawn(workspace: Path) -> None:
    _, page = report(workspace, "--pictures", 2)
    pictures = [alt for alt in page.images if alt.startswith("frame") and "room_1" in alt]
    assert len(pictures) == 2
    index = int(pictures[0].split()[1])
    picture = page.jpeg(pictures[0])
    assert picture.shape == (HEIGHT, WIDTH, 3)
    plain = cv2.imread(str(workspace / f"scenes/room_1/source/images/{index:03d}.png"))
    changed = (np.abs(picture.astype(int) - plain).max(axis=2) > 40).mean()
    assert 0.01 < changed < 0.5
    assert "room_1 from above" in page.images
    assert len([alt for alt in page.images if "of still" in alt]) == 2  # rejected, but people were detected
    _, page = report(workspace, "--pictures", 0)
    assert not [alt for alt in page.images if alt.startswith("frame")]


def test_same_workspace_same_bytes(workspace: Path) -> None:
    assert report(workspace)[1].source == report(workspace)[1].source


def test_with_truth_and_evaluation(workspace: Path, tmp_path: Path) -> None:
    make_truth("room <1>.mp4", standing(3)).save(tmp_path / "truth")
    mcbench("export", workspace, tmp_path / "bench")
    interval = {f"{m}_mm_interval90": [70.0, 90.0] for m in ("mpjpe", "pa_mpjpe")}
    method = {
        "name": "mine", "method": "m", "items": 14, "recall": 0.5, "recall_interval90": None, "mpjpe_mm": 81.25,
        "pa_mpjpe_mm": 77.0, "pve_mm": None, "pa_pve_mm": None, "pve_mm_interval90": None, "pa_pve_mm_interval90": None,
    }  # fmt: skip
    evaluation = {
        "format": "mcbench-evaluation/1", "protocol": "mcbench", "protocol_description": "d", "benchmark": "b" * 64,
        "methods": [{**method, **interval}],
    }  # fmt: skip
    (tmp_path / "scores").mkdir()
    write_json(tmp_path / "scores" / "evaluation.json", evaluation)
    document, page = report(workspace, "--truth", tmp_path / "truth", "--evaluation", tmp_path / "scores")
    assert document["audit"]["recall"] == pytest.approx(2 / 3)
    assert "0.67 (0.2" in page.text and "left out: still, untouched" in page.text
    assert "81.2 (70.0–90.0)" in page.text
    assert {"error of every fitted person", "errors of the methods"} <= set(page.images)


def test_with_scores_of_whole_bodies(workspace: Path, tmp_path: Path) -> None:
    scores = WholeBodyScores()
    person = [WholeBody.of({"body": body(1.0)})]
    scores.add(ImageTruth(person), person)
    evaluation = {
        "format": "mcbench-dope-evaluation/1", "images": 7, "settings": {"min_box": 48.0},
        "methods": [{"name": "student <2>", **scores.summary()}],
    }  # fmt: skip
    (tmp_path / "scores").mkdir()
    write_json(tmp_path / "scores" / "evaluation.json", evaluation)
    document, page = report(workspace, "--whole-bodies", tmp_path / "scores")
    rows = {row["kind"]: row for row in document["whole_bodies"]["methods"]}
    assert rows["body"]["recall"] == 1 and rows["hand"]["true"] == 0 and rows["hand"]["recall"] is None
    assert "Whole bodies in single images" in page.text and "student <2>" in page.text and "100.0" in page.text


def test_what_was_asked_for_and_is_not_there_is_an_error(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for option in ("--truth", "--evaluation", "--whole-bodies"):
        result = mcbench("report", workspace, option, tmp_path / "empty", "-o", tmp_path / "r.html", status=1)
        assert "empty" in result.stderr
    write_json(tmp_path / "empty" / "evaluation.json", {"format": "mcbench-evaluation/1", "methods": [{}]})
    mcbench("report", workspace, "--evaluation", tmp_path / "empty", "-o", tmp_path / "r.html", status=1)
    write_json(tmp_path / "empty" / "evaluation.json", {"format": "mcbench-dope-evaluation/1", "methods": [{}]})
    mcbench("report", workspace, "--whole-bodies", tmp_path / "empty", "-o", tmp_path / "r.html", status=1)
    assert not (tmp_path / "r.html").exists()


def test_nothing_has_run_yet(tmp_path: Path) -> None:
    made = Workspace.open_or_create(tmp_path / "ws")
    document, page = report(tmp_path / "ws")
    assert document["counts"]["scenes"]["total"] == 0 and "has no scenes" in page.text
    add_scene(made, "new", standing(1), reject="static_camera")
    for stage in ("sfm", "detect"):
        (tmp_path / "ws/scenes/new" / stage / "stage.json").unlink()
    document, page = report(tmp_path / "ws")
    assert document["nothing_run"] and "Nothing has run yet" in page.text and "new" in page.text


@pytest.mark.parametrize("damage", ["image", "verdicts", "record", "body"])
def test_a_damaged_scene_is_told_and_breaks_nothing(workspace: Path, damage: str, monkeypatch) -> None:
    scene = workspace / "scenes" / "room_1"
    if damage == "image":
        for path in (scene / "source" / "images").iterdir():
            path.write_bytes(b"no image")
    elif damage == "verdicts":
        (scene / "validate" / "people.json").write_text("{}")
    elif damage == "record":
        (scene / "fit" / "stage.json").write_text("{")
    else:
        monkeypatch.setattr(finished, "load_body", lambda path: toy_body(digest="d2"))
    document, page = report(workspace)
    assert document["counts"]["scenes"]["total"] == 3 and "still" in page.text
    room = next(s for s in document["scenes"] if s["scene"] == "room_1")
    if damage == "record":
        assert (room["status"], room["reason"]) == ("failed", "bad_json")
    else:
        assert len(room["notes"]) == 1 and room["notes"][0] in page.text
    if damage == "body":  # sticks instead of meshes
        assert [alt for alt in page.images if "of room_1" in alt]


def test_a_report_is_replaced_and_nothing_else_is(workspace: Path, tmp_path: Path) -> None:
    report(workspace)
    report(workspace)
    (tmp_path / "thesis.html").write_text("<h1>mine</h1>")
    mcbench("report", workspace, "-o", tmp_path / "thesis.html", status=2)
    assert (tmp_path / "thesis.html").read_text() == "<h1>mine</h1>"
    mcbench("report", workspace, "-o", tmp_path, status=2)
    mcbench("report", workspace, "-o", tmp_path / "r.html", "--pictures", -1, status=2)


def test_the_table_for_people(workspace: Path, tmp_path: Path) -> None:
    text = mcbench("report", workspace, "-o", tmp_path / "r.html").stdout
    assert "r.html" in text and "rejected by sfm (static_camera)" in text
