"""Local features of images: RootSIFT, capped and in an order that depends on nothing but the image."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import pycolmap

from mcbench.cameras.camera import Array, Camera

#: Descriptors are COLMAP's: 128 bytes, square roots of L1-normalised SIFT times 512, so that the L2 norm is about 512.
DESCRIPTOR_NORM = 512.0


@dataclass(frozen=True)
class Features:
    """Features of one image, the largest scale first.

    Attributes
    ----------
    points : (N, 2) float64, px of the original image, a pixel's centre at +0.5.
    scales : (N,) float32, px of the original image.
    descriptors : (N, 128) uint8, RootSIFT.
    colours : (N, 3) uint8, RGB of the image at the points.
    """

    points: npt.NDArray[np.float64]
    scales: npt.NDArray[np.float32]
    descriptors: npt.NDArray[np.uint8]
    colours: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.points)


def working_image(image: npt.NDArray[np.uint8], max_size: int) -> npt.NDArray[np.uint8]:
    """Grey image (h, w) uint8 of an RGB or grey one, no side longer than `max_size` px."""
    grey = image if image.ndim == 2 else np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    height, width = grey.shape
    scale = max_size / max(height, width)
    if scale >= 1:
        return grey
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def to_original(points: npt.NDArray[np.floating], grey: npt.NDArray[np.uint8], camera: Camera) -> Array:
    """Points (N, 2) of a working image, first pixel's centre at 0, in px of the original, first corner at 0."""
    return (points.astype(np.float64) + 0.5) * _ratio(grey, camera)


def to_working(pixels: Array, grey: npt.NDArray[np.uint8], camera: Camera) -> npt.NDArray[np.float32]:
    """The inverse of `to_original`."""
    return (pixels / _ratio(grey, camera) - 0.5).astype(np.float32)


def _ratio(grey: npt.NDArray[np.uint8], camera: Camera) -> Array:
    return np.array([camera.width / grey.shape[1], camera.height / grey.shape[0]])


def extract(image: npt.NDArray[np.uint8], *, max_features: int, max_size: int) -> Features:
    """COLMAP's SIFT of an image, on the CPU; may be called from several threads.

    Parameters
    ----------
    image : (h, w, 3) RGB, uint8.
    max_features : the features kept, those of the largest scales. COLMAP's own cap is soft (it drops whole scales),
        so it is applied here again.
    max_size : longer side of the images that features are looked for in, px; larger ones are made smaller.

    Returns
    -------
    Features in pixels of `image`.
    """
    grey = working_image(image, max_size)
    # Scales below a pixel cost four times as much: only images that have too little without them pay for that.
    table, descriptors = _sift(grey, max_features, first_octave=0)
    if len(table) < 0.5 * max_features:
        table, descriptors = _sift(grey, max_features, first_octave=-1)
    order = np.lexsort((table[:, 3], table[:, 1], table[:, 0], -table[:, 2]))[:max_features]
    height, width = image.shape[:2]
    ratio = np.array([width / grey.shape[1], height / grey.shape[0]])
    points = table[order, :2].astype(np.float64) * ratio
    column, row = np.clip(np.floor(points), 0, [width - 1, height - 1]).astype(int).T
    return Features(
        points=points,
        scales=(table[order, 2] * ratio.mean()).astype(np.float32),
        descriptors=descriptors[order],
        colours=image[row, column],
    )


def _sift(
    grey: npt.NDArray[np.uint8], max_features: int, first_octave: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Keypoints (N, 4): x, y, scale, orientation; and descriptors (N, 128)."""
    options = pycolmap.FeatureExtractionOptions()
    options.use_gpu = False
    options.num_threads = 1
    options.sift.max_num_features = max_features
    options.sift.first_octave = first_octave
    # An extractor keeps buffers between images, so two threads must not share one; a new one costs next to nothing.
    extractor = pycolmap.FeatureExtractor.create(options, pycolmap.Device.cpu)
    keypoints, descriptors = extractor.extract_from_uint8_array(np.ascontiguousarray(grey))
    table = pycolmap.keypoints_to_matrix(keypoints).reshape(-1, 4)
    return table, np.asarray(descriptors.data, dtype=np.uint8).reshape(-1, 128)


def match(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8], max_ratio: float = 0.8) -> npt.NDArray[np.uint32]:
    """Mutual nearest neighbours that pass Lowe's ratio test in both directions.

    Parameters
    ----------
    a, b : descriptors (N, 128), (M, 128) uint8.
    max_ratio : largest ratio of the best to the second-best distance (angles between descriptors, as in COLMAP).

    Returns
    -------
    (K, 2) rows of a and b, rising in a. Dot products of bytes are integers below 2^24, exact in float32: the result
    does not depend on the order of summation.
    """
    if len(a) < 2 or len(b) < 2:
        return np.zeros((0, 2), dtype=np.uint32)
    dots = a.astype(np.float32) @ b.astype(np.float32).T
    best = dots.argmax(axis=1)
    first = dots.max(axis=1)
    rows = np.flatnonzero(first == dots.max(axis=0)[best])
    columns = best[rows]
    dots[rows, columns] = -1.0
    second = np.maximum(dots.max(axis=1)[rows], dots.max(axis=0)[columns])
    angle = np.arccos(np.clip(np.stack([first[rows], second]) / DESCRIPTOR_NORM**2, -1.0, 1.0))
    good = angle[0] < max_ratio * angle[1]
    return np.stack([rows[good], columns[good]], axis=1).astype(np.uint32)
