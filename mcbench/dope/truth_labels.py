"""Labels of rendered images from their exact truth (`docs/formats.md`, mcbench-truth/1).

What a camera sees of a part decides whether it is labelled at all, and how sure each joint is. A joint that is hidden
keeps its place, in 2D and in 3D, at a lower confidence; one outside the image keeps it at confidence 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import sparse

from mcbench.body.model import BodyModel
from mcbench.cameras.camera import Camera
from mcbench.dataset.files import sha256_file
from mcbench.dataset.label_shards import Labelled
from mcbench.dataset.media_source import video_source
from mcbench.dataset.truth import SceneTruth
from mcbench.dope.people import KINDS, PartPose, WholeBody, kind_of
from mcbench.dope.projected import (
    HIDDEN,
    MIN_BODY_JOINTS,
    MIN_FACING,
    MIN_PX,
    MIN_SHARE,
    looking_away,
    projected_part,
)
from mcbench.errors import InputError
from mcbench.joints import DOPE13, FACE68_CONTOUR, FACE84_OF_FACE68, mapping

Array = npt.NDArray[np.float64]


class TruthLabels:
    """Makes labels of truth.

    Parameters
    ----------
    body : of whose topology the truth's vertices are. Limbs and head are its `coco17` keypoints, the head between the
        ears, and the contour of the face its landmarks. Truth without such vertices has the limbs of `smpl24`, no head
        and no contour.
    """

    def __init__(self, body: BodyModel) -> None:
        ears = [body.keypoints[f"{side}_ear"] for side in ("left", "right")]
        limbs = [body.keypoints[name] for name in DOPE13.joints[:-1]]
        self._body13 = sparse.csr_matrix(sparse.vstack([*limbs, (ears[0] + ears[1]) / 2]))
        self._contour = sparse.csr_matrix(sparse.vstack([body.keypoints[f"face_{i}"] for i in range(FACE68_CONTOUR)]))

    def people(self, truth: SceneTruth, frame: int) -> list[WholeBody]:
        """The labels of a frame (by its position in the clip)."""
        found = [self._person(truth, frame, person) for person in range(len(truth.person_id))]
        return [WholeBody.of(parts) for parts in found if parts]

    def unlabelled(self, truth: SceneTruth, frame: int) -> dict[str, Array]:
        """Boxes (N, 4) px by kind of the parts that are in a frame, but too small or too hidden to be labelled."""
        boxes: dict[str, list[Array]] = {kind: [] for kind in KINDS}
        for person in range(len(truth.person_id)):
            labelled = self._person(truth, frame, person)
            for name, points in self._points(truth, person).items():
                part = _View(truth, frame, person).part(kind_of(name), points, np.ones(len(points)))
                if name not in labelled and (part.confidence > 0).any():
                    boxes[kind_of(name)].append(part.box)
        return {kind: np.array(found).reshape(-1, 4) for kind, found in boxes.items()}

    def _person(self, truth: SceneTruth, frame: int, person: int) -> dict[str, PartPose]:
        view, points = _View(truth, frame, person), self._points(truth, person)
        parts: dict[str, PartPose] = {}
        visible = _body_visible(truth.joints_visible[frame, person])
        if (visible & np.isfinite(points["body"]).all(axis=1)).sum() >= MIN_BODY_JOINTS:
            parts["body"] = view.part("body", points["body"], np.where(visible, 1.0, HIDDEN))
        seen_px = dict(zip(("left_hand", "right_hand"), truth.hands_px[frame, person], strict=True))
        seen_px["face"] = truth.face_px[frame, person]
        for name, px in seen_px.items():
            middle = points["body"][-1] if name == "face" else None
            part = view.seen(kind_of(name), points[name], float(px), turned_from=middle)
            if part is not None:
                parts[name] = part
        return parts

    def _points(self, truth: SceneTruth, person: int) -> dict[str, Array]:
        """The joints (J, 3) of every part, in the clip's first frame."""
        vertices = truth.vertices[person]
        contour = np.full((FACE68_CONTOUR, 3), np.nan)
        if len(vertices) == self._body13.shape[1]:
            body13, contour = np.asarray(self._body13 @ vertices), np.asarray(self._contour @ vertices)
        else:
            body13 = np.full((len(DOPE13), 3), np.nan)
            for source, target in mapping("smpl24", "dope13"):
                body13[target] = truth.joints[person, source]
            body13[-1] = np.nan  # SMPL's joint of the head lies below the ears
        face68 = np.concatenate([contour, truth.face[person]])
        left, right = truth.hands[person]
        face84 = face68[np.array(FACE84_OF_FACE68)].mean(axis=1)
        return {"body": body13, "left_hand": left, "right_hand": right, "face": face84}


class _View:
    """A person before the camera of a frame."""

    def __init__(self, truth: SceneTruth, frame: int, person: int) -> None:
        K = truth.K[frame]
        self._camera = Camera("PINHOLE", *truth.image_size, (K[0, 0], K[1, 1], K[0, 2], K[1, 2]))
        self._cam_from_world, self._moved = truth.cam_from_world[frame], truth.moved[frame, person]

    def part(self, kind: str, points: Array, confidence: Array) -> PartPose:
        """A part whose points (J, 3) are as in the first frame."""
        return projected_part(kind, points + self._moved, self._camera, self._cam_from_world, confidence)

    def seen(self, kind: str, points: Array, seen_px: float, turned_from: Array | None = None) -> PartPose | None:
        """A hand or a face of which a length is visible; None where that is too little.

        Its joints are as sure as that share of its length. Those of a face that look away from the camera, as seen from
        the middle of the head, are hidden.
        """
        if not np.isfinite(points).any():
            return None
        part = self.part(kind, points, np.ones(len(points)))
        known = part.pose2d[np.isfinite(part.pose2d).all(axis=1)]
        if not len(known) or seen_px < MIN_PX:
            return None
        share = float(seen_px / max(np.ptp(known, axis=0).max(), 1e-9))
        if share < MIN_SHARE:
            return None
        confidence = np.full(len(points), min(1.0, share))
        if turned_from is not None:
            away = looking_away(points + self._moved, turned_from + self._moved, self._cam_from_world)
            if away.mean() > 1 - MIN_FACING:
                return None
            confidence[away] *= HIDDEN
        return self.part(kind, points, confidence)


def _body_visible(joints_visible: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """(13,) of `dope13` from (24,) of `smpl24`: both name limbs and head alike."""
    visible = np.zeros(len(DOPE13), dtype=bool)
    for source, target in mapping("smpl24", "dope13"):
        visible[target] = joints_visible[source]
    return visible


def labelled_frames(labels: TruthLabels, truth: SceneTruth, clip: Path, every: int = 1) -> Iterator[Labelled]:
    """Every so many frames of a clip with their labels; keys are the clip's stem and the frame's position.

    Raises
    ------
    InputError : the clip does not decode, or is not the one that its truth was written with (reason `other_clip`).
    """
    if truth.info.get("clip_sha256", digest := sha256_file(clip)) != digest:
        raise InputError(
            f"is another clip than the {truth.clip} that its truth was written with",
            path=clip,
            hint="if it is the same, encoded again, remove clip_sha256 from the truth",
            reason="other_clip",
        )
    source = video_source(clip, every)
    if source.decode_index and source.decode_index[-1] >= len(truth.K):
        raise InputError(f"has more frames than the {len(truth.K)} of its truth", path=clip, reason="other_clip")
    for frame, image in source.images():
        position = source.decode_index[frame.index]
        key = f"{clip.stem.replace('.', '_')}_{position:06d}"
        yield Labelled(image, labels.people(truth, position), frozenset(KINDS), key)
