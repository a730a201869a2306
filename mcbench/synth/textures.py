"""Procedural textures, packed into one atlas with a pyramid of halved levels against aliasing."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.float32]

#: Levels of the pyramid; the coarsest texel is 2**(LEVELS - 1) of the finest.
LEVELS = 5
#: Texels repeated round every texture, so that coarse levels do not take in a neighbour.
_PAD = 2**LEVELS
_SCALES = (0.5 ** np.arange(LEVELS)).astype(np.float32)
#: By this much cloth may be lighter than its garment's colour; textures are stored divided by it.
CLOTH_WHITE = 1.3
_GAP = 0.45  # brightness between planks or tiles


def cloud(rng: np.random.Generator, height: int, width: int, octaves: int = 5, finest: int = 2) -> Image:
    """Noise (height, width) about zero with equal power an octave; the finest blobs `finest` texels wide."""
    out = np.zeros((height, width), dtype=np.float32)
    for octave in range(octaves):
        cell = finest * 2**octave
        small = rng.standard_normal((height // cell + 2, width // cell + 2), dtype=np.float32)
        out += cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return out / np.float32(np.sqrt(octaves))


def _tinted(colour: npt.NDArray, shade: Image) -> Image:
    """A picture (H, W, 3) of one colour (3,), lighter and darker by shade (H, W)."""
    out = np.empty((*shade.shape, 3), dtype=np.float32)
    for channel in range(3):  # whole channels: numpy is slow at rows of three numbers
        np.multiply(shade, np.float32(colour[channel]), out=out[..., channel])
    return out


def wall(rng: np.random.Generator, height: int, width: int) -> Image:
    """Paint with stains, and pictures hung on it."""
    base = rng.uniform(0.45, 0.85, 3).astype(np.float32)
    out = _tinted(base, 1 + 0.07 * cloud(rng, height, width, 6))
    for _ in range(int(rng.integers(8, 15))):
        h, w = int(rng.uniform(0.12, 0.4) * height), int(rng.uniform(0.12, 0.45) * height)
        y, x = int(rng.uniform(0, height - h)), int(rng.uniform(0, max(width - w, 1)))
        out[y : y + h, x : x + w] = picture(rng, h, w)[: height - y, : width - x]
    return np.clip(out, 0.02, 1)


def picture(rng: np.random.Generator, height: int, width: int) -> Image:
    """Something framed: shapes in many colours."""
    out = np.ones((height, width, 3), dtype=np.float32) * rng.uniform(0.2, 0.9, 3).astype(np.float32)
    for _ in range(int(rng.integers(10, 30))):
        centre = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        colour = rng.uniform(0, 1, 3).tolist()
        size = int(rng.uniform(0.03, 0.25) * min(height, width)) + 2
        if rng.random() < 0.5:
            cv2.circle(out, centre, size, colour, -1, cv2.LINE_AA)
        else:
            corners = np.array(centre) + rng.uniform(-size, size, (int(rng.integers(3, 6)), 2))
            cv2.fillPoly(out, [corners.astype(np.int32)], colour, cv2.LINE_AA)
    shade = 1 + 0.1 * cloud(rng, height, width, 3)
    for channel in range(3):
        out[..., channel] *= shade
    cv2.rectangle(out, (0, 0), (width - 1, height - 1), rng.uniform(0, 0.4, 3).tolist(), max(3, height // 40))
    return out


def floor(rng: np.random.Generator, height: int, width: int) -> Image:
    """Planks or tiles, no two alike, with stains."""
    base = rng.uniform(0.3, 0.7, 3).astype(np.float32)
    long, short = (int(rng.uniform(200, 400)), int(rng.uniform(40, 90))) if rng.random() < 0.5 else (120, 120)
    rows, columns = height // short + 1, width // long + 2
    shade = rng.uniform(0.75, 1.2, (rows, columns)).astype(np.float32)
    shift = rng.integers(0, long, rows)
    along = np.arange(width) + shift[:, None]
    tone = np.take_along_axis(shade, along // long, axis=1)
    tone[along % long < 2] = _GAP
    y = np.arange(height)
    tone = tone[y // short]
    tone[y % short < 2] = _GAP
    return np.clip(_tinted(base, tone * (1 + 0.13 * cloud(rng, height, width, 5))), 0.02, 1)


def ceiling(rng: np.random.Generator, height: int, width: int) -> Image:
    out = _tinted(np.ones(3), np.float32(0.85) * (1 + 0.05 * cloud(rng, height, width, 6)))
    step = int(rng.uniform(90, 160))
    out[::step] *= 0.7
    out[:, ::step] *= 0.7
    return np.clip(out, 0.02, 1)


def furniture(rng: np.random.Generator, height: int, width: int) -> Image:
    return np.clip(rng.uniform(0.2, 0.8, 3) * (1 + 0.2 * cloud(rng, height, width, 6)[..., None]), 0.02, 1).astype(
        np.float32
    )


def weave(rng: np.random.Generator, size: int) -> Image:
    """Cloth about one: plain, striped, checked or printed; multiplies a garment's colour."""
    out = 1 + 0.06 * cloud(rng, size, size, 5)
    t = np.arange(size)
    period = int(rng.uniform(12, 60))
    band = np.where((t // period) % 2 == 0, 1.0, rng.uniform(0.5, 0.9)).astype(np.float32)
    kind = rng.integers(4)
    if kind == 1:
        out *= band[:, None]
    elif kind == 2:
        out *= band[:, None] * band[None]
    elif kind == 3:
        out *= np.where(cloud(rng, size, size, 2, 24) > 0.6, rng.uniform(0.4, 0.8), 1.0)
    return np.repeat(np.clip(out, 0.2, CLOTH_WHITE)[..., None] / CLOTH_WHITE, 3, axis=2).astype(np.float32)


@dataclass
class Atlas:
    """Textures side by side, and the same halved again and again, all in one picture.

    Attributes
    ----------
    picture : (H, W, 3) float32; level 0 at its left, the other levels below each other at its right.
    corners : (LEVELS, 2) x, y of every level in it.
    origins : (x, y) of every texture in level 0, in the order given.
    """

    picture: Image
    corners: Numbers
    origins: list[tuple[int, int]]

    @classmethod
    def pack(cls, textures: list[Image]) -> Atlas:
        """Put textures into rows, the tall ones first."""
        width = max(4096, max(t.shape[1] for t in textures) + 2 * _PAD)
        x = y = row = 0
        origins = [(0, 0)] * len(textures)
        for i in sorted(range(len(textures)), key=lambda i: -textures[i].shape[0]):
            h, w = textures[i].shape[0] + 2 * _PAD, textures[i].shape[1] + 2 * _PAD
            if x + w > width:
                x, y, row = 0, y + row, 0
            origins[i] = (x + _PAD, y + _PAD)
            x, row = x + w, max(row, h)
        unit = 2 ** (LEVELS - 1)
        width, height = (-(-side // unit) * unit for side in (width, y + row))
        picture = np.zeros((height, width + width // 2, 3), dtype=np.float32)
        for texture, (left, top) in zip(textures, origins, strict=True):
            bottom, right = top + texture.shape[0], left + texture.shape[1]
            picture[top:bottom, left:right] = texture
            rows = picture[top:bottom]
            rows[:, left - _PAD : left], rows[:, right : right + _PAD] = rows[:, left, None], rows[:, right - 1, None]
            columns = picture[:, left - _PAD : right + _PAD]
            columns[top - _PAD : top], columns[bottom : bottom + _PAD] = columns[top], columns[bottom - 1]
        corners = [(0, 0)]
        level = picture[:, :width]
        for _ in range(1, LEVELS):
            level = cv2.resize(level, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
            top = 0 if len(corners) == 1 else corners[-1][1] + 2 * level.shape[0]
            corners.append((width, top))
            picture[top : top + level.shape[0], width : width + level.shape[1]] = level
        return cls(picture, np.array(corners, dtype=np.float32), origins)

    def sample(self, u: Numbers, v: Numbers, level: Numbers) -> Image:
        """Colours (N, 3) at places u, v (N,) of level 0, between the two levels next to `level` (N,); N < 2**15."""
        level = np.clip(level, np.float32(0), np.float32(LEVELS - 1.001))
        lower = level.astype(np.int64)
        share = np.repeat(level - lower.astype(np.float32), 3).reshape(-1, 3)
        return np.asarray((1 - share) * self._at(lower, u, v) + share * self._at(lower + 1, u, v))

    def _at(self, level: npt.NDArray[np.int64], u: Numbers, v: Numbers) -> Image:
        scale, half = _SCALES[level], np.float32(0.5)
        x, y = (corner[level] + (p * scale - half) for corner, p in zip(self.corners.T.copy(), (u, v), strict=True))
        found = cv2.remap(self.picture, x[None], y[None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(found[0], dtype=np.float32)
