"""What the chain has finished of a scene, as the commands after it (export, audit, report) read it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from mcbench.body.model import OPEN_BODIES, BodyModel, Posed, load_body
from mcbench.body.rotations import exp_so3
from mcbench.dataset.cameras_file import SceneCameras
from mcbench.dataset.detections import Detections
from mcbench.dataset.files import read_json
from mcbench.dataset.people import FittedPeople
from mcbench.dataset.source import Source
from mcbench.dataset.verdicts import Verdict, load_verdicts
from mcbench.errors import InputError
from mcbench.fitting.limb_chain import HANGING, LIMB_NAMES
from mcbench.fitting.motion_ranges import ranges_of
from mcbench.joints import SMPL24
from mcbench.workspace.integrity import require_intact
from mcbench.workspace.record import OK
from mcbench.workspace.workspace import Scene

#: The stages whose results are read here.
STAGES = ("source", "sfm", "detect", "fit", "validate")


@dataclass(frozen=True)
class FinishedScene:
    """A scene in which every stage is ok and up to date."""

    scene: Scene

    @cached_property
    def source(self) -> Source:
        return Source.load(self.scene.stage_folder("source"))

    @cached_property
    def cameras(self) -> SceneCameras:
        """Metric cameras, Z up, one entry a source frame."""
        return SceneCameras.load(self.scene.stage_folder("fit") / "cameras.json")

    @cached_property
    def detections(self) -> Detections:
        return Detections.load(self.scene.stage_folder("detect") / "detections.npz")

    @cached_property
    def people(self) -> FittedPeople:
        return FittedPeople.load(self.scene.stage_folder("fit") / "people.npz")

    @cached_property
    def info(self) -> dict[str, Any]:
        """The fit's `scene.json`."""
        return dict(read_json(self.scene.stage_folder("fit") / "scene.json"))

    @cached_property
    def unknown_joints(self) -> npt.NDArray[np.bool_]:
        """(P, 24) joints of `smpl24` that hang on limbs of which nothing is known."""
        unknown = np.zeros((len(self.people), len(SMPL24)), dtype=bool)
        for person, measured in enumerate(self.info["people"]):
            for name in measured.get("unknown_limbs", []):
                unknown[person, list(HANGING[LIMB_NAMES.index(name)])] = True
        return unknown

    @cached_property
    def verdicts(self) -> list[Verdict]:
        """A verdict a person, in the order of the fitted people."""
        path = self.scene.stage_folder("validate") / "people.json"
        verdicts = sorted(load_verdicts(path), key=lambda v: v.person)
        if [v.person for v in verdicts] != list(range(len(self.people))):
            raise InputError(f"does not tell of the {len(self.people)} people of the fit", path=path)
        return verdicts

    @property
    def accepted(self) -> npt.NDArray[np.bool_]:
        """(P,) who was accepted."""
        return np.array([v.accepted for v in self.verdicts], dtype=bool)

    @property
    def seconds_fit(self) -> float | None:
        """Wall time of the fit."""
        record = self.scene.any_record("fit")
        return None if record is None else record.duration_s

    def body(self) -> BodyModel:
        """The body that the people were fitted with.

        Raises
        ------
        InputError : the body of this digest is no longer there (reason `other_body`).
        """
        record = self.scene.any_record("fit")
        path = "" if record is None else str(record.settings.get("body", ""))
        body = load_body(path or (self.people.body_model if self.people.body_model in OPEN_BODIES else None))
        if body.digest != self.people.body_digest:
            raise InputError(
                f"was fitted with another body {self.people.body_model!r} than the one now there",
                path=self.scene.folder,
                hint="run the fit again",
                reason="other_body",
            )
        return body

    def posed(self, body: BodyModel) -> Posed:
        """Vertices (P, V, 3) and `smpl24` joints (P, 24, 3) of the fitted people, metres, Z up."""
        people = self.people
        return pose_people(body, people.betas, people.pose, people.transl, people.expression)


def pose_people(
    body: BodyModel,
    betas: npt.NDArray[np.float64],
    pose: npt.NDArray[np.float64],
    transl: npt.NDArray[np.float64],
    expression: npt.NDArray[np.float64] | None = None,
) -> Posed:
    """Bodies from parameters as files have them, with `smpl24` joints (P, 24, 3).

    Unknown (NaN) turns are those of a relaxed person, of whom the fit thinks likewise, unknown faces show nothing.

    Parameters
    ----------
    betas : (P, B). pose : (P, J, 3) axis-angles of all joints. transl : (P, 3). expression : (P, E).
    """
    mean = np.concatenate([np.zeros((1, 3)), ranges_of(body.joint_template).mean_pose])
    rotations = exp_so3(np.where(np.isfinite(pose), pose, mean))
    posed = body.forward(betas, rotations, transl, None if expression is None else np.nan_to_num(expression))
    return Posed(posed.vertices, body.smpl24_joints(posed.joints))


def finished_scene(scene: Scene) -> FinishedScene | None:
    """The scene's results, or None where a stage is not done, not up to date or not ok.

    Raises
    ------
    InputError : a file of a result is missing or was changed (reason `damaged`).
    """
    records = {stage: scene.record(stage) for stage in STAGES}
    if any(record is None or record.status != OK for record in records.values()):
        return None
    for stage, record in records.items():
        if record is not None:
            require_intact(scene, stage, record)
    return FinishedScene(scene)


def why_unfinished(scene: Scene) -> tuple[str, str, str | None]:
    """Status ("missing" for one out of date, too), stage and typed reason of what ended an unfinished scene."""
    for stage in STAGES:
        record = scene.record(stage)
        if record is None:
            return "missing", stage, None
        if record.status != OK:
            return record.status, stage, record.reason
    raise ValueError(f"{scene.id} is finished")
