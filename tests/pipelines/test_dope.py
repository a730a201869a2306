"""The commands train-dope, export-dope and dope."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import toy_people as toy
from running import mcbench

from mcbench.dataset.files import write_json
from mcbench.dataset.label_shards import FORMAT, shard_name, write_shard
from mcbench.dope.people import from_json
from mcbench.errors import InputError
from mcbench.pipelines.dope import overlay_names, sources

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = ("--steps", 2, "--batch", 2, "--side", 96, "--imagenet", "none", "--seed", 3)


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labels")
    write_shard(folder / shard_name(0), [(toy.labelled(i), {"file": f"{i}.jpg"}) for i in range(40)])
    write_json(folder / "index.json", {"format": FORMAT, "complete": True, "shards": [{"file": shard_name(0)}]})
    return folder


@pytest.fixture(scope="module")
def trained(labels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "dope"
    said = json.loads(mcbench("train-dope", labels, "--out", out, *OPTIONS, "--json").stdout)
    assert said["steps"] == 2 and said["images"] == 40 and Path(said["model"]).is_file()
    return out


def photo(path: Path, image: np.ndarray) -> Path:
    cv2.imwrite(str(path), image[..., ::-1])
    return path


def test_training_goes_on_when_asked(labels: Path, trained: Path) -> None:
    assert "--resume" in mcbench("train-dope", labels, "--out", trained, *OPTIONS, status=2).stderr
    mcbench("train-dope", labels, "--out", trained, *OPTIONS, "--resume")


def test_files_where_folders_should_be(labels: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    said = mcbench("train-dope", labels, "--out", tmp_path / "file", *OPTIONS, status=2).stderr
    assert "is a file, not a folder" in said
    said = mcbench("train-dope", tmp_path / "file", "--out", tmp_path / "o", *OPTIONS, status=1).stderr
    assert "is a file, not a folder" in said
    said = mcbench("train-dope", tmp_path / "empty", "--out", tmp_path / "o", *OPTIONS, status=1).stderr
    assert "pseudo-label" in said and not (tmp_path / "o").exists()


def test_a_folder_of_pictures_and_a_video(trained: Path, tmp_path: Path) -> None:
    src = tmp_path / "src"
    src.mkdir()
    photo(src / "1.png", toy.labelled(0).image)
    photo(src / "2.jpg", np.full((20, 20, 3), 127, np.uint8))
    (src / "3.jpg").write_bytes(b"no image")
    with av.open(str(src / "clip.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for value in (0, 100, 200):
            frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), value, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    out = tmp_path / "out"
    result = mcbench(
        "dope", src, "--out", out, "--weights", trained / "model.pt", "--engine", "torch", "--json", status=1
    )
    said = json.loads(result.stdout)
    assert [i["file"] for i in said["images"]] == ["1.png", "2.jpg", *(f"clip.mp4#{k:06d}" for k in range(3))]
    assert [f["file"] for f in said["failed"]] == ["3.jpg"] and said["failed"][0]["reason"] == "not_image"
    assert json.loads((out / "people.json").read_text()) == said
    assert sorted(p.name for p in (out / "overlays").iterdir()) == ["1.jpg", "2.jpg", "clip.mp4"]
    assert "2.jpg" in (out / "people3d.html").read_text()
    with av.open(str(out / "overlays" / "clip.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 3


def test_overlays_are_called_like_their_images_unless_two_would_be() -> None:
    files = [Path(name) for name in ("a.jpg", "b.png", "b.jpg", "c.jpg.png", "c.jpg", "D.PNG", "d.mp4")]
    names = overlay_names(files)
    assert list(names.values()) == ["a", "b.png", "b.jpg", "c.jpg.png", "c", "D.PNG", "d.mp4"]
    assert len({name.casefold() for name in names.values()}) == len(files)


def test_a_camera_by_its_number(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = np.ascontiguousarray(toy.labelled(0).image[..., ::-1])

    class FakeCamera:
        def __init__(self, number: int) -> None:
            self.there = number == 0

        def set(self, what: int, value: float) -> None: ...

        def read(self) -> tuple[bool, np.ndarray]:
            return self.there, picture

        def release(self) -> None: ...

    monkeypatch.setattr(cv2, "VideoCapture", FakeCamera)
    options = ("--weights", trained / "model.pt", "--engine", "torch", "--json")
    said = json.loads(mcbench("dope", 0, "--out", tmp_path / "o", "--frames", 2, *options).stdout)
    assert [image["file"] for image in said["images"]] == ["camera0#000000", "camera0#000001"]
    with av.open(str(tmp_path / "o" / "overlays" / "camera0.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 2
    failed = json.loads(mcbench("dope", 1, "--out", tmp_path / "p", *options, status=1).stdout)["failed"]
    assert [(f["file"], f["reason"]) for f in failed] == [("camera1", "no_camera")]


def test_wrong_sources_and_networks(trained: Path, tmp_path: Path) -> None:
    image, model = photo(tmp_path / "a.png", toy.labelled(0).image), trained / "model.pt"
    (tmp_path / "empty").mkdir()
    for src, weights, reason in (
        (tmp_path / "none", model, "missing_file"),
        (tmp_path / "empty", model, "no_images"),
        (image, image, "bad_checkpoint"),
        (image, tmp_path / "none.pt", "missing_file"),
    ):
        result = mcbench("dope", src, "--out", tmp_path / "o", "--weights", weights, "--json", status=1)
        assert json.loads(result.stdout)["error"]["reason"] == reason
    mcbench("dope", image, "--out", image, "--weights", model, "--engine", "torch", status=2)
    mcbench("export-dope", model, tmp_path / "x.pt", status=2)


def test_no_graph_is_written_where_a_folder_is(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "x.onnx").mkdir()
    (tmp_path / "x.json").write_text("mine")
    (tmp_path / "y.json").mkdir()
    for name in ("x.onnx", "y.onnx"):
        assert "is a folder" in mcbench("export-dope", trained / "model.pt", tmp_path / name, status=2).stderr
    assert (tmp_path / "x.json").read_text() == "mine"


def test_images_are_not_overwritten_by_their_overlays(trained: Path, tmp_path: Path) -> None:
    options = ("--weights", trained / "model.pt", "--engine", "torch")
    (tmp_path / "overlays").mkdir()
    (tmp_path / "links").mkdir()
    mine = photo(tmp_path / "overlays" / "a.jpg", toy.labelled(0).image)
    (tmp_path / "links" / "a.jpg").symlink_to(mine)
    before = mine.read_bytes()
    for src in (tmp_path / "overlays", mine, tmp_path / "links"):
        mcbench("dope", src, "--out", tmp_path, *options, status=2)
    assert mine.read_bytes() == before and not (tmp_path / "people.json").exists()


def test_a_used_folder_has_the_overlays_of_the_last_run(trained: Path, tmp_path: Path) -> None:
    options = ("--out", tmp_path / "o", "--weights", trained / "model.pt", "--engine", "torch")
    src, overlays = tmp_path / "src", tmp_path / "o" / "overlays"
    src.mkdir()
    for name in ("a.png", "b.png", "b.jpg"):
        photo(src / name, toy.labelled(0).image)
    mcbench("dope", src, *options)
    (overlays / "mine.jpg").write_bytes(b"mine")
    (src / "b.png").unlink()
    mcbench("dope", src, *options)
    assert sorted(p.name for p in overlays.iterdir()) == ["a.jpg", "b.jpg", "mine.jpg"]

    good = (tmp_path / "o" / "people.json").read_bytes()
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no image")
    result = mcbench("dope", bad, *options, "--json", status=1)
    assert json.loads(result.stdout)["kept"] and "left as it was" in result.stderr
    assert (tmp_path / "o" / "people.json").read_bytes() == good and (overlays / "a.jpg").exists()


def test_a_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", refused)
    with pytest.raises(InputError, match="may read") as caught:
        sources(tmp_path)
    assert caught.value.reason == "unreadable" and caught.value.path == tmp_path


def test_a_network_is_scored_on_labels(labels: Path, trained: Path, tmp_path: Path) -> None:
    method = f"student={trained / 'model.pt'}"
    said = json.loads(mcbench("eval-dope", labels, "--method", method, "--out", tmp_path / "e", "--json").stdout)
    (row,) = said["methods"]
    assert row["name"] == "student" and row["provenance"]["network"] == "model.pt"
    assert row["body"]["true"] > 0 and (tmp_path / "e" / "student.json").is_file()


@pytest.mark.slow
def test_learns_to_find_toy_people(labels: Path, tmp_path: Path) -> None:
    options = ("--steps", 300, "--batch", 4, "--side", 192, "--imagenet", "none", "--ema", 0.98)
    mcbench("train-dope", labels, "--out", tmp_path / "d", *options, "--learning-rate", 0.002)
    hits, wanted, sides = 0, 0, 0
    for number in range(100, 110):  # not trained on
        labelled = toy.labelled(number)
        src = photo(tmp_path / f"{number}.png", labelled.image)
        said = mcbench("dope", src, "--out", tmp_path / "o", "--weights", tmp_path / "d" / "model.pt", "--json")
        people = from_json(json.loads(said.stdout)["images"][0]["people"])
        for truth in labelled.people:
            assert truth.body is not None
            near = [
                p
                for p in people
                if p.body is not None
                and np.linalg.norm(p.body.pose2d - truth.body.pose2d, axis=1).mean() < 0.1 * truth.body.size
            ]
            wanted += 1
            hits += bool(near)
            sides += any(p.left_hand is not None and p.right_hand is not None for p in near)
    assert hits >= 0.8 * wanted and sides >= 0.5 * wanted


@pytest.mark.slow
def test_two_processes_train_one_network(labels: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", 2, "--standalone", "-m"]
    command += ["mcbench.cli.main", "train-dope", labels, "--out", tmp_path / "d", *OPTIONS, "--json"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, cwd=ROOT, check=True)
    said = json.loads(done.stdout)  # one of them speaks
    assert said["processes"] == 2 and Path(said["model"]).is_file()
