"""The stage that finds people in the frames of a scene.

People stand still and the camera moves little from frame to frame, so whoever was found in one frame is looked for
again in the next (forward pass), and whoever is found late is looked for in the frames before (backward pass).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mcbench.dataset.detections import Detections
from mcbench.dataset.source import Frame, Source
from mcbench.errors import InputError, Rejected
from mcbench.experts.base import Detector, PersonDetection, detector_class
from mcbench.experts.duplicates import distinct, same_person
from mcbench.workspace.stage import Stage, StageContext

AUTO, IMPORTED, DEFAULT = "auto", "imported", "blazepose"

#: Decoded frames held at once by the backward pass, bytes.
_MEMORY = 256 * 2**20


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
        default=3,
        metadata={
            "help": "Search every so many of a video's frames for people; in the others follow those known, and search "
            "only if someone is lost. Photos are all searched."
        },
    )
    min_score: float = field(default=0.4, metadata={"help": "Drop detections below this score."})
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
        people = find_people(context, source, looked_at, detector)
        _require_people(people, settings)
        detections = flatten(detector, looked_at, people)
    detections.save(context.out / "detections.npz")
    return {
        "detector": detections.detector,
        "frames": len(looked_at),
        "frames_with_people": len(set(detections.frame.tolist())),
        "detections": len(detections),
        "people_per_frame": round(len(detections) / len(looked_at), 3),
    }


def resources(settings: DetectSettings) -> dict[str, str]:
    return {} if settings.detector == IMPORTED else dict(_detector_class(settings).resources())


def _detector_class(settings: DetectSettings) -> type[Detector]:
    return detector_class(DEFAULT if settings.detector == AUTO else settings.detector)


def spread(count: int, wanted: int) -> list[int]:
    """`wanted` of the indices 0 … count - 1, evenly spaced, the first and the last among them; all when 0."""
    if wanted <= 0 or wanted >= count:
        return list(range(count))
    return [int(i) for i in np.round(np.linspace(0, count - 1, wanted))]


def find_people(
    context: StageContext[DetectSettings], source: Source, indices: Sequence[int], detector: Detector
) -> list[list[PersonDetection]]:
    """The people in the frames `indices`, by falling score, forward and then backward."""
    settings = context.settings
    people: dict[int, list[PersonDetection]] = {}

    def kept(found: list[PersonDetection]) -> list[PersonDetection]:
        return [p for p in found if p.score >= settings.min_score][: settings.max_people]

    before: list[PersonDetection] = []
    for done, (frame, image) in enumerate(source.images(indices)):
        context.progress(done, 2 * len(indices), "people")
        expected = [p.keypoints for p in before]
        here: list[PersonDetection] = []
        searched = source.kind != "video" or done % max(1, settings.search_every) == 0
        if not searched:
            here = kept(detector.detect(image, expected, search=False))
        if searched or len(here) < len(expected):
            here = kept(detector.detect(image, expected))
        before = people[frame.index] = here
    after: list[PersonDetection] = []
    for done, (frame, image) in enumerate(_backwards(source, indices)):
        context.progress(len(indices) + done, 2 * len(indices), "people, backwards")
        here = people[frame.index]
        lost = [p.keypoints for p in after if not any(same_person(p, q, detector.keypoint_set) for q in here)]
        if lost:
            here = kept(distinct([*here, *detector.detect(image, lost, search=False)], detector.keypoint_set))
        after = people[frame.index] = here
    return [people[i] for i in indices]


def _backwards(source: Source, indices: Sequence[int]) -> Iterator[tuple[Frame, np.ndarray]]:
    """Frames and images from the last to the first, some of them held in memory at a time."""
    largest = max((3 * source.frames[i].width * source.frames[i].height for i in indices), default=1)
    chunk = max(1, _MEMORY // largest)
    for stop in range(len(indices), 0, -chunk):
        yield from reversed(list(source.images(indices[max(0, stop - chunk) : stop])))


def _require_people(people: Sequence[list[PersonDetection]], settings: DetectSettings) -> None:
    showing = sum(any(p.score >= settings.confident_score for p in frame) for frame in people)
    needed = min(len(people), max(2, math.ceil(settings.min_frames_share * len(people))))
    if showing < max(1, needed):
        raise Rejected(
            f"{showing} of {len(people)} frames show a person with score {settings.confident_score:g} or more, "
            f"{needed} are needed",
            reason="no_people",
        )


def flatten(detector: Detector, indices: Sequence[int], people: Sequence[list[PersonDetection]]) -> Detections:
    """One flat record of the people in the frames `indices`; at least one person."""
    rows = [(index, person) for index, frame in zip(indices, people, strict=True) for person in frame]
    return Detections(
        keypoint_set=detector.keypoint_set,
        detector=f"{detector.name} {detector.version}",
        frame=np.array([index for index, _ in rows], np.int64),
        score=np.array([p.score for _, p in rows], np.float32),
        box=np.array([p.box for _, p in rows], np.float32),
        keypoints=np.array([p.keypoints for _, p in rows], np.float32),
        keypoint_score=np.array([p.keypoint_score for _, p in rows], np.float32),
        keypoints3d=np.array([p.keypoints3d for _, p in rows], np.float32),
        mask=np.array([p.mask for _, p in rows], np.uint8),
    )


STAGE = Stage(name="detect", version=1, inputs=("source",), settings=DetectSettings, run=run, resources=resources)
