"""Export: the accepted people of a workspace as a benchmark folder (`mcbench.dataset.benchmark`)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import mcbench
from mcbench.body.model import BodyModel
from mcbench.dataset.benchmark import Benchmark, BenchmarkPeople, is_benchmark, write_manifest
from mcbench.dataset.cameras_file import FrameCamera, SceneCameras
from mcbench.dataset.files import write_bytes, write_npz
from mcbench.dataset.locks import lock
from mcbench.dataset.people import FittedPeople
from mcbench.errors import InputError, UsageError
from mcbench.metrics.ellipsoid import ellipsoid_radius
from mcbench.pipelines.finished import FinishedScene, finished_scene, why_unfinished
from mcbench.viz.raycast import MeshScene
from mcbench.viz.visibility import clipped_boxes, visible_joints
from mcbench.workspace.stage import Progress, no_progress
from mcbench.workspace.workspace import Workspace

#: What the benchmark tells of people as the fit does.
_AS_FITTED = [
    f.name for f in fields(BenchmarkPeople) if f.name != "n_joints" and f.name in FittedPeople.__dataclass_fields__
]


@dataclass(frozen=True)
class ExportSettings:
    """How a benchmark is exported."""

    every: int = field(default=1, metadata={"help": "Keep every n-th of the frames that have a camera."})
    image_format: str = field(default="jpg", metadata={"help": "Format of the images.", "choices": ("jpg", "png")})
    licence: str = field(default="", metadata={"help": "Licence of the images, as it goes into the manifest."})


def export(
    workspace: Workspace, out: Path, settings: ExportSettings | None = None, progress: Progress = no_progress
) -> dict[str, Any]:
    """Write a benchmark of all scenes that are ok and have accepted people; returns its manifest.

    It is built beside `out` and renamed into place. An earlier benchmark there is replaced, anything else refused.

    Raises
    ------
    UsageError : `out` holds something that is no benchmark, or files besides one.
    McbenchError : another process exports to `out` (reason `locked`).
    InputError : nobody is accepted (reason `nobody_accepted`), scenes were fitted with different bodies, or a file of a
        result is damaged (reason `damaged`).
    """
    settings = settings or ExportSettings()
    out = Path(os.path.abspath(out))  # noqa: PTH100 - a name is needed, of "." too; links stay as they are
    if settings.every < 1:
        raise UsageError(f"every must be 1 or more, is {settings.every}")
    busy = "another process exports to this folder"
    with lock(out.with_name(f".{out.name}.lock"), busy, shown=out, remove=True):
        old = out.with_name(f".{out.name}.old")
        if old.exists() and not out.exists():  # an export was killed between its two renames
            old.rename(out)
        _check_target(out)
        building = out.with_name(f".{out.name}.building")
        shutil.rmtree(building, ignore_errors=True)
        try:
            building.mkdir()
            manifest = _build(workspace, building, settings, progress)
            shutil.rmtree(old, ignore_errors=True)
            if out.exists():
                out.rename(old)
            building.rename(out)
        finally:
            for leftover in (building, old):
                shutil.rmtree(leftover, ignore_errors=True)
    return manifest


def _check_target(out: Path) -> None:
    """Refuse to replace what is not a benchmark and nothing but one."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not is_benchmark(out):
        raise UsageError("exists and is not a benchmark", path=out, hint="give a new folder", reason="not_a_benchmark")
    if strangers := Benchmark.load(out).strangers():
        some = ", ".join(strangers[:3]) + (", …" if len(strangers) > 3 else "")
        raise UsageError(
            f"holds a benchmark, which would be replaced, and files that are no part of it: {some}",
            path=out,
            hint="move them, or give a new folder",
            reason="not_a_benchmark",
        )


def _build(workspace: Workspace, root: Path, settings: ExportSettings, progress: Progress) -> dict[str, Any]:
    scenes, left_out = [], {}
    body: BodyModel | None = None
    all_scenes = workspace.scenes()
    for done, scene in enumerate(all_scenes):
        progress(done, len(all_scenes), scene.id)
        finished = finished_scene(scene)
        if finished is None:
            status, stage, reason = why_unfinished(scene)
            left_out[scene.id] = f"{stage} {status}" + (f": {reason}" if reason else "")
            continue
        if not finished.accepted.any():
            left_out[scene.id] = "nobody accepted"
            continue
        own = finished.body()
        if body is not None and own.digest != body.digest:
            raise InputError("scenes were fitted with different bodies", path=scene.folder, reason="other_body")
        body = own
        scenes.append(_export_scene(finished, body, root / "scenes" / scene.id, settings))
    if body is None:
        raise InputError(
            "has no scene with accepted people",
            path=workspace.root,
            hint="see mcbench status",
            reason="nobody_accepted",
        )
    write_npz(root / "body.npz", {"skin_area": body.vertex_area * body.skin_mask, "faces": body.faces})
    return write_manifest(
        root,
        {
            "mcbench_version": mcbench.__version__,
            "settings": asdict(settings),
            "licence": settings.licence or "not stated: that of the source videos holds",
            "body": {"name": body.name, "digest": body.digest, "vertices": body.n_vertices, "joints": body.n_joints},
            "scenes": scenes,
            "left_out": left_out,
            "counts": {
                "scenes": len(scenes),
                "images": sum(len(s["images"]) for s in scenes),
                "people": sum(s["people"] for s in scenes),
            },
        },
    )


def _export_scene(finished: FinishedScene, body: BodyModel, folder: Path, settings: ExportSettings) -> dict[str, Any]:
    """Write one scene; returns its entry in the manifest."""
    (folder / "images").mkdir(parents=True)
    posed_frames = finished.cameras.posed[:: settings.every]
    names = [f"{camera.index:06d}.{settings.image_format}" for camera in posed_frames]
    wanted = [camera.index for camera in posed_frames]
    for name, (_, image) in zip(names, finished.source.images(wanted), strict=True):
        write_bytes(folder / "images" / name, encode(image, settings.image_format))
    cameras = [FrameCamera(c.index, n, c.camera, c.cam_from_world) for c, n in zip(posed_frames, names, strict=True)]
    SceneCameras(cameras, "metre", np.array([0.0, 0.0, 1.0]), "mcbench").save(folder / "cameras.json")
    people = _people(finished, body, cameras)
    people.save(folder / "people.npz")
    record = finished.scene.any_record("source")
    origin = "" if record is None else str(record.provenance.get("origin", ""))
    return {
        "id": finished.scene.id,
        "name": finished.source.name,
        "origin": origin if "://" in origin else None,  # a path of the exporting machine tells nobody anything
        "content": {} if record is None else record.resources,
        "fit": _digest(finished, "fit"),
        "validate": _digest(finished, "validate"),
        "images": names,
        "people": len(people),
    }


def _digest(finished: FinishedScene, stage: str) -> str | None:
    record = finished.scene.any_record(stage)
    return None if record is None else record.result_digest


def encode(image: np.ndarray, image_format: str) -> bytes:
    """An RGB image (height, width, 3) as the bytes of a JPEG (quality 95) or PNG file."""
    options = [cv2.IMWRITE_JPEG_QUALITY, 95] if image_format == "jpg" else []
    ok, data = cv2.imencode(f".{image_format}", np.ascontiguousarray(image[..., ::-1]), options)
    if not ok:
        raise ValueError(f"cannot encode an image as {image_format}")
    return data.tobytes()


def _people(finished: FinishedScene, body: BodyModel, cameras: Sequence[FrameCamera]) -> BenchmarkPeople:
    fitted = finished.people
    posed = finished.posed(body)
    chosen = np.flatnonzero(finished.accepted)
    # who was rejected still stands in front of others
    scene = MeshScene(posed.vertices, body.faces)
    box, visible = [], []
    for camera in cameras:
        if camera.cam_from_world is None:
            raise ValueError(f"image {camera.name} has no pose")
        box.append(clipped_boxes(posed.vertices[chosen], camera.camera, camera.cam_from_world))
        seen = visible_joints(scene, posed.joints, camera.camera, camera.cam_from_world) & ~finished.unknown_joints
        visible.append(seen[chosen])
    return BenchmarkPeople(
        person=chosen.astype(np.int64),
        n_joints=fitted.n_joints,
        **{name: getattr(fitted, name)[chosen] for name in _AS_FITTED},
        vertices=posed.vertices[chosen].astype(np.float32),
        error_bar=ellipsoid_radius(fitted.joints_cov[chosen]),
        box=np.stack(box),
        visible=np.stack(visible),
    )
