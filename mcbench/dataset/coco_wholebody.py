"""COCO-WholeBody annotation files as people of `dope139`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mcbench.dataset.files import read_json
from mcbench.dope.people import JOINTS, PartPose, WholeBody, box_round
from mcbench.errors import InputError
from mcbench.joints import COCO17, DOPE13, FACE84_OF_FACE68, mapping

#: Confidence of a point that is labelled but hidden, and of a visible one: COCO's flags 1 and 2.
_SURE = {1: 0.5, 2: 1.0}
_EARS = [COCO17.index(f"{side}_ear") for side in ("left", "right")]


@dataclass(frozen=True)
class AnnotatedImage:
    """An image of an annotation file.

    Attributes
    ----------
    file : its name. people : those labelled, without 3D.
    unlabelled : boxes (N, 4) px by kind of people whose part is not labelled.
    """

    file: str
    people: list[WholeBody]
    unlabelled: Mapping[str, np.ndarray]


def read_annotations(path: Path) -> list[AnnotatedImage]:
    """The images of a file, in its order.

    Raises
    ------
    InputError : it is no such file (reason `bad_json`, `bad_keypoints`).
    """
    document = read_json(path)
    try:
        of_image: dict[Any, list[dict[str, Any]]] = {image["id"]: [] for image in document["images"]}
        for annotation in document["annotations"]:
            of_image[annotation["image_id"]].append(annotation)
        return [_image(str(image["file_name"]), of_image[image["id"]]) for image in document["images"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"is not COCO-WholeBody JSON: {error!r}", path=path, reason="bad_keypoints") from error


def _image(file: str, annotations: list[dict[str, Any]]) -> AnnotatedImage:
    people = []
    unlabelled: dict[str, list[np.ndarray]] = {kind: [] for kind in JOINTS}
    for annotation in annotations:
        parts = _parts(annotation)
        if parts:
            people.append(WholeBody.of(parts))
        x, y, width, height = annotation["bbox"]
        box = np.array([x, y, x + width, y + height], dtype=np.float64)
        for name, kind in (("body", "body"), ("left_hand", "hand"), ("right_hand", "hand"), ("face", "face")):
            if name not in parts:
                unlabelled[kind].append(box)
    return AnnotatedImage(file, people, {kind: np.array(b).reshape(-1, 4) for kind, b in unlabelled.items()})


def _parts(annotation: dict[str, Any]) -> dict[str, PartPose]:
    parts: dict[str, PartPose] = {}
    coco = np.array(annotation["keypoints"], dtype=np.float64).reshape(17, 3)
    if not annotation.get("iscrowd") and (coco[:, 2] > 0).any():
        body = np.zeros((len(DOPE13), 3))
        for source, target in mapping(COCO17.name, DOPE13.name):
            body[target] = coco[source]
        ears = coco[_EARS]
        if (ears[:, 2] > 0).all():
            body[DOPE13.index("head")] = [*ears[:, :2].mean(axis=0), ears[:, 2].min()]
        parts["body"] = _part(body[:, :2], np.select([body[:, 2] == flag for flag in _SURE], list(_SURE.values()), 0.0))
    for name, points in (("left_hand", "lefthand"), ("right_hand", "righthand"), ("face", "face")):
        if not annotation.get(f"{points}_valid"):
            continue
        values = np.array(annotation[f"{points}_kpts"], dtype=np.float64).reshape(-1, 3)
        sure = (values[:, 2] > 0).astype(np.float64)
        if name == "face":
            pairs = np.array(FACE84_OF_FACE68)
            values, sure = values[pairs].mean(axis=1), sure[pairs].min(axis=1)
        if len(values) != len(JOINTS["face" if name == "face" else "hand"]):
            raise ValueError(f"{len(values)} points of a {name}")
        if sure.any():
            parts[name] = _part(values[:, :2], sure)
    return parts


def _part(points: np.ndarray, confidence: np.ndarray) -> PartPose:
    pose2d = np.where(confidence[:, None] > 0, points, np.nan)
    return PartPose(1.0, pose2d, np.full((len(points), 3), np.nan), confidence, box_round(pose2d))
