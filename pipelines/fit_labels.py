"""The accepted people of a scene as labels of its frames."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

from mcbench.dope.people import PartPose, WholeBody
from mcbench.dope.projected import HIDDEN, looking_away, projected_part
from mcbench.joints import COCO17, DOPE13, FACE68_CONTOUR, FACE84_OF_FACE68, SMPL24, mapping
from mcbench.pipelines.finished import FinishedScene
from mcbench.viz.raycast import MeshScene
from mcbench.viz.visibility import visible_joints

Array = npt.NDArray[np.float64]

_EARS = [COCO17.index(f"{side}_ear") for side in ("left", "right")]


class FitLabels:
    """Projects the people of a finished scene; what they hide of each other and of themselves is less sure."""

    def __init__(self, finished: FinishedScene) -> None:
        body = finished.body()
        posed = finished.posed(body)
        people = finished.people
        self._cameras = {camera.index: camera for camera in finished.cameras.posed}
        self._meshes = MeshScene(posed.vertices, body.faces)  # who was rejected still stands in front of others
        self._accepted = np.flatnonzero(finished.accepted)
        self._body13 = np.full((len(people), len(DOPE13), 3), np.nan)
        for source, target in mapping(COCO17.name, DOPE13.name):
            self._body13[:, target] = people.keypoints[:, source]
        self._guessed = np.zeros(self._body13.shape[:2], dtype=bool)
        for source, target in mapping(SMPL24.name, DOPE13.name):
            self._guessed[:, target] = finished.unknown_joints[:, source]
        self._body13[:, DOPE13.index("head")] = people.keypoints[:, _EARS].mean(axis=1)
        unknown = sparse.csr_matrix((1, body.n_vertices))
        rows = [body.keypoints.get(f"face_{i}", unknown) for i in range(FACE68_CONTOUR)]
        known = np.array([row.nnz > 0 for row in rows])
        contour = np.stack([sparse.vstack(rows) @ vertices for vertices in posed.vertices])
        contour[:, ~known] = np.nan
        face68 = np.concatenate([contour, people.face], axis=1)
        face68[~np.isfinite(people.face).all(axis=(1, 2))] = np.nan
        self._face84 = face68[:, np.array(FACE84_OF_FACE68)].mean(axis=2)
        self._hands = people.hands

    def expected(self, frame: int) -> list[WholeBody] | None:
        """The accepted people in a source frame; None where it has no camera. Parts that are unknown are left out."""
        camera = self._cameras.get(frame)
        if camera is None or camera.cam_from_world is None:
            return None
        pose = camera.cam_from_world
        groups = {
            "body": self._body13,
            "left_hand": self._hands[:, 0],
            "right_hand": self._hands[:, 1],
            "face": self._face84,
        }
        sure = {
            name: np.where(visible_joints(self._meshes, np.nan_to_num(points), camera.camera, pose), 1.0, HIDDEN)
            for name, points in groups.items()
        }
        sure["body"] = np.where(self._guessed, HIDDEN, sure["body"])
        people = []
        for person in self._accepted:
            parts: dict[str, PartPose] = {}
            for name, points in groups.items():
                own, confidence = points[person], sure[name][person]
                if not np.isfinite(own).any():
                    continue
                if name == "face":
                    head = self._body13[person, DOPE13.index("head")]
                    confidence = np.where(looking_away(own, head, pose), HIDDEN, confidence)
                part = projected_part(name.rpartition("_")[2], own, camera.camera, pose, confidence)
                if np.isfinite(part.box).all():
                    parts[name] = part
            if "body" in parts:
                people.append(WholeBody.of(parts))
        return people
