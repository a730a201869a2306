"""Hostile input: a clear line with the path, a typed reason, nothing half-written, the rest of the batch untouched."""

from __future__ import annotations

import contextlib
import copyreg
import json
import os
import pickle
import shutil
import struct
import sys
import types
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import Result
from clips import write_video
from handmade import add_scene, standing
from running import mcbench
from scipy import sparse

from mcbench.body import pickles
from mcbench.body.model import load_body
from mcbench.body.pickles import load_pickle
from mcbench.dataset import video
from mcbench.errors import InputError
from mcbench.workspace.workspace import Workspace

CAMERAS = "1 PINHOLE 64 48 60 60 32 24\n"
IMAGES = "".join(f"{i + 1} 1 0 0 0 {i} 0 4 1 {i}.png\n\n" for i in range(4))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, temporary and hidden ones included; not the catalog, which any command rewrites."""
    files = (p for p in folder.rglob("*") if p.is_file() and p.name != "catalog.sqlite")
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def one_line_about(result: Result, path: Path) -> str:
    """The error line of a command; it must be one line, and name the path."""
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, result.stderr
    assert str(path) in lines[0], lines[0]
    assert "Traceback" not in result.output
    return lines[0]


def photos(folder: Path, count: int = 4) -> Path:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(count):
        cv2.imwrite(str(folder / f"{i}.png"), rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))
    return folder


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _truncated(path: Path) -> None:
    whole = write_video(path, 30, size=(160, 120), options={"movflags": "faststart"}).read_bytes()
    path.write_bytes(whole[: len(whole) * 6 // 10])


def _headless(path: Path) -> None:
    path.write_bytes(write_video(path, 30, size=(160, 120)).read_bytes()[:2000])  # its index comes last


def _one_frame(path: Path) -> None:
    write_video(path, 1)


def _text(path: Path) -> None:
    path.write_text("these are words, not pictures\n" * 50)


def _playlist(path: Path) -> None:
    secret = path.with_name("good.mp4").absolute()
    path.write_text(f"ffconcat version 1.0\nfile '{secret}'\n")


def _dangling(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


def _pipe(path: Path) -> None:
    os.mkfifo(path)  # reading it would wait for ever


VIDEOS = {
    "empty_file": _empty,
    "corrupt": _truncated,
    "corrupt, headless": _headless,
    "too_few_frames": _one_frame,
    "not_video": _text,
    "not_video, playlist": _playlist,
    "missing_file": _dangling,
    "not_a_file": _pipe,
}


@pytest.mark.parametrize("case", VIDEOS)
def test_a_bad_video_is_told_and_the_others_come_in(case: str, tmp_path: Path) -> None:
    reason, clips = case.split(",")[0], tmp_path / "clips"
    clips.mkdir()
    write_video(clips / "good.mp4", 5)
    write_video(clips / "z_good.mp4", 6)
    bad = clips / "bad.mp4"
    VIDEOS[case](bad)
    result = mcbench("import", clips, tmp_path / "ws", "--json", status=1)
    document = json.loads(result.stdout)
    assert document["counts"] == {"total": 3, "imported": 2, "unchanged": 0, "failed": 1}
    assert {s["reason"] for s in document["sources"] if s["status"] == "failed"} == {reason}
    one_line_about(result, bad)
    scenes = tmp_path / "ws" / "scenes"
    assert {p.name for p in scenes.iterdir()} == {"good", "z_good"}
    assert {p.name for p in (scenes / "good" / "source").iterdir()} == {"source.json", "stage.json", "video.mp4"}


@pytest.mark.parametrize("case", VIDEOS)
def test_a_bad_video_alone_leaves_no_workspace(case: str, tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    write_video(tmp_path / "good.mp4", 3)
    VIDEOS[case](bad)
    one_line_about(mcbench("import", bad, tmp_path / "ws", status=1), bad)
    assert not (tmp_path / "ws").exists()


def test_a_source_that_breaks_later_leaves_the_scene_as_it_was(tmp_path: Path) -> None:
    clip, workspace = tmp_path / "clip.mp4", tmp_path / "ws"
    write_video(clip, 5)
    mcbench("import", clip, workspace)
    before = contents(workspace)
    _truncated(clip)
    one_line_about(mcbench("import", clip, workspace, status=1), clip)
    assert contents(workspace) == before


@pytest.mark.parametrize(
    ("planted", "reason"), [(MemoryError("planted"), "internal"), (OSError(28, "planted"), "io_error")]
)
def test_an_error_nobody_foresaw_does_not_stop_the_batch(
    planted: Exception, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips, scan = tmp_path / "clips", video.scan_video
    clips.mkdir()
    for name in ("a", "b", "c"):
        write_video(clips / f"{name}.mp4", 4)

    def failing(path: Path, *args: Any) -> video.VideoScan:
        if path.stem == "b":
            raise planted
        return scan(path, *args)

    monkeypatch.setattr(video, "scan_video", failing)
    result = mcbench("import", clips, tmp_path / "ws", "--json", status=1)
    sources = json.loads(result.stdout)["sources"]
    assert [(s["status"], s["reason"]) for s in sources] == [
        ("imported", None), ("failed", reason), ("imported", None),
    ]  # fmt: skip
    assert "planted" in one_line_about(result, clips / "b.mp4")
    assert {p.name for p in (tmp_path / "ws" / "scenes").iterdir()} == {"a", "c"}


def test_a_photo_with_a_broken_tail(tmp_path: Path) -> None:
    folder, workspace = photos(tmp_path / "rig"), tmp_path / "ws"
    broken = folder / "2.png"
    broken.write_bytes(broken.read_bytes()[:-200])
    assert "--salvage" in one_line_about(mcbench("import", folder, workspace, status=1), broken)
    assert not workspace.exists()
    mcbench("import", folder, workspace, "--salvage")
    kept = Workspace.open(workspace).scenes()[0].stage_folder("source") / "images"
    assert sorted(p.name for p in kept.iterdir()) == ["0.png", "1.png", "3.png"]


def test_an_image_that_claims_to_be_huge(tmp_path: Path) -> None:
    folder = photos(tmp_path / "rig")
    data = bytearray((folder / "1.png").read_bytes())
    data[16:24] = struct.pack(">II", 100_000, 100_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    (folder / "1.png").write_bytes(data)
    result = mcbench("import", folder, tmp_path / "ws", "--json", status=1)
    assert json.loads(result.stdout)["sources"][0]["reason"] == "corrupt"
    one_line_about(result, folder / "1.png")


@pytest.mark.parametrize("entry", ["", "notes.txt"])
def test_a_folder_without_images(entry: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    if entry:
        (folder / entry).write_text("nothing to see")
    result = mcbench("import", folder, tmp_path / "ws", "--json", status=1)
    assert json.loads(result.stdout)["error"]["reason"] == "no_media"
    one_line_about(result, folder)
    assert not (tmp_path / "ws").exists()


@pytest.mark.parametrize(
    "name", ["../../evil", "/etc/evil", "..", "a/../../../evil", " ", "a\\..\\evil", "e\nvil", "evil\x1b[2J"]
)
def test_a_name_that_leads_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", 3)
    before = contents(tmp_path)
    result = mcbench("import", clip, tmp_path / "ws", "--name", name, status=2)
    assert contents(tmp_path) == before
    assert "plain name" in one_line_about(result, clip)
    assert "\x1b" not in result.output


def test_no_scene_outside_the_workspace_is_worked_on(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", 3)
    for name in ("a", "b"):
        mcbench("import", clip, tmp_path / name)
    before = contents(tmp_path)
    mcbench("sfm", tmp_path / "a", "--scene", "../../b/scenes/clip", status=2)
    assert contents(tmp_path) == before


def test_a_file_name_cannot_steer_the_terminal_nor_take_two_lines(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    (clips / "new\nerror: line \x1b[31m.mp4").write_bytes(b"x")
    write_video(clips / "good.mp4", 3)
    result = mcbench("import", clips, tmp_path / "ws", status=1)
    assert "\x1b" not in result.output
    assert r"new\nerror: line \x1b" in one_line_about(result, clips)


class _Runs:
    """Unpickled by the book, this touches a file."""

    def __init__(self, touched: Path) -> None:
        self.touched = touched

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.touched}",)


@pytest.mark.parametrize("suffix", [".pkl", ".PKL", ".npz", ".pickle"])
def test_a_body_file_runs_no_code(suffix: str, tmp_path: Path) -> None:
    touched, body = tmp_path / "touched", tmp_path / f"evil{suffix}"
    body.write_bytes(pickle.dumps({"v_template": _Runs(touched)}))
    result = mcbench("body", "--check", body, "--json", status=1)
    expected = "unsafe_pickle" if suffix.lower() == ".pkl" else "bad_npz"
    assert json.loads(result.stdout)["error"]["reason"] == expected
    one_line_about(result, body)
    assert not touched.exists()


def test_an_array_of_objects_in_a_body_file_runs_no_code(tmp_path: Path) -> None:
    touched, body = tmp_path / "touched", tmp_path / "evil.npz"
    np.savez(body, v_template=np.array([_Runs(touched)], dtype=object))
    assert "pickled" in one_line_about(mcbench("body", "--check", body, status=1), body)
    assert not touched.exists()


def test_a_hostile_body_leaves_the_fits_as_they_were(tmp_path: Path) -> None:
    workspace = Workspace.open_or_create(tmp_path / "ws")
    for name in ("one", "two"):
        add_scene(workspace, name, standing(1))
    before, touched, body = contents(workspace.root), tmp_path / "touched", tmp_path / "evil.pkl"
    body.write_bytes(pickle.dumps({"v_template": _Runs(touched)}))
    result = mcbench("fit", workspace.root, "--body", body, "--json", status=1)
    outcomes = json.loads(result.stdout)["outcomes"]
    assert [(o["status"], o["reason"]) for o in outcomes] == [("failed", "unsafe_pickle")] * 2
    assert contents(workspace.root) == before
    assert not touched.exists()


@pytest.mark.parametrize("name", ["scipy.sparse._csr\ncsr_matrix", "scipy.sparse.csc\ncsc_matrix",
                                  "copy_reg\n_reconstructor", "numpy\nndarray", "chumpy.ch\nCh"])  # fmt: skip
def test_a_body_file_leaves_no_attributes_on_what_it_names(name: str, tmp_path: Path) -> None:
    """BUILD, a pickle's way to set an object's state, takes classes and functions, too."""
    path = tmp_path / "body.pkl"
    path.write_bytes(b"\x80\x02}(U\x01ac" + name.encode() + b"\nN}U\x07spoiledK\x01s\x86bu.")
    with contextlib.suppress(InputError):
        load_pickle(path)
    named = [sparse.csr_matrix, sparse.csc_matrix, copyreg._reconstructor, np.ndarray]  # type: ignore[attr-defined]
    named += [thing for thing in vars(pickles).values() if callable(thing)]
    assert not any(hasattr(thing, "spoiled") for thing in named)


class _Names:
    """Unpickled by the book, what a function makes of these arguments."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.made = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.made


@pytest.mark.parametrize("function", [np.ndarray, np.arange(1.0).__reduce_ex__(5)[0]])
def test_bytes_are_never_taken_for_addresses(function: Any, tmp_path: Path) -> None:
    kind, data = np.dtype("O"), b"ABCDEFGH"
    order = ((1,), kind, data) if function is np.ndarray else (data, kind, (1,), "C")
    path = tmp_path / "body.pkl"
    path.write_bytes(pickle.dumps({"a": _Names(function, *order)}))
    with pytest.raises(InputError) as caught:
        load_pickle(path)
    assert caught.value.reason in ("bad_pickle", "unsupported_pickle")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", ["csr", "csc", "coo"])
def test_what_body_files_hold_is_read(kind: str, protocol: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    regressor = sparse.random(24, 50, density=0.2, format=kind, random_state=rng)
    data = {"J_regressor": type(regressor)(regressor), "v_template": rng.normal(size=(50, 3)), "name": "ä", "n": 3}
    data["columns"] = np.asfortranarray(data["v_template"])
    path = tmp_path / "body.pkl"
    path.write_bytes(pickle.dumps(data, protocol=protocol))
    read = load_pickle(path)
    assert np.array_equal(read["J_regressor"].toarray(), regressor.toarray())
    assert type(read["J_regressor"]).__module__.startswith("scipy.sparse")
    assert np.array_equal(read["v_template"], data["v_template"])
    assert np.array_equal(read["columns"], data["v_template"])
    assert (read["name"], read["n"]) == ("ä", 3)


def test_chumpy_and_python_2_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("chumpy.ch")
    module.Ch = type("Ch", (), {"__module__": "chumpy.ch"})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "chumpy", types.ModuleType("chumpy"))
    monkeypatch.setitem(sys.modules, "chumpy.ch", module)
    array, made = np.arange(6.0).reshape(2, 3), module.Ch()
    made.x = array
    path = tmp_path / "body.pkl"
    path.write_bytes(pickle.dumps({"v_template": made, "mask": array > 2, "names": np.array(["a", "bc"])}, protocol=2))
    read = load_pickle(path)
    assert np.array_equal(read["v_template"], array)
    assert read["mask"].dtype == bool and read["names"].tolist() == ["a", "bc"]
    raw = "".join(f"\\x{byte:02x}" for byte in np.array([1.5, -2.0]).tobytes())
    old = (
        "(dS'a'\ncnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I2\ntcnumpy\ndtype\n"
        f"(S'f8'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\nS'{raw}'\ntbs."
    )
    path.write_bytes(old.encode())
    assert load_pickle(path)["a"].tolist() == [1.5, -2.0]


@pytest.mark.parametrize("kind", ["csr", "csc", "coo"])
def test_a_sparse_matrix_that_points_outside_itself_is_refused(kind: str, tmp_path: Path) -> None:
    matrix = sparse.eye(24, format=kind)
    if kind == "coo":
        matrix.coords = (np.full(24, 10**6), matrix.coords[1])
    else:
        matrix.indices = matrix.indices + 10**6
    path = tmp_path / "body.pkl"
    path.write_bytes(pickle.dumps({"J_regressor": matrix}))
    with pytest.raises(InputError) as caught:
        load_pickle(path)
    assert caught.value.reason == "bad_pickle"


def test_files_that_are_not_what_their_suffix_says(tmp_path: Path) -> None:
    array = tmp_path / "array.npz"
    with array.open("wb") as stream:
        np.save(stream, np.zeros(3))
    with pytest.raises(InputError, match=r"is no \.npz"):
        load_body(array)
    with pytest.raises(InputError, match="is a folder"):
        load_body(tmp_path)


BAD_MODELS = {
    "missing_file": {"cameras.txt": CAMERAS},
    "missing_file, cameras": {"images.txt": IMAGES},
    "not_a_model": {"points3D.txt": ""},
    "bad_model": {"cameras.txt": CAMERAS, "images.txt": IMAGES[:14]},
    "unsafe_name": {"cameras.txt": CAMERAS, "images.txt": IMAGES.replace("2.png", "../2.png")},
    "bad_model, nan": {"cameras.txt": CAMERAS.replace("60", "nan"), "images.txt": IMAGES},
    "no_match": {"cameras.txt": CAMERAS, "images.txt": IMAGES.replace(".png", "_other.png")},
}


@pytest.mark.parametrize("case", BAD_MODELS)
def test_a_bad_colmap_model(case: str, tmp_path: Path) -> None:
    folder, model = photos(tmp_path / "rig"), tmp_path / "model"
    model.mkdir()
    for name, text in BAD_MODELS[case].items():
        (model / name).write_text(text)
    result = mcbench("import", folder, tmp_path / "ws", "--cameras", model, "--json", status=1)
    assert json.loads(result.stdout)["sources"][0]["reason"] == case.split(",")[0]
    one_line_about(result, model)
    assert not (tmp_path / "ws").exists()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100_000, "bad_json"),
        ("", "empty_file"),
        ('{"people": [{"pose_keypoints_2d": null}]}', "bad_keypoints"),
        ('{"people": [{"pose_keypoints_2d": [1, 2, 1e999]}]}', "bad_keypoints"),
    ],
)
def test_bad_keypoint_files(text: str, reason: str, tmp_path: Path) -> None:
    folder, keypoints = photos(tmp_path / "rig"), tmp_path / "0_keypoints.json"
    keypoints.write_text(text)
    options = ("--keypoints", keypoints, "--keypoints-format", "openpose_body25", "--json")
    result = mcbench("import", folder, tmp_path / "ws", *options, status=1)
    assert json.loads(result.stdout)["sources"][0]["reason"] == reason
    one_line_about(result, keypoints)
    assert not (tmp_path / "ws").exists()


def test_media_that_break_inside_the_workspace_fail_their_scene_alone(tmp_path: Path) -> None:
    for name in ("broken", "whole"):
        photos(tmp_path / name)
        mcbench("import", tmp_path / name, tmp_path / "ws")
    image = tmp_path / "ws" / "scenes" / "broken" / "source" / "images" / "1.png"
    image.write_bytes(b"not an image")
    result = mcbench("sfm", tmp_path / "ws", "--workers", 1, "--json", status=1)
    outcomes = {o["scene"]: o for o in json.loads(result.stdout)["outcomes"]}
    assert (outcomes["broken"]["status"], outcomes["broken"]["reason"]) == ("failed", "damaged")
    assert str(image) in outcomes["broken"]["message"]
    assert outcomes["whole"]["status"] in ("ok", "rejected")
    shutil.rmtree(tmp_path / "ws" / "scenes" / "broken")
    mcbench("status", tmp_path / "ws")
