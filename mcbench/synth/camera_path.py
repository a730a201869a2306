"""Paths of a camera that someone carries: along an arc, a dolly's line or through the scene; smooth, with jitter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

#: Largest change of direction between frames, degrees, so that short clips are not a blur.
_DEGREES_A_FRAME = 1.2


@dataclass(frozen=True)
class PathSettings:
    """Ranges that a path is drawn from.

    Attributes
    ----------
    distance_m : between camera and the middle of the people. sweep_deg : angle of an arc, for long clips.
    kinds : which kinds of paths. jitter_m, jitter_deg : deviation of a hand's tremor.
    """

    distance_m: tuple[float, float]
    sweep_deg: tuple[float, float]
    kinds: tuple[str, ...]
    jitter_m: float = 0.004
    jitter_deg: float = 0.15


def look_at(centre: Array, target: Array, roll: npt.ArrayLike = 0.0) -> Array:
    """`cam_from_world` (..., 3, 4) of cameras at `centre` (..., 3) that look at `target`; Z up, `roll` in radians."""
    forward = (target - centre) / np.linalg.norm(target - centre, axis=-1, keepdims=True)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right, axis=-1, keepdims=True)
    down = np.cross(forward, right)
    c, s = np.cos(roll)[..., None], np.sin(roll)[..., None]
    rotation = np.stack([c * right + s * down, -s * right + c * down, forward], axis=-2)
    return np.concatenate([rotation, -rotation @ centre[..., None]], axis=-1)


def sample_path(rng: np.random.Generator, frames: int, fps: float, settings: PathSettings, aim_height: float) -> Array:
    """`cam_from_world` (frames, 3, 4): metres, Z up; the people are about the origin."""
    kind = settings.kinds[int(rng.integers(len(settings.kinds)))]
    t = np.linspace(-0.5, 0.5, frames)
    distance = rng.uniform(*settings.distance_m)
    middle = np.deg2rad(-90 + rng.uniform(-15, 15))
    sweep = np.deg2rad(min(rng.uniform(*settings.sweep_deg), _DEGREES_A_FRAME * frames)) * rng.choice([-1, 1])
    # nobody carries a camera along a straight line: its height comes and goes by a hand's breadth
    height = rng.uniform(1.25, 1.65) + rng.uniform(-0.25, 0.25) * t + 0.12 * np.cos(2 * np.pi * t + rng.uniform(-1, 1))
    towards = rng.uniform(-0.12, 0.12)
    angle = middle + sweep * t
    radius = distance * (1 + towards * t)
    target = np.zeros((frames, 3))
    target[:, 2] = aim_height
    if kind == "dolly":
        side = np.array([-np.sin(middle), np.cos(middle)])
        out = np.array([np.cos(middle), np.sin(middle)])
        along = 2 * distance * np.tan(sweep / 2) * t
        bow = rng.uniform(0.05, 0.1) * rng.choice([-1, 1]) * (1 - 4 * t**2)
        plane = out * (distance * (1 + 2 * towards * t + bow))[:, None] + side * along[:, None]
        target[:, :2] = side * (0.25 * along)[:, None]
    elif kind == "walk":
        # past the people: from far on one side to near on the other
        plane = np.stack([np.cos(angle), np.sin(angle)], axis=1) * (distance * (1 - 0.5 * np.sign(sweep) * t))[:, None]
        target[:, :2] = 0.3 * np.stack([np.sin(angle), -np.cos(angle)], axis=1) * t[:, None]
    else:
        plane = np.stack([np.cos(angle), np.sin(angle)], axis=1) * radius[:, None]
    centres = np.concatenate([plane, height[:, None]], axis=1)
    centres += settings.jitter_m * _tremor(rng, frames, fps, 3)
    wobble = np.deg2rad(settings.jitter_deg) * _tremor(rng, frames, fps, 3)
    target += distance * wobble * [1, 1, 0.7]
    return look_at(centres, target, wobble[:, 2])


def _tremor(rng: np.random.Generator, frames: int, fps: float, channels: int) -> Array:
    """Smooth noise (frames, channels) of unit deviation: steps, breath and hands at 0.4 to 4 Hz."""
    seconds = np.arange(frames)[:, None] / fps
    out = np.zeros((frames, channels))
    for _ in range(6):
        rate, phase = rng.uniform(0.4, 4, channels), rng.uniform(0, 2 * np.pi, channels)
        out += np.sin(2 * np.pi * rate * seconds + phase) / rate
    return out / np.sqrt(6 * 0.5 * 0.6)
