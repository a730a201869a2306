"""A benchmark folder: images, cameras and people with error bars, in `docs/formats.md` as mcbench-benchmark/2.

Made by `mcbench export`, read by `predict` and `evaluate`; it needs nothing of the workspace that it came from.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mcbench.dataset.cameras_file import SceneCameras
from mcbench.dataset.files import read_json, read_npz, read_record, sha256_file, sha256_json, write_json, write_record
from mcbench.errors import InputError

FORMAT = "mcbench-benchmark/2"
PEOPLE_FORMAT = "mcbench-benchmark-people/2"
MANIFEST = "benchmark.json"


@dataclass(frozen=True)
class BenchmarkPeople:
    """P people of a scene in its world (metres, Z up), seen in F images.

    Attributes
    ----------
    person : (P,) int64 index of the person among the scene's fitted people.
    n_joints : () joints of the body model: 24 as SMPL, 52 as SMPL-H or 55 as SMPL-X.
    betas : (P, B). global_orient : (P, 3). body_pose : (P, 21, 3), of 24 joints (P, 23, 3). transl : (P, 3). Parameters
        that SMPL, SMPL-H and SMPL-X have.
    left_hand_pose, right_hand_pose : (P, 15, 3). jaw_pose, leye_pose, reye_pose : (P, 3). expression : (P, E). Those
        that not all have; NaN where unknown.
    hands : (P, 2, 21, 3), hands_cov, face : (P, 51, 3), face_cov : as in `FittedPeople`; NaN where unknown.
    joints : (P, 24, 3) `smpl24`. keypoints : (P, 17, 3) `coco17`.
    vertices : (P, V, 3) float32.
    joints_cov : (P, 24, 3, 3) covariance relative to joint 0 (joint 0: its absolute one), m^2.
    error_bar : (P, 24) mean semi-axis of the 90 % ellipsoid of each joint, metres.
    residual_px : (P,) median reprojection error of the detector's keypoints.
    box : (F, P, 4) x0, y0, x1, y1 of the whole body's projection, clipped to the image, px; NaN where out of it.
    visible : (F, P, 24) bool, estimated: inside the image and hidden neither by the fitted people nor by the own body.
        What hides people besides people is not known to it.
    """

    person: np.ndarray
    n_joints: np.ndarray
    betas: np.ndarray
    expression: np.ndarray
    global_orient: np.ndarray
    body_pose: np.ndarray
    left_hand_pose: np.ndarray
    right_hand_pose: np.ndarray
    jaw_pose: np.ndarray
    leye_pose: np.ndarray
    reye_pose: np.ndarray
    hands: np.ndarray
    hands_cov: np.ndarray
    face: np.ndarray
    face_cov: np.ndarray
    transl: np.ndarray
    joints: np.ndarray
    keypoints: np.ndarray
    vertices: np.ndarray
    joints_cov: np.ndarray
    error_bar: np.ndarray
    residual_px: np.ndarray
    box: np.ndarray
    visible: np.ndarray

    def __len__(self) -> int:
        return len(self.person)

    def save(self, path: Path) -> None:
        write_record(path, self, PEOPLE_FORMAT)

    @classmethod
    def load(cls, path: Path) -> BenchmarkPeople:
        return read_record(path, cls, PEOPLE_FORMAT)


@dataclass(frozen=True)
class BenchmarkScene:
    """One scene of a benchmark: `folder` holds images/, cameras.json and people.npz."""

    folder: Path
    id: str
    images: tuple[str, ...]

    @cached_property
    def cameras(self) -> SceneCameras:
        """A posed camera an image, in the order of `images`."""
        return SceneCameras.load(self.folder / "cameras.json")

    @cached_property
    def people(self) -> BenchmarkPeople:
        return BenchmarkPeople.load(self.folder / "people.npz")

    def image(self, index: int) -> np.ndarray:
        """RGB image (height, width, 3) uint8; raises `InputError` where it does not decode."""
        path = self.folder / "images" / self.images[index]
        bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if bgr is None:
            raise InputError("cannot be decoded as an image", path=path, reason="corrupt")
        return np.ascontiguousarray(bgr[..., ::-1])


@dataclass(frozen=True)
class Benchmark:
    """A benchmark: `root` holds benchmark.json, body.npz and scenes/<id>/."""

    root: Path
    manifest: dict[str, Any]

    @classmethod
    def load(cls, root: str | Path) -> Benchmark:
        """Open a benchmark; raises `InputError` where the folder is none."""
        path = Path(root) / MANIFEST
        manifest = read_json(path)
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            raise InputError(f"is not a {FORMAT} manifest", path=path, reason="bad_format")
        missing = [key for key in ("scenes", "files", "digest", "body") if key not in manifest]
        if missing:
            raise InputError(f"lacks {', '.join(missing)}", path=path, reason="bad_format")
        return cls(Path(root), manifest)

    @property
    def digest(self) -> str:
        """SHA-256 over the digests of all files: names this benchmark in predictions and scores."""
        return str(self.manifest["digest"])

    @property
    def body_digest(self) -> str:
        return str(self.manifest["body"]["digest"])

    @cached_property
    def scenes(self) -> list[BenchmarkScene]:
        """The scenes, by id."""
        return [
            BenchmarkScene(self.root / "scenes" / s["id"], s["id"], tuple(s["images"])) for s in self.manifest["scenes"]
        ]

    @cached_property
    def index(self) -> list[tuple[int, int]]:
        """(scene, image within it) of every image of the benchmark: what an image number in predictions means."""
        return [(s, i) for s, scene in enumerate(self.scenes) for i in range(len(scene.images))]

    @cached_property
    def skin_area(self) -> np.ndarray:
        """(V,) area of each vertex on the outer skin, m^2; zero off it."""
        return read_npz(self.root / "body.npz")["skin_area"]

    def damaged(self) -> list[str]:
        """Files that are missing or not as the manifest says."""
        return [
            name
            for name, digest in self.manifest["files"].items()
            if not (self.root / name).is_file() or sha256_file(self.root / name) != digest
        ]

    def strangers(self) -> list[str]:
        """Files in the folder that the manifest does not list."""
        present = (p.relative_to(self.root).as_posix() for p in sorted(self.root.rglob("*")) if not p.is_dir())
        return [name for name in present if name != MANIFEST and name not in self.manifest["files"]]

    def require_intact(self) -> None:
        """Refuse a benchmark whose files are not what its digest stands for.

        Raises
        ------
        InputError : files are missing or were changed (reason `damaged`).
        """
        if damaged := self.damaged():
            more = f", nor {len(damaged) - 1} more" if len(damaged) > 1 else ""
            raise InputError(
                f"is not as it was exported{more}",
                path=self.root / damaged[0],
                hint="export or fetch the benchmark again; `mcbench verify` on its folder lists all damage",
                reason="damaged",
            )


def write_manifest(root: Path, content: dict[str, Any]) -> dict[str, Any]:
    """Write the manifest over all files in `root`; `content` is what it says besides. Returns the manifest."""
    root = Path(root)
    files = {p.relative_to(root).as_posix(): sha256_file(p) for p in sorted(root.rglob("*")) if p.is_file()}
    manifest = {**content, "format": FORMAT, "files": files, "digest": sha256_json(files)}
    write_json(root / MANIFEST, manifest)
    return manifest


def is_benchmark(root: Path) -> bool:
    """Whether a folder holds a benchmark's manifest."""
    try:
        Benchmark.load(root)
    except InputError:
        return False
    return True
