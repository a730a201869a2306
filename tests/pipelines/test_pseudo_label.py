"""Pseudo-labels: of photos and videos, of a workspace with fits, stopped and resumed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import write_video
from running import mcbench

from mcbench.body.model import BodyModel
from mcbench.dataset.label_shards import INDEX, read
from mcbench.errors import InputError, UsageError
from mcbench.pipelines.dope_truth import examples
from mcbench.pipelines.pseudo_label import LabelSettings, pseudo_label
from mcbench.pipelines.weights import fetch_weights


@pytest.fixture(scope="module", autouse=True)
def weights() -> None:
    fetch_weights()


@pytest.fixture
def empty_photos(tmp_path: Path) -> Path:
    """Grey photos, which the experts are soon done with."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(5):
        cv2.imwrite(str(folder / f"{i}.png"), np.full((24, 30, 3), 40 * i, np.uint8))
    return folder


def test_photos_with_people(test_data: Path, tmp_path: Path) -> None:
    photo = test_data / "in_the_wild" / "COCO_val2014_000000000241.jpg"
    result = mcbench("pseudo-label", photo, tmp_path / "out", "--parts", "body,face", "--json")
    document = json.loads(result.stdout)
    assert document["counts"] == {"images": 1, "people": 3, "body": 3, "face": 3, "hand": 0}
    assert {w["licence"] for kind in document["experts"]["weights"].values() for w in kind} == {"Apache-2.0"}
    (sample,) = read(tmp_path / "out")
    assert sample.labelled == {"body", "face"} and sample.image.shape == (640, 480, 3)
    assert all(set(person.parts) == {"body", "face"} for person in sample.people)


def test_photos_videos_and_what_is_damaged(empty_photos: Path, tmp_path: Path) -> None:
    (empty_photos / "3.png").write_bytes(b"nothing")
    clip = write_video(tmp_path / "clip.mp4", 9)
    out = tmp_path / "out"
    result = mcbench(
        "pseudo-label", empty_photos, clip, out, "--every", 4, "--shard-size", 2, "--jobs", 2, "--json", status=1
    )
    document = json.loads(result.stdout)
    (failure,) = document["failed"]
    assert failure["source"].endswith("3.png") and failure["reason"] == "not_image" and "3.png" in result.stderr
    assert [shard["images"] for shard in document["shards"]] == [2, 2, 2, 1]
    assert [(s["name"], s["images"]) for s in document["sources"]] == [("photos", 4), ("clip.mp4", 3)]
    keys = [sample.key for sample in read(out)]
    assert len(set(keys)) == 7 and all("." not in key for key in keys)
    one = tmp_path / "one"
    pseudo_label([empty_photos, clip], one, LabelSettings(every=4, shard_size=2))
    for path in sorted(out.glob("*.tar")):
        assert path.read_bytes() == (one / path.name).read_bytes()  # however many processes


def test_stopped_and_resumed(empty_photos: Path, tmp_path: Path) -> None:
    out, settings = tmp_path / "out", LabelSettings(shard_size=2)
    whole = pseudo_label([empty_photos], out, settings)
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("*.tar")}
    index = json.loads((out / INDEX).read_text())
    (out / INDEX).write_text(json.dumps({**{k: index[k] for k in ("format", "key")}, "complete": False}))
    (out / "labels-000001.tar").unlink()
    with pytest.raises(InputError, match="not finished"):
        list(read(out))
    again = pseudo_label([empty_photos], out, settings)
    assert {**again, "cached": None} == {**whole, "cached": None}
    after = {path.name: path.stat().st_mtime_ns for path in out.glob("*.tar")}
    assert [name for name in before if before[name] != after[name]] == ["labels-000001.tar"]
    assert pseudo_label([empty_photos], out, settings)["cached"]


@pytest.mark.parametrize("gone", (True, False))
def test_a_shard_that_is_damaged_or_gone_is_written_again(empty_photos: Path, tmp_path: Path, gone: bool) -> None:
    out, settings = tmp_path / "out", LabelSettings(shard_size=2)
    whole = pseudo_label([empty_photos], out, settings)
    shard = out / "labels-000001.tar"
    before = shard.read_bytes()
    if gone:
        shard.unlink()
    else:
        shard.write_bytes(before[:700])
    again = pseudo_label([empty_photos], out, settings)
    assert not again["cached"] and again["shards"] == whole["shards"] and shard.read_bytes() == before


def test_other_labels_are_not_written_over(empty_photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    pseudo_label([empty_photos], out)
    for settings in (LabelSettings(parts="face"), LabelSettings(shard_size=2)):
        with pytest.raises(UsageError, match="something else"):
            pseudo_label([empty_photos], out, settings)
    (empty_photos / "2.png").unlink()
    with pytest.raises(UsageError, match="something else"):
        pseudo_label([empty_photos], out)


def test_rendered_clips_are_labelled_by_their_truth(rendered: Path, open_body: BodyModel, tmp_path: Path) -> None:
    """As scored: what eval-dope takes for true of the same frames."""
    settings = LabelSettings(every=16, parts="body,hand", truth=str(rendered / "truth"))
    document = pseudo_label([rendered / "clips"], tmp_path / "out", settings)
    assert document["experts"] is None and document["counts"]["body"] == 4 and document["counts"]["face"] == 0
    for sample, example in zip(read(tmp_path / "out"), examples(rendered, every=16), strict=True):
        assert sample.labelled == {"body", "hand"}
        for person, true in zip(sample.people, example.truth.people, strict=True):
            np.testing.assert_array_equal(person.body.pose2d, true.body.pose2d)
    with pytest.raises(InputError) as error:
        pseudo_label([write_video(tmp_path / "other.mp4")], tmp_path / "none", settings)
    assert error.value.reason == "no_truth"


def test_close_ups(test_data: Path, tmp_path: Path) -> None:
    """Round each face that is large enough, and of the same images whatever else is labelled in them."""
    photo = test_data / "in_the_wild" / "COCO_val2014_000000000241.jpg"
    whole = pseudo_label([photo], tmp_path / "whole", LabelSettings(parts="body,face"))
    pseudo_label([photo], tmp_path / "both", LabelSettings(parts="body,face", around="face"))
    alone = pseudo_label([photo], tmp_path / "alone", LabelSettings(parts="face", around="face"))
    assert whole["counts"]["images"] == 1 and "around" not in whole["settings"]
    assert alone["settings"]["around"] == "face" and alone["counts"]["body"] == 0
    pairs = list(zip(read(tmp_path / "both"), read(tmp_path / "alone"), strict=True))
    assert pairs
    for both, one in pairs:
        np.testing.assert_array_equal(both.image, one.image)
        assert both.image.shape[0] == both.image.shape[1] < 480
        assert one.labelled == {"face"} and both.labelled == {"body", "face"}
    with pytest.raises(UsageError, match="--around"):
        LabelSettings(parts="body", around="hand")


def test_nothing_to_label(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    for source, reason in ((tmp_path / "none", "no_media"), (tmp_path / "gone.mp4", "missing_file")):
        with pytest.raises(InputError) as error:
            pseudo_label([source], tmp_path / "out")
        assert error.value.reason == reason and not (tmp_path / "out").exists()
    mcbench("pseudo-label", tmp_path / "none", tmp_path / "out", "--parts", "foot", status=2)


def test_a_workspace_repairs_what_its_fit_knows(finished: Path, tmp_path: Path) -> None:
    document = pseudo_label([finished], tmp_path / "out", LabelSettings(every=16))
    against = document["against_fit"]["body"]
    assert document["sources"][0]["fit"] and document["counts"]["images"] == 2
    assert against["agreed"] + against["repaired"] + against["added"] == 4  # two people in two frames
    for sample in read(tmp_path / "out"):
        assert sum(person.body is not None for person in sample.people) >= 2
    other = tmp_path / "without"
    shutil.copytree(finished, other, ignore=shutil.ignore_patterns("*catalog.sqlite*"))
    shutil.rmtree(next((other / "scenes").iterdir()) / "validate")
    alone = pseudo_label([other], tmp_path / "alone", LabelSettings(every=16))
    assert not alone["sources"][0]["fit"] and alone["against_fit"]["body"]["agreed"] == 0
