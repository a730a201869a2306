"""Images without the people who are known already, so that a detector sees those whom it would pass over for them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from mcbench.experts.base import PersonDetection

#: Probability from which a pixel is a person's, and by how much silhouettes are widened, as a share of the box's longer
#: side: masks are coarse, and a rim that stays still looks like a person.
_MASK, _RIM = 0.4, 0.01
#: What fills a silhouette is blurred from round it by this, a share of the image's longer side: no edge is left that a
#: detector could take for one of a body.
_BLUR = 0.025
#: The blur is made in an image smaller by this.
_COARSE = 4


def erased(image: np.ndarray, people: Sequence[PersonDetection]) -> np.ndarray:
    """A copy of an image (height, width, 3) uint8 in which the silhouettes of people are filled from round them.

    The image itself where nobody has a mask.
    """
    silhouette = _silhouettes(image.shape[0], image.shape[1], people)
    if not silhouette.any():
        return image
    height, width = silhouette.shape
    small = (max(1, width // _COARSE), max(1, height // _COARSE))
    free = cv2.resize(1.0 - silhouette, small, interpolation=cv2.INTER_AREA)[..., None]
    colours = cv2.resize(image * (1.0 - silhouette)[..., None], small, interpolation=cv2.INTER_AREA)
    sigma = _BLUR * max(small)
    near = cv2.GaussianBlur(np.concatenate([colours, free], axis=-1), (0, 0), sigma)
    far = near.mean(axis=(0, 1), keepdims=True)
    near = near + 1e-3 * far  # in the middle of a large silhouette nothing is near
    fill = cv2.resize(near[..., :3] / np.maximum(near[..., 3:], 1e-6), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.where(silhouette[..., None] > 0, np.clip(fill, 0.0, 255.0), image).astype(np.uint8)


def _silhouettes(height: int, width: int, people: Sequence[PersonDetection]) -> np.ndarray:
    """(height, width) float32, 1 where one of the people is, else 0."""
    silhouette = np.zeros((height, width), np.float32)
    for person in people:
        side = person.mask.shape[0]
        if side == 0:
            continue
        low, size = person.box[:2], np.maximum(person.box[2:] - person.box[:2], 1e-6)
        scale = size / side
        image_from_mask = np.column_stack([np.diag(scale), low + 0.5 * scale - 0.5]).astype(np.float32)
        mask = cv2.warpAffine(person.mask, image_from_mask, (width, height), flags=cv2.INTER_LINEAR)
        rim = 2 * int(np.ceil(_RIM * float(size.max()))) + 1
        silhouette[cv2.dilate(mask, np.ones((rim, rim), np.uint8)) > 255 * _MASK] = 1.0
    return silhouette
