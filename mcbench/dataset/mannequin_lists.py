"""Lists of the Mannequin Challenge data: the frames of a clip by their times, each with its camera.

A file a clip. Line 1 is the video's URL; then comes a line a frame with 19 columns: the time in microseconds since the
start of the video; fx, fy, cx, cy as shares of the image's width and height; two zeros (distortion); the 3x4 matrix
`cam_from_world` row by row, in units of the clip's own. The folders `train`, `validation` and `test` hold the files
(https://google.github.io/mannequinchallenge).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mcbench.cameras.camera import Array, Camera
from mcbench.dataset.cameras_file import FrameCamera, SceneCameras
from mcbench.dataset.files import write_bytes
from mcbench.dataset.source import Frame
from mcbench.errors import InputError

SPLITS = ("train", "validation", "test")
ORIGIN = "mannequinchallenge"
COLUMNS = 19


@dataclass(frozen=True)
class ClipList:
    """The frames of one clip.

    Attributes
    ----------
    name : the file's stem. split : "train", "validation", "test", or "" for a file that stands alone.
    url : the video's address.
    times_us : (F,) int64, microseconds since the start of the video.
    intrinsics : (F, 4) fx, fy, cx, cy, shares of the image's width and height.
    cam_from_world : (F, 3, 4), units arbitrary.
    """

    name: str
    split: str
    url: str
    times_us: npt.NDArray[np.int64]
    intrinsics: Array
    cam_from_world: Array


def find_clip_lists(folder: Path) -> list[tuple[str, Path]]:
    """Pairs (split, file) of a Mannequin Challenge folder, or of one of its splits' folders; sorted."""
    found = [
        (split, path)
        for split in SPLITS
        for path in sorted((folder / split).glob("*.txt"))
        if path.is_file() or path.is_symlink()
    ]
    if found:
        return found
    split = folder.name if folder.name in SPLITS else ""
    return [(split, path) for path in sorted(folder.glob("*.txt"))]


def is_clip_list(path: Path) -> bool:
    """Whether a readable text file is a clip's list rather than a list of addresses: line 2 is many numbers."""
    with path.open(encoding="utf-8-sig", errors="replace") as stream:
        lines = [line for _, line in zip(range(50), stream, strict=False) if line.strip()]
    words = lines[1].split() if len(lines) > 1 else []
    return len(words) > COLUMNS // 2 and _number(words[0]) and _number(words[1])


def read_clip_list(path: Path, split: str = "") -> ClipList:
    """Read a clip's list.

    Raises
    ------
    InputError : reason `bad_list`, with the line: not 19 columns, a column that is no number (NaN, say), a time that
        is negative or no whole number, a rotation that is none or mirrored, no frames, no address.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read as text: {error}", path=path, reason="bad_list") from error
    if not any(line.strip() for line in lines):
        raise InputError("is empty", path=path, reason="bad_list")
    url = lines[0].strip()
    if not url or _number(url.split()[0]):
        raise InputError(f"line 1 is {_shown(url)}, not the address of a video", path=path, reason="bad_list")
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        if line.strip():
            rows.append(_row(path, number, line))
    if not rows:
        raise InputError("lists no frame: nothing follows the address in line 1", path=path, reason="bad_list")
    table = np.array(rows)
    return ClipList(path.stem, split, url, table[:, 0].astype(np.int64), table[:, 1:5], table[:, 7:].reshape(-1, 3, 4))


def write_clip_list(
    path: Path,
    url: str,
    times_us: npt.ArrayLike,
    K: npt.ArrayLike,
    size: tuple[int, int],
    cam_from_world: npt.ArrayLike,
) -> None:
    """Write a clip's list.

    Parameters
    ----------
    url : address or path of the video.
    times_us : (F,) microseconds since the video's first frame, rounded to whole ones.
    K : (3, 3) or (F, 3, 3), px. size : width and height, px.
    cam_from_world : (F, 3, 4).
    """
    times = np.rint(np.asarray(times_us, dtype=np.float64)).astype(np.int64)
    poses = np.asarray(cam_from_world, dtype=np.float64)
    matrices = np.broadcast_to(np.asarray(K, dtype=np.float64), (len(times), 3, 3))
    if poses.shape != (len(times), 3, 4):
        raise ValueError(f"cam_from_world has shape {poses.shape}, expected {(len(times), 3, 4)}")
    if not url.strip() or len(url.splitlines()) != 1:
        raise ValueError("the address must be one line")
    width, height = size
    lines = [url]
    for time, matrix, pose in zip(times, matrices, poses, strict=True):
        intrinsics = (matrix[0, 0] / width, matrix[1, 1] / height, matrix[0, 2] / width, matrix[1, 2] / height)
        numbers = " ".join(repr(float(v)) for v in (*intrinsics, 0.0, 0.0, *pose.ravel()))
        lines.append(f"{time} {numbers}")
    write_bytes(Path(path), ("\n".join(lines) + "\n").encode())


def nearest_frames(times_us: npt.ArrayLike, times_s: Sequence[float]) -> list[int | None]:
    """Position of the decoded frame that each listed time means, None where there is none.

    That is the frame nearest in time, at most half a frame's interval (the median) away. A frame is given once, to
    the time nearest to it.

    Parameters
    ----------
    times_us : (F,) microseconds. times_s : seconds of the decoded frames after the first one, rising.
    """
    decoded = np.asarray(times_s, dtype=np.float64)
    wanted = np.asarray(times_us, dtype=np.float64) / 1e6
    if len(decoded) == 0:
        return [None] * len(wanted)
    reach = 0.5 * float(np.median(np.diff(decoded))) if len(decoded) > 1 else 0.0
    reach += 1.5e-6  # the list's own rounding, and the video's
    right = np.clip(np.searchsorted(decoded, wanted), 1, max(len(decoded) - 1, 1)) if len(decoded) > 1 else 0 * wanted
    right = np.asarray(right, dtype=np.int64)
    left = np.maximum(right - 1, 0)
    nearest = np.where(np.abs(wanted - decoded[left]) <= np.abs(decoded[right] - wanted), left, right)
    distance = np.abs(decoded[nearest] - wanted)
    found: list[int | None] = [None] * len(wanted)
    taken: set[int] = set()
    for row in np.argsort(distance, kind="stable"):
        position = int(nearest[row])
        if distance[row] <= reach and position not in taken:
            taken.add(position)
            found[row] = position
    return found


def clip_cameras(clip: ClipList, rows: Sequence[int], frames: Sequence[Frame]) -> SceneCameras:
    """Cameras of a clip's frames: `rows[i]` is the row of the list that `frames[i]` shows."""
    cameras = []
    for row, frame in zip(rows, frames, strict=True):
        shares = clip.intrinsics[row] * [frame.width, frame.height, frame.width, frame.height]
        camera = Camera("PINHOLE", frame.width, frame.height, tuple(float(v) for v in shares))
        cameras.append(FrameCamera(frame.index, frame.name, camera, clip.cam_from_world[row]))
    return SceneCameras(cameras, "unknown", None, ORIGIN, {"frames_listed": len(clip.times_us)})


def _row(path: Path, number: int, line: str) -> list[float]:
    def bad(what: str) -> InputError:
        return InputError(f"line {number}: {what}", path=path, reason="bad_list")

    words = line.split()
    if len(words) != COLUMNS:
        raise bad(f"{len(words)} columns, not {COLUMNS}")
    for column, word in enumerate(words, start=1):
        if not _number(word):
            raise bad(f"column {column} is {_shown(word)}, not a finite number")
    row = [float(word) for word in words]
    if row[0] < 0 or row[0] != int(row[0]):
        raise bad(f"the time is {_shown(words[0])}, not a whole number of microseconds")
    if row[1] <= 0 or row[2] <= 0:
        raise bad("the focal length (columns 2 and 3) is not positive")
    R = np.array(row[7:]).reshape(3, 4)[:, :3]
    if not np.allclose(R @ R.T, np.eye(3), atol=1e-3):
        raise bad("the matrix (columns 8 to 19, row by row) does not start with a rotation")
    if np.linalg.det(R) < 0:
        raise bad("the matrix (columns 8 to 19) mirrors: its rotation has a determinant of -1")
    return row


def _shown(text: str) -> str:
    """What stands in a file, short enough for a message."""
    return repr(text if len(text) <= 40 else f"{text[:39]}…")


def _number(word: str) -> bool:
    try:
        return bool(np.isfinite(float(word)))
    except ValueError:
        return False
