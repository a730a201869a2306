"""Shards of labelled images: written and read, whole or absent."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from mcbench.dataset.files import write_json
from mcbench.dataset.label_shards import FORMAT, INDEX, Labelled, read, read_records, shard_name, write_shard
from mcbench.dope.people import PartPose, WholeBody
from mcbench.dope.training_data import ShardImages
from mcbench.errors import InputError


def sample(number: int, people: int = 1) -> Labelled:
    rng = np.random.default_rng(number)
    image = np.full((30, 40, 3), [200, 20 * number, 10], dtype=np.uint8)
    found = []
    for _ in range(people):
        pose2d = rng.uniform(0, 30, (21, 2))
        box = np.concatenate([pose2d.min(axis=0), pose2d.max(axis=0)])
        hand = PartPose(0.9, pose2d, rng.normal(size=(21, 3)), rng.random(21), box)
        found.append(WholeBody.of({"left_hand": hand}))
    return Labelled(image, found, frozenset({"hand"}), f"photo_{number:06d}")


def write_index(folder: Path, **entries: object) -> None:
    shards = [{"file": path.name} for path in sorted(folder.glob("*.tar"))]
    write_json(folder / INDEX, {"format": FORMAT, "complete": True, "shards": shards, **entries})


def test_written_and_read(tmp_path: Path) -> None:
    samples = [sample(i, people=i) for i in range(3)]
    records = write_shard(tmp_path / shard_name(0), [(s, {"file": f"{s.key}.png"}) for s in samples])
    write_shard(tmp_path / shard_name(1), [(sample(5), {})])
    write_index(tmp_path)
    found = list(read(tmp_path))
    assert [s.key for s in found] == ["photo_000000", "photo_000001", "photo_000002", "photo_000005"]
    for given, back in zip(samples, found, strict=False):
        assert back.labelled == given.labelled and len(back.people) == len(given.people)
        np.testing.assert_allclose(back.image.astype(int), given.image, atol=3)  # a JPEG
        for a, b in zip(given.people, back.people, strict=True):
            np.testing.assert_array_equal(a.left_hand.pose3d, b.left_hand.pose3d)
    assert [r["file"] for r in records] == ["photo_000000.png", "photo_000001.png", "photo_000002.png"]
    assert read_records(tmp_path / shard_name(0)) == records


def test_members_are_as_webdataset_wants_them(tmp_path: Path) -> None:
    write_shard(tmp_path / "s.tar", [(sample(1), {"file": "1.png"})])
    with tarfile.open(tmp_path / "s.tar") as archive:
        assert archive.getnames() == ["photo_000001.jpg", "photo_000001.json"]
        record = json.loads(archive.extractfile("photo_000001.json").read())
    assert record["labelled"] == ["hand"] and record["size"] == [40, 30] and record["file"] == "1.png"
    assert record["people"][0]["body"] is None


def test_equal_samples_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.tar", "b.tar"):
        write_shard(tmp_path / name, [(sample(2), {"b": 1, "a": 2})])
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_a_shard_is_whole_or_absent(tmp_path: Path) -> None:
    def stops():
        yield sample(0), {}
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError):
        write_shard(tmp_path / shard_name(0), stops())
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_finished_or_damaged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / shard_name(0)
    write_shard(path, [(sample(0), {}), (sample(1), {})])
    for entries, reason in (({"complete": False}, "unfinished"), ({"format": "other/1"}, "bad_format")):
        write_index(tmp_path, **entries)
        with pytest.raises(InputError) as error:
            list(read(tmp_path))
        assert error.value.reason == reason
    write_index(tmp_path)
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(InputError) as error:
        list(read(tmp_path))
    assert error.value.reason == "bad_shard" and error.value.path == path
    path.unlink()
    with pytest.raises(InputError) as error:
        list(read(tmp_path))
    assert error.value.reason == "missing_file"


@pytest.mark.parametrize("shards", [None, 3, [3], [None], [{}], [{"file": None}]], ids=str)
def test_an_index_that_names_no_shards(tmp_path: Path, shards: object) -> None:
    write_index(tmp_path, shards=shards)
    with pytest.raises(InputError) as error:
        list(read(tmp_path))
    assert error.value.reason == "bad_json" and error.value.path == tmp_path / INDEX


BAD_RECORDS = ([], 3, None, {"people": []}, {"labelled": []}, {"people": None, "labelled": []})
BAD_RECORDS += ({"people": [], "labelled": ["foot"]}, {"people": [], "labelled": [[]]}, {"people": [3], "labelled": []})


@pytest.mark.parametrize("record", BAD_RECORDS, ids=str)
def test_a_record_that_is_none(tmp_path: Path, record: object) -> None:
    path = tmp_path / shard_name(0)
    write_shard(path, [(sample(0), {})])
    with tarfile.open(path) as archive:
        jpeg = archive.extractfile("photo_000000.jpg").read()
    with tarfile.open(path, "w") as archive:
        for suffix, data in (("jpg", jpeg), ("json", json.dumps(record).encode())):
            info = tarfile.TarInfo(f"photo_000000.{suffix}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    write_index(tmp_path)
    images = ShardImages([tmp_path])
    for reading in (lambda: list(read(tmp_path)), lambda: images[0], lambda: images.people(0)):
        with pytest.raises(InputError) as error:
            reading()
        assert error.value.reason == "bad_shard" and error.value.path == path


def test_what_is_no_folder_of_labels(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is a file, not a folder") as error:
        ShardImages([tmp_path / "file"])
    assert error.value.reason == "not_a_folder"
    for name in ("empty", "unrelated"):
        (tmp_path / name).mkdir()
        if name == "unrelated":
            write_json(tmp_path / name / INDEX, [1])
        with pytest.raises(InputError, match="pseudo-label"):
            ShardImages([tmp_path / name])
