"""What a stage is: a function from a scene's input folders to one output folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Generic, TypeVar

S = TypeVar("S")

#: progress(done, total, label): called by a stage as it goes; total is None where it is not known.
Progress = Callable[[int, int | None, str], None]


def no_progress(done: int, total: int | None, label: str) -> None:
    """The progress callback that shows nothing."""


def no_resources(settings: object) -> dict[str, str]:
    """The resources of a stage that reads nothing besides its inputs."""
    return {}


@dataclass(frozen=True)
class StageContext(Generic[S]):
    """What a stage is given.

    Attributes
    ----------
    scene : id of the scene.
    inputs : folder of every finished input stage, by name (read only).
    out : empty folder to write the result into; it is renamed into place once the stage has returned.
    settings : the stage's settings.
    progress : to be called now and then.
    """

    scene: str
    inputs: Mapping[str, Path]
    out: Path
    settings: S
    progress: Progress = no_progress


@dataclass(frozen=True)
class Stage(Generic[S]):
    """A stage of the chain.

    Attributes
    ----------
    name : its name, which is its folder in a scene.
    version : raised by hand whenever the same input would give another result.
    inputs : names of the stages it reads.
    settings : frozen dataclass of settings with defaults. A field with `metadata={"key": False}` (a number of
        threads, say) does not change the result and is left out of the key.
    run : the function. It returns a summary (JSON values, free of times and paths) for the stage's record, and
        raises `mcbench.errors.Rejected` to decline the scene for a typed reason.
    resources : digests of what the stage reads besides its inputs (body model, weights), by name.
    """

    name: str
    version: int
    inputs: tuple[str, ...]
    settings: type[S]
    run: Callable[[StageContext[S]], dict[str, Any]]
    resources: Callable[[S], dict[str, str]] = no_resources

    def keyed_settings(self, settings: S) -> dict[str, Any]:
        """The settings that matter to the result."""
        return {
            f.name: getattr(settings, f.name)
            for f in fields(settings)  # type: ignore[arg-type]
            if f.metadata.get("key", True)
        }
