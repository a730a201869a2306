"""Exact truth of a clip, whoever wrote it, in `docs/formats.md` as mcbench-truth/1.

`<stem>.json` says what the clip is, `<stem>.npz` holds the arrays. Only `synth`, `audit`, keypoint
calibration and DOPE training may import this module.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mcbench.dataset.files import read_json, read_npz, require_shapes, write_json, write_npz
from mcbench.errors import InputError

FORMAT = "mcbench-truth/1"
#: What all clips of a folder show, beside their truth: no truth of a clip.
SUMMARY = "summary.json"
#: Arrays with a row a frame.
_PER_FRAME = ("K", "cam_from_world", "joints_visible", "box", "hands_px", "face_px", "moved")
_ARRAYS = (
    "K",
    "cam_from_world",
    "person_id",
    "joints",
    "joints_visible",
    "box",
    "vertices",
    "vertices_visible",
    "hands",
    "hands_px",
    "face",
    "face_px",
    "moved",
)


@dataclass(frozen=True)
class SceneTruth:
    """Truth of one clip: metres, Z up, F frames, P people.

    Attributes
    ----------
    clip : file name of the clip; its stem names the truth files.
    image_size : (width, height), px.
    K : (F, 3, 3) px.
    cam_from_world : (F, 3, 4).
    person_id : (P,) int64.
    joints : (P, 24, 3) `smpl24` joints at the clip's first frame.
    joints_visible : (F, P, 24) bool: in the image, and its surface the first thing on its ray.
    box : (F, P, 4) x0, y0, x1, y1 of the visible pixels; NaN where none.
    vertices : (P, V, 3) of the open body's topology, or (P, 0, 3) where unknown.
    vertices_visible : (P, V) int32, number of frames in which a vertex is visible; (P, 0) where unknown.
    hands : (P, 2, 21, 3) left then right, `hand21`, or NaN. hands_px : (F, P, 2) longer side of a visible hand's
        box, px.
    face : (P, 51, 3) landmarks `face_17` to `face_67`, or NaN. face_px : (F, P) longer side of a visible face's box,
        px; 0 where fewer than half of the landmarks are to be seen.
    moved : (F, P, 3) translation of a person relative to the first frame, metres (zero for who stands still).
    info : difficulty, planted failure, seed, statures, …
    """

    clip: str
    image_size: tuple[int, int]
    K: np.ndarray
    cam_from_world: np.ndarray
    person_id: np.ndarray
    joints: np.ndarray
    joints_visible: np.ndarray
    box: np.ndarray
    vertices: np.ndarray
    vertices_visible: np.ndarray
    hands: np.ndarray
    hands_px: np.ndarray
    face: np.ndarray
    face_px: np.ndarray
    moved: np.ndarray
    info: dict = field(default_factory=dict)

    @property
    def stem(self) -> str:
        return Path(self.clip).stem

    def part(self, first: int, stop: int) -> SceneTruth:
        """The truth of the frames from `first` to before `stop`; `vertices_visible` stays that of the whole clip."""
        per_frame = {name: getattr(self, name)[first:stop] for name in _PER_FRAME}
        gone = self.moved[first : first + 1].sum(axis=0)  # (P, 3), until the part begins
        return replace(
            self,
            **{**per_frame, "moved": per_frame["moved"] - gone},
            joints=self.joints + gone[:, None],
            vertices=self.vertices + gone[:, None],
            hands=self.hands + gone[:, None, None],
            face=self.face + gone[:, None],
        )

    def save(self, folder: Path) -> None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_npz(folder / f"{self.stem}.npz", {name: getattr(self, name) for name in _ARRAYS})
        write_json(
            folder / f"{self.stem}.json",
            {"format": FORMAT, "clip": self.clip, "image_size": self.image_size, "info": self.info},
        )

    @classmethod
    def load(cls, path: Path) -> SceneTruth:
        """Load from the path of the `.json`; raises `InputError` naming the file and what it lacks."""
        path = Path(path)
        data, arrays = read_json(path), read_npz(path.with_suffix(".npz"))
        if data.get("format") != FORMAT:
            raise InputError(f"format is {data.get('format')!r}, expected {FORMAT!r}", path=path)
        missing = [name for name in _ARRAYS if name not in arrays]
        if missing:
            raise InputError(f"lacks {', '.join(missing)}", path=path.with_suffix(".npz"))
        f, p, v = arrays["K"].shape[:1], arrays["person_id"].shape[:1], arrays["vertices"].shape[1:2]
        require_shapes(
            arrays,
            {
                "K": (*f, 3, 3),
                "cam_from_world": (*f, 3, 4),
                "person_id": p,
                "joints": (*p, 24, 3),
                "joints_visible": (*f, *p, 24),
                "box": (*f, *p, 4),
                "vertices": (*p, *v, 3),
                "vertices_visible": (*p, *v),
                "hands": (*p, 2, 21, 3),
                "hands_px": (*f, *p, 2),
                "face": (*p, 51, 3),
                "face_px": (*f, *p),
                "moved": (*f, *p, 3),
            },
            path.with_suffix(".npz"),
        )
        width, height = data["image_size"]
        return cls(
            data["clip"],
            (int(width), int(height)),
            **{n: arrays[n] for n in _ARRAYS},
            info=data.get("info", {}),
        )
