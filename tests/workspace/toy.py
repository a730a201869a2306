"""A chain of two toy stages that tests run: `count` writes a file from the source, `double` one from `count`."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

from mcbench.dataset.files import read_json, write_json
from mcbench.errors import Rejected
from mcbench.workspace.stage import Stage, StageContext
from mcbench.workspace.workspace import Scene, Workspace


@dataclass(frozen=True)
class CountSettings:
    add: int = 0
    threads: int = field(default=1, metadata={"key": False})
    sleep_s: float = field(default=0.0, metadata={"key": False})


@dataclass(frozen=True)
class DoubleSettings:
    factor: float = 2.0


def count(context: StageContext[CountSettings]) -> dict:
    value = read_json(context.inputs["source"] / "value.json")["value"]
    if value == "crash":
        raise RuntimeError("boom")
    if value == "suicide":
        os.kill(os.getpid(), signal.SIGKILL)
    if value < 0:
        raise Rejected("the value is negative", reason="negative")
    for step in range(5):
        write_json(context.out / f"part{step}.json", {"value": value + context.settings.add})
        time.sleep(context.settings.sleep_s)
    return {"value": value + context.settings.add}


def double(context: StageContext[DoubleSettings]) -> dict:
    value = read_json(context.inputs["count"] / "part0.json")["value"] * context.settings.factor
    write_json(context.out / "value.json", {"value": value})
    return {"value": value}


COUNT = Stage("count", 1, ("source",), CountSettings, count)
DOUBLE = Stage("double", 1, ("source", "count"), DoubleSettings, double)


def add(workspace: Workspace, name: str, value: object) -> Scene:
    def build(out: Path) -> dict:
        write_json(out / "value.json", {"value": value})
        return {}

    scene, _ = workspace.add_source(
        name, f"toy:{name}", build, settings={}, content={"value": str(value)}, provenance={}
    )
    return scene


def chain(sleep_s: float = 0.0, **count_settings: int) -> list:
    return [(COUNT, CountSettings(sleep_s=sleep_s, **count_settings)), (DOUBLE, DoubleSettings())]


def digests(workspace: Workspace) -> dict[str, str | None]:
    return {
        f"{scene.id}/{stage}": record.result_digest if (record := scene.record(stage)) else None
        for scene in workspace.scenes()
        for stage in ("source", "count", "double")
    }


def main(root: str, sleep_s: str) -> None:
    """Run the chain: what tests kill."""
    from mcbench.workspace.executors import LocalPool
    from mcbench.workspace.runner import run_stages

    run_stages(Workspace.open(root).scenes(), chain(float(sleep_s)), executor=LocalPool(2))


if __name__ == "__main__":
    import sys

    main(*sys.argv[1:])
