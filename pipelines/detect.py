"""The stage that finds people in the frames of a scene.

Some frames are searched. Cameras are known by now and people stand still, so whoever is found is looked for again at
their place in every frame (`mcbench.pipelines.second_look`); whom no cameras place is followed from frame to frame.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mcbench.cameras.views import Views
from mcbench.dataset.cameras_file import SceneCameras
from mcbench.dataset.detections import Detections
from mcbench.dataset.source import Source
from mcbench.errors import InputError, Rejected
from mcbench.experts.base import Detector, LeadingDetector, PersonDetection, detector_class
from mcbench.experts.holistic import PartReader
from mcbench.joints import BLAZEPOSE33, HOLISTIC143
from mcbench.pipelines.looking import Looker, People, flatten, spread
from mcbench.pipelines.part_looks import look_for_parts, searched_frames
from mcbench.pipelines.second_look import second_look
from mcbench.pipelines.second_opinion import readings
from mcbench.reader.shipped import SHA256, shipped_reader
from mcbench.workspace.stage import Stage, StageContext

AUTO, IMPORTED, DEFAULT = "auto", "imported", "blazepose"


@dataclass(frozen=True)
class DetectSettings:
    """Settings of the stage `detect`."""

    detector: str = field(
        default=AUTO,
        metadata={
            "help": "blazepose, rtmpose, another registered detector, or imported: the keypoints that came with the "
            "source. auto: the imported ones where there are some, else blazepose."
        },
    )
    max_frames: int = field(
        default=60,
        metadata={
            "help": "Look at this many frames at most, evenly spaced: people hold still, so more views of the same "
            "bodies tell little that is new. 0: all."
        },
    )
    search_every: int = field(
        default=6,
        metadata={
            "help": "Search every so many of a video's frames for people; in the others look only for those known. "
            "Photos are all searched."
        },
    )
    lead_every: int = field(
        default=3,
        metadata={
            "help": "Search every so many of a video's frames coarsely, for people too small or too well hidden to be "
            "read at once; the cameras tell who is there. All photos are."
        },
    )
    second_look: bool = field(
        default=True,
        metadata={
            "help": "Look again for people whom the cameras tell the place of, in every frame; else only follow people "
            "from frame to frame."
        },
    )
    reader: bool = field(
        default=False,
        metadata={
            "help": "In videos, let a third network read everybody where the cameras have them, one that learnt from "
            "rendered people alone: more people of dark crowds are found, and some are less exact (blazepose)."
        },
    )
    parts: bool = field(
        default=True,
        metadata={"help": "Read the hands and faces of the people whom blazepose finds, too (keypoints holistic143)."},
    )
    min_score: float = field(default=0.4, metadata={"help": "Drop detections below this score."})
    min_expected_score: float = field(
        default=0.3, metadata={"help": "... and below this one where the second look expects somebody."}
    )
    max_people: int = field(default=20, metadata={"help": "Keep this many people a frame at most, the best ones."})
    confident_score: float = field(
        default=0.5, metadata={"help": "Score from which a detection shows that the scene has people."}
    )
    min_frames_share: float = field(
        default=0.2,
        metadata={"help": "Share of the frames, two at least, that must show someone confidently; else no_people."},
    )


def run(context: StageContext[DetectSettings]) -> dict[str, Any]:
    """Write `detections.npz`.

    Raises
    ------
    Rejected : nobody is found with enough confidence in enough frames (reason `no_people`).
    InputError : the detector asked for is not there, or the media do not decode.
    """
    settings = context.settings
    source = Source.load(context.inputs["source"])
    imported = source.detections_path
    if settings.detector == IMPORTED and imported is None:
        raise InputError("the source has no imported keypoints", path=source.folder, reason="missing_file")
    if imported is not None and settings.detector in (AUTO, IMPORTED):
        detections = Detections.load(imported)
        looked_at = sorted({int(i) for i in detections.frame})
        if not len(detections):
            raise Rejected("the imported keypoints show nobody", reason="no_people")
    else:
        detector = _detector_class(settings)()
        looked_at = spread(len(source.frames), settings.max_frames)
        views = Views.from_cameras(SceneCameras.load(context.inputs["sfm"] / "cameras.json"))
        people = find_people(context, source, looked_at, detector, views)
        _require_people(list(people.values()), settings)
        detections = flatten(detector, people, HOLISTIC143.name if _has_parts(settings, detector) else "")
    detections.save(context.out / "detections.npz")
    return {
        "detector": detections.detector,
        "frames": len(looked_at),
        "frames_with_people": len(set(detections.frame.tolist())),
        "detections": len(detections),
        "people_per_frame": round(len(detections) / len(looked_at), 3),
    }


def resources(settings: DetectSettings) -> dict[str, str]:
    if settings.detector == IMPORTED:
        return {}
    detector = _detector_class(settings)
    parts = PartReader.resources() if _has_parts(settings, detector) else {}
    reader = {shipped_reader().name: SHA256} if settings.reader else {}
    return {**detector.resources(), **parts, **reader}


def _detector_class(settings: DetectSettings) -> type[Detector]:
    return detector_class(DEFAULT if settings.detector == AUTO else settings.detector)


def _has_parts(settings: DetectSettings, detector: Detector | type[Detector]) -> bool:
    return settings.parts and detector.keypoint_set == BLAZEPOSE33.name


def find_people(
    context: StageContext[DetectSettings], source: Source, frames: Sequence[int], detector: Detector, views: Views
) -> People:
    """The people in some of the frames, by falling score."""
    settings = context.settings
    video = source.kind == "video"
    searched = list(frames[:: max(1, settings.search_every)] if video else frames)
    again = settings.second_look and len(views) > 0
    led: list[int] = []
    if again and isinstance(detector, LeadingDetector):
        led = list(frames[:: max(1, settings.lead_every)] if video else frames)
    parts = _has_parts(settings, detector)
    # Frames are gone through once to search, once for leads, twice to follow, once for each round of the second look
    # and for a second opinion, and once or, with cameras, twice to read hands and faces, some of them once more to find
    # hands by themselves.
    total = len(searched) + len(led) + (2 * len(frames) if (video and not led) or not again else 0)
    total += again * (len({*searched, *led}) + len(frames) * (1 + readings(source, detector, settings.reader)))
    total += parts * (len(frames) + (len(views) > 0) * (len(frames) + len(searched_frames(frames))))
    done = 0

    def step(label: str) -> None:
        nonlocal done
        done += 1
        context.progress(done, total, label)

    looker = Looker(source, detector, settings.min_score, step, settings.reader)
    # Leads in many frames tell of those behind others, too.
    found = looker.search(searched, behind=not (video and led))
    if again:
        leads = looker.leads(led, found)
        people = second_look(found, leads, frames, views, looker, settings.min_expected_score)
    else:
        people = looker.follow({i: found.get(i, []) for i in frames}, {i: [] for i in frames})
    people = {i: sorted(people[i][: settings.max_people], key=lambda p: -p.score) for i in frames}
    return look_for_parts(people, views, source, detector, PartReader(), step) if parts else people


def _require_people(people: Sequence[list[PersonDetection]], settings: DetectSettings) -> None:
    showing = sum(any(p.score >= settings.confident_score for p in frame) for frame in people)
    needed = min(len(people), max(2, math.ceil(settings.min_frames_share * len(people))))
    if showing < max(1, needed):
        raise Rejected(
            f"{showing} of {len(people)} frames show a person with score {settings.confident_score:g} or more, "
            f"{needed} are needed",
            reason="no_people",
        )


STAGE = Stage(
    name="detect", version=17, inputs=("source", "sfm"), settings=DetectSettings, run=run, resources=resources
)
