"""The record of a finished stage, `stage.json`: written last, so that its presence means done."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from mcbench.dataset.files import read_json, sha256_file, sha256_json, write_json
from mcbench.errors import InputError

FORMAT = "mcbench-stage/1"
RECORD = "stage.json"
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
        """The record in a stage's folder, or None where the stage has not finished."""
        path = Path(folder) / RECORD
        if not path.exists():
            return None
        data = read_json(path)
        if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
            raise InputError(f"is not a {FORMAT} record", path=path, hint="delete the folder to have it made again")
        try:
            return cls(**{f.name: data[f.name] for f in fields(cls)})
        except KeyError as error:
            raise InputError(f"lacks {error}", path=path, hint="delete the folder to have it made again") from error


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
