"""One command from rendered scenes and photos to a trained, exported and evaluated network."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from running import mcbench

from mcbench.body.model import BodyModel
from mcbench.dope.people import KINDS
from mcbench.dope.training import TrainSettings
from mcbench.pipelines import distil as module
from mcbench.pipelines.distil import RECIPES, distil, distillation_gain
from mcbench.pipelines.weights import fetch_weights

TOY = RECIPES["toy"]


def photos(test_data: Path) -> list[Path]:
    return sorted((test_data / "in_the_wild").glob("sit_*"))


def test_from_rendered_scenes_and_photos_to_a_network_that_is_scored(
    open_body: BodyModel, test_data: Path, tmp_path: Path
) -> None:
    fetch_weights()
    photo = photos(test_data)[0]
    (tmp_path / "damaged.jpg").write_bytes(photo.read_bytes()[:100])
    out, sources = tmp_path / "out", (photo, tmp_path / "damaged.jpg")
    result = mcbench("distil", out, *sources, "--recipe", "toy", "--jobs", 1, "--pairs", 1, "--json", status=1)
    made = json.loads(result.stdout)
    assert [row["source"] for row in made["failed"]] == [str(tmp_path / "damaged.jpg")]
    trained = made["training"]
    assert set(trained) == {"student", "plain_1"}
    assert trained["student"]["steps"] == TOY.training.steps
    assert trained["student"]["images"] == 3  # two rendered, one photo
    rows = {row["name"]: row for row in made["evaluation"]["methods"]}
    assert set(rows) == {"experts", "student", "plain_1"}
    assert made["evaluation"]["images"] == 1 and rows["experts"]["body"]["true"] >= 1
    assert set(made["distillation"]) == set(KINDS)
    assert Path(made["graph"]).is_file() and (out / "evaluation" / "evaluation.json").is_file()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_some_minutes_of_training_find_people_in_scenes_not_learnt(
    open_body: BodyModel, test_data: Path, tmp_path: Path
) -> None:
    fetch_weights()
    short = RECIPES["short"]
    (images,) = short.learnt
    recipe = replace(short, learnt=(replace(images, clips=replace(images.clips, scenes=60)),))
    made = distil(tmp_path, photos(test_data)[:8], recipe, jobs=2)
    assert made["training"]["student"]["images"] == 68
    (student,) = [row for row in made["evaluation"]["methods"] if row["name"] == "student"]
    assert student["body"]["recall"] > 0.5 and student["face"]["recall"] > 0.2
    assert student["body"]["precision"] > 0.05


def test_gain_of_distillation() -> None:
    def row(name: str, error: float | None) -> dict:
        return {"name": name, **{kind: {"recall": 0.5, "error_2d": 0.5, "mpjpe_mm": error} for kind in KINDS}}

    evaluated = {"methods": [row("experts", 1.0), row("a", 60.0), row("b", 80.0), row("c", 100.0)]}
    gain = distillation_gain(dict.fromkeys(KINDS, evaluated), {"a": True, "b": True, "c": False})
    assert gain["hand"]["mpjpe_mm"] == {
        **{"with": 70.0, "without": 100.0, "lower_by": pytest.approx(0.3)},
        "networks": {"a": 60.0, "b": 80.0, "c": 100.0},
    }
    assert gain["body"]["error_2d"]["lower_by"] == 0
    assert gain["body"]["recall"]["with"] == 0.5 and gain["body"]["recall"]["lower_by"] is None
    unknown = {"methods": [row("a", None), row("c", 100.0)]}
    assert (
        distillation_gain(dict.fromkeys(KINDS, unknown), {"a": True, "c": False})["face"]["mpjpe_mm"]["lower_by"]
        is None
    )


def test_sets_that_have_labels_of_one_kind_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What learns from which labels, and which kind is compared on which images."""
    learnt, scored, starts = {}, [], {}

    def train(labels: list[Path], out: Path, how: TrainSettings, *_: object) -> dict:
        learnt[out.name], starts[out.name] = [folder.name for folder in labels], (how.start, how.distillation)
        return {"model": str(out / "model.pt")}

    def evaluate(data: list[Path], *_: object, **__: object) -> dict:
        scored.append([folder.name for folder in data])
        none = {kind: dict.fromkeys(("recall", "error_2d", "mpjpe_mm")) for kind in KINDS}
        return {"methods": [{"name": name, **none} for name in learnt if name != "common"]}

    labelled = []
    monkeypatch.setattr(
        module, "pseudo_label", lambda src, out, how, *_: labelled.append((out.name, (how.parts, how.around)))
    )
    monkeypatch.setattr(module, "train_dope", train)
    monkeypatch.setattr(module, "eval_dope", evaluate)
    for name in ("synth", "export_onnx", "load_network", "method"):
        monkeypatch.setattr(module, name, lambda *_, **__: None)
    distil(tmp_path, [], RECIPES["sets"], pairs=1)
    names = ["close_0502", "close_0505", "standard_0301"]
    of_one = ["close_0502_body", "close_0505_hand", "standard_0301_face"]
    assert learnt == {"common": of_one, "student": names, "plain_1": of_one}
    common = str(tmp_path / "common" / "model.pt")
    assert starts == {"common": ("", False), "student": (common, True), "plain_1": (common, False)}
    around = ("", "hand", "")  # the same images with and without distillation
    assert dict(labelled) == {
        **{name: ("body,hand,face", part) for name, part in zip(names, around, strict=True)},
        **{name: (kind, part) for name, kind, part in zip(of_one, KINDS, around, strict=True)},
    }
    both = ["close_0907", "standard_0908"]
    assert scored == [both, ["standard_0908"], both, ["close_0907"]]


@pytest.mark.parametrize("name", list(RECIPES))
def test_nothing_is_scored_that_was_learnt(name: str) -> None:
    recipe = RECIPES[name]
    assert not {images.clips.seed for images in recipe.learnt} & {images.clips.seed for images in recipe.scored}
    for images in (*recipe.learnt, *recipe.scored):
        images.clips.check()
    for training in (recipe.training, recipe.common, recipe.further):
        if training is not None:
            training.check()


def test_a_second_training_starts_from_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything but the order of things is left out."""
    asked = []

    def train(labels: list[Path], out: Path, how: TrainSettings, *_: object) -> dict:
        asked.append((out.name, how.start, [folder.name for folder in labels]))
        return {"model": str(out / "model.pt")}

    monkeypatch.setattr(module, "train_dope", train)
    for name in ("synth", "export_onnx", "load_network", "method", "eval_dope"):
        monkeypatch.setattr(module, name, lambda *_, **__: None)
    monkeypatch.setattr(module, "pseudo_label", lambda *_: {"failed": []})
    recipe = replace(TOY, further=TOY.training, photos=2)
    made = distil(tmp_path / "a", [tmp_path], recipe)
    first = str(tmp_path / "a" / "first" / "model.pt")
    assert asked == [("first", "", ["close_0511", "photos"]), ("student", first, ["close_0511", "photos", "photos"])]
    assert set(made["training"]) == {"first", "student"}
    asked.clear()
    distil(tmp_path / "b", [], recipe)
    assert [labels for *_, labels in asked] == [["close_0511"]] * 2


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    assert "not a folder" in mcbench("distil", tmp_path / "out", "--recipe", "toy", status=2).stderr
