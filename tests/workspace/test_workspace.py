"""Workspaces: opening, naming scenes, settings, sources, integrity, the catalog."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import toy
from hypothesis import given
from hypothesis import strategies as st

from mcbench.dataset.locks import lock
from mcbench.errors import InputError, McbenchError, UsageError
from mcbench.pipelines.chain import CHAIN
from mcbench.pipelines.export import ExportSettings
from mcbench.workspace.catalog import rebuild_catalog
from mcbench.workspace.integrity import verify_workspace
from mcbench.workspace.runner import run_stages, scene_states
from mcbench.workspace.workspace import TABLES, Workspace, sanitise


@given(st.text())
def test_scene_ids_are_safe_folder_names(name: str) -> None:
    made = sanitise(name)
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", made) or re.fullmatch(r"[A-Za-z0-9_-]+", made)
    assert ".." not in made
    assert len(made) <= 80
    assert sanitise(made) == made


@pytest.mark.parametrize(
    ("name", "expected"), [("../../etc/passwd", "etc_passwd"), ("a b.mp4", "a_b.mp4"), ("", "scene")]
)
def test_sanitise_known(name: str, expected: str) -> None:
    assert sanitise(name) == expected


@pytest.mark.parametrize("name", ["../../evil", "/etc/evil", "..", "a/../../../evil", "e\nvil", "evil\x1b[2J"])
def test_no_name_leaves_the_workspace(name: str, tmp_path: Path) -> None:
    """Names that lists of videos and files give; `import --name` refuses such."""
    workspace = Workspace.open_or_create(tmp_path / "deep" / "er" / "ws")
    scene = toy.add(workspace, name, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]
    assert [path.name for path in (tmp_path / "deep" / "er").iterdir()] == ["ws"]
    assert scene.folder.parent == workspace.root / "scenes"
    assert scene.name == name


def test_open_refuses_what_is_no_workspace(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a workspace"):
        Workspace.open(tmp_path)
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        Workspace.open_or_create(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_equal_names_from_different_places_are_different_scenes(tmp_path: Path) -> None:
    workspace = Workspace.open_or_create(tmp_path / "ws")

    def add(origin: str, content: str) -> tuple[str, bool]:
        scene, made = workspace.add_source(
            "clip", origin, lambda out: {}, settings={}, content={"file": content}, provenance={}
        )
        return scene.id, made

    assert add("/a/clip.mp4", "1") == ("clip", True)
    assert add("/b/clip.mp4", "1") == ("clip-2", True)
    assert add("/a/clip.mp4", "1") == ("clip", False)
    assert add("/a/clip.mp4", "2") == ("clip", True)


def test_source_that_cannot_be_built_leaves_nothing(tmp_path: Path) -> None:
    workspace = Workspace.open_or_create(tmp_path / "ws")

    def build(out: Path) -> dict:
        (out / "half").write_text("x")
        raise InputError("broken", path="clip.mp4")

    with pytest.raises(InputError):
        workspace.add_source("clip", "/clip.mp4", build, settings={}, content={}, provenance={})
    assert list(workspace.scenes_folder.iterdir()) == []


def test_settings_from_file_and_options(tmp_path: Path) -> None:
    workspace = Workspace.open_or_create(tmp_path / "ws")
    config = workspace.root / "mcbench.toml"
    config.write_text(config.read_text() + "[count]\nadd = 3\n")
    assert workspace.settings("count", toy.CountSettings).add == 3
    assert workspace.settings("count", toy.CountSettings, {"add": 4, "threads": None}).add == 4
    for text, what in (
        ("[count]\nad = 3\n", "no option 'ad'"),
        ("[count]\nadd = 'x'\n", "must be of type int"),
        ("[count]\nadd = true\n", "must be of type int"),
        ("[count]\nadd = -1\n", "0 or more"),
        ("[count]\nadd = 3\n[cuont]\nadd = 3\n", r"no table \[cuont\]"),
        ("add = 3\n", "no option 'add'"),
        ("count = 3\n", "must be a table"),
        ("[[count]]\nadd = 3\n", "must be a table"),
        ("[", "read"),
    ):
        config.write_text(text)
        with pytest.raises(UsageError, match=what):
            workspace.settings("count", toy.CountSettings)


def test_verify_names_every_kind_of_damage(tmp_path: Path) -> None:
    workspace = Workspace.open_or_create(tmp_path / "ws")
    for value in range(3):
        toy.add(workspace, f"s{value}", value)
    run_stages(workspace.scenes(), toy.chain())
    assert verify_workspace(workspace) == (9, [])
    (workspace.scene("s0").folder / "count" / "part0.json").write_text("{}")
    (workspace.scene("s1").folder / "count" / "part1.json").unlink()
    (workspace.scene("s2").folder / "double" / "extra.txt").write_text("x")
    record = workspace.scene("s2").folder / "count" / "stage.json"
    record.write_text(record.read_text().replace('"value": 2', '"value": 7'))
    found = {(d.scene, d.stage, d.file, d.problem) for d in verify_workspace(workspace)[1]}
    assert found == {
        ("s0", "count", "part0.json", "changed"),
        ("s1", "count", "part1.json", "missing"),
        ("s2", "double", "extra.txt", "extra"),
        ("s2", "count", "stage.json", "bad_record"),
    }


def test_catalog_is_rebuilt_from_the_folders(tmp_path: Path) -> None:
    workspace = Workspace.open_or_create(tmp_path / "ws")
    toy.add(workspace, "good", 1)
    toy.add(workspace, "bad", -1)
    run_stages(workspace.scenes(), toy.chain())
    rebuild_catalog(workspace)
    (workspace.root / "catalog.sqlite").write_bytes(b"garbage")
    path = rebuild_catalog(workspace)
    with sqlite3.connect(path) as connection:
        rows = connection.execute("select scene, stage, status, reason from stage order by 1, 2").fetchall()
    assert ("bad", "count", "rejected", "negative") in rows
    assert ("good", "double", "ok", None) in rows


@pytest.mark.parametrize("overrides", [{"add": -1}, {"sleep_s": float("nan")}, {"sleep_s": float("inf")}])
def test_options_that_make_no_sense_are_refused(tmp_path: Path, overrides: dict) -> None:
    workspace = Workspace.open_or_create(tmp_path / "ws")
    with pytest.raises(UsageError, match="0 or more"):
        workspace.settings("count", toy.CountSettings, overrides)


def test_a_table_is_held_to_the_choices_of_an_option(tmp_path: Path) -> None:
    workspace = Workspace.open_or_create(tmp_path / "ws")
    (workspace.root / "mcbench.toml").write_text("[export]\nimage_format = 'gif'\n")
    with pytest.raises(UsageError, match="one of jpg, png"):
        workspace.settings("export", ExportSettings)


def test_tables_are_those_of_the_chain() -> None:
    assert [stage.name for stage in CHAIN] == list(TABLES[: len(CHAIN)])


@pytest.mark.parametrize("text", ["", "format = 1", 'format = "mcbench-workspace/2"', "["])
def test_a_workspace_of_another_format_is_refused(tmp_path: Path, text: str) -> None:
    root = Workspace.open_or_create(tmp_path / "ws").root
    (root / "mcbench.toml").write_text(text)
    for opens in (Workspace.open, Workspace.open_or_create):
        with pytest.raises(UsageError, match=r"mcbench\.toml"):
            opens(root)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": "mcbench-stage/1"}', "wrong types"])
def test_a_damaged_record_keeps_no_other_scene_from_anything(tmp_path: Path, text: str) -> None:
    workspace = Workspace.open_or_create(tmp_path / "ws")
    for name in ("broken", "good"):
        toy.add(workspace, name, 1)
    run_stages(workspace.scenes(), toy.chain())
    whole = workspace.scene("broken").any_record("double")
    for stage in ("source", "count"):
        path = workspace.scene("broken").folder / stage / "stage.json"
        path.write_text(path.read_text().replace("{}", "3") if text == "wrong types" else text)
        assert [d.problem for d in verify_workspace(workspace)[1]] == ["bad_record"]
        states = {row["scene"]: row["stages"] for row in scene_states(workspace, ("source", "count", "double"))}
        assert (states["broken"][stage]["status"], states["broken"]["double"]["status"]) == ("failed", "stale")
        assert states["good"]["double"]["status"] == "ok"
        rebuild_catalog(workspace)
        toy.add(workspace, f"new-{stage}", 1)
        toy.add(workspace, "broken", 1)  # makes a damaged source anew, in its place
        run_stages(workspace.scenes(), toy.chain())
        assert verify_workspace(workspace)[1] == []
        assert workspace.scene("broken").any_record("double").result_digest == whole.result_digest
    assert [s.id for s in workspace.scenes()] == ["broken", "good", "new-count", "new-source"]


def test_a_record_of_another_release_is_not_overwritten(tmp_path: Path) -> None:
    workspace = Workspace.open_or_create(tmp_path / "ws")
    toy.add(workspace, "s", 1)
    run_stages(workspace.scenes(), toy.chain())
    path = workspace.scene("s").folder / "count" / "stage.json"
    path.write_text(path.read_text().replace("mcbench-stage/1", "mcbench-stage/2"))
    report = run_stages(workspace.scenes(), toy.chain())
    assert {o.reason for o in report.outcomes} == {"other_format"}
    assert "mcbench-stage/2" in path.read_text()


def test_ctrl_c_in_a_build_leaves_nothing(tmp_path: Path) -> None:
    workspace = Workspace.open_or_create(tmp_path / "ws")

    def build(out: Path) -> dict:
        (out / "half").write_text("x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        workspace.add_source("clip", "/clip.mp4", build, settings={}, content={})
    assert list(workspace.scenes_folder.iterdir()) == []


def test_a_failing_build_leaves_the_other_stages_of_a_scene(tmp_path: Path) -> None:
    workspace = Workspace.open_or_create(tmp_path / "ws")
    toy.add(workspace, "s", 1)
    run_stages(workspace.scenes(), toy.chain())
    shutil.rmtree(workspace.scene("s").folder / "source")

    def build(out: Path) -> dict:
        raise InputError("broken", path="s.mp4")

    with pytest.raises(InputError, match="broken"):
        workspace.add_source("s", "toy:s", build, settings={}, content={})
    assert (workspace.scenes_folder / "s" / "count" / "stage.json").exists()


def test_a_workspace_whose_making_was_killed_is_made(tmp_path: Path) -> None:
    (tmp_path / "ws").mkdir()
    (tmp_path / "ws" / ".mcbench.toml.123.tmp").write_text("form")
    assert Workspace.open_or_create(tmp_path / "ws").scenes() == []


def test_catalogs_written_at_once_do_not_meet(tmp_path: Path) -> None:
    workspace = Workspace.open_or_create(tmp_path / "ws")
    toy.add(workspace, "s", 1)
    script = (
        "import sys; from mcbench.workspace.catalog import *\n"
        "for _ in range(50): rebuild_catalog(Workspace.open(sys.argv[1]))"
    )
    command = [sys.executable, "-c", script, str(workspace.root)]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    assert [process.communicate()[1] for process in running] == [""] * 4
    with sqlite3.connect(workspace.root / "catalog.sqlite") as connection:
        assert connection.execute("select count(*) from scene").fetchone() == (1,)


def test_a_damaged_source_is_made_anew_when_it_is_imported_again(tmp_path: Path) -> None:
    workspace = Workspace.open_or_create(tmp_path / "ws")
    scene = toy.add(workspace, "one", 1)
    run_stages([scene], toy.chain())
    for damage in (Path.unlink, lambda path: path.write_text("{}")):
        damage(scene.stage_folder("source") / "value.json")
        toy.add(workspace, "one", 1)
        assert verify_workspace(workspace)[1] == []
        assert all(o.cached for o in run_stages([scene], toy.chain()).outcomes)


def test_a_lock_keeps_others_out_and_leaves_its_file_only_where_it_should(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with lock(path, "busy", remove=True):
        with pytest.raises(McbenchError, match="busy") as caught, lock(path, "busy", shown=tmp_path):
            pass
        assert (caught.value.reason, caught.value.path) == ("locked", tmp_path)
    assert not path.exists()
    with lock(path, "busy"):
        pass
    assert path.exists()
