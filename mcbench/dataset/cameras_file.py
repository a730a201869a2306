"""`cameras.json`: the camera of every frame of a scene, in `docs/formats.md` as mcbench-cameras/1."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mcbench.cameras.camera import Array, Camera
from mcbench.dataset.files import read_json, write_json
from mcbench.errors import InputError

FORMAT = "mcbench-cameras/1"


@dataclass(frozen=True)
class FrameCamera:
    """Camera of one frame; `cam_from_world` (3, 4) is None where the frame has no known pose."""

    index: int
    name: str
    camera: Camera
    cam_from_world: Array | None


@dataclass(frozen=True)
class SceneCameras:
    """Cameras of a scene, one entry a source frame, in the source's order.

    Attributes
    ----------
    units : "metre", or "unknown" for SfM units, whose scale is arbitrary.
    up : unit vector (3,) against gravity in this world, or None where unknown.
    origin : who made them: "sfm", "colmap", "mannequinchallenge", "fit".
    """

    frames: list[FrameCamera]
    units: str = "unknown"
    up: Array | None = None
    origin: str = "sfm"
    info: dict = field(default_factory=dict)

    @property
    def posed(self) -> list[FrameCamera]:
        return [frame for frame in self.frames if frame.cam_from_world is not None]

    def save(self, path: Path) -> None:
        write_json(
            path,
            {
                "format": FORMAT,
                "units": self.units,
                "up": self.up,
                "origin": self.origin,
                "info": self.info,
                "frames": [
                    {
                        "index": frame.index,
                        "name": frame.name,
                        "camera": frame.camera.to_json(),
                        "cam_from_world": frame.cam_from_world,
                    }
                    for frame in self.frames
                ],
            },
        )

    @classmethod
    def load(cls, path: Path) -> SceneCameras:
        data = read_json(path)
        try:
            if data["format"] != FORMAT:
                raise InputError(f"format is {data['format']!r}, expected {FORMAT!r}", path=path)
            frames = [
                FrameCamera(
                    int(f["index"]),
                    str(f["name"]),
                    Camera.from_json(f["camera"]),
                    None if f["cam_from_world"] is None else np.array(f["cam_from_world"], dtype=np.float64),
                )
                for f in data["frames"]
            ]
            up = None if data["up"] is None else np.array(data["up"], dtype=np.float64)
            return cls(frames, data["units"], up, data["origin"], data.get("info", {}))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"not a valid {FORMAT} file: {error!r}", path=path) from error
