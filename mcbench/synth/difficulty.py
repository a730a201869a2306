"""Named difficulties: how many people, how close together, how the camera goes, what the picture suffers."""

from __future__ import annotations

from dataclasses import dataclass

from mcbench.synth.camera_path import PathSettings


@dataclass(frozen=True)
class Band:
    """What a scene must show on its way to be taken; measured on joints by ray casting before it is rendered.

    Attributes
    ----------
    occluded : share of joints inside the image that something hides. cut : share of people cut by the frame in some
    view. height_px : median height of people at 540 rows.
    """

    occluded: tuple[float, float]
    cut: tuple[float, float]
    height_px: tuple[float, float]


@dataclass(frozen=True)
class Difficulty:
    """Ranges that scenes are drawn from.

    Attributes
    ----------
    people : fewest and most. spacing_m : between neighbours. rows : lines in which people stand.
    furniture : boxes in the room besides seats. path : how the camera goes.
    aim_m : height that the camera looks at. focal : focal length in image widths.
    brightness, noise, blur_px, exposure, crf : of lamps; of the sensor (in 255ths); of the lens; share of a frame's
    time that the shutter is open; H.264's quality.
    """

    people: tuple[int, int]
    spacing_m: tuple[float, float]
    rows: int
    furniture: tuple[int, int]
    path: PathSettings
    band: Band
    aim_m: tuple[float, float] = (0.85, 0.95)
    focal: tuple[float, float] = (0.85, 0.95)
    brightness: tuple[float, float] = (0.9, 1.1)
    noise: float = 1.2
    blur_px: float = 0.0
    exposure: float = 0.0
    crf: int = 18


DIFFICULTIES = {
    # for learning hands and faces, not for benchmarks: people are cut by the frame
    "close": Difficulty(
        people=(1, 3),
        spacing_m=(0.8, 1.1),
        rows=1,
        furniture=(0, 3),
        path=PathSettings((1.5, 2.6), (50, 85), ("arc", "dolly")),
        band=Band((0.0, 0.25), (0.3, 1.0), (480, 1000)),
        aim_m=(1.1, 1.45),
        brightness=(0.6, 1.2),
        noise=2.0,
        crf=20,
    ),
    "easy": Difficulty(
        people=(2, 4),
        spacing_m=(1.0, 1.25),
        rows=1,
        furniture=(0, 2),
        path=PathSettings((3.9, 4.5), (50, 75), ("arc", "arc", "dolly")),
        band=Band((0.0, 0.12), (0.0, 0.34), (300, 430)),
    ),
    "standard": Difficulty(
        people=(2, 6),
        spacing_m=(0.65, 1.1),
        rows=2,
        furniture=(2, 4),
        path=PathSettings((4.2, 5.6), (50, 85), ("arc", "dolly", "walk"), 0.006, 0.25),
        band=Band((0.2, 0.4), (0.15, 0.5), (200, 350)),
        aim_m=(0.7, 1.1),
    ),
    "hard": Difficulty(
        people=(4, 9),
        spacing_m=(0.6, 1.0),
        rows=3,
        furniture=(3, 6),
        path=PathSettings((4.5, 7.5), (50, 90), ("arc", "dolly", "walk"), 0.01, 0.4),
        band=Band((0.28, 0.6), (0.1, 1.0), (80, 350)),
        aim_m=(0.6, 1.2),
        focal=(0.6, 0.95),
        brightness=(0.35, 0.7),
        noise=4.0,
        blur_px=0.5,
        exposure=0.5,
        crf=31,
    ),
}
