"""Running, resuming, rejecting, crashing: done means a record whose key matches, nothing else."""

from __future__ import annotations

import errno
import functools
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import toy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcbench.errors import InputError, McbenchError
from mcbench.workspace.build import scene_lock
from mcbench.workspace.executors import InProcess, LocalPool
from mcbench.workspace.integrity import verify_workspace
from mcbench.workspace.runner import run_stages, scene_states
from mcbench.workspace.stage import StageContext
from mcbench.workspace.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace.open_or_create(tmp_path / "ws")
    for name, value in (("one", 1), ("two", 2), ("bad", -1)):
        toy.add(made, name, value)
    return made


def test_counts_add_up_and_a_rejected_scene_leaves_the_rest_alone(workspace: Workspace) -> None:
    report = run_stages(workspace.scenes(), toy.chain())
    assert report.counts() == {
        "count": {"ok": 2, "rejected": 1, "failed": 0, "skipped": 0},
        "double": {"ok": 2, "rejected": 0, "failed": 0, "skipped": 1},
    }
    assert report.exit_status == 1
    skipped = next(o for o in report.outcomes if o.status == "skipped")
    assert (skipped.scene, skipped.blocked_by, skipped.reason) == ("bad", "count", "negative")
    assert workspace.scene("two").record("double").summary == {"value": 4.0}


def test_second_run_does_nothing(workspace: Workspace) -> None:
    run_stages(workspace.scenes(), toy.chain())
    before = {p: p.stat().st_mtime_ns for p in workspace.root.rglob("*.json")}
    report = run_stages(workspace.scenes(), toy.chain())
    assert all(o.cached for o in report.outcomes if o.status != "skipped")
    assert {p: p.stat().st_mtime_ns for p in workspace.root.rglob("*.json")} == before


def test_changed_settings_redo_the_stage_and_what_follows(workspace: Workspace) -> None:
    run_stages(workspace.scenes(), toy.chain())
    report = run_stages(workspace.scenes(), toy.chain(add=1))
    assert not any(o.cached for o in report.outcomes)
    assert workspace.scene("one").record("double").summary == {"value": 4.0}


def test_settings_outside_the_key_redo_nothing(workspace: Workspace) -> None:
    run_stages(workspace.scenes(), toy.chain())
    report = run_stages(workspace.scenes(), toy.chain(threads=7))
    assert all(o.cached for o in report.outcomes if o.status != "skipped")


def test_redone_upstream_makes_downstream_stale(workspace: Workspace) -> None:
    run_stages(workspace.scenes(), toy.chain())
    run_stages(workspace.scenes(), [toy.chain(add=5)[0]])
    state = next(s for s in scene_states(workspace, ["count", "double"]) if s["scene"] == "one")
    assert state["stages"]["count"]["status"] == "ok"
    assert state["stages"]["double"]["status"] == "stale"
    assert workspace.scene("one").record("double") is None


def test_equal_result_of_a_redone_upstream_keeps_downstream(workspace: Workspace) -> None:
    run_stages(workspace.scenes(), toy.chain())
    (workspace.scene("one").stage_folder("count") / "stage.json").unlink()
    report = run_stages([workspace.scene("one")], toy.chain())
    assert [o.cached for o in report.outcomes] == [False, True]


def test_crash_is_failed_with_a_log_and_tried_again(workspace: Workspace) -> None:
    toy.add(workspace, "crash", "crash")
    for _ in range(2):
        report = run_stages([workspace.scene("crash")], toy.chain())
        assert [(o.status, o.reason, o.cached) for o in report.outcomes] == [
            ("failed", "internal", False),
            ("skipped", "internal", False),
        ]
    log = (workspace.scene("crash").stage_folder("count") / "error.log").read_text()
    assert "RuntimeError: boom" in log


def test_pool_gives_the_results_of_one_process(tmp_path: Path) -> None:
    results = []
    for name, executor in (("a", InProcess()), ("b", LocalPool(2))):
        made = Workspace.open_or_create(tmp_path / name)
        for value in range(4):
            toy.add(made, f"scene{value}", value)
        run_stages(made.scenes(), toy.chain(), executor=executor)
        results.append(toy.digests(made))
    assert results[0] == results[1]
    assert None not in results[0].values()


def test_killed_worker_fails_its_scene_alone(workspace: Workspace) -> None:
    toy.add(workspace, "suicide", "suicide")
    report = run_stages(workspace.scenes(), toy.chain(), executor=LocalPool(2))
    by_scene = {o.scene: o for o in report.outcomes if o.stage == "count"}
    assert (by_scene["suicide"].status, by_scene["suicide"].reason) == ("failed", "worker_died")
    assert {by_scene[s].status for s in ("one", "two")} == {"ok"}


def test_locked_scene_is_reported_not_waited_for(workspace: Workspace) -> None:
    with scene_lock(workspace.scene("one").folder):
        report = run_stages(workspace.scenes(), toy.chain())
        with pytest.raises(McbenchError) as caught, scene_lock(workspace.scene("one").folder):
            pass
    assert caught.value.reason == "locked"
    assert {o.reason for o in report.outcomes if o.scene == "one"} == {"locked"}
    assert workspace.scene("two").finished("double")


def test_kill_9_at_any_moment_loses_nothing(tmp_path: Path) -> None:
    def fresh(name: str) -> Workspace:
        made = Workspace.open_or_create(tmp_path / name)
        for value in range(4):
            toy.add(made, f"scene{value}", value)
        return made

    reference = fresh("reference")
    run_stages(reference.scenes(), toy.chain())
    killed = fresh("killed")
    command = [sys.executable, toy.__file__, str(killed.root), "0.02"]
    for moment in (0.3, 0.9, 1.3, 1.6, 1.9):
        process = subprocess.Popen(command, start_new_session=True)
        time.sleep(moment)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    report = run_stages(killed.scenes(), toy.chain(), executor=LocalPool(2))
    assert report.exit_status == 0, report.outcomes
    assert toy.digests(killed) == toy.digests(reference)
    assert not [p for p in killed.root.rglob(".*") if p.name.startswith((".tmp-", ".old-"))]


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(values=st.lists(st.integers(-5, 5), max_size=6), data=st.data())
def test_counts_always_add_up(tmp_path_factory: pytest.TempPathFactory, values: list[int], data: st.DataObject) -> None:
    made = Workspace.open_or_create(tmp_path_factory.mktemp("ws") / "ws")
    for index, value in enumerate(values):
        toy.add(made, f"s{index}", value)
    if values and data.draw(st.booleans()):
        run_stages(made.scenes()[: data.draw(st.integers(0, len(values)))], toy.chain())
    report = run_stages(made.scenes(), toy.chain())
    for counts in report.counts().values():
        assert sum(counts.values()) == len(values)
    if values:
        assert report.counts()["count"]["rejected"] == sum(v < 0 for v in values)


def test_a_stage_that_cannot_begin_leaves_what_is_done(workspace: Workspace) -> None:
    def no_weights(settings: object) -> dict:
        raise McbenchError("no weights", reason="missing_weights")

    (count, plain), (double, factor) = toy.chain()
    run_stages(workspace.scenes(), [(count, plain)])
    broken = [(count, plain), (replace(double, resources=no_weights), factor)]
    report = run_stages([workspace.scene("one")], broken)
    assert [(o.status, o.reason, o.cached) for o in report.outcomes] == [
        ("ok", None, True),
        ("failed", "missing_weights", False),
    ]


def test_a_failure_never_takes_the_place_of_a_result(workspace: Workspace) -> None:
    def crash(context: object) -> dict[str, object]:
        raise RuntimeError("boom")

    scene = workspace.scene("one")
    run_stages([scene], toy.chain())
    before = toy.digests(workspace)
    (count, plain), second = toy.chain()
    report = run_stages([scene], [(replace(count, run=crash, version=2), plain), second])
    assert [(o.status, o.reason, o.blocked_by) for o in report.outcomes] == [
        ("failed", "internal", None),
        ("skipped", "internal", "count"),
    ]
    assert toy.digests(workspace) == before
    state = next(s for s in scene_states(workspace, ["count", "double"]) if s["scene"] == "one")["stages"]
    assert state["count"]["status"] == "failed"
    assert "boom" in state["count"]["message"] and "the result before it is kept" in state["count"]["message"]
    assert state["double"]["status"] == "ok"
    assert verify_workspace(workspace)[1] == []
    # the settings that went well before are asked for again: nothing is left to tell of
    assert all(o.cached and o.status == "ok" for o in run_stages([scene], toy.chain()).outcomes)
    assert scene.failed_attempt("count") is None
    state = next(s for s in scene_states(workspace, ["count"]) if s["scene"] == "one")["stages"]
    assert state["count"]["status"] == "ok"


def test_a_result_takes_the_place_of_a_failed_attempt(workspace: Workspace) -> None:
    def crash(context: object) -> dict[str, object]:
        raise RuntimeError("boom")

    scene = workspace.scene("one")
    (count, plain), second = toy.chain()
    run_stages([scene], toy.chain())
    run_stages([scene], [(replace(count, run=crash, version=2), plain), second])
    report = run_stages([scene], [(replace(count, version=2), plain), second])
    # it comes out the same, so what depends on it stands
    assert [(o.status, o.cached) for o in report.outcomes] == [("ok", False), ("ok", True)]
    assert scene.failed_attempt("count") is None


def test_a_skipped_stage_says_which_command_is_lacking(workspace: Workspace) -> None:
    scene = workspace.scene("one")
    (count, plain), (double, factor) = toy.chain()
    (outcome,) = run_stages([scene], [(double, factor)]).outcomes
    assert (outcome.status, outcome.reason, outcome.blocked_by) == ("skipped", "not_done", "count")
    assert "run `mcbench count`" in str(outcome.message)
    run_stages([scene], [(count, plain)])
    third = replace(double, name="third", inputs=("double",))
    run_stages([scene], [(double, factor)])
    run_stages([scene], [(count, replace(plain, add=1))])
    (outcome,) = run_stages([scene], [(third, factor)]).outcomes
    assert (outcome.reason, outcome.blocked_by) == ("out_of_date", "double")
    # the whole chain names what ended it, however far before
    bad = run_stages([workspace.scene("bad")], [(count, plain), (double, factor), (third, factor)])
    assert [(o.status, o.reason, o.blocked_by) for o in bad.outcomes] == [
        ("rejected", "negative", None),
        ("skipped", "negative", "count"),
        ("skipped", "negative", "count"),
    ]


def test_nothing_is_built_on_a_damaged_file(workspace: Workspace) -> None:
    scene = workspace.scene("one")
    run_stages([scene], toy.chain())
    damaged = scene.stage_folder("count") / "part0.json"
    damaged.write_text('{"value": 1000}')
    (count, plain), (double, factor) = toy.chain()
    redone = [(count, plain), (replace(double, version=2), factor)]
    report = run_stages([scene], redone)
    assert [(o.status, o.reason) for o in report.outcomes] == [("ok", None), ("failed", "damaged")]
    message = str(report.outcomes[1].message)
    assert str(damaged) in message and "was changed" in message and "`mcbench count`" in message
    assert scene.record("double").summary == {"value": 2.0}  # what was made of the whole file stays


def test_a_deleted_file_is_made_anew(workspace: Workspace) -> None:
    scene = workspace.scene("one")
    run_stages([scene], toy.chain())
    before = toy.digests(workspace)
    (scene.stage_folder("count") / "part3.json").unlink()
    report = run_stages([scene], toy.chain())
    assert [(o.status, o.cached) for o in report.outcomes] == [("ok", False), ("ok", True)]
    assert toy.digests(workspace) == before and verify_workspace(workspace)[1] == []


def test_a_failure_before_the_start_is_told_by_status(workspace: Workspace) -> None:
    """No weights, say: nothing is run, but whoever asks later learns why; and the next run tries again."""

    def no_weights(settings: object) -> dict[str, str]:
        raise InputError("absent", reason="missing_weights")

    (count, plain), second = toy.chain()
    run_stages([workspace.scene("one")], [(replace(count, resources=no_weights), plain)])
    state = next(s for s in scene_states(workspace, ["count"]) if s["scene"] == "one")
    assert state["stages"]["count"] == {"status": "failed", "reason": "missing_weights", "message": "absent"}
    assert run_stages([workspace.scene("one")], [(count, plain), second]).exit_status == 0


def test_ctrl_c_waits_for_no_scene(tmp_path: Path) -> None:
    """A scene may take minutes; workers are killed, and the next run makes anew what they had half-built."""
    made = Workspace.open_or_create(tmp_path / "ws")
    for value in range(2):
        toy.add(made, f"scene{value}", value)
    command = [sys.executable, toy.__file__, str(made.root), "60"]
    # a shell that runs the tests in the background makes its children deaf to Ctrl-C: not this one
    hears = functools.partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=hears)
    started = time.monotonic()
    while len(list(made.root.glob("scenes/*/.tmp-count/*.json"))) < 2:
        assert time.monotonic() - started < 60 and process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert said.count("Traceback") == 1 and "KeyboardInterrupt" in said  # the driver's; a command prints a line
    report = run_stages(made.scenes(), toy.chain())
    assert report.exit_status == 0 and not list(made.root.glob("scenes/*/.tmp-*"))


def test_what_the_system_refuses_is_an_io_error_with_the_path(workspace: Workspace) -> None:
    def refused(context: StageContext) -> dict[str, object]:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(context.out / "big.npz"))

    (count, plain), _ = toy.chain()
    (outcome,) = run_stages([workspace.scene("one")], [(replace(count, run=refused), plain)]).outcomes
    assert (outcome.status, outcome.reason) == ("failed", "io_error")
    assert "big.npz: no space left on device (make room, run again)" in str(outcome.message)
