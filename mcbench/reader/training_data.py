"""What the reader learns from: squares of rendered images, where the keypoints of the person in them truly are.

Truth says where a keypoint is and whether it can be seen. The places that the network is told are spoilt on purpose,
as those that it will be told are: off by some centimetres, with limbs that are elsewhere, or without them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mcbench.cameras.camera import Camera, transform
from mcbench.dataset.files import read_npz, write_npz
from mcbench.dataset.media_source import video_source
from mcbench.dataset.truth import SceneTruth
from mcbench.dope.augmentation import recoloured, warped
from mcbench.fitting.keypoint_model import STATURE, KeypointModel
from mcbench.joints import READER19, SMPL24, mapping
from mcbench.reader.network import SIDE
from mcbench.reader.squares import MARGIN, Image, Square, as_input, people_maps

Array = npt.NDArray[np.float64]

#: Squares are kept with so much more round the person than is read, at so many px, to be turned, moved and scaled.
_KEPT_MARGIN, _KEPT = 1.75, 224
#: People count of whom so many limb joints can be seen, and whose keypoints are so far apart, px.
_LEAST_JOINTS, _LEAST_PX = 3, 40.0
#: Nearest cameras, m. Others in a square, the nearest ones, whose places are told.
_NEAREST_M, _OTHERS = 0.3, 4
#: The joint of `smpl24` whose being seen tells that a keypoint is that has no joint of its name.
_SEEN_BY = {"nose": "head", "ear": "head", "heel": "ankle", "foot_index": "foot"}
#: A point of the face is turned away where it lies this far behind the middle of the head, as a cosine.
_TURNED_AWAY = -0.1
_FACE = 3

#: As shares of stature: deviation of the places told of each keypoint and of all together, of a limb that is elsewhere
#: and of its joints; how often a limb is, keypoints are unknown, and which share of them.
_OFF, _MOVED, _ELSEWHERE, _APART = 0.02, 0.03, 0.15, 0.05
_LIMB_ELSEWHERE, _UNKNOWN, _UNKNOWN_SHARE, _OTHERS_TOLD = 0.12, 0.3, 0.25, 0.85
_LIMB_ENDS = [
    [READER19.index(f"{side}_{name}") for name in names]
    for names in (("elbow", "wrist"), ("knee", "ankle"))
    for side in ("left", "right")
]


@dataclass(frozen=True)
class People:
    """N people in squares, `reader19`, px of the squares.

    Attributes
    ----------
    squares : (N, _KEPT, _KEPT, 3) uint8. points : (N, 19, 2). visible : (N, 19) bool. others : (N, _OTHERS, 19, 2),
        NaN where there are fewer. stature : (N,) height of a standing adult there, px.
    """

    squares: Image
    points: Array
    visible: npt.NDArray[np.bool_]
    others: Array
    stature: Array

    def __len__(self) -> int:
        return len(self.squares)

    @staticmethod
    def joined(parts: Sequence[People]) -> People:
        names = [field.name for field in fields(People)]
        return People(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def save(self, path: Path) -> None:
        write_npz(path, {field.name: getattr(self, field.name) for field in fields(self)})

    @staticmethod
    def load(path: Path) -> People:
        """Load what `save` wrote; raises `InputError` for what is no such file."""
        arrays = read_npz(path)
        return People(*(arrays[field.name] for field in fields(People)))


def people_of(truth: SceneTruth, clip: Path, model: KeypointModel, every: int = 1) -> People:
    """Everybody who can be seen in every so many frames of a rendered clip.

    model : of BlazePose on the body that the truth's vertices are of: where BlazePose would have the keypoints.

    Raises
    ------
    InputError : the clip does not decode.
    """
    shared = np.array(mapping(model.keypoint_set, READER19.name))
    order = shared[np.argsort(shared[:, 1]), 0]
    points = np.stack([model.of(vertices)[order] for vertices in truth.vertices])
    source = video_source(clip, every)
    found = [
        one
        for frame, image in source.images()
        for one in _in_frame(truth, source.decode_index[frame.index], image, points)
    ]
    return People(*(np.stack(values) for values in zip(*found, strict=True))) if found else _NOBODY


_NOBODY = People(
    np.zeros((0, _KEPT, _KEPT, 3), np.uint8),
    np.zeros((0, len(READER19), 2)),
    np.zeros((0, len(READER19)), bool),
    np.zeros((0, _OTHERS, len(READER19), 2)),
    np.zeros(0),
)


def _in_frame(
    truth: SceneTruth, frame: int, image: Image, points: Array
) -> Iterator[tuple[Image, Array, npt.NDArray[np.bool_], Array, float]]:
    """Square, points, visibility, others and stature of everybody seen in a frame; `points` (P, 19, 3) of the world."""
    K, pose = truth.K[frame], truth.cam_from_world[frame]
    camera = Camera("PINHOLE", *truth.image_size, (K[0, 0], K[1, 1], K[0, 2], K[1, 2]))
    moved = truth.moved[frame]
    in_camera = transform(pose, points + moved[:, None])
    heads = transform(pose, truth.joints[:, SMPL24.index("head")] + moved)
    before = np.flatnonzero((in_camera[..., 2] > _NEAREST_M).all(axis=1))
    pixels = {person: camera.project(in_camera[person]) for person in before}
    for person, at in pixels.items():
        visible = truth.joints_visible[frame, person][_seen_by()]
        visible &= ((at >= 0) & (at <= truth.image_size)).all(axis=1)
        visible[:_FACE] &= _cosine(in_camera[person, :_FACE], heads[person]) > _TURNED_AWAY
        extent = float(np.ptp(at, axis=0).max())
        if visible[_FACE : _FACE + 12].sum() < _LEAST_JOINTS or extent < _LEAST_PX:
            continue
        scale = _KEPT / (_KEPT_MARGIN * extent)
        square = Square(scale * np.eye(2), _KEPT / 2 - scale * (at.min(0) + at.max(0)) / 2)
        others = [square.of_image(pixels[other]) for other in pixels if other != person]
        others = sorted(others, key=lambda one: float(np.linalg.norm(one.mean(0) - _KEPT / 2)))[:_OTHERS]
        told = np.full((_OTHERS, len(READER19), 2), np.nan)
        told[: len(others)] = np.array(others).reshape(-1, len(READER19), 2)
        stature = scale * K[0, 0] * STATURE / float(np.median(in_camera[person, :, 2]))
        yield warped(image, square.linear, square.shift, _KEPT), square.of_image(at), visible, told, stature


def _seen_by() -> list[int]:
    """Of each keypoint, the joint of `smpl24` that is seen where it is."""
    joints = []
    for name in READER19.joints:
        part = name.removeprefix("left_").removeprefix("right_")
        other = _SEEN_BY.get(part, part)
        joints.append(SMPL24.index(other if other in SMPL24.joints else name.replace(part, other)))
    return joints


def _cosine(points: Array, middle: Array) -> Array:
    """How far points (K, 3) of a camera's frame look towards it, as seen from a middle (3,)."""
    outwards = points - middle
    norm = np.linalg.norm(outwards, axis=1) * np.linalg.norm(points, axis=1)
    return np.asarray(-(outwards * points).sum(axis=1) / np.maximum(norm, 1e-9))


@dataclass(frozen=True)
class Lesson:
    """What the network gets of one person, and what it should say: px of the square that is read.

    Attributes
    ----------
    picture : (3, SIDE, SIDE). maps : (2, SIDE, SIDE). points : (19, 2). visible : (19,). stature : px.
    """

    picture: npt.NDArray[np.float32]
    maps: npt.NDArray[np.float32]
    points: Array
    visible: npt.NDArray[np.bool_]
    stature: float


def lesson(people: People, index: int, rng: np.random.Generator) -> Lesson:
    """A person of the lot, mirrored, turned, scaled, in another light, partly hidden, at a place about right."""
    picture, points, visible = people.squares[index], people.points[index], people.visible[index].copy()
    others, stature = people.others[index], float(people.stature[index])
    if rng.random() < 0.5:
        order = list(READER19.flip)
        picture = np.ascontiguousarray(picture[:, ::-1])
        points, others = ((at * [-1, 1] + [_KEPT, 0])[..., order, :] for at in (points, others))
        visible = visible[order]
    told = spoilt(points, stature, rng)
    square = _drawn_square(told, rng)
    picture = _spoilt_picture(square.picture(picture), rng)
    points, told, others = (square.of_image(at) for at in (points, told, others))
    stature *= square.scale
    others_told = [spoilt(at, stature, rng) for at in others if np.isfinite(at).any() and rng.random() < _OTHERS_TOLD]
    if rng.random() < 0.3:
        visible &= _hide(picture, points, people, rng)
    visible &= ((points >= 0) & (points < SIDE)).all(axis=1)
    return Lesson(as_input(picture), people_maps(told, others_told), points, visible, stature)


def plain_lesson(people: People, index: int) -> Lesson:
    """A person of the lot as they are, at a place a little off, drawn by the index."""
    points, stature = people.points[index], float(people.stature[index])
    told = points + np.random.default_rng(index).normal(0, _OFF * stature, points.shape)
    square = Square.round_place(told)
    assert square is not None
    at = square.of_image(points)
    visible = people.visible[index] & ((at >= 0) & (at < SIDE)).all(axis=1)
    maps = people_maps(square.of_image(told), list(square.of_image(people.others[index])))
    return Lesson(as_input(square.picture(people.squares[index])), maps, at, visible, stature * square.scale)


def spoilt(points: Array, stature: float, rng: np.random.Generator) -> Array:
    """Places (19, 2) as a scene's first look has them, some NaN."""
    told = points + rng.normal(0, _OFF * stature, points.shape) + rng.normal(0, _MOVED * stature, (1, 2))
    for ends in _LIMB_ENDS:
        if rng.random() < _LIMB_ELSEWHERE:
            told[ends] += rng.normal(0, _ELSEWHERE * stature, (1, 2)) + rng.normal(0, _APART * stature, (2, 2))
    if rng.random() < _UNKNOWN:
        unknown = rng.random(len(told)) < _UNKNOWN_SHARE
        told[unknown & ~unknown.all()] = np.nan
    return told


def _drawn_square(told: Array, rng: np.random.Generator) -> Square:
    """About the square round a place, turned a little."""
    low, high = np.nanmin(told, axis=0), np.nanmax(told, axis=0)
    extent = float((high - low).max())
    middle = (low + high) / 2 + rng.normal(0, 0.05 * extent, 2)
    turn = rng.normal(0, 0.2) if rng.random() < 0.6 else 0.0
    scale = SIDE / (MARGIN * extent) * float(np.exp(rng.normal(0, 0.15)))
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return Square(linear, SIDE / 2 - linear @ middle)


def _spoilt_picture(picture: Image, rng: np.random.Generator) -> Image:
    """A picture in another light, by a worse camera: darker or brighter, blurred, coarse, noisy, compressed."""
    if rng.random() < 0.8:
        picture = recoloured(picture, 0.4, rng)
    values = 255 * np.clip(picture / 255.0, 1e-3, 1) ** np.exp(rng.normal(0, 0.35))
    values = values.astype(np.float32)
    if rng.random() < 0.35:
        values = np.asarray(cv2.GaussianBlur(values, (0, 0), rng.uniform(0.4, 2.0)), np.float32)
    if rng.random() < 0.3:
        side = int(SIDE * rng.uniform(0.35, 0.9))
        coarse = cv2.resize(values, (side, side), interpolation=cv2.INTER_AREA)
        values = np.asarray(cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR), np.float32)
    if rng.random() < 0.5:
        values = values + rng.normal(0, rng.uniform(1, 14), values.shape).astype(np.float32)
    picture = np.clip(values, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 90))])
        picture = np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(picture)


def _hide(picture: Image, points: Array, people: People, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Cover a patch or two of a picture, in place, by a colour or a piece of another one; which points are free."""
    free = np.ones(len(points), dtype=bool)
    for _ in range(int(rng.integers(1, 3))):
        extent, corner = rng.uniform(0.1, 0.45, 2) * SIDE, rng.uniform(-0.1, 1, 2) * SIDE
        x0, y0, x1, y1 = np.clip(np.concatenate([corner, corner + extent]), 0, SIDE).astype(int)
        if rng.random() < 0.5:
            picture[y0:y1, x0:x1] = rng.integers(0, 256, 3)
        else:
            other = people.squares[int(rng.integers(len(people)))]
            picture[y0:y1, x0:x1] = other[: y1 - y0, : x1 - x0]
        free &= ~((points >= [x0, y0]) & (points < [x1, y1])).all(axis=1)
    return free
