"""Predictions on a benchmark's images, whoever made them, in `docs/formats.md` as mcbench-predictions/1.

A folder with `predictions.npz`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcbench.dataset.files import read_record, require_shapes, write_record
from mcbench.errors import InputError

FORMAT = "mcbench-predictions/1"
FILE = "predictions.npz"


@dataclass(frozen=True)
class Predictions:
    """N people predicted in single images, each in the axes of its image's camera (x right, y down, z forward).

    Shape and pose come as joints alone, with vertices, or with SMPL parameters. What a method does not give has a
    length of zero: `vertices` (N, 0, 3), `betas` (N, 0).

    Attributes
    ----------
    method : its name.
    benchmark : digest of the benchmark that was predicted on.
    body_digest : SHA-256 of the body model of the SMPL parameters; empty without them.
    image : (N,) int64, number of the image in the benchmark (scenes in the manifest's order, their images in order).
    score : (N,) the higher the surer.
    box : (N, 4) x0, y0, x1, y1, px.
    joints : (N, 24, 3) `smpl24` joints, metres; only differences between joints are scored.
    vertices : (N, V, 3) metres, in the benchmark's topology, or (N, 0, 3).
    betas : (N, B), the first of the body's, or (N, 0). global_orient : (N, 3). body_pose : (N, 23, 3). transl : (N, 3).
    """

    method: str
    benchmark: str
    body_digest: str
    image: np.ndarray
    score: np.ndarray
    box: np.ndarray
    joints: np.ndarray
    vertices: np.ndarray
    betas: np.ndarray
    global_orient: np.ndarray
    body_pose: np.ndarray
    transl: np.ndarray

    def __len__(self) -> int:
        return len(self.image)

    @property
    def has_vertices(self) -> bool:
        return self.vertices.shape[1] > 0

    @property
    def has_parameters(self) -> bool:
        return self.betas.shape[1] > 0

    def save(self, folder: Path) -> None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_record(folder / FILE, self, FORMAT)

    @classmethod
    def load(cls, folder: Path, images: int | None = None) -> Predictions:
        """Load and check.

        Parameters
        ----------
        folder : the predictions' folder, or the file itself.
        images : number of images of the benchmark, to check the image numbers against.

        Raises
        ------
        InputError : the file is absent, of another format, or its arrays do not fit together; the path is named.
        """
        path = Path(folder) / FILE if Path(folder).is_dir() else Path(folder)
        loaded = read_record(path, cls, FORMAT)
        loaded._check(path, images)
        return loaded

    def _check(self, path: Path, images: int | None) -> None:
        n = self.image.size
        expected: dict[str, tuple[int | None, ...]] = {
            "image": (n,),
            "score": (n,),
            "box": (n, 4),
            "joints": (n, 24, 3),
            "vertices": (n, None, 3),
            "betas": (n, None),
            "global_orient": (n, 3),
            "body_pose": (n, 23, 3),
            "transl": (n, 3),
        }
        require_shapes({name: getattr(self, name) for name in expected}, expected, path)
        if n and (self.image.dtype.kind not in "iu" or self.image.min() < 0):
            raise InputError("image must hold numbers from 0", path=path, reason="bad_format")
        if n and images is not None and int(self.image.max()) >= images:
            raise InputError(
                f"names image {int(self.image.max())}, but the benchmark has {images}",
                path=path,
                hint="was it predicted on another benchmark?",
                reason="other_benchmark",
            )
