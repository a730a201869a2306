"""A page that shows people in 3D, to be turned by hand; it needs nothing from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from mcbench.viz.html import render
from mcbench.viz.palette import PEOPLE, hex_colour


def page(title: str, images: Sequence[tuple[str, npt.NDArray[np.float64]]], bones: Sequence[tuple[int, int]]) -> str:
    """HTML of the page.

    Parameters
    ----------
    images : name of each, and its people (P, J, 3), metres, camera axes; NaN where unknown.
    bones : pairs of joints to draw.
    """
    rows = [{"file": name, "people": [_points(person) for person in people]} for name, people in images]
    data = {"images": rows, "bones": [list(bone) for bone in bones], "colours": [hex_colour(c) for c in PEOPLE]}
    # within a script element nothing but its end needs an escape
    text = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return render("people3d.html", title=title, data=Markup(text))


def _points(person: npt.NDArray[np.float64]) -> list[Any]:
    """Joints rounded to millimetres, null where unknown."""
    return [[round(float(v), 3) for v in joint] if np.isfinite(joint).all() else None for joint in person]
