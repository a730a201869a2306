"""Training: goes on exactly, stops at what is no number, speaks of its files."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import toy_people as toy

from mcbench.dataset.files import write_json
from mcbench.dataset.label_shards import FORMAT, shard_name, write_shard
from mcbench.dope.augmentation import AugmentationSettings
from mcbench.dope.checkpoint import load_network
from mcbench.dope.network import DopeConfig
from mcbench.dope.resnet import ResNet50, ResNetBackbone
from mcbench.dope.training import MODEL, STATE, Step, TrainSettings, train
from mcbench.dope.training_data import Order, ShardImages, TrainingViews, kind_for
from mcbench.errors import InputError, McbenchError, UsageError

QUICK = TrainSettings(steps=3, batch=2, side=96, imagenet="none", save_every=2, seed=5)


def images(count: int = 6) -> list:
    return [toy.labelled(number) for number in range(count)]


class Stopped(Exception):
    pass


def test_goes_on_where_it_stopped_to_the_same_network(tmp_path: Path) -> None:
    whole: list[Step] = []
    train(images(), tmp_path / "a", QUICK, on_step=whole.append)

    def stop(step: Step) -> None:
        if step.step == 3:
            raise Stopped

    with pytest.raises(Stopped):
        train(images(), tmp_path / "b", QUICK, on_step=stop)
    rest: list[Step] = []
    train(images(), tmp_path / "b", QUICK, resume=True, on_step=rest.append)
    assert [s.step for s in rest] == [3]
    assert [s.terms for s in rest] == [s.terms for s in whole[2:]]
    a, b = (load_network(tmp_path / run / MODEL).state_dict() for run in "ab")
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_finished_or_another_training_is_not_overwritten(tmp_path: Path) -> None:
    short = TrainSettings(**{**QUICK.__dict__, "steps": 1})
    done = train(images(2), tmp_path, short)
    with pytest.raises(UsageError, match="--resume"):
        train(images(2), tmp_path, short)
    with pytest.raises(UsageError, match="other settings"):
        train(images(2), tmp_path, QUICK, resume=True)
    assert train(images(2), tmp_path, short, resume=True) == done  # nothing is left to do, and the same is said
    assert load_network(tmp_path / MODEL).config.max_size == QUICK.side
    train(images(2), tmp_path, replace(short, look=160), resume=True)  # how it is used later does not change a training
    config = load_network(tmp_path / MODEL).config
    assert config.min_size == config.max_size == 160


def shards(folder: Path, first: int) -> ShardImages:
    folder.mkdir()
    write_shard(folder / shard_name(0), [(toy.labelled(n), {}) for n in range(first, first + 3)])
    write_json(folder / "index.json", {"format": FORMAT, "complete": True, "shards": [{"file": shard_name(0)}]})
    return ShardImages([folder])


def test_other_labels_are_another_training(tmp_path: Path) -> None:
    one = replace(QUICK, steps=1)
    done = train(shards(tmp_path / "a", 0), tmp_path / "out", one)
    with pytest.raises(UsageError, match="other settings, images"):
        train(shards(tmp_path / "b", 3), tmp_path / "out", one, resume=True)
    (tmp_path / "a").rename(tmp_path / "moved")  # where they lie does not matter
    assert train(ShardImages([tmp_path / "moved"]), tmp_path / "out", one, resume=True) == done


def test_other_weights_to_start_from_are_another_training(tmp_path: Path) -> None:
    one = replace(QUICK, steps=1)
    starts = [train(images(2), tmp_path / str(seed), replace(one, seed=seed))["model"] for seed in (1, 2)]
    further = replace(one, start=starts[0])
    done = train(images(2), tmp_path / "out", further)
    train(images(2), tmp_path / "1", replace(one, seed=1, look=128), resume=True)  # writes the same network again
    Path(starts[0]).rename(tmp_path / "moved.pt")
    moved = replace(further, start=str(tmp_path / "moved.pt"))
    assert train(images(2), tmp_path / "out", moved, resume=True) == done
    Path(starts[1]).rename(starts[0])
    with pytest.raises(UsageError, match="weights to start from"):
        train(images(2), tmp_path / "out", further, resume=True)
    with pytest.raises(InputError) as caught:
        train(images(2), tmp_path / "other", replace(one, start=str(tmp_path / "none.pt")))
    assert caught.value.reason == "missing_file"


def test_one_training_at_a_time_in_a_folder(tmp_path: Path) -> None:
    one = replace(QUICK, steps=1)

    def again(step: Step) -> None:
        with pytest.raises(McbenchError, match="another process") as caught:
            train(images(2), tmp_path / "out", one, resume=True)
        assert caught.value.reason == "locked" and caught.value.path == tmp_path / "out"

    steps: list[Step] = []
    train(images(2), tmp_path / "out", one, on_step=lambda step: (again(step), steps.append(step)))
    assert len(steps) == 1 and [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_network_without_its_state_and_a_file_stay(tmp_path: Path) -> None:
    (tmp_path / MODEL).write_bytes(b"a network")
    for resume in (False, True):
        with pytest.raises(UsageError, match=STATE):
            train(images(2), tmp_path, QUICK, resume)
        with pytest.raises(UsageError, match="is a file, not a folder"):
            train(images(2), tmp_path / MODEL, QUICK, resume)
    assert (tmp_path / MODEL).read_bytes() == b"a network"


def test_frozen_stages_stay_as_they_were_and_the_next_learns(tmp_path: Path) -> None:
    states = []
    for steps in (1, 2):  # statistics of normalisations are compared, too
        train(images(), tmp_path / str(steps), replace(QUICK, frozen=1, steps=steps))
        states.append(load_network(tmp_path / str(steps) / MODEL).state_dict())
    changed = {name for name in states[0] if not torch.equal(states[0][name], states[1][name])}
    assert not any(name.startswith(("backbone.stem.", "backbone.blocks.0.")) for name in changed)
    assert any(name.startswith("backbone.blocks.1.") for name in changed)
    assert len(ResNetBackbone(ResNet50()).first(1)) == 3


def test_no_number_stops_it_and_the_batch_is_named(tmp_path: Path) -> None:
    bad = images(2)
    assert bad[0].people[0].body is not None
    bad[0].people[0].body.pose3d[:] = 1e38
    with pytest.raises(McbenchError, match="toy-000") as caught:
        train(bad, tmp_path, QUICK)
    assert caught.value.reason == "not_a_number"
    assert not (tmp_path / MODEL).exists() and not (tmp_path / STATE).exists()
    assert STATE not in str(caught.value)  # nothing is called whole that is not there


@pytest.mark.parametrize(
    "wrong",
    [
        *({"side": 100}, {"steps": 0}, {"backbone": "vgg"}, {"frozen": 6}, {"look": -1}),
        *({"learning_rate": math.nan}, {"learning_rate": math.inf}, {"weight_decay": math.inf}),
    ],
)
def test_settings_that_make_no_sense(tmp_path: Path, wrong: dict) -> None:
    with pytest.raises(UsageError):
        train(images(2), tmp_path / "out", TrainSettings(**{**QUICK.__dict__, **wrong}))
    assert not (tmp_path / "out").exists()


def test_a_state_that_is_none(tmp_path: Path) -> None:
    (tmp_path / STATE).write_bytes(b"no state")
    with pytest.raises(InputError) as caught:
        train(images(2), tmp_path, QUICK, resume=True)
    assert caught.value.reason == "bad_checkpoint"


def test_a_damaged_state_is_told_so(tmp_path: Path) -> None:
    train(images(2), tmp_path, replace(QUICK, steps=1))
    state = torch.load(tmp_path / STATE)
    nan = {name: value * math.nan if value.is_floating_point() else value for name, value in state["network"].items()}
    wrongs = [{"network": {}}, {"network": nan}, {"optimizer": {}}, {"config": {}}, {"step": None}, {"summary": 3}]
    without = {name: value for name, value in state.items() if name != "key"}
    for changed in [without, *({**state, **wrong} for wrong in wrongs)]:
        torch.save(changed, tmp_path / STATE)
        with pytest.raises(InputError) as caught:
            train(images(2), tmp_path, replace(QUICK, steps=1), resume=True)
        assert caught.value.reason == "bad_checkpoint" and caught.value.path == tmp_path / STATE


def test_every_image_comes_once_before_any_comes_again() -> None:
    batches = list(Order(10, range(0, 5), 4, seed=1))
    numbers = [draw.index for batch in batches for draw in batch]
    assert sorted(numbers[:10]) == sorted(numbers[10:]) == list(range(10))
    assert list(Order(10, range(3, 5), 4, seed=1)) == batches[3:]


def test_processes_share_the_batch() -> None:
    shared = [list(Order(10, range(2), 2, 1, rank, 2)) for rank in (0, 1)]
    alone = list(Order(10, range(2), 4, 1))
    assert [[*a, *b] for a, b in zip(*shared, strict=True)] == alone


def test_without_distillation_an_image_speaks_of_one_kind() -> None:
    views = TrainingViews(images(), DopeConfig(), 96, 3, AugmentationSettings(), one_kind=True)
    (batch,) = Order(6, range(1), 6, 3)
    for draw in batch:
        _, targets, _ = views[draw]
        assert set(targets) == {kind_for(draw.index, 3)}
    assert len({kind_for(i, 3) for i in range(30)}) == 3
    assert {kind_for(i, 3, {"hand"}) for i in range(9)} == {"hand"}
    assert {kind_for(i, 3, {"hand", "face"}) for i in range(30)} == {"hand", "face"}


def test_images_of_shards_in_any_order(tmp_path: Path) -> None:
    made = images(5)
    for number, some in enumerate((made[:3], made[3:])):
        write_shard(tmp_path / shard_name(number), [(one, {"file": one.key}) for one in some])
    shards = [{"file": shard_name(number)} for number in (0, 1)]
    write_json(tmp_path / "index.json", {"format": FORMAT, "complete": True, "shards": shards})
    found = ShardImages([tmp_path])
    assert len(found) == 5
    for number in (4, 0, 2):
        assert found[number].key == made[number].key
        assert np.abs(found[number].image.astype(int) - made[number].image).mean() < 3
        assert len(found.people(number)) == len(made[number].people)
    (tmp_path / shard_name(1)).write_bytes((tmp_path / shard_name(1)).read_bytes()[:700])
    with pytest.raises(InputError) as caught:
        _ = [ShardImages([tmp_path])[i] for i in range(5)]
    assert caught.value.reason == "bad_shard"


def test_no_images(tmp_path: Path) -> None:
    write_json(tmp_path / "index.json", {"format": FORMAT, "complete": True, "shards": []})
    with pytest.raises(InputError) as caught:
        ShardImages([tmp_path])
    assert caught.value.reason == "no_images"
