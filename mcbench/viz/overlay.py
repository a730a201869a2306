"""Overlays: fitted bodies, their error bars and the detections, drawn on a frame of the video."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy.stats import chi2

from mcbench.cameras.camera import Array, Camera, transform
from mcbench.viz.palette import UNASSIGNED, person_colour
from mcbench.viz.raycast import MeshScene
from mcbench.viz.shading import shade
from mcbench.viz.visibility import in_image, visible_joints

Image = npt.NDArray[np.uint8]

#: Keypoints of a lower score are not drawn, as they are not counted in residuals.
MIN_SCORE = 0.3
_ALPHA, _ALPHA_REJECTED = 0.55, 0.45
_SUPERSAMPLING = 2
#: Squared Mahalanobis distance that holds 90 % of a normal distribution in two dimensions.
_BOUND = float(chi2.ppf(0.9, 2))
_SHIFT = 4  # OpenCV draws at 1/16 px


@dataclass(frozen=True)
class People:
    """The P fitted people of a scene, as they are drawn.

    Attributes
    ----------
    scene : their meshes, or None where the body model is not at hand.
    joints : (P, J, 3) world, metres. joints_cov : (P, J, 3, 3) m^2, relative to joint 0; NaN where unknown.
    bones : pairs of joints, drawn where there are no meshes.
    accepted : (P,) bool.
    """

    scene: MeshScene | None
    joints: Array
    joints_cov: Array
    bones: tuple[tuple[int, int], ...]
    accepted: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class View:
    """Where a frame was taken from: intrinsics and `cam_from_world` (3, 4), metres."""

    camera: Camera
    cam_from_world: Array

    def project(self, points: Array) -> Array:
        """World points (..., 3) to pixels (..., 2) of the image, NaN for points not in front of the camera."""
        return self.camera.project(transform(self.cam_from_world, points))


@dataclass(frozen=True)
class Points:
    """The D detections of a frame: keypoints (D, K, 2) px, score (D, K), person (D,) index, -1 for nobody's.

    `bones` are pairs of keypoints to join by lines.
    """

    keypoints: Array
    score: Array
    person: npt.NDArray[np.int64]
    bones: tuple[tuple[int, int], ...] = ()


def overlay(image: Image, longest: int, points: Points, shown: tuple[People, View] | None = None) -> Image:
    """Draw on an RGB image (height, width, 3); returns a picture whose sides are at most `longest` px.

    Parameters
    ----------
    points : what was detected in the frame.
    shown : the fitted people and the frame's camera; None to draw the detections alone.
    """
    scale = min(1.0, longest / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    picture: Image = np.ascontiguousarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    factor = np.array(size) / np.array(image.shape[1::-1])
    if shown is None:
        _draw_points(picture, factor, points, np.ones(int(points.person.max(initial=-1)) + 1, dtype=bool))
        return picture
    people, view = shown
    if people.scene is None:
        visible = in_image(view.project(people.joints), view.camera)
    else:
        visible = visible_joints(people.scene, people.joints, view.camera, view.cam_from_world)
        _draw_meshes(picture, people.scene, people.accepted, view)
    _draw_joints(picture, factor, people, view, visible)
    _draw_points(picture, factor, points, people.accepted)
    _draw_labels(picture, factor, people, view, visible)
    return picture


def _draw_meshes(picture: Image, scene: MeshScene, accepted: npt.NDArray[np.bool_], view: View) -> None:
    height, width = picture.shape[:2]
    shaded = shade(scene, view.camera, view.cam_from_world, (width * _SUPERSAMPLING, height * _SUPERSAMPLING))
    # colour for every person, and one more for nobody (index -1)
    colours = np.array([person_colour(p, bool(a)) for p, a in enumerate(accepted)] + [(0, 0, 0)], dtype=np.float32)
    alphas = np.array([_ALPHA if a else _ALPHA_REJECTED for a in accepted] + [0.0], dtype=np.float32)
    alpha = alphas[shaded.person]
    layer = colours[shaded.person] * (alpha * shaded.brightness.astype(np.float32))[..., None]
    # averaged after multiplying by alpha: edges are smooth without fringes
    layer = np.asarray(cv2.resize(layer, (width, height), interpolation=cv2.INTER_AREA), dtype=np.float32)
    alpha = np.asarray(cv2.resize(alpha, (width, height), interpolation=cv2.INTER_AREA), dtype=np.float32)
    picture[:] = np.clip(picture * (1 - alpha[..., None]) + layer, 0, 255).astype(np.uint8)
    seen = shaded.person[::_SUPERSAMPLING, ::_SUPERSAMPLING]
    for person in np.unique(seen[seen >= 0]).tolist():
        mask = np.ascontiguousarray((seen == person).astype(np.uint8))
        outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        for outline in outlines:
            line = np.asarray(outline, dtype=np.int32)[:, 0]
            _draw_outline(picture, line, person_colour(person, bool(accepted[person])), not accepted[person])


def _draw_outline(picture: Image, points: npt.NDArray[np.int32], colour: tuple[int, int, int], dashed: bool) -> None:
    """A closed line through neighbouring pixels (N, 2), solid or in dashes."""
    if not dashed:
        cv2.polylines(picture, [points], True, colour, 1, cv2.LINE_AA)
        return
    dash = max(4, picture.shape[1] // 120)
    for start in range(0, len(points), 2 * dash):
        cv2.polylines(picture, [points[start : start + dash]], False, (235, 235, 235), 1, cv2.LINE_AA)


def projected_ellipses(points: Array, cov: Array, view: View) -> tuple[Array, Array]:
    """Where points and their 90 % ellipses fall in the image, to first order.

    Parameters
    ----------
    points : (N, 3) world, metres. cov : (N, 3, 3) m^2, world axes.

    Returns
    -------
    centres (N, 2) px, and axes (N, 2, 2) px: rows are the semi-axes as vectors, the longer first; NaN where unknown.
    """
    step = 1e-4
    centres = view.project(points)
    moved = [view.project(points + step * axis) - view.project(points - step * axis) for axis in np.eye(3)]
    jacobian = np.stack(moved, axis=-1) / (2 * step)
    flat = jacobian @ cov @ np.swapaxes(jacobian, -1, -2)
    known = np.asarray(np.isfinite(flat).all(axis=(-1, -2)))
    values, vectors = np.linalg.eigh(np.where(known[:, None, None], flat, 0.0))
    axes = np.swapaxes(vectors, -1, -2) * np.sqrt(np.clip(values, 0, None) * _BOUND)[..., None]
    return centres, np.where(known[:, None, None], axes[:, ::-1], np.nan)


def _draw_joints(picture: Image, factor: Array, people: People, view: View, visible: npt.NDArray[np.bool_]) -> None:
    """Error ellipses of the visible joints (P, J), and bones where there is no mesh to see."""
    for person, (joints, cov) in enumerate(zip(people.joints, people.joints_cov, strict=True)):
        colour = person_colour(person, bool(people.accepted[person]))
        centres, axes = projected_ellipses(joints, cov, view)
        if people.scene is None:
            for a, b in people.bones:
                if visible[person, a] and visible[person, b]:
                    ends = [_fixed(centres[k] * factor) for k in (a, b)]
                    cv2.line(picture, ends[0], ends[1], colour, 2, cv2.LINE_AA, _SHIFT)
        # joint 0 is what the others are relative to: its own covariance is of another kind
        for joint in range(1, len(joints)):
            long, short = axes[joint] * factor
            length = np.hypot(*long), np.hypot(*short)
            if not visible[person, joint] or not np.isfinite(length).all() or length[0] > picture.shape[1]:
                continue
            angle = float(np.degrees(np.arctan2(long[1], long[0])))
            light = tuple(int(128 + c / 2) for c in colour)
            centre = _fixed(centres[joint] * factor)
            half = round(length[0] * 2**_SHIFT), round(length[1] * 2**_SHIFT)
            cv2.ellipse(picture, centre, half, angle, 0, 360, light, 1, cv2.LINE_AA, _SHIFT)


def _draw_points(picture: Image, factor: Array, points: Points, accepted: npt.NDArray[np.bool_]) -> None:
    radius = max(1.5, max(picture.shape) / 380)
    for keypoints, score, person in zip(points.keypoints, points.score, points.person.tolist(), strict=True):
        colour = UNASSIGNED if person < 0 else person_colour(person, bool(accepted[person]))
        # what is unknown, or so far out that OpenCV's integers overflow, is not shown
        shown = (score >= MIN_SCORE) & (np.abs(np.nan_to_num(keypoints, nan=np.inf)) < 1e5).all(axis=-1)
        for a, b in points.bones:
            if shown[a] and shown[b]:
                ends = [_fixed(keypoints[k] * factor) for k in (a, b)]
                cv2.line(picture, ends[0], ends[1], colour, 1, cv2.LINE_AA, _SHIFT)
        for point in keypoints[shown] * factor:
            # a dark rim: seen on the mesh of the same colour too
            _dot(picture, point, radius + 1, (20, 20, 20))
            _dot(picture, point, radius, colour)


def _dot(picture: Image, point: Array, radius: float, colour: tuple[int, int, int]) -> None:
    cv2.circle(picture, _fixed(point), round(radius * 2**_SHIFT), colour, -1, cv2.LINE_AA, _SHIFT)


def _draw_labels(picture: Image, factor: Array, people: People, view: View, visible: npt.NDArray[np.bool_]) -> None:
    """The number of everybody who is seen, above their body, and below one another where they would overlap."""
    size = max(0.4, max(picture.shape) / 1600)
    outline = people.joints if people.scene is None else people.scene.vertices
    pixels = view.project(outline)
    # the highest point in the image, most often of the head
    height = np.where(in_image(pixels, view.camera), pixels[..., 1], np.inf)
    tops = np.take_along_axis(pixels, height.argmin(axis=1)[:, None, None], axis=1)[:, 0] * factor
    taken: list[tuple[int, int, int, int]] = []
    for person in np.flatnonzero(visible.any(axis=1) & np.isfinite(height).any(axis=1)).tolist():
        text = str(person) if people.accepted[person] else f"{person} rejected"
        (w, h), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
        left = int(np.clip(tops[person, 0] - w / 2, 3, max(3, picture.shape[1] - w - 3)))
        base = int(np.clip(tops[person, 1] - 8, h + 4, picture.shape[0] - 4))
        while any(left < x1 and x0 < left + w and base - h - 8 < y1 and y0 < base for x0, y0, x1, y1 in taken):
            base += h + 9
        taken.append((left, base - h - 8, left + w, base))
        colour = person_colour(person, bool(people.accepted[person]))
        cv2.rectangle(picture, (left - 3, base - h - 4), (left + w + 3, base + 4), (20, 20, 20), -1)
        cv2.putText(picture, text, (left, base), cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)


def _fixed(point: npt.ArrayLike) -> tuple[int, int]:
    """A point (2,) in OpenCV's fixed-point pixels, whose integers are pixel centres (ours are at +0.5)."""
    x, y = np.asarray(point, dtype=np.float64)
    return round((x - 0.5) * 2**_SHIFT), round((y - 0.5) * 2**_SHIFT)
