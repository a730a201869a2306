"""The network that comes along: nobody, one person, many people, and pictures of odd sizes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mcbench.dope.checkpoint import load_network, shipped_weights
from mcbench.dope.detector import DopeDetector
from mcbench.dope.engines import TorchEngine


@pytest.fixture(scope="module")
def detector() -> DopeDetector:
    return DopeDetector(TorchEngine(load_network(shipped_weights())))


@pytest.fixture
def one_person(test_data: Path) -> np.ndarray:
    """A frame of a held-out clip in which one person stands, (H, W, 3) RGB."""
    path = sorted((test_data / "in_the_wild").glob("reel_*"))[0]
    return np.ascontiguousarray(cv2.imread(str(path))[..., ::-1]).astype(np.uint8)


@pytest.mark.parametrize("size", [(480, 640), (20, 20), (3000, 4000)], ids=str)
def test_nobody_is_on_a_grey_picture(detector: DopeDetector, size: tuple[int, int]) -> None:
    assert detector.detect(np.full((*size, 3), 127, np.uint8)) == []


def test_one_person_wherever_and_however_large_the_picture(detector: DopeDetector, one_person: np.ndarray) -> None:
    height, width = one_person.shape[:2]
    twelve_megapixels = cv2.resize(
        one_person, None, fx=(12e6 / height / width) ** 0.5, fy=(12e6 / height / width) ** 0.5
    )
    for image in (one_person, np.asarray(twelve_megapixels, dtype=np.uint8)):
        best, *others = detector.detect(image)
        assert best.body is not None and best.score > 0.5 and all(other.score < 0.5 for other in others)
        assert (best.box[2:] - best.box[:2] > 0.2 * np.array(image.shape[1::-1])).any()


def test_forty_people(detector: DopeDetector, one_person: np.ndarray) -> None:
    """Forty of them side by side, each some 80 px high where the network looks: nearly all are told, and once."""
    best = detector.detect(one_person)[0]
    assert best.body is not None
    x0, y0, x1, y1 = np.round(best.box).astype(int)
    crop = one_person[max(0, y0 - 40) : y1 + 40, max(0, x0 - 40) : x1 + 40]
    tile = np.asarray(cv2.resize(crop, (160, 300)), dtype=np.uint8)
    people = detector.detect(np.tile(tile, (4, 10, 1)))
    cells = [tuple(((p.body.box[:2] + p.body.box[2:]) / 2 // [160, 300]).astype(int)) for p in people if p.body]
    assert len(set(cells)) >= 34 and len(cells) <= 1.15 * len(set(cells))
