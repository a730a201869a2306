"""Pseudo-label: the experts' people in images, videos and workspaces as shards of labelled images.

The work is planned first: every shard is some images of one source. A shard is whole or absent, so that a run that was
stopped goes on with those that are missing.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import mcbench
from mcbench.body.model import load_body
from mcbench.dataset import photos, video
from mcbench.dataset.files import read_json, sha256_file, sha256_json, write_json
from mcbench.dataset.label_shards import FORMAT, INDEX, Labelled, read_records, shard_name, write_shard
from mcbench.dataset.locks import lock
from mcbench.dataset.media_source import photo_source, video_source
from mcbench.dataset.source import Frame, Source
from mcbench.dataset.truth import SceneTruth
from mcbench.dope.close_ups import close_ups
from mcbench.dope.people import KINDS, PARTS, WholeBody, kind_of, only
from mcbench.dope.repair import OUTCOMES, repaired
from mcbench.dope.truth_labels import TruthLabels
from mcbench.errors import InputError, McbenchError, UsageError, known_error
from mcbench.experts.ensemble import Ensemble
from mcbench.pipelines.finished import FinishedScene, finished_scene
from mcbench.pipelines.fit_labels import FitLabels
from mcbench.pipelines.truth_files import truth_files
from mcbench.workspace.executors import InProcess, LocalPool, WorkerDied
from mcbench.workspace.stage import Progress, no_progress
from mcbench.workspace.workspace import CONFIG, Scene, Workspace, sanitise

#: Raised whenever the same images would give other labels.
VERSION = 1


@dataclass(frozen=True)
class LabelSettings:
    """How images are labelled."""

    every: int = field(default=10, metadata={"help": "Label every n-th frame of a video. Photos are all labelled."})
    parts: str = field(
        default=",".join(KINDS),
        metadata={"help": "What to look for, of body, hand, face, with commas. Of the others nothing is claimed."},
    )
    truth: str = field(
        default="",
        metadata={
            "help": "Folder of truth: label the clips by it instead of the experts, and take no other sources. Empty: "
            "the experts."
        },
    )
    around: str = field(
        default="",
        metadata={
            "help": "A kind of part, of those looked for: write close-ups, squares round each that has 48 px or more, "
            "as published sets of hands show them. Empty: whole images."
        },
    )
    shard_size: int = field(default=64, metadata={"help": "Images a shard at most, before close-ups are cut."})
    jobs: int = field(default=1, metadata={"help": "Processes that work at a time."})

    def __post_init__(self) -> None:
        for name in ("every", "shard_size", "jobs"):
            if getattr(self, name) < 1:
                raise UsageError(f"--{name.replace('_', '-')} must be 1 or more, is {getattr(self, name)}")
        if not self.kinds or not self.kinds <= set(KINDS):
            raise UsageError(f"--parts must name some of {','.join(KINDS)}, is {self.parts!r}")
        if self.around and self.around not in self.kinds:
            raise UsageError(f"--around must be one of {','.join(sorted(self.kinds))}, is {self.around!r}")

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset(part.strip() for part in self.parts.split(",") if part.strip())

    def keyed(self) -> dict[str, Any]:
        """The settings that can change a label or its place."""
        by = "truth" if self.truth else "experts"
        keyed = {"every": self.every, "parts": sorted(self.kinds), "shard_size": self.shard_size, "labels": by}
        return {**keyed, "around": self.around} if self.around else keyed


@dataclass(frozen=True)
class _Unit:
    """Images of one origin.

    Attributes
    ----------
    name : as the records tell it. key : with which the keys of its images begin.
    source : its frames, all of which are labelled, but of a scene those in `frames`.
    frames : indices of the frames to label. content : digests of what the labels depend on.
    scene : a scene of a workspace whose fit the labels are compared with. truth : file of the truth that labels a clip.
    """

    name: str
    key: str
    source: Source
    frames: tuple[int, ...]
    content: dict[str, str]
    scene: Scene | None = None
    truth: Path | None = None


@dataclass(frozen=True)
class _Shard:
    """One shard to write."""

    path: Path
    unit: _Unit
    frames: tuple[int, ...]
    kinds: frozenset[str]
    around: str


def pseudo_label(
    sources: Sequence[Path], out: Path, settings: LabelSettings | None = None, progress: Progress = no_progress
) -> dict[str, Any]:
    """Label sources and write the shards to the folder `out`; returns its index.

    Parameters
    ----------
    sources : images, folders of images or of videos, videos, workspaces.

    Raises
    ------
    UsageError : `out` holds something else than labels of the same sources with the same settings.
    InputError : none of the sources has an image (reason `no_media`), or the weights are not in the cache.
    McbenchError : another process writes to `out` (reason `locked`).
    """
    settings = settings or LabelSettings()
    units, failed = _units(sources, settings)
    if settings.truth:
        units = _with_truth(units, Path(settings.truth), failed)
    if not units:
        first = next(iter(failed.values()), None)
        raise first or InputError("has no images and no videos", path=sources[0], reason="no_media")
    made_of = {"version": VERSION, "settings": settings.keyed()}
    made_of["experts"] = None if settings.truth else Ensemble.provenance()
    key = sha256_json({**made_of, "sources": {unit.key: unit.content for unit in units}})
    out = Path(out).absolute()
    with lock(out.with_name(f".{out.name}.lock"), "another process writes labels there", shown=out, remove=True):
        before = _index_of(out, key)
        if before is not None:
            damaged = _drop_damaged(out, before)
            if before["complete"] and not damaged:
                return {**before, "cached": True}
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / INDEX, {"format": FORMAT, "key": key, "complete": False})
        shards = _plan(units, out, settings)
        unwritten = _write(shards, settings.jobs, progress)
        failed |= unwritten
        index = {
            "format": FORMAT,
            "key": key,
            "complete": not unwritten,  # what could not be written is tried again by the next run
            "mcbench_version": mcbench.__version__,
            **made_of,
            **_summary(shards, units),
            "failed": [
                {"source": name, "reason": error.reason, "message": str(error)} for name, error in failed.items()
            ],
        }
        if not index["shards"]:
            raise next(iter(failed.values()))
        write_json(out / INDEX, index)
    return {**index, "cached": False}


def _index_of(out: Path, key: str) -> dict[str, Any] | None:
    """The index of labels of the same key; None in an empty or new folder."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    try:
        index = read_json(out / INDEX)
        if index["format"] == FORMAT and index["key"] == key:
            return dict(index)
    except (InputError, KeyError, TypeError, OSError):
        pass
    raise UsageError(
        "exists and holds something else than these labels",
        path=out,
        hint="give a new folder",
        reason="not_these_labels",
    )


def _drop_damaged(out: Path, index: Mapping[str, Any]) -> bool:
    """Remove shards that are not as the index says, to be written again; whether there are any, or one is missing."""
    damaged = False
    for row in index.get("shards", []):
        path = out / row["file"]
        if not path.is_file() or sha256_file(path) != row["sha256"]:
            path.unlink(missing_ok=True)
            damaged = True
    return damaged


def _units(sources: Sequence[Path], settings: LabelSettings) -> tuple[list[_Unit], dict[str, McbenchError]]:
    """What the sources hold, and what of it cannot be used."""
    failed: dict[str, McbenchError] = {}
    units: list[_Unit] = []
    single: dict[Path, list[str]] = {}
    for path in map(Path, sources):
        try:
            if (path / CONFIG).exists():
                units += _scenes(Workspace.open(path), settings)
            elif path.is_dir():
                names = [image.name for image in photos.list_images(path)]
                units += _photos(path, names, failed)
                videos = sorted(p for p in path.iterdir() if p.suffix.lower() in video.SUFFIXES and p.is_file())
                for clip in videos:
                    try:
                        units.append(_video(clip, settings))
                    except InputError as error:
                        failed[str(clip)] = error
                if not names and not videos:
                    raise InputError("has no images and no videos", path=path, reason="no_media")
            elif path.suffix.lower() in photos.SUFFIXES:
                single.setdefault(path.parent, []).append(path.name)
            else:
                units.append(_video(path, settings))
        except InputError as error:
            failed[str(path)] = error
    for folder, names in single.items():
        units += _photos(folder, names, failed)
    return [replace(unit, key=f"{n:03d}_{unit.key}") for n, unit in enumerate(units)], failed


def _with_truth(units: Sequence[_Unit], folder: Path, failed: dict[str, McbenchError]) -> list[_Unit]:
    """The clips that have truth, with it."""
    truths, found = truth_files(folder), []
    for unit in units:
        path = truths.get(sanitise(Path(unit.name).stem))
        if path is None or unit.source.kind != "video":
            failed[unit.name] = InputError("has no truth of this clip", path=folder, reason="no_truth")
            continue
        digests = {p.name: sha256_file(p) for p in (path, path.with_suffix(".npz"))}
        found.append(replace(unit, content=unit.content | digests, scene=None, truth=path))
    return found


def _photos(folder: Path, names: Sequence[str], failed: dict[str, McbenchError]) -> list[_Unit]:
    """A folder's photos, those that are whole."""
    good = []
    for name in names:
        try:
            photos.image_size(folder / name)
            good.append(name)
        except InputError as error:
            failed[str(folder / name)] = error
    if not good:
        return []
    source = photo_source(folder, good)
    content = {name: sha256_file(folder / name) for name in good}
    return [_Unit(source.name, sanitise(source.name or "images"), source, tuple(range(len(good))), content)]


def _video(path: Path, settings: LabelSettings) -> _Unit:
    source = video_source(path, settings.every)
    return _Unit(
        path.name, sanitise(path.stem), source, tuple(range(len(source.frames))), {path.name: sha256_file(path)}
    )


def _scenes(workspace: Workspace, settings: LabelSettings) -> list[_Unit]:
    """The scenes of a workspace that have a source; of those that are finished, the fit decides."""
    units = []
    for scene in workspace.scenes():
        record = scene.record("source")
        if record is None or not scene.finished("source"):
            continue
        content = {"source": record.result_digest}
        finished = finished_scene(scene)
        if finished is not None:
            results = {stage: scene.record(stage) for stage in ("fit", "validate")}
            content |= {stage: result.result_digest for stage, result in results.items() if result is not None}
        source = Source.load(scene.stage_folder("source"))
        every = settings.every if source.kind == "video" else 1
        frames = tuple(range(0, len(source.frames), every))
        units.append(_Unit(scene.name, scene.id, source, frames, content, scene if finished else None))
    return units


def _plan(units: Sequence[_Unit], out: Path, settings: LabelSettings) -> list[_Shard]:
    shards: list[_Shard] = []
    for unit in units:
        for first in range(0, len(unit.frames), settings.shard_size):
            frames = unit.frames[first : first + settings.shard_size]
            shards.append(_Shard(out / shard_name(len(shards)), unit, frames, settings.kinds, settings.around))
    return shards


def _write(shards: Sequence[_Shard], jobs: int, progress: Progress) -> dict[str, McbenchError]:
    """Write the shards that are not there yet; returns what failed."""
    missing = [shard for shard in shards if not shard.path.exists()]
    failed: dict[str, McbenchError] = {}
    done = len(shards) - len(missing)
    executor = InProcess() if jobs == 1 or len(missing) < 2 else LocalPool(jobs)
    progress(done, len(shards), "shards")
    for shard, result in executor.map(_label_shard, missing):
        done += 1
        progress(done, len(shards), "shards")
        if isinstance(result, WorkerDied):
            failed[shard.unit.name] = McbenchError(str(result), reason="worker_died")
        elif result is not None:
            failed[shard.unit.name] = result
    return failed


def _label_shard(shard: _Shard, progress: Progress) -> McbenchError | None:
    """Write one shard; returns why it could not be written."""
    try:
        labeller = _Labeller(shard)
        images = shard.unit.source.images(shard.frames)
        write_shard(shard.path, (made for frame, image in images for made in labeller.label(frame, image)))
    except (McbenchError, OSError, ValueError) as error:
        return known_error(error)
    return None


@functools.lru_cache(maxsize=1)
def _experts(kinds: frozenset[str]) -> Ensemble:
    """The experts, loaded once a process."""
    return Ensemble(kinds)


class _Labeller:
    """Labels the images of a shard."""

    def __init__(self, shard: _Shard) -> None:
        self._unit, self._kinds, self._around = shard.unit, shard.kinds, shard.around
        scene, truth = shard.unit.scene, shard.unit.truth
        self._truth = None if truth is None else SceneTruth.load(truth)
        self._of_truth = None if truth is None else TruthLabels(load_body())
        self._fit = None if scene is None else FitLabels(FinishedScene(scene))

    def label(self, frame: Frame, image: Any) -> Iterator[tuple[Labelled, dict[str, Any]]]:
        """The image, or its close-ups, and what else their records tell."""
        people, counts = self._people(frame, image)
        key = f"{self._unit.key}_{Path(frame.name).stem if frame.time_s is None else frame.name}".replace(".", "_")
        info = {"file": frame.name, "source": self._unit.name, "against_fit": dict(sorted(counts.items()))}
        whole = Labelled(image, people, self._kinds, f"{key}_{frame.index:06d}")
        yield from ((made, info) for made in (close_ups(whole, self._around) if self._around else [whole]))

    def _people(self, frame: Frame, image: Any) -> tuple[list[WholeBody], Counter[str]]:
        """The people in an image, and what became of the experts' against the fit."""
        if self._truth is not None and self._of_truth is not None:
            position = self._unit.source.decode_index[frame.index]
            return only(self._of_truth.people(self._truth, position), self._kinds), Counter()
        if self._fit is None:
            return _experts(self._kinds)(image), Counter()
        # bodies tell which fit a hand or a face belongs to
        people, expected = _experts(self._kinds | {"body"})(image), self._fit.expected(frame.index)
        return (only(people, self._kinds), Counter()) if expected is None else repaired(people, expected, self._kinds)


def _summary(shards: Sequence[_Shard], units: Sequence[_Unit]) -> dict[str, Any]:
    """What the shards that are there hold."""
    files, against = [], Counter[str]()
    images = people = 0
    parts = Counter[str]()
    for shard in shards:
        if not shard.path.exists():
            continue
        records = read_records(shard.path)
        files.append({"file": shard.path.name, "images": len(records), "sha256": sha256_file(shard.path)})
        images += len(records)
        for record in records:
            people += len(record["people"])
            parts.update(kind_of(name) for person in record["people"] for name in PARTS if person[name] is not None)
            against.update(record["against_fit"])
    return {
        "shards": files,
        "counts": {"images": images, "people": people, **{kind: parts[kind] for kind in KINDS}},
        "against_fit": {kind: {outcome: against[f"{kind}/{outcome}"] for outcome in OUTCOMES} for kind in KINDS},
        "sources": [{"name": unit.name, "images": len(unit.frames), "fit": unit.scene is not None} for unit in units],
    }
