"""HTML from the templates of this package: one file that needs nothing from elsewhere."""

from __future__ import annotations

import base64
import math
from typing import Any

import cv2
import jinja2
import numpy as np
import numpy.typing as npt


def render(template: str, **values: Any) -> str:
    """Text of a template (`mcbench/viz/templates/<template>`); values are escaped, unknown names are errors."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mcbench.viz", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, between=between)
    return environment.get_template(template).render(**values)


def number(value: Any, digits: int = 1, factor: float = 1.0) -> str:
    """A number, or a dictionary of numbers, for people; a dash for what is unknown."""
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {number(part, digits, factor)}" for name, part in value.items())
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    return str(value) if isinstance(value, (int, str)) and factor == 1.0 else f"{value * factor:.{digits}f}"


def between(interval: Any, digits: int = 1) -> str:
    """An interval (low, high) in brackets; nothing where unknown."""
    return "" if interval is None else f"({number(interval[0], digits)}–{number(interval[1], digits)})"


def jpeg_uri(image: npt.NDArray[np.uint8], quality: int = 85) -> str:
    """An RGB image (height, width, 3) as a data URI of a JPEG."""
    ok, data = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not ok:
        raise ValueError(f"cannot encode an image of shape {image.shape}")
    return data_uri(data.tobytes(), "image/jpeg")


def svg_uri(svg: bytes) -> str:
    """An SVG as a data URI: as an image of its own, so that the ids of several do not clash."""
    return data_uri(svg, "image/svg+xml")


def data_uri(data: bytes, mime: str) -> str:
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"
