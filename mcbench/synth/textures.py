"""Procedural textures, packed into one atlas with a pyramid of halved levels against aliasing."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.float32]

#: Levels of the pyramid; the coarsest texel is 2**(LEVELS - 1) of the finest.
LEVELS = 5
#: Texels repeated round every texture, so that coarse levels do not take in a neighbour.
_PAD = 2**LEVELS
#: By this much cloth may be lighter than its garment's colour; textures are stored divided by it.
CLOTH_WHITE = 1.3


def cloud(rng: np.random.Generator, height: int, width: int, octaves: int = 5, finest: int = 2) -> Image:
    """Noise (height, width) about zero with equal power an octave; the finest blobs `finest` texels wide."""
    out = np.zeros((height, width), dtype=np.float32)
    for octave in range(octaves):
        cell = finest * 2**octave
        small = rng.standard_normal((height // cell + 2, width // cell + 2), dtype=np.float32)
        out += cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return out / np.float32(np.sqrt(octaves))


def wall(rng: np.random.Generator, height: int, width: int) -> Image:
    """Paint with stains, and pictures hung on it."""
    base = rng.uniform(0.45, 0.85, 3).astype(np.float32)
    out = base * (1 + 0.07 * cloud(rng, height, width, 6)[..., None])
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
    out *= 1 + 0.1 * cloud(rng, height, width, 3)[..., None]
    cv2.rectangle(out, (0, 0), (width - 1, height - 1), rng.uniform(0, 0.4, 3).tolist(), max(3, height // 40))
    return out


def floor(rng: np.random.Generator, height: int, width: int) -> Image:
    """Planks or tiles, no two alike, with stains."""
    base = rng.uniform(0.3, 0.7, 3).astype(np.float32)
    long, short = (int(rng.uniform(200, 400)), int(rng.uniform(40, 90))) if rng.random() < 0.5 else (120, 120)
    rows, columns = height // short + 1, width // long + 2
    shade = rng.uniform(0.75, 1.2, (rows, columns)).astype(np.float32)
    y, x = np.arange(height), np.arange(width)
    shift = rng.integers(0, long, rows)
    row = y // short
    column = (x[None] + shift[row][:, None]) // long
    tone = shade[row[:, None], column]
    gap = ((y % short) < 2)[:, None] | (((x[None] + shift[row][:, None]) % long) < 2)
    tone = np.where(gap, np.float32(0.45), tone)
    return np.clip(base * (tone * (1 + 0.13 * cloud(rng, height, width, 5)))[..., None], 0.02, 1)


def ceiling(rng: np.random.Generator, height: int, width: int) -> Image:
    out = np.float32(0.85) * (1 + 0.05 * cloud(rng, height, width, 6)[..., None]) * np.ones(3, dtype=np.float32)
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
    """Textures side by side in one picture.

    Attributes
    ----------
    levels : `LEVELS` pictures (H, W, 3) float32, each half of the one before.
    origins : (x, y) of every texture in level 0, in the order given. sizes : (width, height) likewise.
    """

    levels: list[Image]
    origins: list[tuple[int, int]]
    sizes: list[tuple[int, int]]

    @classmethod
    def pack(cls, textures: list[Image]) -> Atlas:
        """Put textures into rows of one picture, the tall ones first."""
        width = max(4096, max(t.shape[1] for t in textures) + 2 * _PAD)
        order = sorted(range(len(textures)), key=lambda i: -textures[i].shape[0])
        x = y = row = 0
        origins = [(0, 0)] * len(textures)
        for i in order:
            h, w = textures[i].shape[0] + 2 * _PAD, textures[i].shape[1] + 2 * _PAD
            if x + w > width:
                x, y, row = 0, y + row, 0
            origins[i] = (x + _PAD, y + _PAD)
            x, row = x + w, max(row, h)
        unit = 2 ** (LEVELS - 1)
        height = -(-(y + row) // unit) * unit
        picture = np.zeros((height, width, 3), dtype=np.float32)
        for texture, (left, top) in zip(textures, origins, strict=True):
            padded = cv2.copyMakeBorder(texture, *(_PAD,) * 4, cv2.BORDER_REPLICATE)
            picture[top - _PAD : top - _PAD + padded.shape[0], left - _PAD : left - _PAD + padded.shape[1]] = padded
        levels = [picture]
        for _ in range(LEVELS - 1):
            levels.append(cv2.resize(levels[-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
        return cls(levels, origins, [(t.shape[1], t.shape[0]) for t in textures])

    def sample(self, uv: npt.NDArray[np.float32], level: npt.NDArray[np.float32]) -> Image:
        """Colours (N, 3) at places (N, 2) of level 0, between the two levels next to `level` (N,)."""
        level = np.clip(level, 0, LEVELS - 1.001)
        lower = level.astype(np.int64)
        out = np.empty((len(uv), 3), dtype=np.float32)
        for i in np.unique(lower):
            chosen = np.flatnonzero(lower == i)
            share = (level[chosen] - i)[:, None]
            out[chosen] = (1 - share) * self._at(i, uv[chosen]) + share * self._at(i + 1, uv[chosen])
        return out

    def _at(self, level: int, uv: npt.NDArray[np.float32]) -> Image:
        scale = np.float32(0.5**level)
        places = uv * scale - np.float32(0.5)
        rows = -(-len(places) // 4096)  # remap takes pictures of at most 32767 a side
        padded = np.zeros((rows * 4096, 2), dtype=np.float32)
        padded[: len(places)] = places
        maps = padded.reshape(rows, 4096, 2)
        picture = self.levels[level]
        found = cv2.remap(picture, maps[..., 0], maps[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(found.reshape(-1, 3)[: len(places)], dtype=np.float32)
