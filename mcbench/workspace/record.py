"""The record of a finished stage, `stage.json`: written last, so that its presence means done."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from mcbench.dataset.files import read_json, sha256_file, sha256_json, write_json
from mcbench.errors import InputError

FORMAT = "mcbench-stage/1"
RECORD = "stage.json"
#: The stage without inputs, which import and download make.
SOURCE = "source"
#: Top-level names in a stage's folder that are not part of its result.
VOLATILE = (RECORD, "error.log")

OK, REJECTED, FAILED, SKIPPED = "ok", "rejected", "failed", "skipped"


@dataclass(frozen=True)
class StageRecord:
    """What was done, from what, how it ended.

    Attributes
    ----------
    stage, scene : the stage's name and the scene's id.
    status : "ok", "rejected" (a result with a typed reason) or "failed" (tried again by the next run).
    reason, message : typed reason for machines and text for people; None when ok.
    key : digest of the stage's version, the settings that matter, inputs and resources.
    version, settings, inputs, resources : what the key was made from; inputs are the inputs' `result_digest`.
    summary : the stage's own figures.
    files : SHA-256 of every file of the result, by relative path.
    result_digest : digest of status, reason, summary and files: free of times, paths and host.
    provenance : where a source came from; not part of the digest.
    started_at, duration_s, mcbench_version : when, how long, by which release; not part of the digest.
    """

    stage: str
    scene: str
    status: str
    reason: str | None
    message: str | None
    key: str
    version: int
    settings: dict[str, Any]
    inputs: dict[str, str]
    resources: dict[str, str]
    summary: dict[str, Any]
    files: dict[str, str]
    result_digest: str
    started_at: str
    duration_s: float
    mcbench_version: str
    provenance: dict[str, Any] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        write_json(Path(folder) / RECORD, {"format": FORMAT, **asdict(self)})

    @classmethod
    def load(cls, folder: Path) -> StageRecord | None:
        """The record in a stage's folder, or None where the stage has not finished.

        Of a record that cannot be read there is one that says so, with status "failed": the next run makes the
        result anew, and other scenes are not kept from anything.

        Raises
        ------
        InputError : the record is of another release's format, which must not be overwritten.
        """
        folder = Path(folder)
        if not (folder / RECORD).exists():
            return None
        try:
            return cls.read(folder)
        except InputError as error:
            if error.reason == "other_format":
                raise
            return cls._unreadable(folder, error)

    @classmethod
    def read(cls, folder: Path) -> StageRecord:
        """The record in a stage's folder; raises `InputError` for one that is absent or not what it should be."""
        path = Path(folder) / RECORD
        data = read_json(path)
        fmt = data.pop("format", None) if isinstance(data, dict) else None
        if isinstance(fmt, str) and fmt != FORMAT:
            raise InputError(
                f"is of the format {fmt}, not {FORMAT}",
                path=path,
                hint="use the release of mcbench that wrote it, or delete the folder",
                reason="other_format",
            )
        if fmt != FORMAT:
            raise InputError(f"is not a {FORMAT} record", path=path)
        if lacking := [f.name for f in fields(cls) if f.name not in data]:
            raise InputError(f"lacks {', '.join(lacking)}", path=path)
        if wrong := [name for name, kinds in _KINDS.items() if not isinstance(data[name], kinds)]:
            raise InputError(f"is not a {FORMAT} record: {', '.join(wrong)} of a wrong type", path=path)
        return cls(**{f.name: data[f.name] for f in fields(cls)})

    @classmethod
    def _unreadable(cls, folder: Path, error: InputError) -> StageRecord:
        """What stands for a damaged record: its empty key and digest are nobody's."""
        again = "import or download the scene again" if folder.name == SOURCE else "the next run makes it anew"
        return cls(
            stage=folder.name,
            scene=folder.parent.name,
            status=FAILED,
            reason=error.reason,
            message=f"{folder.name}/{RECORD} is damaged, {error.message} ({again})",
            key="",
            version=0,
            settings={},
            inputs={},
            resources={},
            summary={},
            files={},
            result_digest="",
            started_at="",
            duration_s=0.0,
            mcbench_version="",
        )


#: What a record's fields must be, so that whoever reads it need not ask.
_KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("stage", "scene", "status", "key", "result_digest", "started_at", "mcbench_version"), (str,)),
    **dict.fromkeys(("reason", "message"), (str, type(None))),
    **dict.fromkeys(("settings", "inputs", "resources", "summary", "files", "provenance"), (dict,)),
    "version": (int,),
    "duration_s": (int, float),
}


def stage_key(
    stage: str, version: int, settings: dict[str, Any], inputs: dict[str, str], resources: dict[str, str]
) -> str:
    """Digest that tells whether a finished stage is the one now asked for."""
    return sha256_json(
        {"stage": stage, "version": version, "settings": settings, "inputs": inputs, "resources": resources}
    )


def file_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a result by relative path, volatile ones left out."""
    folder = Path(folder)
    return {
        path.relative_to(folder).as_posix(): sha256_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] not in VOLATILE
    }


def result_digest(status: str, reason: str | None, summary: dict[str, Any], files: dict[str, str]) -> str:
    return sha256_json({"status": status, "reason": reason, "summary": summary, "files": files})


def damaged_files(folder: Path, record: StageRecord) -> dict[str, str]:
    """What is wrong with a result's files, by relative path: "missing", "changed", or "extra" for one too many."""
    present = file_digests(folder)
    found = {}
    for name in sorted(set(record.files) | set(present)):
        if name not in present:
            found[name] = "missing"
        elif name not in record.files:
            found[name] = "extra"
        elif present[name] != record.files[name]:
            found[name] = "changed"
    return found
