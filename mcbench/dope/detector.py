"""The whole-body detector: an image in, its people out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from mcbench.dope.augmentation import GREY
from mcbench.dope.engines import Engine
from mcbench.dope.integration import SETTINGS, Candidate, Hypotheses, integrate
from mcbench.dope.joining import Hand, join
from mcbench.dope.network import MULTIPLE
from mcbench.dope.people import PartPose, WholeBody

Image = npt.NDArray[np.uint8]

#: Longest picture that a network is given, px a side: whatever it is asked for, memory is bounded.
_LONGEST = 2048


def public_hand_order() -> list[int]:
    """Index in the public network's hand (wrist, the five bases, then three of each finger) of each of `hand21`."""
    fingers = [[1 + finger, *(6 + 3 * finger + i for i in range(3))] for finger in range(5)]
    return [0, *(joint for finger in fingers for joint in finger)]


class DopeDetector:
    """Finds the people in an image.

    Parameters
    ----------
    min_score : parts that are there with a lower probability are not told. A hand's score is that it is there and of
        the side that it is said to be of, which may be less.
    """

    def __init__(self, engine: Engine, min_score: float = 0.2) -> None:
        self.engine = engine
        config = engine.config
        self._upper = np.arange(config.classes["body"]) >= config.upper_from
        self._left = np.arange(config.classes["hand"]) >= config.left_from
        self._settings = {kind: replace(settings, least=min_score) for kind, settings in SETTINGS.items()}

    def detect(self, image: Image) -> list[WholeBody]:
        """The people in an image (height, width, 3) uint8 RGB of any size, by falling score; px of that image."""
        picture, size, scale = prepared(image, self.engine.config.min_size, self.engine.config.max_size)
        found = {kind: self._parts(kind, said, scale) for kind, said in self.engine.run(picture, size).items()}
        return join(
            [body.pose for body in found["body"]],
            [Hand(hand.pose, hand.right) for hand in found["hand"]],
            [face.pose for face in found["face"]],
        )

    def _parts(self, kind: str, said: Hypotheses, scale: npt.NDArray[np.float64]) -> list[Candidate]:
        config = self.engine.config
        if kind == "hand" and config.bases_first:
            order = public_hand_order()
            said = replace(said, pose2d=said.pose2d[:, :, order], pose3d=said.pose3d[:, :, order])
        attributes: Mapping[str, npt.NDArray[np.bool_]] = (
            {"upper": self._upper} if kind == "body" else {"left": self._left} if kind == "hand" else {}
        )
        # in px of the picture: all that is said there is far more than what comes of it
        found = integrate(kind, said, config.units[kind], settings=self._settings[kind], **attributes)
        return [replace(part, pose=_scaled(part.pose, scale)) for part in found]


def _scaled(pose: PartPose, scale: npt.NDArray[np.float64]) -> PartPose:
    """A pose in px of the image, of one in px of a picture that has `scale` (2,) px of its own to one of these."""
    return replace(pose, pose2d=pose.pose2d / scale, box=pose.box / np.tile(scale, 2))


def prepared(image: Image, min_size: int, max_size: int) -> tuple[Image, tuple[int, int], npt.NDArray[np.float64]]:
    """An image as networks want it: scaled, padded with grey to sides that are multiples of 32.

    Parameters
    ----------
    min_size, max_size : px of the shorter side, and of the longer one at most.

    Returns
    -------
    the picture (H, W, 3), its height and width without the padding, and (2,) px of it a px of the image, x and y.
    """
    height, width = image.shape[:2]
    scale = min(min_size / min(height, width), min(max_size, _LONGEST) / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(image, (size[1], size[0]), interpolation=how)
    picture = np.full((-(-size[0] // MULTIPLE) * MULTIPLE, -(-size[1] // MULTIPLE) * MULTIPLE, 3), GREY, np.uint8)
    picture[: size[0], : size[1]] = small
    return picture, size, np.array([size[1] / width, size[0] / height])
