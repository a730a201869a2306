"""Keypoints made elsewhere, brought to the frames of a source: OpenPose's JSON files and COCO-WholeBody JSON."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from mcbench.dataset.detections import Detections
from mcbench.dataset.files import read_json
from mcbench.dataset.source import Frame
from mcbench.errors import InputError
from mcbench.joints import joint_set

#: Names that `--keypoints-format` takes, with the joint set of each.
FORMATS = {
    "openpose_body25": "body25",
    "openpose_body25b": "body25b",
    "coco_wholebody": "coco_wholebody133",
}
# COCO-WholeBody keeps the parts of its 133 keypoints in five lists.
_WHOLEBODY_PARTS = (
    ("keypoints", 17),
    ("foot_kpts", 6),
    ("face_kpts", 68),
    ("lefthand_kpts", 21),
    ("righthand_kpts", 21),
)


@dataclass(frozen=True)
class ImportedKeypoints:
    """What came in: the detections, their format, and what found no frame."""

    detections: Detections
    format: str
    without_frame: int
    frames_without: int


def import_keypoints(paths: Sequence[Path], frames: Sequence[Frame], fmt: str | None = None) -> ImportedKeypoints:
    """Read keypoint files (or a folder of them) for the frames of a source.

    OpenPose writes a file a frame: it belongs to the frame whose name without suffix its own name starts with, up to
    an underscore (`cam01_keypoints.json` to `cam01.jpg`), or, for a video, to the frame whose number it ends in
    (`clip_000000000012_keypoints.json`). COCO-WholeBody writes one file, which names its images.

    The score of a person is the mean confidence of the known keypoints, the box what they span (clipped to the image).
    OpenPose's (0, 0, 0) is an unknown keypoint.

    Parameters
    ----------
    fmt : one of `FORMATS`, or None to tell it from the files: COCO-WholeBody by its keys, BODY_25B and BODY_25 only
        by a file name that says so, as both have 25 keypoints.

    Raises
    ------
    InputError : reason `no_keypoints`, `unknown_format`, `ambiguous_format`, `bad_keypoints`, `no_match`.
    """
    files = _files(paths)
    documents = [(path, read_json(path)) for path in files]
    if fmt is None:
        fmt = _tell_format(*documents[0])
    people: list[_Person] = []
    matched: set[int] = set()
    without_frame = 0
    if fmt == "coco_wholebody":
        for path, document in documents:
            found, used, lost = _coco_people(path, document, frames)
            people += found
            matched |= used
            without_frame += lost
    else:
        for path, document in documents:
            frame = _frame_of(path.stem, frames)
            if frame is None:
                without_frame += 1
                continue
            matched.add(frame.index)
            people += _openpose_people(path, document, frame)
    if not matched:
        raise InputError(
            f"no keypoints belong to a frame of the source ({frames[0].name!r}, …)", path=paths[0], reason="no_match"
        )
    return ImportedKeypoints(_detections(people, FORMATS[fmt], fmt), fmt, without_frame, len(frames) - len(matched))


@dataclass(frozen=True)
class _Person:
    frame: Frame
    keypoints: np.ndarray  # (K, 2), NaN where unknown
    score: np.ndarray  # (K,), 0 where unknown


def _files(paths: Sequence[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() == ".json" and p.is_file())
            if not inside:
                raise InputError("holds no .json file with keypoints", path=path, reason="no_keypoints")
            files += inside
        else:
            files.append(path)
    return files


def _tell_format(path: Path, document: Any) -> str:
    if isinstance(document, dict) and "annotations" in document and "images" in document:
        return "coco_wholebody"
    if not isinstance(document, dict) or "people" not in document:
        raise InputError("is neither OpenPose nor COCO-WholeBody JSON", path=path, reason="unknown_format")
    name = re.sub(r"[^a-z0-9]", "", path.stem.lower())
    if "body25b" in name:
        return "openpose_body25b"
    if "body25" in name:
        return "openpose_body25"
    raise InputError(
        "BODY_25 and BODY_25B both have 25 keypoints and the file does not say which it is",
        path=path,
        hint="give --keypoints-format openpose_body25 (OpenPose's default) or openpose_body25b",
        reason="ambiguous_format",
    )


def _frame_of(stem: str, frames: Sequence[Frame]) -> Frame | None:
    """The frame an OpenPose file belongs to: the longest frame name that the file's name starts with."""
    fitting = []
    for frame in frames:
        name = PurePosixPath(frame.name).stem if frame.time_s is None else frame.name
        if stem == name or stem.startswith(f"{name}_"):
            fitting.append((len(name), frame))
    if fitting:
        return max(fitting, key=lambda pair: pair[0])[1]
    number = re.search(r"(\d+)(?:_keypoints)?$", stem)
    if number:
        for frame in frames:
            if frame.time_s is not None and int(frame.name) == int(number[1]):
                return frame
    return None


def _openpose_people(path: Path, document: Any, frame: Frame) -> list[_Person]:
    people = []
    try:
        for person in document["people"]:
            values = np.array(person["pose_keypoints_2d"], dtype=np.float64)
            if values.size != 75:
                raise InputError(
                    f"has {values.size / 3:g} body keypoints a person, expected 25", path=path, reason="bad_keypoints"
                )
            people.append(_person(path, frame, values.reshape(25, 3)))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"is not OpenPose JSON: {error!r}", path=path, reason="bad_keypoints") from error
    return [p for p in people if p.score.any()]


def _coco_people(path: Path, document: Any, frames: Sequence[Frame]) -> tuple[list[_Person], set[int], int]:
    """People, indices of the frames that the file knows, and the number of its images that are no frame."""
    by_name = {frame.name: frame for frame in frames}
    try:
        images = {i["id"]: by_name.get(PurePosixPath(str(i["file_name"])).name) for i in document["images"]}
        people = []
        for annotation in document["annotations"]:
            frame = images[annotation["image_id"]]
            if frame is not None:
                people.append(_person(path, frame, _wholebody(path, annotation)))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"is not COCO-WholeBody JSON: {error!r}", path=path, reason="bad_keypoints") from error
    used = {frame.index for frame in images.values() if frame is not None}
    return [p for p in people if p.score.any()], used, sum(frame is None for frame in images.values())


def _wholebody(path: Path, annotation: dict[str, Any]) -> np.ndarray:
    """Keypoints (133, 3) of an annotation. Body and feet carry COCO's flags, 1 (hidden, so half trusted) and 2."""
    parts = []
    if len(annotation["keypoints"]) == 3 * 133:
        parts.append(np.array(annotation["keypoints"], dtype=np.float64).reshape(133, 3))
    else:
        for key, size in _WHOLEBODY_PARTS:
            values = np.array(annotation[key], dtype=np.float64)
            if values.size != 3 * size:
                raise InputError(f"{key} has {values.size} numbers, expected {3 * size}", path=path,
                                 reason="bad_keypoints")  # fmt: skip
            parts.append(values.reshape(size, 3))
    whole = np.concatenate(parts)
    body = whole[:23, 2]
    if (body > 1).any():
        whole[:23, 2] = body / 2
    return whole


def _person(path: Path, frame: Frame, values: np.ndarray) -> _Person:
    if not np.isfinite(values).all():
        raise InputError("holds a keypoint that is not a number", path=path, reason="bad_keypoints")
    score = np.clip(values[:, 2], 0.0, 1.0)
    return _Person(frame, np.where(score[:, None] > 0, values[:, :2], np.nan), score)


def _detections(people: list[_Person], set_name: str, fmt: str) -> Detections:
    size = len(joint_set(set_name))
    total = [float(p.score[p.score > 0].mean()) for p in people]
    order = sorted(range(len(people)), key=lambda i: (people[i].frame.index, -total[i], i))
    boxes = [_box(people[i]) for i in order]
    return Detections(
        keypoint_set=set_name,
        detector=f"imported {fmt}",
        frame=np.array([people[i].frame.index for i in order], dtype=np.int64),
        score=np.array([total[i] for i in order]),
        box=np.array(boxes).reshape(-1, 4),
        keypoints=np.array([people[i].keypoints for i in order]).reshape(-1, size, 2),
        keypoint_score=np.array([people[i].score for i in order]).reshape(-1, size),
        keypoints3d=np.full((len(order), size, 3), np.nan),
        mask=np.zeros((len(order), 0, 0), dtype=np.uint8),
    )


def _box(person: _Person) -> np.ndarray:
    low, high = np.nanmin(person.keypoints, axis=0), np.nanmax(person.keypoints, axis=0)
    limit = np.array([person.frame.width, person.frame.height], dtype=np.float64)
    return np.concatenate([np.clip(low, 0, limit), np.clip(high, 0, limit)])
