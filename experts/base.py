"""What a body detector is, and the registry of those that are installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Protocol, runtime_checkable

import numpy as np

from mcbench.errors import InputError

#: Entry-point group under which packages, this one among them, register detectors.
GROUP = "mcbench.detectors"

#: Side of the mask grid that detectors return, cells a box side.
MASK_SIZE = 32


@dataclass(frozen=True)
class PersonDetection:
    """One person in one image; pixels of that image, centres of pixels at +0.5.

    Attributes
    ----------
    score : in [0, 1].
    box : (4,) x0, y0, x1, y1 px, round what is seen of the person.
    keypoints : (K, 2) px; NaN where unknown. They may lie outside the image.
    keypoint_score : (K,) in [0, 1]; 0 where unknown.
    keypoints3d : (K, 3) metres relative to the detector's root, camera axes (x right, y down, z forward); NaN where
        unknown.
    mask : (MASK_SIZE, MASK_SIZE) uint8, probability of being the person times 255 on the box's grid; (0, 0) where
        the detector makes none.
    """

    score: float
    box: np.ndarray
    keypoints: np.ndarray
    keypoint_score: np.ndarray
    keypoints3d: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True)
class Peaks:
    """Where a network makes keypoints likely in an image, whosever they are: M peaks of its heatmaps.

    Attributes
    ----------
    keypoint : (M,) int64, index of the detector's keypoint set. pixels : (M, 2) px. value : (M,) in [0, 1].
    """

    keypoint: np.ndarray
    pixels: np.ndarray
    value: np.ndarray


@dataclass(frozen=True)
class Opinion:
    """What another network reads round a place.

    Attributes
    ----------
    people : maybe several, and some who are nobody.
    peaks : all that its heatmaps show there.
    """

    people: list[PersonDetection]
    peaks: Peaks


@runtime_checkable
class Detector(Protocol):
    """Finds the people in an image. Equal input gives equal output.

    Attributes
    ----------
    name, version : who it is, for the records.
    keypoint_set : registered name of the joint set of its keypoints.
    """

    name: str
    version: str
    keypoint_set: str

    @staticmethod
    def resources() -> Mapping[str, str]:
        """Digests (or versions) of what it reads besides the image, by name; reads no file."""
        ...

    def detect(
        self, image: np.ndarray, priors: Sequence[np.ndarray] = (), search: bool = True
    ) -> list[PersonDetection]:
        """The people in an image, each once, by falling score.

        Parameters
        ----------
        image : (height, width, 3) uint8 RGB.
        priors : (K, 2) keypoints px, NaN where unknown, of people expected here (from a neighbouring frame or a
            projection): looked at again, and believed only where the image shows a person.
        search : look for people everywhere, not at the priors alone.
        """
        ...


@runtime_checkable
class LeadingDetector(Detector, Protocol):
    """A detector that also tells where people may be whom it does not read."""

    def leads(self, image: np.ndarray) -> list[PersonDetection]:
        """Coarse poses in an image, each once, by falling score: of people too small or too well hidden for `detect`,
        and of nobody. What tells them apart is that people are in the same place in other views."""
        ...


@runtime_checkable
class TwofoldDetector(Detector, Protocol):
    """A detector with a second network and a reader of people whose place is known, whose errors are their own."""

    def opinions(self, image: np.ndarray, places: Sequence[np.ndarray]) -> list[Opinion]:
        """What the second network reads round each of the places, keypoints (K, 2) px. What scores mean `joined` and
        `alone` know."""
        ...

    def expected(self, image: np.ndarray, places: Sequence[np.ndarray]) -> list[Opinion]:
        """What the reader reads of the person at each of the places, keypoints (K, 2) px, of all who are expected in
        the image: of that person alone, with scores as `detect` gives them, or nobody."""
        ...

    def joined(self, reading: PersonDetection, opinion: PersonDetection) -> PersonDetection:
        """One reading of what `detect` and what the second network read of one person."""
        ...

    def confirmed(self, reading: PersonDetection, expected: PersonDetection, size_px: float) -> PersonDetection:
        """One reading of what `detect` and what the reader read of one person, where a standing adult is so high."""
        ...

    def alone(self, opinion: PersonDetection) -> PersonDetection:
        """A reading, its scores as `detect` gives them, of someone whom the second network alone reads."""
        ...


def detector_names() -> list[str]:
    """Names of the registered detectors."""
    return sorted({entry.name for entry in entry_points(group=GROUP)})


def detector_class(name: str) -> type[Detector]:
    """The detector registered as `name`; constructing it without arguments loads its weights.

    Raises
    ------
    InputError : no such detector, or what it needs is not installed (reason `missing_detector`).
    """
    found = {entry.name: entry for entry in entry_points(group=GROUP)}.get(name)
    if found is None:
        raise InputError(
            f"unknown detector {name!r}", hint=f"known: {', '.join(detector_names())}", reason="missing_detector"
        )
    try:
        return found.load()
    except ImportError as error:
        raise InputError(f"detector {name!r} cannot be loaded: {error}", reason="missing_detector") from error
