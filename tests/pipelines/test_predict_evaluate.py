"""Baselines and scores on a benchmark made by hand, with a detector whose answers are known."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from handmade import add_scene, standing, toy_body
from running import mcbench

from mcbench.cameras.camera import transform
from mcbench.dataset.benchmark import Benchmark
from mcbench.dataset.predictions import Predictions
from mcbench.dope.people import PartPose, WholeBody, about_root
from mcbench.experts.base import PersonDetection
from mcbench.joints import COCO17, DOPE13
from mcbench.pipelines import evaluate, finished, predict
from mcbench.workspace.workspace import Workspace


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for module in (finished, predict, evaluate):
        monkeypatch.setattr(module, "load_body", lambda path=None: toy_body())
    made = Workspace.open_or_create(tmp_path / "ws")
    add_scene(made, "a", standing(2))
    add_scene(made, "b", standing(1, seed=5))
    mcbench("export", tmp_path / "ws", tmp_path / "bench", "--every", 3)
    return tmp_path / "bench"


def oracle(benchmark: Benchmark) -> Predictions:
    """The truth itself, in each image's camera axes, with vertices."""
    rows = []
    for number, (s, i) in enumerate(benchmark.index):
        scene = benchmark.scenes[s]
        pose = scene.cameras.frames[i].cam_from_world
        for p in range(len(scene.people)):
            rows.append((number, scene.people.box[i, p], transform(pose, scene.people.joints[p]),
                         transform(pose, scene.people.vertices[p])))  # fmt: skip
    image, box, joints, vertices = (np.array(column) for column in zip(*rows, strict=True))
    n = len(image)
    return Predictions(
        "oracle", benchmark.digest, "", image, np.ones(n), box, joints, vertices,
        np.zeros((n, 0)), np.zeros((n, 3)), np.zeros((n, 23, 3)), np.zeros((n, 3)),
    )  # fmt: skip


def score(bench: Path, tmp_path: Path, predictions: Predictions, *options: str) -> dict:
    predictions.save(tmp_path / "p")
    return json.loads(mcbench("evaluate", bench, tmp_path / "p", "--json", *options).stdout)["methods"][0]


def test_the_truth_scores_zero(bench: Path, tmp_path: Path) -> None:
    for protocol in ("mcbench", "3dpw", "emdb"):
        result = score(bench, tmp_path, oracle(Benchmark.load(bench)), "--protocol", protocol)
        assert result["recall"] == 1.0 and result["people"] == 3 and result["unmatched_predictions"] == 0
        for key in ("mpjpe_mm", "pa_mpjpe_mm", "pve_mm", "pa_pve_mm"):
            assert result[key] == pytest.approx(0.0, abs=1e-3)


def test_known_errors(bench: Path, tmp_path: Path) -> None:
    truth = oracle(Benchmark.load(bench))
    joints = truth.joints.copy()
    joints[:, 4] += [0.0, 0.0, 0.22]  # one of the 22 joints scored
    joints[:, 23] += 5.0  # a hand: not scored
    result = score(bench, tmp_path, replace(truth, joints=joints))
    assert result["mpjpe_mm"] == pytest.approx(10.0, abs=1e-3)
    assert result["pve_mm"] == pytest.approx(0.0, abs=1e-3)
    larger = score(bench, tmp_path, replace(truth, joints=1.1 * truth.joints, vertices=1.1 * truth.vertices))
    assert larger["mpjpe_mm"] > 20 and larger["pa_mpjpe_mm"] == pytest.approx(0.0, abs=1e-3)


def test_misses_count_and_strangers_do_not(bench: Path, tmp_path: Path) -> None:
    truth = oracle(Benchmark.load(bench))
    box = truth.box.copy()
    box[0] += 1e4
    joints = truth.joints.copy()
    joints[1] = np.nan  # nothing to score: a miss
    result = score(bench, tmp_path, replace(truth, box=box, joints=joints))
    assert result["matched"] == result["items"] - 2
    assert result["recall"] == pytest.approx(1 - 2 / result["items"])
    assert result["unmatched_predictions"] == 2
    assert result["mpjpe_mm"] == pytest.approx(0.0, abs=1e-3)


def test_joints_alone_leave_vertices_unscored(bench: Path, tmp_path: Path) -> None:
    truth = oracle(Benchmark.load(bench))
    result = score(bench, tmp_path, replace(truth, vertices=np.zeros((len(truth), 0, 3))))
    assert result["pve_mm"] is None and result["pve_mm_interval90"] is None
    assert result["mpjpe_mm"] == pytest.approx(0.0, abs=1e-3)


def test_nothing_predicted(bench: Path, tmp_path: Path) -> None:
    truth = oracle(Benchmark.load(bench))
    arrays = {n: getattr(truth, n)[:0] for n in ("image", "score", "box", "joints", "vertices", "betas",
                                                 "global_orient", "body_pose", "transl")}  # fmt: skip
    result = score(bench, tmp_path, replace(truth, **arrays))
    assert result["recall"] == 0.0 and result["mpjpe_mm"] is None


def test_results_are_kept_item_by_item(bench: Path, tmp_path: Path) -> None:
    truth = oracle(Benchmark.load(bench))
    truth.save(tmp_path / "one" / "p")
    replace(truth, joints=truth.joints * 1.2).save(tmp_path / "two" / "p")
    out = tmp_path / "evaluation"
    document = json.loads(
        mcbench("evaluate", bench, tmp_path / "one/p", tmp_path / "two/p", "--out", out, "--json").stdout
    )
    assert [m["name"] for m in document["methods"]] == ["one/p", "two/p"]
    assert json.loads((out / "evaluation.json").read_text()) == document
    with (out / "items.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 2 * document["methods"][0]["items"]
    kept = [float(row["mpjpe_mm"]) for row in rows if row["method"] == "two/p"]
    assert np.mean(kept) == pytest.approx(document["methods"][1]["mpjpe_mm"], abs=1e-3)
    low, high = document["methods"][1]["mpjpe_mm_interval90"]
    assert low < document["methods"][1]["mpjpe_mm"] < high


def test_predictions_on_another_benchmark_are_refused(bench: Path, tmp_path: Path) -> None:
    replace(oracle(Benchmark.load(bench)), benchmark="0" * 64).save(tmp_path / "p")
    document = json.loads(mcbench("evaluate", bench, tmp_path / "p", "--json", status=1).stdout)
    assert document["error"]["reason"] == "other_benchmark"
    mcbench("evaluate", bench, tmp_path / "p", "--protocol", "nonsense", status=2)
    mcbench("evaluate", bench, tmp_path / "p", tmp_path / "p", status=2)


class KnownDetector:
    """Finds the people of the benchmark exactly; images come in the benchmark's order."""

    name, version, keypoint_set = "known", "1", "coco17"
    answers: list[list[PersonDetection]]

    def detect(self, image: np.ndarray, priors: object = ()) -> list[PersonDetection]:
        return self.answers.pop(0)


def known_detector(bench: Path, depth: bool) -> Callable[[str], Callable[[], KnownDetector]]:
    benchmark = Benchmark.load(bench)
    regressor = toy_body().keypoint_regressor("coco17")
    answers = []
    for s, i in benchmark.index:
        scene = benchmark.scenes[s]
        camera = scene.cameras.frames[i]
        people = []
        for p, box in enumerate(scene.people.box[i]):
            points = transform(camera.cam_from_world, regressor @ scene.people.vertices[p])
            points3d = points - points.mean(axis=0) if depth else np.full((17, 3), np.nan)
            people.append(
                PersonDetection(0.9, box, camera.camera.project(points), np.ones(17), points3d, np.zeros((0, 0)))
            )
        answers.append(people)
    detector = KnownDetector()
    detector.answers = answers
    return lambda name: lambda: detector


def test_baselines_find_who_the_detector_finds(bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for method in ("detector3d", "single_image"):
        monkeypatch.setattr(predict, "detector_class", known_detector(bench, depth=True))
        mcbench("predict", bench, tmp_path / method, "--method", method)
    document = json.loads(
        mcbench("evaluate", bench, tmp_path / "detector3d", tmp_path / "single_image", "--json").stdout
    )
    lifted, fitted = document["methods"]
    assert lifted["recall"] == fitted["recall"] == 1.0
    assert lifted["pve_mm"] is None and fitted["pve_mm"] < 120
    # the detector's own joints are exact where the sets share them; the rest is interpolated
    assert lifted["mpjpe_mm"] < 80
    assert fitted["mpjpe_mm"] < 80


def test_a_detector_without_depth(bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict, "detector_class", known_detector(bench, depth=False))
    document = json.loads(mcbench("predict", bench, tmp_path / "p", "--json", status=1).stdout)
    assert document["error"]["reason"] == "no_depth"
    monkeypatch.setattr(predict, "detector_class", known_detector(bench, depth=False))
    mcbench("predict", bench, tmp_path / "p", "--method", "single_image")
    assert score_of(bench, tmp_path / "p")["recall"] == 1.0


def test_bodies_are_fitted_to_what_the_network_finds(
    bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that knows the joints, and a hand that belongs to nobody."""
    names = COCO17.joints
    ears = [names.index(f"{side}_ear") for side in ("left", "right")]
    answers = []
    for people in known_detector(bench, depth=True)("")().answers:
        found = []
        for one in people:
            joints = [[names.index(name)] if name in names else ears for name in DOPE13.joints]
            pose2d, pose3d = (np.array([p[j].mean(axis=0) for j in joints]) for p in (one.keypoints, one.keypoints3d))
            body = PartPose(0.9, pose2d, about_root("body", pose3d), np.ones(13), one.box)
            found.append(WholeBody.of({"body": body}))
        lone = PartPose(0.9, np.ones((21, 2)), np.zeros((21, 3)), np.ones(21), np.array([0.0, 0, 9, 9]))
        answers.append([*found, WholeBody.of({"left_hand": lone})])

    class KnownNetwork:
        def __init__(self, engine: object) -> None: ...

        def detect(self, image: np.ndarray) -> list[WholeBody]:
            return answers.pop(0)

    weights = tmp_path / "w.pt"
    weights.write_bytes(b"anything")
    monkeypatch.setattr(predict, "DopeDetector", KnownNetwork)
    monkeypatch.setattr(predict, "open_engine", lambda path: path)
    monkeypatch.setattr(predict, "shipped_weights", lambda: weights)
    mcbench("predict", bench, tmp_path / "p", "--method", "dope")
    assert Predictions.load(tmp_path / "p").method == "dope"
    score = score_of(bench, tmp_path / "p")
    assert score["recall"] == 1.0 and score["unmatched_predictions"] == 0 and score["mpjpe_mm"] < 80


def score_of(bench: Path, folder: Path) -> dict:
    return json.loads(mcbench("evaluate", bench, folder, "--json").stdout)["methods"][0]


def test_predictions_overwrite_only_predictions(bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "notes.txt").write_text("…")
    monkeypatch.setattr(predict, "detector_class", known_detector(bench, depth=True))
    mcbench("predict", bench, tmp_path / "p", status=2)
    mcbench("predict", tmp_path / "nothing", tmp_path / "q", status=1)


def test_a_damaged_benchmark_scores_nobody(bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its digest names something else than what is there."""
    oracle(Benchmark.load(bench)).save(tmp_path / "p")
    monkeypatch.setattr(predict, "detector_class", known_detector(bench, depth=True))
    (bench / "scenes/a/people.npz").write_bytes((bench / "scenes/b/people.npz").read_bytes())
    for command in (("evaluate", bench, tmp_path / "p"), ("predict", bench, tmp_path / "new")):
        document = json.loads(mcbench(*command, "--json", status=1).stdout)
        assert document["error"]["reason"] == "damaged" and "scenes/a/people.npz" in document["error"]["message"]
    assert not (tmp_path / "new").exists()


def parameters(benchmark: Benchmark, n_betas: int) -> Predictions:
    """Predictions with SMPL parameters instead of vertices."""
    truth = oracle(benchmark)
    n = len(truth)
    return replace(truth, body_digest="d1", vertices=np.zeros((n, 0, 3)), betas=np.zeros((n, n_betas)))


def test_fewer_betas_are_the_first_ones(bench: Path, tmp_path: Path) -> None:
    few, all_of_them = (score(bench, tmp_path, parameters(Benchmark.load(bench), n)) for n in (2, 10))
    assert few["pve_mm"] == pytest.approx(all_of_them["pve_mm"])
    parameters(Benchmark.load(bench), 99).save(tmp_path / "p")
    document = json.loads(mcbench("evaluate", bench, tmp_path / "p", "--json", status=1).stdout)
    assert document["error"]["reason"] == "bad_format" and "99 betas" in document["error"]["message"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"vertices": np.zeros((1, 5, 3))}, "5 vertices"),
        ({"joints": np.array("nobody")}, "joints is not numbers"),
        ({"method": np.array(3.0)}, "method is not a text"),
    ],
)
def test_arrays_of_another_kind_or_shape(bench: Path, tmp_path: Path, change: dict, told: str) -> None:
    truth = oracle(Benchmark.load(bench))
    if "vertices" in change:
        change = {"vertices": np.zeros((len(truth), 5, 3))}
    replace(truth, **change).save(tmp_path / "p")
    document = json.loads(mcbench("evaluate", bench, tmp_path / "p", "--json", status=1).stdout)
    assert document["error"]["reason"] == "bad_format" and told in document["error"]["message"]


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
@pytest.mark.parametrize("what", ["joints", "vertices"])
def test_answers_that_are_no_places_are_misses(bench: Path, tmp_path: Path, bad: float, what: str) -> None:
    truth = oracle(Benchmark.load(bench))
    values = np.array(getattr(truth, what), dtype=np.float64)
    values[::3, 0] = bad
    result = score(bench, tmp_path, replace(truth, **{what: values}))
    assert result["matched"] == result["items"] - len(values[::3])
    assert result["pve_mm"] == pytest.approx(0.0, abs=1e-3)


def test_intervals_stand_below_their_values(bench: Path, tmp_path: Path) -> None:
    oracle(Benchmark.load(bench)).save(tmp_path / "p")
    text = mcbench("evaluate", bench, tmp_path / "p").stdout
    assert "(0-0)" in text and "\\n" not in text
