"""Boxes: overlap, coding, suppression, anchors."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mcbench.dope.anchors import cell_anchors, grid_anchors
from mcbench.dope.boxes import clip, decode, encode, iou, kept_by_nms


def boxes(seed: int, count: int, side: float = 100.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    low = torch.rand(count, 2, generator=generator) * side
    return torch.cat([low, low + 1 + torch.rand(count, 2, generator=generator) * side / 2], dim=1)


def test_overlap_of_known_boxes() -> None:
    a = torch.tensor([[0.0, 0.0, 2.0, 2.0], [5.0, 5.0, 5.0, 5.0]])
    b = torch.tensor([[1.0, 1.0, 3.0, 3.0], [0.0, 0.0, 2.0, 2.0], [5.0, 5.0, 5.0, 5.0]])
    expected = torch.tensor([[1 / 7, 1.0, 0.0], [0.0, 0.0, 0.0]])
    assert torch.allclose(iou(a, b), expected)


def test_decoding_undoes_encoding() -> None:
    wanted, anchors = boxes(0, 50), boxes(1, 50)
    assert torch.allclose(decode(encode(wanted, anchors), anchors), wanted, atol=1e-3)


def test_growth_is_capped() -> None:
    grown = decode(torch.tensor([[0.0, 0.0, 50.0, 50.0]]), torch.tensor([[0.0, 0.0, 16.0, 16.0]]))
    assert torch.allclose(grown[:, 2:] - grown[:, :2], torch.tensor(1000.0), rtol=1e-4)


def test_clipping() -> None:
    assert clip(torch.tensor([-5.0, 2.0, 90.0, 70.0]), 60, 80).tolist() == [0.0, 2.0, 80.0, 60.0]


def greedy(candidates: torch.Tensor, threshold: float) -> list[int]:
    kept: list[int] = []
    for index in range(len(candidates)):
        if all(iou(candidates[index : index + 1], candidates[k : k + 1]).item() <= threshold for k in kept):
            kept.append(index)
    return kept


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.integers(1, 60), st.sampled_from([0.2, 0.5, 0.7]))
def test_suppression_is_the_greedy_one(seed: int, count: int, threshold: float) -> None:
    candidates = boxes(seed, count, 40.0)
    assert kept_by_nms(candidates, threshold).nonzero().flatten().tolist() == greedy(candidates, threshold)


def test_a_chain_takes_as_many_rounds_as_it_is_long() -> None:
    # each box overlaps its neighbours alone, so every second one stays
    x = torch.arange(9.0) * 4
    chain = torch.stack([x, 0 * x, x + 10, 0 * x + 10], dim=1)
    assert kept_by_nms(chain, 0.4).tolist() == [True, False] * 4 + [True]
    assert kept_by_nms(chain, 0.4, rounds=9).tolist() == [True, False] * 4 + [True]
    assert kept_by_nms(chain, 0.4, rounds=2).tolist() != [True, False] * 4 + [True]


def test_boxes_that_do_not_count_suppress_nothing() -> None:
    same = torch.tensor([[0.0, 0, 9, 9]] * 3)
    batch = torch.stack([same, same])
    usable = torch.tensor([[False, True, True], [True, True, False]])
    assert kept_by_nms(batch, 0.5, usable).tolist() == [[False, True, False], [True, False, False]]


def test_no_boxes() -> None:
    assert kept_by_nms(torch.zeros(0, 4), 0.5).shape == (0,)


def test_anchors_have_their_sizes_and_places() -> None:
    cell = cell_anchors((32, 64), (0.5, 1.0, 2.0))
    extent = cell[:, 2:] - cell[:, :2]
    assert extent.prod(1).sqrt().tolist() == pytest.approx([32, 64] * 3, rel=0.03)
    assert (extent[:, 1] / extent[:, 0]).tolist() == pytest.approx([0.5] * 2 + [1.0] * 2 + [2.0] * 2, rel=0.05)
    grid = grid_anchors(cell, 3, 4, 16).view(3, 4, 6, 4)
    assert torch.equal(grid[2, 3], cell + torch.tensor([48.0, 32.0, 48.0, 32.0]))
