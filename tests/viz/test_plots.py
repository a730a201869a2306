"""Plots and the words for numbers in a report."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from mcbench.viz.html import between, data_uri, number, render
from mcbench.viz.plots import PersonError, error_plot, score_plot, top_view

POSES = np.stack([np.concatenate([np.eye(3), [[-x], [0], [3]]], axis=1) for x in (0.0, 0.5, 1.0)])


def view_from_above(sd: float, accepted: bool = True) -> bytes:
    joints = np.array([[[0, 0, 1.0], [0.2, 0.1, 1.4]]])
    cov = np.tile(sd**2 * np.eye(3), (1, 2, 1, 1))
    return top_view(POSES, joints, cov, ((0, 1),), np.array([accepted]))


def test_the_view_from_above_depends_on_error_bars_and_verdict_alone() -> None:
    assert view_from_above(0.01) == view_from_above(0.01)
    assert len({view_from_above(0.01), view_from_above(0.02), view_from_above(0.01, False)}) == 3
    ElementTree.fromstring(view_from_above(np.nan))  # unknown error bars are left out


def test_errors_of_people_with_and_without_a_true_person() -> None:
    people = [PersonError("a 0", True, 12.0), PersonError("a 1", False, 70.0), PersonError("b 0", True, None)]
    drawn = error_plot(people, 30, 50)
    ElementTree.fromstring(drawn)
    assert drawn == error_plot(people[::-1], 30, 50)  # sorted by error
    assert drawn != error_plot(people[:2], 30, 50)
    ElementTree.fromstring(error_plot([PersonError(f"s {i}", True, float(i)) for i in range(60)], 30, 50))


def test_scores_that_were_not_measured_leave_a_gap() -> None:
    methods = [{"name": "a", "pve_mm": 80.0, "pve_mm_interval90": [70.0, 90.0]}, {"name": "b", "pve_mm": None}]
    ElementTree.fromstring(score_plot(methods, {"pve_mm": "PVE"}))


def test_numbers_for_people() -> None:
    assert [number(v) for v in (None, float("nan"), 3, 2.55, "text")] == ["–", "–", "3", "2.5", "text"]
    assert number({"median": 1.0, "a_b": None}, 2) == "median 1.00, a b –"
    assert between(None) == "" and between((1.0, None)) == "(1.0––)"


def test_templates_escape_and_refuse_unknown_names() -> None:
    with pytest.raises(Exception, match="undefined"):
        render("report.html")
    assert data_uri(b"abc", "image/png") == "data:image/png;base64,YWJj"
