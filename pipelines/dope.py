"""The whole-body detector on images and videos: people as JSON, and pictures with them drawn in."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import av
import cv2
import numpy as np
import numpy.typing as npt

from mcbench.cameras.camera import Camera
from mcbench.dataset.files import read_json, write_bytes, write_json
from mcbench.dataset.media_source import photo_source, video_source
from mcbench.dataset.photos import SUFFIXES, list_images
from mcbench.dataset.source import Frame
from mcbench.dataset.webcam import Webcam
from mcbench.dope.detector import DopeDetector
from mcbench.dope.people import WholeBody, to_json
from mcbench.dope.placement import placed
from mcbench.errors import InputError, McbenchError, UsageError
from mcbench.joints import DOPE139
from mcbench.pipelines.predict import default_camera
from mcbench.viz.overlay import Points, overlay
from mcbench.viz.people3d import page

Image = npt.NDArray[np.uint8]

PEOPLE, VIEW, OVERLAYS = "people.json", "people3d.html", "overlays"
#: Images that the 3D view shows at most.
_IN_SPACE = 300
#: Of a folder, these are read as videos.
VIDEO_SUFFIXES = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v")
_CRF = "23"
#: Ends the name of a video's frame.
_FRAME = re.compile(r"#\d{6,}$")


class Pictures(Protocol):
    """Images that come one after another: a `Source`, or a camera."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str: ...

    def images(self) -> Iterator[tuple[Frame, Image]]: ...


def sources(src: Path | Webcam) -> list[tuple[Path, Callable[[], Pictures]]]:
    """The images and videos of SRC by path, each with what opens it: SRC itself, or the files of a folder.

    Raises
    ------
    InputError : nothing there (reason `missing_file`), a folder that cannot be read (`unreadable`), or nothing in it
        that could be one (`no_images`).
    """
    if isinstance(src, Webcam):
        return [(Path(src.name), lambda: src)]
    try:
        files = _media(src)
    except OSError as error:
        raise InputError(
            f"cannot be read: {os.strerror(error.errno or 0)}",
            path=src,
            hint="check who may read it",
            reason="unreadable",
        ) from error

    def opener(path: Path) -> Callable[[], Pictures]:
        if path.suffix.lower() in SUFFIXES:
            return lambda: photo_source(path.parent, [path.name])
        return lambda: video_source(path)

    return [(path, opener(path)) for path in files]


def _media(src: Path) -> list[Path]:
    """The file `src`, or the images and videos of the folder."""
    if not src.exists():
        raise InputError("no such file or folder", path=src, reason="missing_file")
    if not src.is_dir():
        return [src]
    files = [*list_images(src), *sorted(p for p in src.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES)]
    if not files:
        raise InputError("holds no images and no videos", path=src, reason="no_images")
    return files


def overlay_names(files: Sequence[Path]) -> dict[Path, str]:
    """What the overlay of each file is called, without its suffix: the file's stem, or its whole name where another
    file has that stem, or is called so."""
    stems = Counter(path.stem.casefold() for path in files)
    names = {path.name.casefold() for path in files}
    alone = {path: stems[path.stem.casefold()] == 1 and path.stem.casefold() not in names for path in files}
    return {path: path.stem if alone[path] else path.name for path in files}


def _overlay(name: str, video: bool) -> str:
    return f"{name}.mp4" if video else f"{name}.jpg"


def _refuse_overlays(files: Sequence[Path], overlays: Path) -> None:
    """Refuse images and videos, or links to such, that lie where the overlays go."""
    folder = overlays.resolve()
    for path in files:
        if folder in (path.parent.resolve(), path.resolve().parent):
            raise UsageError("lies where the overlays go", path=path, hint="name another folder: --out")


def _earlier_overlays(out: Path) -> set[str]:
    """File names of the overlays of the images that the folder's `people.json` names; none where it is none of ours."""
    try:
        document = read_json(out / PEOPLE)
        told = [str(row["file"]) for row in [*document["images"], *document["failed"]]]
        shown = {str(image["file"]) for image in document["images"]}
    except (InputError, KeyError, TypeError):
        return set()
    # failed ones too, as they had a say in what the others are called
    names = overlay_names(list({Path(_FRAME.sub("", name)): None for name in told}))
    found = {_overlay(names[Path(_FRAME.sub("", name))], bool(_FRAME.search(name))) for name in shown}
    return {name for name in found if Path(name).name == name}


def dope(
    src: Path | Webcam,
    out: Path,
    detector: DopeDetector,
    draw: int = 1280,
    progress: Callable[[int, int | None, str], None] = lambda done, total, label: None,
) -> dict[str, Any]:
    """Find the people in an image, a video, those of a folder, or before a camera.

    Writes `people.json`, pictures in `overlays/`, and a 3D view, `people3d.html`. Ctrl-C ends a camera, not this.
    Pictures of images that the folder's earlier `people.json` names go. Where no image can be read, all that is there
    stays.

    Parameters
    ----------
    draw : longest side of the overlays, px; 0: neither these nor the 3D view, which shows the first images alone.

    Returns the document of `people.json`, with `failed`: the files that could not be read, and why; and `kept`, true,
    where an earlier `people.json` was left as it is.

    Raises
    ------
    UsageError : `out` is a file, or an image or video lies where the overlays go.
    InputError : as `sources`.
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise UsageError("is a file, not a folder", path=out)
    files = sources(src)
    if not isinstance(src, Webcam):
        _refuse_overlays([path for path, _ in files], out / OVERLAYS)
    drawn_as = overlay_names([path for path, _ in files])
    earlier = _earlier_overlays(out)
    made: set[str] = set()
    out.mkdir(parents=True, exist_ok=True)
    images: list[dict[str, Any]] = []
    in_space: list[tuple[str, npt.NDArray[np.float64]]] = []
    failed: list[dict[str, str]] = []
    for number, (path, opened) in enumerate(files):
        try:
            source = opened()
            for name, people, camera in _seen(source, out / OVERLAYS / drawn_as[path], detector, draw):
                images.append({"file": name, "people": to_json(people)})
                if draw and len(in_space) < _IN_SPACE:
                    standing = [placed(person, camera) for person in people]
                    in_space.append((name, np.array(standing).reshape(-1, len(DOPE139), 3)))
                progress(number, len(files), name)
            if draw:
                made.add(_overlay(drawn_as[path], source.kind == "video"))
        except InputError as error:  # one bad file is told, the others are done
            failed.append({"file": path.name, "reason": error.reason, "message": str(error)})
    document: dict[str, Any] = {"images": images, "failed": failed, "engine": detector.engine.name}
    if not images and (out / PEOPLE).exists():
        return {**document, "kept": True}
    for old in earlier - made:
        (out / OVERLAYS / old).unlink(missing_ok=True)
    if draw:
        write_bytes(out / VIEW, page(src.name, in_space, DOPE139.bones).encode())
    write_json(out / PEOPLE, document)
    return document


def _seen(
    source: Pictures, overlay: Path, detector: DopeDetector, draw: int
) -> Iterator[tuple[str, list[WholeBody], Camera]]:
    """Name, people and guessed camera of each image of a source; frames of a video are called `video.mp4#000012`.

    Parameters
    ----------
    overlay : where the picture or film with them drawn in goes, without its suffix.
    """
    if draw:
        overlay.parent.mkdir(exist_ok=True)
    film = _Film(overlay.with_name(_overlay(overlay.name, True))) if draw and source.kind == "video" else None
    try:
        for frame, image in source.images():
            people = detector.detect(image)
            if film is not None:
                film.add(drawn(image, people, draw))
            elif draw:
                _write_jpeg(overlay.with_name(_overlay(overlay.name, False)), drawn(image, people, draw))
            name = f"{source.name}#{frame.index:06d}" if source.kind == "video" else frame.name
            yield name, people, default_camera(*image.shape[1::-1])
        if film is not None:
            film.finish()
    finally:
        if film is not None:
            film.drop()


def drawn(image: Image, people: list[WholeBody], longest: int) -> Image:
    """An image with its people, each in a colour of its own."""
    points = Points(
        np.array([person.pose2d for person in people]).reshape(-1, len(DOPE139), 2),
        np.array([person.confidence for person in people]).reshape(-1, len(DOPE139)),
        np.arange(len(people)),
        DOPE139.bones,
    )
    return overlay(image, longest, points)


def _write_jpeg(path: Path, image: Image) -> None:
    done, data = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]))
    if not done:
        raise McbenchError("the picture cannot be written as JPEG", path=path)
    write_bytes(path, data.tobytes())


class _Film:
    """A video that grows picture by picture and is whole or absent."""

    def __init__(self, path: Path, rate: int = 30) -> None:
        self.path, self._partial, self._rate = path, path.with_name(f".{path.stem}.tmp.mp4"), rate
        self._container: av.container.OutputContainer | None = None
        self._stream: av.VideoStream | None = None

    def add(self, picture: Image) -> None:
        height, width = picture.shape[0] & ~1, picture.shape[1] & ~1  # H.264 wants even sides
        if self._container is None or self._stream is None:
            self._container = av.open(str(self._partial), "w")
            stream = self._container.add_stream("libx264", rate=self._rate)
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = max(2, width), max(2, height), "yuv420p"
            stream.options = {"crf": _CRF, "preset": "veryfast"}
            self._stream = stream
        cut = np.ascontiguousarray(picture[: self._stream.height, : self._stream.width])
        self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(cut, format="rgb24")))

    def finish(self) -> None:
        if self._container is not None and self._stream is not None:
            self._container.mux(self._stream.encode(None))
            self._container.close()
            self._container = None
            self._partial.replace(self.path)

    def drop(self) -> None:
        """Take away what is not finished."""
        if self._container is not None:
            self._container.close()
        self._partial.unlink(missing_ok=True)
