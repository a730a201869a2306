"""The reader of people whose place is known, on what its network says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mcbench.experts.reader import PersonReader
from mcbench.joints import BLAZEPOSE33, READER19, mapping
from mcbench.reader.heatmaps import heat_targets
from mcbench.reader.squares import Square

IMAGE = np.zeros((400, 600, 3), np.uint8)
SHARED = mapping(BLAZEPOSE33.name, READER19.name)


@pytest.fixture(scope="module")
def reader() -> PersonReader:
    return PersonReader()


def place(seed: int, size: float = 150.0) -> np.ndarray:
    points = np.full((33, 2), np.nan)
    points[[source for source, _ in SHARED]] = 200 + size * np.random.default_rng(seed).random((19, 2))
    return points


def test_places_in_the_image_are_what_the_network_says_of_the_square(
    reader: PersonReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = place(0)
    source, target = np.array(SHARED).T
    own = told[source][np.argsort(target)]
    square = Square.round_place(own)
    assert square is not None
    visible = np.ones(19, bool)
    visible[READER19.index("left_wrist")] = False
    said = torch.log(torch.from_numpy(heat_targets(square.of_image(own), visible))[None] + 1e-9)
    monkeypatch.setattr(reader._network, "forward", lambda pictures, maps: said)
    (opinion,) = reader(IMAGE, [told])
    (person,) = opinion.people
    wrist = BLAZEPOSE33.index("left_wrist")
    read = [k for k in source if k != wrist]
    np.testing.assert_allclose(person.keypoints[read], told[read], atol=1.0)
    assert person.keypoint_score[read].min() > 0.5 and person.keypoint_score[wrist] < 0.1
    assert not person.keypoint_score[np.setdiff1d(np.arange(33), source)].any()
    assert set(opinion.peaks.keypoint) == set(read)
    np.testing.assert_allclose(opinion.peaks.pixels, told[opinion.peaks.keypoint], atol=1.0)
    assert (person.box[:2] >= 0).all() and (person.box[2:] <= [600, 400]).all()


def test_nobody_is_read_where_nothing_is_known(reader: PersonReader) -> None:
    unknown = np.full((33, 2), np.nan)
    assert reader(IMAGE, []) == []
    (nobody,) = reader(IMAGE, [unknown])
    assert nobody.people == [] and not len(nobody.peaks.keypoint)
    somebody, nobody = reader(IMAGE, [place(1), unknown])
    assert len(somebody.people) == 1 and nobody.people == []


def test_people_outside_the_image_and_tiny_ones_give_numbers(reader: PersonReader) -> None:
    for told in (place(2) + 5000.0, place(2, 0.5)):
        (opinion,) = reader(IMAGE, [told])
        (person,) = opinion.people
        assert np.isfinite(person.box).all() and np.isfinite(person.score)
