"""Methods side by side: on rendered clips, on labels made by people, on labels of the experts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from running import mcbench
from whole_bodies import body, face

from mcbench.body.model import BodyModel
from mcbench.dataset.coco_wholebody import read_annotations
from mcbench.dataset.files import write_json
from mcbench.dataset.label_shards import FORMAT, INDEX, Labelled, shard_name, write_shard
from mcbench.dope.checkpoint import shipped_weights
from mcbench.dope.people import WholeBody, to_json
from mcbench.errors import InputError, UsageError
from mcbench.pipelines.dope_methods import Method, Predictions, method
from mcbench.pipelines.dope_truth import examples
from mcbench.pipelines.eval_dope import EvalDopeSettings, eval_dope
from mcbench.pipelines.weights import fetch_weights


@pytest.fixture
def annotations(test_data: Path) -> Path:
    return test_data / "coco_wholebody" / "test_coco_wholebody.json"


def nobody(file: str, image: np.ndarray) -> list[WholeBody]:
    return []


def test_the_truth_itself_is_right(annotations: Path, tmp_path: Path) -> None:
    rows = [{"file": image.file, "people": to_json(image.people)} for image in read_annotations(annotations)]
    write_json(tmp_path / "truth.json", {"images": rows})
    result = mcbench(
        *("eval-dope", annotations, "--method", tmp_path / "truth.json", "--min-box", 10, "--json"),
        *("--out", tmp_path / "out"),
    )
    document = json.loads(result.stdout)
    (found,) = document["methods"]
    assert document["images"] == 4 and found["name"] == "truth" and found["seconds_per_image"] is None
    assert [found[kind]["true"] for kind in ("body", "hand", "face")] == [12, 10, 4]
    for kind in ("body", "hand", "face"):
        assert found[kind]["recall"] == found[kind]["precision"] == found[kind]["ap"] == 1.0
        assert found[kind]["mpjpe_mm"] is None
    assert found["whole_body_ap"] == 1.0
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text()) == document
    again = Predictions(tmp_path / "out" / "truth.json")
    assert len(again("000000197388.jpg", np.zeros((1, 1, 3)))) == 5
    assert len(again("elsewhere/000000197388.png", np.zeros((1, 1, 3)))) == 5 and again("other.jpg", np.zeros(1)) == []


def test_the_experts_on_labels_made_by_people(annotations: Path) -> None:
    """Of the 12 bodies that people labelled, most are found; no face that counts is large enough."""
    fetch_weights()
    document = eval_dope([annotations], [method("experts"), Method("nobody", nobody)])
    experts, none = document["methods"]
    assert experts["body"]["true"] == none["body"]["true"] == 12 and experts["face"]["true"] == 0
    assert experts["body"]["recall"] > 0.8 and experts["body"]["ap"] > 0.6 and experts["body"]["pck"] > 0.7
    assert none["body"]["recall"] == none["body"]["ap"] == 0.0 and none["body"]["error_2d"] == pytest.approx(1)
    assert experts["seconds_per_image"] > 0 and experts["provenance"]["name"] == "experts"


def test_rendered_clips(rendered: Path, open_body: BodyModel) -> None:
    settings = EvalDopeSettings(every=16)
    shown = {example.file: example.truth.people for example in examples(rendered, every=16)}
    assert len(shown) == 2 and all(file.endswith(("_000000", "_000016")) for file in shown)

    def truth(file: str, image: np.ndarray) -> list[WholeBody]:
        assert image.shape == (360, 640, 3)
        return shown[file]

    (found,) = eval_dope([rendered], [Method("truth", truth)], settings)["methods"]
    assert found["body"]["true"] == 4 and found["body"]["ap"] == found["body"]["recall"] == 1.0
    assert found["body"]["mpjpe_mm"] == pytest.approx(0, abs=1e-9) and found["whole_body_ap"] == 1.0
    same = eval_dope([rendered / "clips"], [Method("truth", truth)], settings, truth=rendered / "truth")
    assert same["methods"][0]["body"] == found["body"]


def test_labels_of_one_kind_ask_for_nothing_else(tmp_path: Path) -> None:
    people = [WholeBody.of({"face": face(1.0)}), WholeBody.of({"body": body(1.0), "face": face(3.0)})]
    sample = Labelled(np.zeros((300, 400, 3), np.uint8), people, frozenset({"body"}), "a")
    write_shard(tmp_path / shard_name(0), [(sample, {})])
    write_json(tmp_path / INDEX, {"format": FORMAT, "complete": True, "shards": [{"file": shard_name(0)}]})
    (found,) = eval_dope([tmp_path], [Method("same", lambda file, image: people)])["methods"]
    assert (found["body"]["true"], found["body"]["found"], found["face"]["true"]) == (1, 1, 0)


def test_what_cannot_be_scored(tmp_path: Path, annotations: Path) -> None:
    with pytest.raises(UsageError, match="one name"):
        eval_dope([annotations], [Method("a", nobody), Method("a", nobody)])
    for data, reason in (
        (tmp_path, "no_truth"),
        (tmp_path / "gone", "no_truth"),
        (tmp_path / "x.json", "missing_file"),
    ):
        with pytest.raises(InputError) as error:
            eval_dope([data], [Method("a", nobody)])
        assert error.value.reason == reason
    with pytest.raises(UsageError, match="unknown method"):
        method("student.docx")
    (tmp_path / "bad.json").write_text('{"images": [{"file": "a", "people": [{"score": 1}]}]}')
    with pytest.raises(InputError) as error:
        method(str(tmp_path / "bad.json"))
    assert error.value.reason == "bad_format" and error.value.path == tmp_path / "bad.json"
    mcbench("eval-dope", annotations, "--every", 0, status=2)


@pytest.mark.parametrize("name", ("evaluation", "../a", "a/b", ".."))
def test_names_that_no_file_of_predictions_can_have(annotations: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be called"):
        eval_dope([annotations], [Method(name, nobody)], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_frames_are_told_by_the_names_that_dope_gives_them(
    rendered: Path, open_body: BodyModel, tmp_path: Path
) -> None:
    shown = [(example.file, example.truth.people) for example in examples(rendered, every=16)]
    clip = next((rendered / "clips").glob("*.mp4")).name
    rows = [{"file": f"{clip}#{file.rpartition('_')[2]}", "people": to_json(people)} for file, people in shown]
    write_json(tmp_path / "all.json", {"images": rows})
    write_json(tmp_path / "some.json", {"images": rows[:1]})
    settings = EvalDopeSettings(every=16)
    found, some = eval_dope([rendered], [method(str(tmp_path / f"{n}.json")) for n in ("all", "some")], settings)[
        "methods"
    ]
    assert found["body"]["ap"] == 1.0 and found["unknown_images"] == 0
    assert some["body"]["recall"] < 1.0 and some["unknown_images"] == 1
    write_json(tmp_path / "others.json", {"images": [{"file": "a.jpg", "people": []}]})
    with pytest.raises(InputError) as error:
        eval_dope([rendered], [method(str(tmp_path / "others.json"))], settings)
    assert error.value.reason == "other_images"


def test_boxes_are_as_large_as_numbers_say() -> None:
    for least in (-1.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="min-box"):
            EvalDopeSettings(min_box=least)


def test_the_network_that_comes_along_finds_rendered_people(open_body: BodyModel, rendered: Path) -> None:
    path = shipped_weights()
    assert path.stat().st_size <= 25e6
    document = eval_dope([rendered], [method("shipped")], EvalDopeSettings(every=16))
    (row,) = document["methods"]
    assert row["name"] == "shipped" and row["provenance"]["network"] == path.name
    assert row["body"]["true"] == 4 and row["body"]["recall"] >= 0.75
