"""Images without the people who are known."""

from __future__ import annotations

import numpy as np
import pytest

from mcbench.experts.base import MASK_SIZE, PersonDetection
from mcbench.experts.erasing import erased

HEIGHT, WIDTH = 120, 160


def person(box: tuple[float, float, float, float], mask: np.ndarray) -> PersonDetection:
    return PersonDetection(0.9, np.array(box, float), np.zeros((17, 2)), np.ones(17), np.zeros((17, 3)), mask)


def scene(box: tuple[int, int, int, int]) -> np.ndarray:
    """A grey wall and a red figure before it."""
    image = np.full((HEIGHT, WIDTH, 3), 100, np.uint8)
    x0, y0, x1, y1 = box
    image[y0:y1, x0:x1] = (200, 0, 0)
    return image


FULL = np.full((MASK_SIZE, MASK_SIZE), 255, np.uint8)


@pytest.mark.parametrize("box", [(60, 30, 90, 110), (0, 0, 50, 120), (100, 60, 160, 120)])
def test_a_figure_gives_way_to_what_is_round_it(box: tuple[int, int, int, int]) -> None:
    image = scene(box)
    before = image.copy()
    gone = erased(image, [person(box, FULL)])
    assert gone.dtype == np.uint8 and np.abs(gone.astype(int) - 100).max() <= 2
    np.testing.assert_array_equal(image, before)


def test_what_is_outside_the_silhouette_stays() -> None:
    """The mask has the left half of the box alone; what is right of it, and of its rim, is not touched."""
    image = scene((60, 30, 100, 110))
    half = FULL.copy()
    half[:, MASK_SIZE // 2 :] = 0
    gone = erased(image, [person((60, 30, 100, 110), half)])
    np.testing.assert_array_equal(gone[:, 86:], image[:, 86:])
    np.testing.assert_array_equal(gone[:25], image[:25])
    assert np.abs(gone[40:100, 62:76].astype(int) - image[40:100, 62:76]).max() > 30


def test_nobody_and_people_without_masks_change_nothing() -> None:
    image = scene((60, 30, 90, 110))
    assert erased(image, []) is image
    assert erased(image, [person((60, 30, 90, 110), np.zeros((0, 0), np.uint8))]) is image


def test_where_everything_is_people_nothing_breaks() -> None:
    gone = erased(scene((0, 0, WIDTH, HEIGHT)), [person((0, 0, WIDTH, HEIGHT), FULL)])
    assert gone.shape == (HEIGHT, WIDTH, 3)
