"""People in squares, what is made of them, and a network that learns from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mcbench.dataset.files import sha256_file
from mcbench.dope.checkpoint import load_network, shipped_weights
from mcbench.errors import InputError, McbenchError, UsageError
from mcbench.joints import READER19
from mcbench.reader.network import SIDE, ReaderNetwork, load_reader, save_reader
from mcbench.reader.shipped import SHA256, shipped_reader
from mcbench.reader.training import MODEL, STATE, ReaderSettings, score_reader, train_reader
from mcbench.reader.training_data import People, lesson, plain_lesson, spoilt

SETTINGS = ReaderSettings(steps=3, batch=2, save_every=2, warmup=1)


def people(count: int = 3) -> People:
    """People whose keypoints are bright dots, those of the left arm not to be seen."""
    rng = np.random.default_rng(0)
    points = rng.uniform(60, 160, (count, len(READER19), 2))
    squares = np.full((count, 224, 224, 3), 40, np.uint8)
    for square, own in zip(squares, points, strict=True):
        for x, y in own.astype(int):
            square[y - 2 : y + 3, x - 2 : x + 3] = 250
    visible = np.ones((count, len(READER19)), bool)
    visible[:, [READER19.index("left_elbow"), READER19.index("left_wrist")]] = False
    others = np.full((count, 4, len(READER19), 2), np.nan)
    others[0, 0] = points[0] + 30.0
    return People(squares, points, visible, others, np.full(count, 120.0))


def test_squares_of_people_come_back_from_their_file(tmp_path: Path) -> None:
    made = people()
    made.save(tmp_path / "people.npz")
    back = People.joined([People.load(tmp_path / "people.npz"), made])
    assert len(back) == 6
    np.testing.assert_array_equal(back.points[3:], made.points)
    np.testing.assert_array_equal(back.squares[:3], made.squares)


def test_a_lesson_shows_the_points_where_it_says() -> None:
    """Bright dots lie at the points that it says are visible, however the square is turned and mirrored."""
    made, near = people(), []
    for seed in range(12):
        one = lesson(made, seed % 3, np.random.default_rng(seed))
        assert one.picture.shape == (3, SIDE, SIDE) and one.maps.shape == (2, SIDE, SIDE)
        x, y = np.clip(one.points[one.visible], 0, SIDE - 1).astype(int).T
        near.append(one.picture.mean(0)[y, x].mean() - one.picture.mean())
    assert np.mean(near) > 0.2


def test_a_mirror_exchanges_left_and_right() -> None:
    """The left arm, which is not to be seen, is the right one in a mirror."""
    made, hidden = people(), set()
    left, right = ([READER19.index(f"{side}_{name}") for name in ("elbow", "wrist")] for side in ("left", "right"))
    for seed in range(12):
        visible = lesson(made, 0, np.random.default_rng(seed)).visible
        assert not visible[left].any() or not visible[right].any()
        hidden |= {side for side, arm in (("left", left), ("right", right)) if visible[arm].all()}
    assert hidden == {"left", "right"}


def test_a_lesson_follows_from_what_is_drawn() -> None:
    one, again = (lesson(people(), 1, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(one.picture, again.picture)
    np.testing.assert_array_equal(one.points, again.points)


def test_places_are_spoilt_but_never_all_unknown() -> None:
    rng = np.random.default_rng(2)
    points = people().points[0]
    told = [spoilt(points, 120.0, rng) for _ in range(200)]
    assert all(np.isfinite(one).any() for one in told)
    assert 0.5 < np.nanmedian([np.linalg.norm(one - points, axis=1) for one in told]) < 12.0


def test_plain_lessons_show_people_as_they_are() -> None:
    one = plain_lesson(people(), 2)
    x, y = one.points.astype(int).T
    assert one.picture.mean(0)[y, x].min() > 0.5
    assert one.visible.sum() == len(READER19) - 2


def test_a_training_that_goes_on_gives_the_same_network(tmp_path: Path) -> None:
    whole = train_reader(people(), tmp_path / "whole", SETTINGS)
    stopped: list[int] = []

    def stop(step: int, loss: float) -> None:
        stopped.append(step)
        if len(stopped) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_reader(people(), tmp_path / "cut", SETTINGS, on_step=stop)
    gone_on = train_reader(people(), tmp_path / "cut", SETTINGS, on_step=lambda step, loss: stopped.append(step))
    assert stopped == [1, 2, 3, 3]
    for a, b in zip(whole.parameters(), gone_on.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert load_reader(tmp_path / "cut" / MODEL) is not None
    scores = score_reader(gone_on, people())
    assert scores["people"] == 3 and 0 <= scores["visible_right"] <= 1


def test_layers_that_are_kept_stay_as_they_started(tmp_path: Path) -> None:
    trained = train_reader(people(), tmp_path, SETTINGS)
    started = ReaderNetwork()
    started.start_from(load_network(shipped_weights()))
    for layer, before in zip(trained.kept, started.kept, strict=True):
        for a, b in zip(layer.state_dict().values(), before.state_dict().values(), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_what_cannot_go_on_is_refused(tmp_path: Path) -> None:
    train_reader(people(), tmp_path, SETTINGS)
    with pytest.raises(UsageError, match="other settings or people"):
        train_reader(people(), tmp_path, ReaderSettings(steps=4, batch=2))
    (tmp_path / STATE).write_bytes(b"no state")
    with pytest.raises(InputError, match="checkpoint"):
        train_reader(people(), tmp_path, SETTINGS)
    with pytest.raises(UsageError):
        train_reader(people(), tmp_path, ReaderSettings(steps=0))


def test_a_loss_that_is_no_number_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ReaderNetwork, "forward", lambda self, pictures, maps: self.heat.weight.sum() * torch.nan
                        * torch.ones(len(pictures), len(READER19), 1601))  # fmt: skip
    with pytest.raises(McbenchError) as caught:
        train_reader(people(), tmp_path, SETTINGS)
    assert caught.value.reason == "not_a_number"


def test_files_that_are_no_reader_are_refused(tmp_path: Path) -> None:
    save_reader(tmp_path / "reader.pt", ReaderNetwork(), {})
    content = torch.load(tmp_path / "reader.pt", weights_only=True)
    torch.save({**content, "format": "other"}, tmp_path / "other.pt")
    torch.save({**content, "state_dict": {}}, tmp_path / "empty.pt")
    for name, reason in (("other.pt", "bad_format"), ("empty.pt", "bad_checkpoint")):
        with pytest.raises(InputError) as caught:
            load_reader(tmp_path / name)
        assert caught.value.reason == reason


def test_one_comes_along_and_is_the_one_that_results_are_recorded_with() -> None:
    assert not load_reader(shipped_reader()).training
    assert shipped_reader().stat().st_size < 5e6
    assert sha256_file(shipped_reader()) == SHA256
