"""What finds whole-body people in images: the experts, a network, or predictions that were made before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mcbench.dataset.files import read_json, sha256_file
from mcbench.dope.checkpoint import shipped_weights
from mcbench.dope.detector import DopeDetector
from mcbench.dope.engines import open_engine
from mcbench.dope.people import WholeBody, from_json
from mcbench.errors import InputError, UsageError
from mcbench.experts.ensemble import Ensemble

EXPERTS, SHIPPED = "experts", "shipped"
#: Suffixes of files that hold networks.
NETWORKS = (".pt", ".pth", ".onnx")

#: The people in an image: its name, and (height, width, 3) uint8 RGB.
Finder = Callable[[str, np.ndarray], list[WholeBody]]


@dataclass(frozen=True)
class Method:
    """A method by its name in tables.

    Attributes
    ----------
    find : finds people. provenance : who it is. computes : whether it looks at the image, so that its time means
        something. knows : whether it can say anything of the image of a name.
    """

    name: str
    find: Finder
    provenance: dict[str, Any] = field(default_factory=dict)
    computes: bool = True
    knows: Callable[[str], bool] = lambda file: True


def method(text: str) -> Method:
    """The method that a user names: `experts`, `shipped` (the network that comes along), a network or a file, with
    `NAME=` before it to call it otherwise.

    Raises
    ------
    UsageError : nothing that mcbench knows.
    InputError : a file that is absent or not what its suffix says.
    """
    name, _, rest = text.rpartition("=")
    if rest == EXPERTS:
        experts = Ensemble()
        return Method(name or EXPERTS, lambda _, image: experts(image), experts.provenance())
    path = shipped_weights() if rest == SHIPPED else Path(rest)
    if path.suffix.lower() == ".json":
        made_before = Predictions(path)
        return Method(name or path.stem, made_before, computes=False, knows=made_before.knows)
    if path.suffix.lower() in NETWORKS:
        engine = open_engine(path)
        detector = DopeDetector(engine)
        made = {"network": path.name, "sha256": sha256_file(path), "engine": engine.name}
        return Method(
            name or (SHIPPED if rest == SHIPPED else path.stem), lambda _, image: detector.detect(image), made
        )
    raise UsageError(
        f"unknown method {text!r}",
        hint=f"{EXPERTS}, {SHIPPED}, a network ({', '.join(NETWORKS)}), or a .json file of predictions",
    )


class Predictions:
    """The people of a file as `mcbench dope` writes it; an image is told by its name, else by that without folders and
    suffix, a frame `clip.mp4#000012` as `clip_000012`. An image that the file lacks has nobody in it.

    Raises
    ------
    InputError : no such file, or not such a file (reason `bad_format`).
    """

    def __init__(self, path: Path) -> None:
        document = read_json(path)
        try:
            self._people = {str(image["file"]): from_json(image["people"]) for image in document["images"]}
        except (KeyError, TypeError) as error:
            raise InputError(f"is no file of whole-body people: {error!r}", path=path, reason="bad_format") from error
        except InputError as error:
            raise InputError(error.message, path=path, reason=error.reason) from error
        self._by_stem = {_stem(file): people for file, people in self._people.items()}

    def __call__(self, file: str, _: np.ndarray) -> list[WholeBody]:
        return self._people.get(file, self._by_stem.get(_stem(file), []))

    def knows(self, file: str) -> bool:
        """Whether the file has the image of this name."""
        return file in self._people or _stem(file) in self._by_stem


def _stem(file: str) -> str:
    """The name of an image, or of a frame of a video, as evaluations have it."""
    video, mark, frame = file.rpartition("#")
    return f"{Path(video).stem.replace('.', '_')}_{frame}" if mark else Path(file).stem
