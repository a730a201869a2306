"""Stage `validate`: the fits of a scene in, a verdict on each person out (`people.json`)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from mcbench.dataset.cameras_file import SceneCameras
from mcbench.dataset.detections import Detections
from mcbench.dataset.files import read_json
from mcbench.dataset.people import FittedPeople
from mcbench.dataset.verdicts import save_verdicts
from mcbench.fitting.validation import ValidateSettings, validate_people
from mcbench.workspace.stage import Stage, StageContext


def run(context: StageContext[ValidateSettings]) -> dict[str, Any]:
    """Judge the people of one scene. A scene without accepted people is a result like any other."""
    folder = context.inputs["fit"]
    people = FittedPeople.load(folder / "people.npz")
    measured = read_json(folder / "scene.json")["people"]
    cameras = SceneCameras.load(folder / "cameras.json")
    detections = Detections.load(context.inputs["detect"] / "detections.npz")
    verdicts = validate_people(people, measured, cameras, detections, context.settings)
    save_verdicts(context.out / Path("people.json"), verdicts)
    reasons = Counter(reason for verdict in verdicts for reason in verdict.reasons)
    return {
        "people": len(verdicts),
        "accepted": sum(verdict.accepted for verdict in verdicts),
        "reasons": dict(sorted(reasons.items())),
    }


STAGE = Stage("validate", 13, ("source", "sfm", "detect", "fit"), ValidateSettings, run)
