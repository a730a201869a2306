"""Augmentation: images and their people turned, scaled, mirrored, recoloured and partly hidden, together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from mcbench.dope.people import JOINTS, KINDS, PartPose, WholeBody, kind_of

Array = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]

#: Grey that the network sees as 0.
GREY = 127
#: A part is asked for when so much of its box is in the picture, and its longer side has so many px.
MIN_VISIBLE, MIN_SIDE = 0.5, 10.0
#: Confidence of joints that a patch hides is multiplied by this.
_HIDDEN = 0.5
#: Views round a part: how often of each kind, and the longer side of its box in shares of the view's.
_NEAR_SHARE = {"body": 1.0, "hand": 2.0, "face": 1.0}
_NEAR_SIDE = {"body": (0.3, 1.0), "hand": (0.06, 0.2), "face": (0.06, 0.2)}
#: Such views enlarge the image's px by no more.
_MOST_ENLARGED = 1.2


@dataclass(frozen=True)
class AugmentationSettings:
    """How much is drawn.

    Attributes
    ----------
    flip : probability of a mirror image. turn : largest rotation, radians.
    zoom : smallest and largest scale, beside the one that makes the picture fit.
    shift : largest shift, as a share of the picture's side, of what does not fill it.
    near : probability that the view is made round a part instead, most often a hand: hands are small and many, but few
        views would show one of a size at which its fingers are seen.
    colour : strength of changes of brightness, contrast, saturation and hue.
    cut : probability that patches hide parts of the picture.
    blur : probability of a blur, of noise.
    """

    flip: float = 0.5
    turn: float = 0.35
    zoom: tuple[float, float] = (0.7, 2.0)
    shift: float = 0.5
    near: float = 0.6
    colour: float = 0.3
    cut: float = 0.3
    blur: float = 0.15


#: No change but fitting the picture into the canvas.
PLAIN = AugmentationSettings(0.0, 0.0, (1.0, 1.0), 0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Augmented:
    """A square picture (S, S, 3), its people, and by kind the boxes of parts that are cut off or too small."""

    image: Image
    people: list[WholeBody]
    ignored: dict[str, list[Array]]


def augment(
    image: Image, people: Sequence[WholeBody], side: int, rng: np.random.Generator, settings: AugmentationSettings
) -> Augmented:
    """A view of an image on a square of `side` px."""
    height, width = image.shape[:2]
    mirror = rng.random() < settings.flip
    if mirror:
        image, people = np.ascontiguousarray(image[:, ::-1]), [mirrored(person, width) for person in people]
    turn = rng.uniform(-settings.turn, settings.turn)
    size = np.array([width, height])
    near = _part_to_see(people, rng) if rng.random() < settings.near else None
    if near is None:
        scale = side / max(height, width) * np.exp(rng.uniform(*np.log(settings.zoom)))
        free = np.abs(scale * size - side) / 2  # so far it can move and still be in, or fill, the picture
        focus, middle = size / 2, side / 2 + rng.uniform(-1, 1, 2) * free * 2 * settings.shift
    else:
        box, share = near
        scale = min(_MOST_ENLARGED, share * side / max(1.0, float((box[2:] - box[:2]).max())))
        free = side * max(0.0, 1 - share) / 2  # so far the part can move and still be in the picture
        focus, middle = (box[:2] + box[2:]) / 2, side / 2 + rng.uniform(-1, 1, 2) * free
    cosine, sine = np.cos(turn), np.sin(turn)
    linear = scale * np.array([[cosine, -sine], [sine, cosine]])
    shift = middle - linear @ focus
    picture = warped(image, linear, shift, side)
    moved: list[WholeBody] = []
    ignored: dict[str, list[Array]] = {kind: [] for kind in KINDS}
    for person in people:
        parts = {}
        for name, part in person.parts.items():
            seen = _placed(part, linear, shift, side)
            if seen is None:
                continue
            if isinstance(seen, PartPose):
                parts[name] = seen
            else:
                ignored[kind_of(name)].append(seen)
        if parts:
            moved.append(WholeBody.of(parts))
    if settings.colour:
        picture = recoloured(picture, settings.colour, rng)
    if rng.random() < settings.cut:
        picture, moved = _cut(picture, moved, rng)
    if rng.random() < settings.blur:
        picture = _blurred(picture, rng)
    return Augmented(picture, moved, ignored)


def _part_to_see(people: Sequence[WholeBody], rng: np.random.Generator) -> tuple[Array, float] | None:
    """The box (4,) px of a part drawn, and which share of the view's side it shall have; None without any part."""
    parts = [(kind_of(name), part.box) for person in people for name, part in person.parts.items()]
    kinds = [kind for kind in KINDS if any(kind == k for k, _ in parts)]
    if not kinds:
        return None
    chances = np.array([_NEAR_SHARE[kind] for kind in kinds])
    kind = kinds[int(rng.choice(len(kinds), p=chances / chances.sum()))]
    boxes = [box for k, box in parts if k == kind]
    return boxes[int(rng.integers(len(boxes)))], float(np.exp(rng.uniform(*np.log(_NEAR_SIDE[kind]))))


def warped(image: Image, linear: Array, shift: Array, side: int) -> Image:
    """The image under x -> linear x + shift, px with centres at +0.5, grey where there is none."""
    scale = float(np.sqrt(np.linalg.det(linear)))
    if scale < 1:  # means of areas first: samples would miss what lies between
        small = np.maximum(1, np.round(np.array(image.shape[1::-1]) * scale)).astype(int)
        linear = linear * (np.array(image.shape[1::-1]) / small)[None]
        image = cv2.resize(image, (int(small[0]), int(small[1])), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    at = np.concatenate([linear, (shift + linear @ [0.5, 0.5] - 0.5)[:, None]], axis=1)
    warped = cv2.warpAffine(image, at, (side, side), flags=cv2.INTER_LINEAR, borderValue=(GREY,) * 3)
    return np.asarray(warped, dtype=np.uint8)


def mirrored(person: WholeBody, width: float) -> WholeBody:
    """The person as a mirror shows it, in an image of this width: left and right change places, hands too."""
    other = {"left_hand": "right_hand", "right_hand": "left_hand"}
    return WholeBody.of(
        {other.get(name, name): _mirrored(part, kind_of(name), width) for name, part in person.parts.items()}
    )


def _mirrored(part: PartPose, kind: str, width: float) -> PartPose:
    order = list(JOINTS[kind].flip)
    pose2d = np.stack([width - part.pose2d[order, 0], part.pose2d[order, 1]], axis=1)
    pose3d = part.pose3d[order] * [-1, 1, 1]
    box = np.array([width - part.box[2], part.box[1], width - part.box[0], part.box[3]])
    return PartPose(part.score, pose2d, pose3d, part.confidence[order], box)


def _placed(part: PartPose, linear: Array, shift: Array, side: int) -> PartPose | Array | None:
    """A part in the picture; its box alone where it is cut off or too small to ask for; None where it is outside.

    The box is that of the turned ellipse within it: a turned box would be too wide.
    """
    scale = float(np.sqrt(np.linalg.det(linear)))
    half = (part.box[2:] - part.box[:2]) / 2
    middle = linear @ ((part.box[:2] + part.box[2:]) / 2) + shift
    extent = np.sqrt(((linear * half) ** 2).sum(axis=1))
    box = np.concatenate([middle - extent, middle + extent])
    cut = np.clip(box, 0, side)
    visible = (cut[2:] - cut[:2]).prod() / max(1e-9, (box[2:] - box[:2]).prod())
    if not visible > 0:
        return None
    if visible < MIN_VISIBLE or (box[2:] - box[:2]).max() < MIN_SIDE:
        return cut
    pose2d = part.pose2d @ linear.T + shift
    pose3d = part.pose3d.copy()
    pose3d[:, :2] = pose3d[:, :2] @ (linear / scale).T
    inside = ((pose2d >= 0) & (pose2d <= side)).all(axis=1)
    return PartPose(part.score, pose2d, pose3d, part.confidence * inside, cut)


def recoloured(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """The image in another light: brightness, contrast, saturation and the balance of colours changed."""
    pixels = image.astype(np.float32)
    gain = np.exp(rng.uniform(-strength, strength) + rng.uniform(-strength, strength, 3) / 3)
    grey = pixels.mean(axis=2, keepdims=True)
    pixels = grey + (pixels - grey) * np.exp(rng.uniform(-2, 1) * strength)
    mean = float(pixels.mean())
    pixels = mean + (pixels - mean) * np.exp(rng.uniform(-strength, strength))
    return np.clip(pixels * gain.astype(np.float32), 0, 255).astype(np.uint8)


def _cut(image: Image, people: Sequence[WholeBody], rng: np.random.Generator) -> tuple[Image, list[WholeBody]]:
    """Patches of one colour over the picture; joints below them are less sure."""
    side = len(image)
    image = image.copy()
    hidden = np.zeros(image.shape[:2], dtype=bool)
    for _ in range(int(rng.integers(1, 4))):
        extent = rng.uniform(0.05, 0.25, 2) * side
        low = rng.uniform(0, side, 2) - extent / 2
        x0, y0, x1, y1 = np.clip(np.concatenate([low, low + extent]), 0, side).astype(int)
        image[y0:y1, x0:x1] = rng.integers(0, 256, 3)
        hidden[y0:y1, x0:x1] = True

    def less_sure(part: PartPose) -> PartPose:
        x, y = np.clip(np.nan_to_num(part.pose2d), 0, side - 1).astype(int).T
        return replace(part, confidence=part.confidence * np.where(hidden[y, x], _HIDDEN, 1.0))

    return image, [WholeBody.of({name: less_sure(part) for name, part in person.parts.items()}) for person in people]


def _blurred(image: Image, rng: np.random.Generator) -> Image:
    if rng.random() < 0.5:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 1.5)), dtype=np.uint8)
    noise = rng.normal(0, rng.uniform(3, 12), image.shape).astype(np.float32)
    return np.clip(image + noise, 0, 255).astype(np.uint8)
