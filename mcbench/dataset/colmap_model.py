"""COLMAP's sparse models, text and binary: cameras and image poses (points are not read).

Formats: https://colmap.github.io/format.html. Models of COLMAP 3.12 and later also hold `rigs` and `frames`; each
image's own pose is in `images` as before, so those two files are not needed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from mcbench.cameras.camera import MODELS, Array, Camera
from mcbench.dataset.files import write_bytes
from mcbench.errors import InputError

#: COLMAP's numbers for the camera models of its binary files, with the number of parameters of each.
_BINARY_MODELS = {
    0: ("SIMPLE_PINHOLE", 3),
    1: ("PINHOLE", 4),
    2: ("SIMPLE_RADIAL", 4),
    3: ("RADIAL", 5),
    4: ("OPENCV", 8),
    5: ("OPENCV_FISHEYE", 8),
    6: ("FULL_OPENCV", 12),
    7: ("FOV", 5),
    8: ("SIMPLE_RADIAL_FISHEYE", 4),
    9: ("RADIAL_FISHEYE", 5),
    10: ("THIN_PRISM_FISHEYE", 12),
}


@dataclass(frozen=True)
class PosedImage:
    """An image of a model: `cam_from_world` (3, 4) in the model's units."""

    name: str
    camera: Camera
    cam_from_world: Array


def rotation_from_quaternion(qvec: Sequence[float]) -> Array:
    """Rotation matrix (3, 3) of a quaternion (w, x, y, z) of any length but zero."""
    w, x, y, z = np.asarray(qvec, dtype=np.float64) / np.linalg.norm(qvec)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def quaternion_from_rotation(R: Array) -> Array:
    """Unit quaternion (4,) as w, x, y, z with w >= 0 of a rotation matrix (3, 3).

    It is the dominant eigenvector of a symmetric matrix made from R (Bar-Itzhack 2000): stable for every angle.
    """
    m = R
    symmetric = np.array(
        [
            [m[0, 0] - m[1, 1] - m[2, 2], m[0, 1] + m[1, 0], m[0, 2] + m[2, 0], m[2, 1] - m[1, 2]],
            [m[0, 1] + m[1, 0], m[1, 1] - m[0, 0] - m[2, 2], m[1, 2] + m[2, 1], m[0, 2] - m[2, 0]],
            [m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], m[2, 2] - m[0, 0] - m[1, 1], m[1, 0] - m[0, 1]],
            [m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], m[0, 0] + m[1, 1] + m[2, 2]],
        ]
    )
    q = np.linalg.eigh(symmetric)[1][[3, 0, 1, 2], 3]
    return -q if q[0] < 0 else q


def read_model(folder: Path) -> list[PosedImage]:
    """Read a model folder, `cameras.txt` and `images.txt` or `cameras.bin` and `images.bin` (binary if both).

    Raises
    ------
    InputError : reason `not_a_model` (neither kind is there), `missing_file` (one of the two is not),
        `bad_model` (a file is broken), `unsupported_camera_model`, `unsafe_name` (an image name that leaves its
        folder).
    """
    folder = Path(folder)
    if not folder.is_dir():
        problem = "is not a folder with a COLMAP model" if folder.exists() else "no such folder"
        raise InputError(problem, path=folder, reason="not_a_model")
    for suffix, read_cameras, read_images in (
        (".bin", _cameras_binary, _images_binary),
        (".txt", _cameras_text, _images_text),
    ):
        cameras_path, images_path = folder / f"cameras{suffix}", folder / f"images{suffix}"
        present = [p for p in (cameras_path, images_path) if p.is_file()]
        if not present:
            continue
        for path in (cameras_path, images_path):
            if path not in present:
                raise InputError(
                    f"is missing: a COLMAP model needs {cameras_path.name} and {images_path.name}",
                    path=path,
                    reason="missing_file",
                )
        cameras = read_cameras(cameras_path)
        images = [
            _posed(images_path, cameras, camera_id, name, pose) for name, camera_id, pose in read_images(images_path)
        ]
        return _checked(images_path, images)
    raise InputError(
        "holds no COLMAP model: cameras.txt and images.txt (or .bin) are not there", path=folder, reason="not_a_model"
    )


def write_model(folder: Path, images: Sequence[PosedImage]) -> None:
    """Write a text model without points; equal cameras are written once. Numbers keep all their digits."""
    cameras: dict[Camera, int] = {}
    lines = []
    for number, image in enumerate(images, start=1):
        camera_id = cameras.setdefault(image.camera, len(cameras) + 1)
        pose = [*quaternion_from_rotation(image.cam_from_world[:, :3]), *image.cam_from_world[:, 3]]
        lines.append(f"{number} {_numbers(pose)} {camera_id} {image.name}\n\n")
    rows = [f"{n} {c.model} {c.width} {c.height} {_numbers(c.params)}\n" for c, n in cameras.items()]
    write_bytes(folder / "cameras.txt", "".join(["# CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]\n", *rows]).encode())
    heading = "# IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME\n# POINTS2D[] as (X, Y, POINT3D_ID)\n"
    write_bytes(folder / "images.txt", "".join([heading, *lines]).encode())
    write_bytes(folder / "points3D.txt", b"# POINT3D_ID, X, Y, Z, R, G, B, ERROR, TRACK[]\n")


def _numbers(values: Sequence[float]) -> str:
    return " ".join(repr(float(v)) for v in values)


def _posed(path: Path, cameras: dict[int, Camera], camera_id: int, name: str, pose: Sequence[float]) -> PosedImage:
    if camera_id not in cameras:
        raise InputError(f"image {name!r} names camera {camera_id}, which the model lacks", path=path,
                         reason="bad_model")  # fmt: skip
    if not np.isfinite(pose).all() or np.linalg.norm(pose[:4]) < 1e-9:
        raise InputError(f"image {name!r} has no valid pose", path=path, reason="bad_model")
    matrix = np.column_stack([rotation_from_quaternion(pose[:4]), pose[4:7]])
    return PosedImage(name, cameras[camera_id], matrix)


def _checked(path: Path, images: list[PosedImage]) -> list[PosedImage]:
    if not images:
        raise InputError("lists no image", path=path, reason="bad_model")
    seen = set()
    for image in images:
        parts = PurePosixPath(image.name.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts:
            raise InputError(f"image name {image.name!r} leaves its folder", path=path, reason="unsafe_name")
        if image.name in seen:
            raise InputError(f"image {image.name!r} is listed twice", path=path, reason="bad_model")
        seen.add(image.name)
    return sorted(images, key=lambda image: image.name)


def _camera(path: Path, model: str, width: int, height: int, params: Sequence[float]) -> Camera:
    if model not in MODELS:
        raise InputError(
            f"camera model {model} is not supported",
            path=path,
            hint=f"undistort the images with COLMAP first; supported: {', '.join(MODELS)}",
            reason="unsupported_camera_model",
        )
    if len(params) != MODELS[model] or not np.isfinite(params).all() or width < 1 or height < 1 or params[0] <= 0:
        raise InputError(f"a {model} camera has wrong or too few numbers", path=path, reason="bad_model")
    return Camera(model, width, height, tuple(float(p) for p in params))


def _text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Line numbers (from 1) and lines without comments; empty lines matter and are kept."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("cannot be read as text", path=path, reason="bad_model") from error
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.lstrip().startswith("#"):
            yield number, line.strip()


def _cameras_text(path: Path) -> dict[int, Camera]:
    cameras = {}
    for number, line in _text_lines(path):
        if not line:
            continue
        words = line.split()
        try:
            camera_id, model, width, height = int(words[0]), words[1], int(words[2]), int(words[3])
            params = [float(w) for w in words[4:]]
        except (IndexError, ValueError) as error:
            raise InputError(f"line {number} is not a camera", path=path, reason="bad_model") from error
        cameras[camera_id] = _camera(path, model, width, height, params)
    return cameras


def _images_text(path: Path) -> Iterator[tuple[str, int, list[float]]]:
    lines = _text_lines(path)
    for number, line in lines:
        if not line:
            continue
        words = line.split(maxsplit=9)
        try:
            int(words[0])
            pose, camera_id, name = [float(w) for w in words[1:8]], int(words[8]), words[9]
        except (IndexError, ValueError) as error:
            raise InputError(f"line {number} is not an image", path=path, reason="bad_model") from error
        next(lines, None)  # the line of its points, often empty
        yield name, camera_id, pose


class _Binary:
    """A cursor over a binary file; running off its end is an `InputError`."""

    def __init__(self, path: Path) -> None:
        self.path, self.at = path, 0
        try:
            self.data = path.read_bytes()
        except OSError as error:
            raise InputError("cannot be read", path=path, reason="bad_model") from error

    def take(self, layout: str) -> tuple:
        try:
            values = struct.unpack_from("<" + layout, self.data, self.at)
        except struct.error as error:
            raise self.cut_short() from error
        self.at += struct.calcsize("<" + layout)
        return values

    def skip(self, size: int) -> None:
        self.at += size
        if self.at > len(self.data):
            raise self.cut_short()

    def text(self) -> str:
        end = self.data.find(b"\0", self.at)
        if end < 0:
            raise self.cut_short()
        raw, self.at = self.data[self.at : end], end + 1
        return raw.decode("utf-8", "surrogateescape")

    def cut_short(self) -> InputError:
        return InputError("is cut short or not a COLMAP file", path=self.path, reason="bad_model")


def _cameras_binary(path: Path) -> dict[int, Camera]:
    binary = _Binary(path)
    cameras = {}
    (count,) = binary.take("Q")
    for _ in range(count):
        camera_id, model_id, width, height = binary.take("IiQQ")
        if model_id not in _BINARY_MODELS:
            raise InputError(f"camera model number {model_id} is unknown", path=path,
                             reason="unsupported_camera_model")  # fmt: skip
        model, size = _BINARY_MODELS[model_id]
        cameras[camera_id] = _camera(path, model, width, height, binary.take(f"{size}d"))
    return cameras


def _images_binary(path: Path) -> Iterator[tuple[str, int, tuple[float, ...]]]:
    binary = _Binary(path)
    (count,) = binary.take("Q")
    for _ in range(count):
        _, *pose, camera_id = binary.take("I7dI")
        name = binary.text()
        (points,) = binary.take("Q")
        binary.skip(points * 24)  # x, y: doubles; point id: 64 bits
        yield name, camera_id, tuple(pose)
