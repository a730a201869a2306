"""Plots of a report as SVG text: the same numbers give the same bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from scipy.stats import norm

from mcbench.cameras.camera import Array, camera_center
from mcbench.viz.palette import hex_colour, person_colour

#: Standard deviations of one coordinate in its 90 % interval.
_SD_90 = float(norm.ppf(0.95))
_INK = "#333333"


@dataclass(frozen=True)
class PersonError:
    """One accepted or rejected person of an audit: error in mm, None where nobody was there."""

    label: str
    accepted: bool
    error_mm: float | None


def top_view(
    cam_from_world: Array,
    joints: Array,
    joints_cov: Array,
    bones: Sequence[tuple[int, int]],
    accepted: npt.NDArray[np.bool_],
) -> bytes:
    """The scene from above: the cameras' path and the people, then the people alone with their error bars.

    Parameters
    ----------
    cam_from_world : (F, 3, 4) posed frames in order, metres, Z up.
    joints : (P, J, 3) metres. joints_cov : (P, J, 3, 3) m^2, relative to joint 0.
    bones : pairs of joints. accepted : (P,) bool.
    """
    figure = _figure(11, 4.6)
    whole, close = figure.subplots(1, 2)
    centers = camera_center(cam_from_world)
    axis_xy = cam_from_world[:, 2, :2]
    reach = 0.08 * float(np.ptp(np.concatenate([centers[:, :2], joints[..., :2].reshape(-1, 2)]), axis=0).max())
    whole.plot(centers[:, 0], centers[:, 1], "-", color=_INK, lw=1)
    shown = np.unique(np.linspace(0, len(centers) - 1, min(len(centers), 40)).astype(int))
    for i in shown:
        end = centers[i, :2] + reach * axis_xy[i]
        whole.plot([centers[i, 0], end[0]], [centers[i, 1], end[1]], "-", color="#888888", lw=0.9)
    whole.plot(centers[shown, 0], centers[shown, 1], ".", color=_INK, ms=4)
    whole.plot(*centers[0, :2], "o", color="white", mec=_INK, ms=7, label="first frame")
    for axes in (whole, close):
        for person, points in enumerate(joints):
            _draw_person(axes, person, points, joints_cov[person], bones, bool(accepted[person]), axes is close)
        axes.set_aspect("equal", adjustable="datalim")
        axes.set_xlabel("x (m)")
        axes.set_ylabel("y (m)")
        axes.grid(color="#e5e5e5", lw=0.6)
        axes.set_axisbelow(True)
    whole.set_title("from above: camera path, viewing directions, people", fontsize=9)
    whole.legend(loc="best", fontsize=8, frameon=False)
    close.set_title("people from above, joints with 90 % error bars relative to the pelvis", fontsize=9)
    return _svg(figure)


def _draw_person(
    axes: Axes,
    person: int,
    points: Array,
    cov: Array,
    bones: Sequence[tuple[int, int]],
    accepted: bool,
    error_bars: bool,
) -> None:
    colour = hex_colour(person_colour(person, accepted))
    for a, b in bones:
        axes.plot(points[[a, b], 0], points[[a, b], 1], "-" if accepted else ":", color=colour, lw=1.4, zorder=3)
    if error_bars:
        half = _SD_90 * np.sqrt(np.clip(np.diagonal(cov, axis1=-2, axis2=-1), 0, None))
        known = np.asarray(np.isfinite(half).all(axis=-1))
        known[0] = False  # the pelvis itself is what the others are relative to
        x, y = points[known, 0], points[known, 1]
        axes.errorbar(
            x, y, xerr=half[known, 0], yerr=half[known, 1], fmt=".", ms=3, lw=0.6, color=colour, ecolor=_INK, zorder=4
        )
    axes.annotate(
        str(person),
        (points[0, 0], points[0, 1]),
        xytext=(7, 7),
        textcoords="offset points",
        color=_INK,
        fontsize=9,
        weight="bold",
        path_effects=[withStroke(linewidth=2, foreground="white")],
        zorder=5,
    )


def error_plot(people: Sequence[PersonError], good_mm: float, wrong_mm: float) -> bytes:
    """Error of every fitted person against the truth, smallest first; who matches nobody comes last, as a cross."""
    ordered = sorted(people, key=lambda p: (p.error_mm is None, p.error_mm or 0.0))
    figure = _figure(11, 3.2)
    axes = figure.subplots()
    known = [p.error_mm for p in ordered if p.error_mm is not None]
    top = 1.15 * max([wrong_mm, *known])
    for x, p in enumerate(ordered):
        colour = "#0072b2" if p.accepted else "#999999"
        if p.error_mm is None:
            axes.plot(x, 0.95 * top, "x", color=colour, ms=7)
        else:
            axes.plot([x, x], [0, p.error_mm], "-", color=colour, lw=1)
            axes.plot(x, p.error_mm, "o", color=colour, mfc=colour if p.accepted else "white", ms=5)
    for value, text in ((good_mm, "good"), (wrong_mm, "wrong")):
        axes.axhline(value, color=_INK, lw=0.7, ls="--")
        axes.annotate(text, (1, value), xycoords=("axes fraction", "data"), xytext=(4, -3), textcoords="offset points",
                      fontsize=8, color=_INK)  # fmt: skip
    axes.set_xlim(-0.6, len(ordered) - 0.4)
    axes.set_ylim(0, top)
    axes.set_ylabel("PVE, scaled (mm)")
    if len(ordered) <= 40:
        axes.set_xticks(range(len(ordered)), [p.label for p in ordered], rotation=40, ha="right", fontsize=7)
    else:
        axes.set_xlabel(f"{len(ordered)} fitted people")
    axes.legend(
        handles=[
            Line2D([], [], marker="o", ls="", color="#0072b2", label="accepted"),
            Line2D([], [], marker="o", ls="", color="#999999", mfc="white", label="rejected"),
            Line2D([], [], marker="x", ls="", color=_INK, label="nobody there"),
        ],
        loc="lower left",
        bbox_to_anchor=(0, 1),  # above the axes: whatever is plotted stays in sight
        ncols=3,
        fontsize=8,
        frameon=False,
    )
    return _svg(figure)


def score_plot(methods: Sequence[dict[str, Any]], columns: dict[str, str]) -> bytes:
    """Methods' errors with their 90 % intervals, a panel a metric.

    Parameters
    ----------
    methods : as in `evaluation.json`. columns : keys of the metrics, in millimetres, and their titles.
    """
    figure = _figure(11, 1.2 + 0.35 * len(methods))
    panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    for axes, (key, title) in zip(panels, columns.items(), strict=True):
        for row, method in enumerate(methods):
            if method.get(key) is None:
                continue
            low, high = method.get(f"{key}_interval90") or (method[key], method[key])
            axes.plot([low, high], [row, row], "-", color="#0072b2", lw=2)
            axes.plot(method[key], row, "o", color="#0072b2", ms=5)
        axes.set_title(f"{title} (mm)", fontsize=9)
        axes.set_xlim(left=0)
        axes.grid(axis="x", color="#e5e5e5", lw=0.6)
    panels[0].set_yticks(range(len(methods)), [str(m["name"]) for m in methods], fontsize=8)
    panels[0].set_ylim(len(methods) - 0.5, -0.5)
    return _svg(figure)


def _figure(width: float, height: float) -> Figure:
    """A figure (inches) outside pyplot: no global state, no display."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _svg(figure: Figure) -> bytes:
    stream = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "mcbench", "svg.fonttype": "path"}):
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()
