"""A scene's source: its frames, whatever they came from, in `docs/formats.md` as mcbench-source/1.

A source folder holds `source.json`, the media (one video file, or a folder of images), and, where known
from elsewhere, `cameras.json` and `detections.npz`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np

from mcbench.dataset.decode import DamagedVideo, decoded_frames
from mcbench.dataset.files import read_json, write_json
from mcbench.errors import InputError

FORMAT = "mcbench-source/1"


@dataclass(frozen=True)
class Frame:
    """One frame of a source: `index` counts from 0, `time_s` is None for photos, sizes in px as displayed."""

    index: int
    name: str
    time_s: float | None
    width: int
    height: int


@dataclass(frozen=True)
class Source:
    """A scene's frames.

    Attributes
    ----------
    folder : the source folder.
    name : the original name of the clip or folder, unsanitised.
    kind : "video" or "images".
    media : path of the video file or of the image folder, relative to `folder`.
    frames : the frames, in order. For a video, `decode_index[i]` is the position of frame i in the decoded stream.
    rotation : clockwise rotation in degrees (0, 90, 180, 270) that displays the decoded video upright.
    """

    folder: Path
    name: str
    kind: str
    media: str
    frames: list[Frame]
    decode_index: list[int]
    rotation: int = 0

    @property
    def cameras_path(self) -> Path | None:
        path = self.folder / "cameras.json"
        return path if path.exists() else None

    @property
    def detections_path(self) -> Path | None:
        path = self.folder / "detections.npz"
        return path if path.exists() else None

    def save(self) -> None:
        write_json(
            self.folder / "source.json",
            {
                "format": FORMAT,
                "name": self.name,
                "kind": self.kind,
                "media": self.media,
                "rotation": self.rotation,
                "decode_index": self.decode_index,
                "frames": [vars(frame) for frame in self.frames],
            },
        )

    @classmethod
    def load(cls, folder: Path) -> Source:
        path = Path(folder) / "source.json"
        data = read_json(path)
        try:
            if data["format"] != FORMAT:
                raise InputError(f"format is {data['format']!r}, expected {FORMAT!r}", path=path)
            return cls(
                Path(folder),
                data["name"],
                data["kind"],
                data["media"],
                [Frame(**frame) for frame in data["frames"]],
                list(data["decode_index"]),
                int(data["rotation"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"not a valid {FORMAT} file: {error!r}", path=path) from error

    def images(self, indices: Sequence[int] | None = None) -> Iterator[tuple[Frame, np.ndarray]]:
        """Yield (frame, RGB image (height, width, 3) uint8) in rising order of index.

        Parameters
        ----------
        indices : the frames wanted (any order, no repeats); all when None.

        Raises
        ------
        InputError : the media no longer decode as they did when they were imported.
        """
        wanted = set(range(len(self.frames)) if indices is None else indices)
        yield from self._video(wanted) if self.kind == "video" else self._photos(wanted)

    def _photos(self, wanted: set[int]) -> Iterator[tuple[Frame, np.ndarray]]:
        for frame in self.frames:
            if frame.index in wanted:
                path = self.folder / self.media / frame.name
                bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
                if bgr is None:
                    raise InputError("cannot be decoded as an image", path=path, reason="corrupt")
                yield frame, np.ascontiguousarray(bgr[..., ::-1])

    def _video(self, wanted: set[int]) -> Iterator[tuple[Frame, np.ndarray]]:
        path = self.folder / self.media
        by_position = {self.decode_index[i]: self.frames[i] for i in wanted}
        last = max(by_position, default=-1)
        seen = 0
        try:
            with av.open(str(path)) as container:
                for position, picture in enumerate(decoded_frames(container)):
                    if position in by_position:
                        seen += 1
                        image = np.rot90(picture.to_ndarray(format="rgb24"), -self.rotation // 90)
                        yield by_position[position], np.ascontiguousarray(image)
                    if position >= last:  # what follows is not needed, and need not decode
                        break
        except (av.error.FFmpegError, DamagedVideo) as error:
            raise InputError(f"cannot be decoded: {error}", path=path, reason="corrupt") from error
        if seen != len(by_position):
            raise InputError(f"decodes {seen} of the {len(by_position)} frames asked for", path=path, reason="corrupt")
