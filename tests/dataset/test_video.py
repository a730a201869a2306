"""Videos: exact times, upright pictures, selection of frames, and files that are not what they seem."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from clips import pattern, write_video
from hypothesis import assume, given
from hypothesis import strategies as st

from mcbench.dataset.source import Source
from mcbench.dataset.video import FrameSelection, VideoScan, scan_video
from mcbench.errors import InputError, UsageError


def as_source(path: Path, scan: VideoScan, positions: list[int] | None = None) -> Source:
    used = list(range(len(scan.times))) if positions is None else positions
    return Source(path.parent, path.stem, "video", path.name, scan.frames(used), used, scan.rotation)


def test_times_are_those_of_the_file_whatever_their_spacing(tmp_path: Path) -> None:
    times = [0, 10_000, 50_000, 100_000, 400_000, 433_333]
    scan = scan_video(write_video(tmp_path / "a.mp4", times_us=times))
    assert np.allclose(scan.times, np.array(times) / 1e6, atol=1e-9)
    assert scan.fault is None
    assert scan.notes == ()


def test_times_count_from_the_first_frame(tmp_path: Path) -> None:
    scan = scan_video(write_video(tmp_path / "a.mp4", times_us=[2_000_000 + 40_000 * i for i in range(5)]))
    assert scan.start_s == pytest.approx(2.0)
    assert np.allclose(scan.times, 0.04 * np.arange(5))


@pytest.mark.parametrize(("rotation", "corner"), [(0, (0, 0)), (90, (0, -1)), (180, (-1, -1)), (270, (-1, 0))], ids=str)
def test_pictures_are_upright(tmp_path: Path, rotation: int, corner: tuple[int, int]) -> None:
    """The pattern's bright corner, top left as stored, goes where a clockwise turn takes it."""
    path = write_video(tmp_path / "a.mp4", 3, rotation=rotation)
    scan = scan_video(path)
    assert scan.rotation == rotation
    assert (scan.width, scan.height) == ((64, 48) if rotation % 180 == 0 else (48, 64))
    for frame, image in as_source(path, scan).images():
        assert image.shape == (frame.height, frame.width, 3)
        bright = {c: image[c].mean() > 200 for c in ((0, 0), (0, -1), (-1, -1), (-1, 0))}
        assert [c for c, is_bright in bright.items() if is_bright] == [corner]


def test_frames_are_the_ones_asked_for(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 12)
    scan = scan_video(path)
    source = as_source(path, scan, [1, 4, 9])
    for (frame, image), position in zip(source.images(), (1, 4, 9), strict=True):
        assert frame.time_s == scan.times[position]
        assert np.abs(image.astype(int) - pattern(position)).mean() < 4


@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".webm"])
def test_other_containers(tmp_path: Path, suffix: str) -> None:
    path = write_video(tmp_path / f"a{suffix}", 10, codec="libvpx" if suffix == ".webm" else "libx264")
    scan = scan_video(path)
    assert len(scan.times) == 10
    assert np.allclose(scan.times, np.arange(10) / 30, atol=1e-3)


def test_a_container_that_states_a_wrong_count(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 12)
    content = bytearray(path.read_bytes())
    table = content.index(b"stts") + 8  # entry count, then pairs (number of frames, duration)
    entries = int.from_bytes(content[table : table + 4], "big")
    last = table + 4 + 8 * (entries - 1)
    content[last : last + 4] = (int.from_bytes(content[last : last + 4], "big") + 3).to_bytes(4, "big")
    path.write_bytes(content)
    scan = scan_video(path)
    assert scan.declared_frames == 15
    assert len(scan.times) == 12
    assert scan.fault is None
    assert scan.notes == ("the container states 15 frames, 12 decode",)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty_file"),
        (b"hello, this is text\n" * 50, "not_video"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n", "not_video"),
        (b"ffconcat version 1.0\nfile a.mp4\n", "not_video"),
        (b"\x00\x00\x00\x20ftypisom" + b"\x00" * 100, "corrupt"),
        (b"\x1a\x45\xdf\xa3" + b"\x00" * 100, "corrupt"),
    ],
    ids=["empty", "text", "playlist", "concat", "mp4 header", "mkv header"],
)
def test_what_is_no_video_says_so(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        scan_video(path)
    assert caught.value.reason == reason
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_playlist_never_opens_the_file_it_names(tmp_path: Path) -> None:
    real = write_video(tmp_path / "real.mp4", 5)
    path = tmp_path / "clip.mp4"
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{real}\n#EXT-X-ENDLIST\n")
    with pytest.raises(InputError, match="is not a video"):
        scan_video(path)


def test_missing_folder_and_sound(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none.mp4", "missing_file"), (tmp_path, "not_a_file")):
        with pytest.raises(InputError) as caught:
            scan_video(path)
        assert caught.value.reason == reason


def test_a_file_cut_before_its_index_is_corrupt(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 12)  # the index is at the end
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(InputError) as caught:
        scan_video(path)
    assert caught.value.reason == "corrupt"


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", {"movflags": "faststart"}),
        ("a.mp4", {"movflags": "frag_keyframe+empty_moov"}),
        ("a.mkv", {}),
    ],
    ids=["faststart", "fragmented", "matroska"],
)
@pytest.mark.parametrize("share", [0.75, 0.9, 0.97])
def test_a_file_cut_short_is_noticed_and_what_decodes_is_readable(
    tmp_path: Path, name: str, options: dict[str, str], share: float
) -> None:
    path = write_video(tmp_path / name, 40, options=options)
    whole = scan_video(path)
    assert whole.fault is None
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    scan = scan_video(path)
    assert scan.fault is not None
    assert 0 < len(scan.times) <= 40
    assert set(scan.times) <= set(whole.times)
    assert sum(1 for _ in as_source(path, scan).images()) == len(scan.times)


@given(
    count=st.integers(0, 200),
    start=st.none() | st.floats(0, 8),
    end=st.none() | st.floats(0, 8),
    every=st.integers(1, 9),
    max_frames=st.sampled_from([0, 2, 3, 10, 50]),
)
def test_selection(count: int, start: float | None, end: float | None, every: int, max_frames: int) -> None:
    assume(start is None or end is None or start < end)
    times = [i / 30 for i in range(count)]
    selection = FrameSelection(start, end, every, max_frames)
    chosen, within = selection.positions(times), selection.within(times)
    assert all(a < b for a, b in pairwise(chosen))
    assert set(chosen) <= set(within)
    assert all((start is None or times[i] >= start) and (end is None or times[i] < end) for i in chosen)
    assert all(b - a == every for a, b in pairwise(within))
    assert len(chosen) == (min(len(within), max_frames) if max_frames else len(within))
    if len(chosen) > 1:
        assert (chosen[0], chosen[-1]) == (within[0], within[-1])
        gaps = np.diff([within.index(i) for i in chosen])
        assert gaps.max() - gaps.min() <= 1
    assert bool(selection.note(times)) == (len(chosen) < len(within))


@pytest.mark.parametrize(
    "wrong",
    [
        {"every": 0},
        {"max_frames": -1},
        {"max_frames": 1},
        {"start": -1.0},
        {"end": float("nan")},
        {"start": 5.0, "end": 2.0},
        {"start": 2.0, "end": 2.0},
    ],
)
def test_selection_refuses_nonsense(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        FrameSelection(**wrong)  # type: ignore[arg-type]
