"""`mcbench download` through yt-dlp itself, from a web server on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from clips import write_video
from running import mcbench
from video_server import Resource, VideoServer

from mcbench.dataset.cameras_file import SceneCameras
from mcbench.dataset.mannequin_lists import write_clip_list
from mcbench.dataset.source import Source
from mcbench.workspace.workspace import Workspace

FAST = ("--backoff", 0, "--retries", 1)


@pytest.fixture
def server() -> Iterator[VideoServer]:
    with VideoServer().running() as running:
        yield running


@pytest.fixture(scope="module")
def mp4(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4", 12).read_bytes()


def run(listed: Path, workspace: Path, *options: object, status: int = 0) -> dict[str, Any]:
    return json.loads(mcbench("download", listed, workspace, *FAST, *options, "--json", status=status).stdout)


def write_list(path: Path, *addresses: object) -> Path:
    path.write_text("# videos\n" + "".join(f"{address}\n" for address in addresses))
    return path


def reasons(report: dict[str, Any]) -> dict[str, str | None]:
    """Reason by the last step of a video's address."""
    return {video["address"].rsplit("/", 1)[-1]: video["reason"] for video in report["videos"]}


def add_up(counts: dict[str, Any]) -> bool:
    lost = sum(counts["by_reason"].values())
    return counts["total"] == counts["ok"] + counts["failed"] and counts["failed"] == lost


def test_every_kind_of_dead_video_is_typed_and_none_stops_the_rest(
    server: VideoServer, mp4: bytes, tmp_path: Path
) -> None:
    page = b"<html><body>nothing to see</body></html>"
    listed = write_list(
        tmp_path / "list.txt",
        server.add("/404.mp4", Resource(b"gone", "text/plain", 404)),
        server.add("/410.mp4", Resource(b"gone", "text/plain", 410)),
        server.add("/403.mp4", Resource(b"no", "text/plain", 403)),
        server.add("/500.mp4", Resource(b"oops", "text/plain", 500)),
        server.add("/page.html", Resource(page, "text/html")),
        server.add("/page.mp4", Resource(page, "video/mp4")),
        server.add("/half.mp4", Resource(mp4[: len(mp4) // 2])),
        server.add("/empty.mp4", Resource(b"")),
        "ftp://127.0.0.1/clip.mp4",
        server.add("/good.mp4", Resource(mp4)),
    )
    report = run(listed, tmp_path / "ws", status=1)
    assert reasons(report) == {
        "404.mp4": "removed",
        "410.mp4": "removed",
        "403.mp4": "forbidden",
        "500.mp4": "network",
        "page.html": "not_video",
        "page.mp4": "not_video",
        "half.mp4": "corrupt",
        "empty.mp4": "corrupt",
        "good.mp4": None,
    }
    coverage = report["coverage"]
    assert coverage["videos"]["total"] == 9 and coverage["videos"]["ok"] == 1
    assert coverage["clips"]["total"] == 10 and coverage["clips"]["by_reason"]["bad_address"] == 1
    assert all(add_up(counts) for counts in coverage.values())
    assert [scene.id for scene in Workspace.open(tmp_path / "ws").scenes()] == ["good"]
    assert len(server.asked("/500.mp4")) >= 2, "a temporary failure is tried again"
    assert all(video["message"] for video in report["videos"] if video["status"] == "failed")


def test_second_run_does_nothing_new(server: VideoServer, mp4: bytes, tmp_path: Path) -> None:
    later = Resource(mp4, status=503)
    listed = write_list(
        tmp_path / "list.txt",
        server.add("/good.mp4", Resource(mp4)),
        server.add("/gone.mp4", Resource(b"gone", "text/plain", 404)),
        server.add("/later.mp4", later),
    )
    first = run(listed, tmp_path / "ws", status=1)
    asked = len(server.asked("/good.mp4")), len(server.asked("/gone.mp4"))
    assert [clip["status"] for clip in first["clips"]] == ["imported", "failed", "failed"]

    later.status = 200
    second = run(listed, tmp_path / "ws", status=1)
    assert [clip["status"] for clip in second["clips"]] == ["unchanged", "failed", "imported"]
    assert (len(server.asked("/good.mp4")), len(server.asked("/gone.mp4"))) == asked, "both are known for good"

    server.requests.clear()
    third = run(listed, tmp_path / "ws", status=1)
    assert server.requests == []
    assert [clip["status"] for clip in third["clips"]] == ["unchanged", "failed", "unchanged"]
    assert third["clips"][0]["scene"] == first["clips"][0]["scene"]

    server.add("/gone.mp4", Resource(mp4))
    assert run(listed, tmp_path / "ws", "--retry-failed")["coverage"]["clips"]["ok"] == 3


def test_429_is_waited_for_as_the_server_asks(server: VideoServer, mp4: bytes, tmp_path: Path) -> None:
    short = Resource(mp4, status=429, failures=1, headers={"Retry-After": "1"})
    long = Resource(b"slow down", status=429, headers={"Retry-After": "3600"})
    listed = write_list(tmp_path / "list.txt", server.add("/short.mp4", short), server.add("/long.mp4", long))
    report = run(listed, tmp_path / "ws", status=1)
    short_record, long_record = report["videos"]
    assert short_record["status"] == "ok" and short_record["attempts"] == 2
    assert (long_record["reason"], long_record["retry"], long_record["attempts"]) == ("rate_limited", "next_run", 1)
    assert "3600 s" in long_record["message"]


# A pass of yt-dlp asks twice: once to look at what is there, once to fetch it. Both connections are cut.
@pytest.mark.parametrize("cuts", [2, 6])
def test_cut_connection_resumes_to_the_same_bytes(server: VideoServer, tmp_path: Path, cuts: int) -> None:
    body = write_video(tmp_path / "long.mp4", 60, size=(320, 240), options={"movflags": "faststart"}).read_bytes()
    address = server.add("/cut.mp4", Resource(body, cut_after=len(body) // 2, cuts=cuts))
    report = run(write_list(tmp_path / "list.txt", address), tmp_path / "ws", "--retries", 3)
    [record] = report["videos"]
    assert (tmp_path / "ws" / "downloads" / record["file"]).read_bytes() == body
    assert record["bytes"] == len(body) and record["attempts"] == cuts // 2 + 1
    assert any(request.first_byte for request in server.asked("/cut.mp4")), "the rest was asked for, not the whole"
    assert not list((tmp_path / "ws" / "downloads" / "partial").iterdir())


def test_run_that_gave_up_is_resumed_by_the_next(server: VideoServer, tmp_path: Path) -> None:
    body = write_video(tmp_path / "long.mp4", 60, size=(320, 240), options={"movflags": "faststart"}).read_bytes()
    resource = Resource(body, cut_after=len(body) // 2, cuts=None)
    listed = write_list(tmp_path / "list.txt", server.add("/cut.mp4", resource))
    first = run(listed, tmp_path / "ws", status=1)
    assert reasons(first) == {"cut.mp4": "network"} and first["videos"][0]["retry"] == "next_run"
    resource.cuts = 0
    server.requests.clear()
    second = run(listed, tmp_path / "ws")
    assert (tmp_path / "ws" / "downloads" / second["videos"][0]["file"]).read_bytes() == body
    assert any(request.first_byte for request in server.asked("/cut.mp4"))


def test_local_files_listed_by_relative_path_and_address(mp4: bytes, tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a b.mp4").write_bytes(mp4)
    (tmp_path / "videos" / "é.mp4").write_bytes(mp4)
    (tmp_path / "videos" / "page.mp4").write_text("<html>")
    listed = write_list(
        tmp_path / "list.txt",
        "videos/a b.mp4  # a comment",
        (tmp_path / "videos" / "é.mp4").as_uri(),
        "videos/page.mp4",
        "videos/absent.mp4",
    )
    report = run(listed, tmp_path / "ws", status=1)
    assert [clip["reason"] for clip in report["clips"]] == [None, None, "not_video", "missing_file"]
    assert {scene.name for scene in Workspace.open(tmp_path / "ws").scenes()} == {"a b", "é"}
    again = run(listed, tmp_path / "ws", status=1)
    assert [clip["status"] for clip in again["clips"]] == ["unchanged", "unchanged", "failed", "failed"]


WIDTH, HEIGHT, FOCAL = 320, 240, 300.0


def _wall_clip(path: Path, count: int) -> tuple[list[int], np.ndarray]:
    """Film a textured wall, two metres away, from a camera that passes it; frame times (us) and `cam_from_world`."""
    rng = np.random.default_rng(0)
    wall = cv2.resize(rng.integers(0, 256, (160, 240, 3), dtype=np.uint8), (960, 640), interpolation=cv2.INTER_CUBIC)
    K = np.array([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]])
    world_from_wall = np.array([[4 / 960, 0, -2], [0, 4 / 960, -4 / 3], [0, 0, 1]])  # px to (x, y, 1) at z = 0
    times, poses = [], []
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "12"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for i in range(count):
            turn = cv2.Rodrigues(np.array([0.0, 0.15 - 0.3 * i / count, 0.0]))[0]
            center = np.array([-0.5 + 1.0 * i / count, 0.1 * np.sin(i / 4), -2.0])
            pose = np.concatenate([turn, (-turn @ center)[:, None]], axis=1)
            image = cv2.warpPerspective(wall, K @ pose[:, [0, 1, 3]] @ world_from_wall, (WIDTH, HEIGHT))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            times.append(round(i * 1e6 / 30))
            poses.append(pose)
        container.mux(stream.encode(None))
    return times, np.stack(poses)


def test_mannequin_challenge_folder(server: VideoServer, tmp_path: Path) -> None:
    times, poses = _wall_clip(tmp_path / "wall.mp4", 24)
    K = np.array([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]])
    wall = server.add("/wall.mp4", Resource((tmp_path / "wall.mp4").read_bytes()))
    dead = server.add("/dead.mp4", Resource(b"gone", "text/plain", 410))
    folder = tmp_path / "MannequinChallenge"
    for split in ("train", "test"):
        (folder / split).mkdir(parents=True)
    early, late = np.arange(2, 10), np.arange(11, 24, 2)
    rows = {"early": early, "late": late}
    for name, chosen in rows.items():  # two clips of one video, times a few ms beside the frames
        moved = np.array(times)[chosen] + 4000 * (-1) ** chosen
        write_clip_list(folder / "train" / f"{name}.txt", wall, moved, K, (WIDTH, HEIGHT), poses[chosen])
    write_clip_list(
        folder / "test" / "beyond.txt", wall, [times[3], times[8], 9_000_000], K, (WIDTH, HEIGHT), poses[:3]
    )
    write_clip_list(folder / "test" / "dead.txt", dead, times[:5], K, (WIDTH, HEIGHT), poses[:5])
    (folder / "test" / "broken.txt").write_text(f"{wall}\n1 2 3\n")

    report = run(folder, tmp_path / "ws", status=1)
    status = {clip["clip"]: (clip["status"], clip["reason"], clip["frames"]) for clip in report["clips"]}
    assert status == {
        "test/broken.txt": ("failed", "bad_list", 0),
        "dead": ("failed", "removed", 0),
        "early": ("imported", None, len(early)),
        "late": ("imported", None, len(late)),
        "beyond": ("imported", None, 2),
    }
    assert len({request.path for request in server.requests}) == 2
    coverage = report["coverage"]
    assert all(add_up(counts) for counts in coverage.values())
    assert coverage["frames"]["by_reason"] == {"no_frame_at_time": 1, "removed": 5}
    workspace = Workspace.open(tmp_path / "ws")
    for name, chosen in rows.items():
        source = Source.load(workspace.scene(name).stage_folder("source"))
        assert source.decode_index == list(chosen)
        assert [round(frame.time_s * 1e6) for frame in source.frames] == pytest.approx(
            [times[i] for i in chosen], abs=2
        )

    mcbench("sfm", tmp_path / "ws", "--scene", "late", "--cameras", "list", "--workers", 1)
    cameras = SceneCameras.load(workspace.scene("late").stage_folder("sfm") / "cameras.json")
    assert cameras.origin == "mannequinchallenge" and cameras.units == "unknown"
    np.testing.assert_allclose([c.cam_from_world for c in cameras.posed], poses[late], atol=1e-12)
    assert all(c.camera.params == pytest.approx((FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2)) for c in cameras.posed)
    record = workspace.scene("late").record("sfm")
    assert record is not None and record.summary["agreeing_pairs"] == record.summary["checked_pairs"] > 0

    again = run(folder, tmp_path / "ws", status=1)
    assert [c["status"] for c in again["clips"] if c["clip"] in ("early", "late", "beyond")] == ["unchanged"] * 3


def test_a_single_clip_list_gives_one_scene(server: VideoServer, mp4: bytes, tmp_path: Path) -> None:
    address = server.add("/clip.mp4", Resource(mp4))
    poses = np.tile(np.eye(3, 4), (3, 1, 1))
    write_clip_list(tmp_path / "one.txt", address, [0, 100_000, 200_000], np.eye(3) * 50, (64, 48), poses)
    report = run(tmp_path / "one.txt", tmp_path / "ws")
    assert report["coverage"]["frames"]["ok"] == report["clips"][0]["frames_listed"] == 3
    # The list's cameras all stand at one place: sfm declines them for that reason.
    result = mcbench("sfm", tmp_path / "ws", "--cameras", "list", "--workers", 1, "--json", status=None)
    record = Workspace.open(tmp_path / "ws").scene("one").record("sfm")
    assert record is not None and (record.status, record.reason) == ("rejected", "degenerate_cameras"), result.output
