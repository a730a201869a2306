"""A world of two textured planes, drawn exactly by homographies: images whose cameras and points are known."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from mcbench.cameras.camera import Array, Camera

CAMERA = Camera("PINHOLE", 480, 360, (420.0, 420.0, 240.0, 180.0))
#: Depth of the wall, and of the board in front of it, metres; half sizes of the board.
WALL, BOARD, BOARD_X, BOARD_Y = 8.0, 4.0, 1.1, 0.8
#: Texels a radian: near or far, textures look equally fine.
_DENSITY = 480.0


def _texture(seed: int, texels_per_m: float, half: tuple[float, float]) -> np.ndarray:
    """Grey spots of many sizes on a plane of these half sizes (x, y)."""
    rng = np.random.default_rng(seed)
    width, height = (round(2 * side * texels_per_m) for side in half)
    image = np.zeros((height, width))
    for size in (6, 12, 30):
        noise = rng.normal(size=(height // size + 2, width // size + 2))
        image += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(128 + 45 * image, 0, 255).astype(np.uint8)


def _draw(pose: Array, seed: int, depth: float, half: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """The plane z = depth with these half sizes, and where it covers the image."""
    texels_per_m = _DENSITY / depth
    texture = _texture(seed, texels_per_m, half)
    plane_from_texel = np.array([[1 / texels_per_m, 0, -half[0]], [0, 1 / texels_per_m, -half[1]], [0, 0, 1]])
    onto = np.column_stack([pose[:, 0], pose[:, 1], depth * pose[:, 2] + pose[:, 3]])
    # warpPerspective counts from the centre of the first pixel, our pixels from its corner
    shift = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])
    homography = shift @ CAMERA.K @ onto @ plane_from_texel @ np.linalg.inv(shift)
    size = (CAMERA.width, CAMERA.height)
    return (
        cv2.warpPerspective(texture, homography, size, flags=cv2.INTER_AREA),
        cv2.warpPerspective(np.full_like(texture, 255), homography, size) > 127,
    )


def draw(poses: Sequence[Array], board: bool = True) -> list[np.ndarray]:
    """Grey images (360, 480) uint8 of the wall, and of the board before it, from cameras `cam_from_world` (3, 4)."""
    images = []
    for pose in poses:
        image, _ = _draw(pose, 0, WALL, (12, 9))
        if board:
            front, covers = _draw(pose, 1, BOARD, (BOARD_X, BOARD_Y))
            image = np.where(covers, front, image)
        images.append(image.astype(np.uint8))
    return images


def pose(x: float = 0.0, turn: float = 0.0) -> Array:
    """A camera at (x, 0, 0) that looks along z, turned by `turn` radians to the right."""
    c, s = np.cos(turn), np.sin(turn)
    rotation = np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
    return np.column_stack([rotation, -rotation @ [x, 0.0, 0.0]])


def points(count: int, seed: int = 0) -> Array:
    """Points (count, 3) of the wall and the board, well inside what a camera near the origin sees of them."""
    rng = np.random.default_rng(seed)
    board = np.column_stack([rng.uniform(-0.8, 0.8, (count, 1)), rng.uniform(-0.6, 0.6, (count, 1))])
    wall = np.column_stack([rng.uniform(-3, 3, (count, 1)), rng.choice([-2.4, 2.4], (count, 1))])
    near = np.arange(count) % 2 == 0
    return np.column_stack([np.where(near[:, None], board, wall), np.where(near, BOARD, WALL)])
