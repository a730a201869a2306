"""A workspace: a folder of scenes, each a folder of finished stages."""

from __future__ import annotations

import math
import re
import tomllib
import unicodedata
from collections.abc import Callable
from dataclasses import Field, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from mcbench.dataset.files import write_bytes
from mcbench.errors import UsageError
from mcbench.workspace.build import LOCK, build_result, clean_leftovers, failed_attempt, scene_lock
from mcbench.workspace.record import OK, SOURCE, StageRecord, damaged_files, stage_key

CONFIG = "mcbench.toml"
FORMAT = "mcbench-workspace/1"
_CONFIG_TEXT = f"""\
# An mcbench workspace. A table named after a stage sets that stage's options, as its --help lists them:
# [sfm]
# max_keyframes = 60
format = "{FORMAT}"
"""
#: Tables that `mcbench.toml` may have: the stages, and the commands after them that read it.
TABLES = ("sfm", "detect", "fit", "validate", "export", "report")
_T = TypeVar("_T")


def sanitise(name: str) -> str:
    """A safe folder name: ASCII letters, digits, '.', '_', '-', no leading dot, at most 80 characters."""
    text = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    text = re.sub(r"[^A-Za-z0-9._-]+", "_", text)
    text = re.sub(r"\.{2,}", "_", text).strip("._-")
    return text[:80].rstrip("._-") or "scene"


def _problem(option: Field[Any], value: Any) -> str | None:
    """What is wrong with an option's value, or None. Numbers are of 0 or more: no option means a negative one."""
    default = option.default
    kinds = (int, float) if isinstance(default, float) else (type(default),)
    if default is not None and (not isinstance(value, kinds) or isinstance(value, bool) != isinstance(default, bool)):
        return f"must be of type {type(default).__name__}, is {value!r}"
    choices = option.metadata.get("choices")
    if choices and value not in choices:
        return f"must be one of {', '.join(choices)}, is {value!r}"
    if isinstance(value, (int, float)):
        least = option.metadata.get("least", 0)
        if not math.isfinite(value) or value < least:
            return f"must be {least} or more, is {value}"
    return None


@dataclass(frozen=True)
class Scene:
    """A scene of a workspace: `id` is its folder's name, `folder` holds a folder a stage."""

    folder: Path

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def name(self) -> str:
        """The original name of the clip or folder, unsanitised."""
        record = self.any_record(SOURCE)
        return self.id if record is None else str(record.provenance.get("name", self.id))

    def stage_folder(self, stage: str) -> Path:
        return self.folder / stage

    def any_record(self, stage: str) -> StageRecord | None:
        """The stage's record, be it up to date with its inputs or not."""
        return StageRecord.load(self.stage_folder(stage))

    def failed_attempt(self, stage: str) -> StageRecord | None:
        """The record of the latest attempt at the stage if it failed and an older result was kept, else None."""
        return StageRecord.load(failed_attempt(self.folder, stage))

    def record(self, stage: str) -> StageRecord | None:
        """The stage's record if it was made from the present results of its inputs, else None."""
        record = self.any_record(stage)
        if record is None:
            return None
        for name, digest in record.inputs.items():
            upstream = self.record(name)
            if upstream is None or upstream.result_digest != digest:
                return None
        return record

    def finished(self, stage: str) -> bool:
        """Whether the stage has an up-to-date result with status ok."""
        record = self.record(stage)
        return record is not None and record.status == OK


@dataclass(frozen=True)
class Workspace:
    """A folder with `mcbench.toml`, `scenes/<id>/<stage>/…` and `catalog.sqlite`."""

    root: Path

    @classmethod
    def open(cls, root: str | Path) -> Workspace:
        """Open an existing workspace; raises `UsageError` where there is none."""
        root = Path(root)
        if not (root / CONFIG).is_file():
            raise UsageError(
                "is not a workspace",
                path=root,
                hint="`mcbench import` and `mcbench download` make one",
                reason="no_workspace",
            )
        opened = cls(root)
        opened._check_format()
        return opened

    @classmethod
    def open_or_create(cls, root: str | Path) -> Workspace:
        """Open a workspace, made first if the folder is empty or absent; other folders are refused."""
        root = Path(root)
        if root.exists() and not root.is_dir():
            raise UsageError("is a file, not a folder for a workspace", path=root)
        if not (root / CONFIG).exists():
            # a process that was killed, or is at it now, may have left what it writes mcbench.toml through
            if root.exists() and any(not p.name.startswith(f".{CONFIG}.") for p in root.iterdir()):
                raise UsageError(
                    "is not empty and not a workspace", path=root, hint="give a new folder", reason="no_workspace"
                )
            root.mkdir(parents=True, exist_ok=True)
            write_bytes(root / CONFIG, _CONFIG_TEXT.encode())  # first: nothing but it makes the folder a workspace
            (root / "scenes").mkdir(exist_ok=True)
        return cls.open(root)

    @property
    def scenes_folder(self) -> Path:
        return self.root / "scenes"

    def scenes(self) -> list[Scene]:
        """All scenes that have a source, sorted by id."""
        if not self.scenes_folder.is_dir():
            return []
        folders = sorted(p for p in self.scenes_folder.iterdir() if p.is_dir() and not p.name.startswith("."))
        return [Scene(p) for p in folders if (p / SOURCE / "stage.json").exists()]

    def scene(self, scene_id: str) -> Scene:
        """The scene of that id; raises `UsageError` that lists some of the known ones."""
        known = {scene.id: scene for scene in self.scenes()}
        if scene_id not in known:
            some = ", ".join(list(known)[:8]) + (", …" if len(known) > 8 else "")
            raise UsageError(f"no scene {scene_id!r}", path=self.root, hint=f"scenes: {some or 'none yet'}")
        return known[scene_id]

    def settings(self, stage: str, cls: type[_T], overrides: dict[str, Any] | None = None) -> _T:
        """A stage's settings: its defaults, then the table of `mcbench.toml`, then `overrides` (None: not given).

        Raises
        ------
        UsageError : an option that is not known, of the wrong type, or of a value that makes no sense.
        """
        path = self.root / CONFIG
        table = self._table(stage)
        known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
        for key, value in table.items():
            if key not in known:
                raise UsageError(f"[{stage}] has no option {key!r}", path=path, hint=f"options: {', '.join(known)}")
            if problem := _problem(known[key], value):
                raise UsageError(f"[{stage}] {key} {problem}", path=path)
        given = {k: v for k, v in (overrides or {}).items() if v is not None}
        for key, value in given.items():
            if problem := _problem(known[key], value):
                raise UsageError(f"--{key.replace('_', '-')} {problem}")
        return cls(**{**table, **given})

    def _config(self) -> dict[str, Any]:
        path = self.root / CONFIG
        try:
            return tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot be read: {error}", path=path) from error

    def _check_format(self) -> None:
        found = self._config().get("format")
        if found != FORMAT:
            says = "names no format" if found is None else f"is of the format {found!r}"
            raise UsageError(f"{says}, expected format = {FORMAT!r}", path=self.root / CONFIG, reason="bad_format")

    def _table(self, stage: str) -> dict[str, Any]:
        """The stage's options of `mcbench.toml`. A misspelt table must not be passed over in silence."""
        config = self._config()
        tables = dict.fromkeys((*TABLES, stage))
        for name, value in config.items():
            if name == "format":
                continue
            if name not in tables:
                what = f"no table [{name}]" if isinstance(value, dict) else f"no option {name!r} outside of a table"
                raise UsageError(f"mcbench knows {what}", path=self.root / CONFIG, hint=f"tables: {', '.join(tables)}")
            if not isinstance(value, dict):
                raise UsageError(f"{name} must be a table, [{name}]", path=self.root / CONFIG)
        return dict(config.get(stage, {}))

    def add_source(
        self,
        name: str,
        origin: str,
        build: Callable[[Path], dict[str, Any]],
        *,
        settings: dict[str, Any],
        content: dict[str, str],
        provenance: dict[str, Any] | None = None,
    ) -> tuple[Scene, bool]:
        """Add a scene, or find it done already.

        Parameters
        ----------
        name : original name of the clip or folder; the scene's id is its sanitised form, numbered if taken.
        origin : absolute path or URL: the same origin is the same scene, rebuilt if content or settings changed.
        build : fills the empty source folder and returns the summary; its errors leave nothing behind.
        settings : what besides the content decides the result. content : digests of what is imported, by name.
        provenance : further data for the record, not part of any digest.

        Returns
        -------
        The scene, and whether it was made now (False: it was there already).
        """
        scene = self._scene_for(name, origin)
        with scene_lock(scene.folder):
            try:
                clean_leftovers(scene.folder)
                record = scene.any_record(SOURCE)
                same = record and record.status == OK and record.key == stage_key(SOURCE, 1, settings, {}, content)
                if record and same and not damaged_files(scene.stage_folder(SOURCE), record):
                    return scene, False
                build_result(
                    scene.folder,
                    SOURCE,
                    build,
                    settings=settings,
                    resources=content,
                    provenance={**(provenance or {}), "name": name, "origin": origin},
                    raise_errors=True,
                )
                return scene, True
            finally:
                clean_leftovers(scene.folder)  # of a build that Ctrl-C ended
                if [p.name for p in scene.folder.iterdir()] == [LOCK]:
                    (scene.folder / LOCK).unlink()
                    scene.folder.rmdir()

    def _scene_for(self, name: str, origin: str) -> Scene:
        base, number = sanitise(name), 1
        taken = {}
        for scene in self.scenes():
            record = scene.any_record(SOURCE)
            if record and record.status == OK:  # a damaged one is made anew in its place
                taken[scene.id] = record.provenance.get("origin")
        same = [scene_id for scene_id, known in taken.items() if known == origin]
        if same:
            return Scene(self.scenes_folder / same[0])
        scene_id = base
        while scene_id in taken:
            number += 1
            scene_id = f"{base}-{number}"
        return Scene(self.scenes_folder / scene_id)
