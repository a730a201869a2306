"""The accepted people of a finished scene, projected."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mcbench.cameras.camera import transform
from mcbench.dope.people import about_root
from mcbench.fitting.limb_chain import HANGING, LIMB_NAMES
from mcbench.joints import COCO17, DOPE13, FACE84
from mcbench.pipelines.finished import FinishedScene
from mcbench.pipelines.fit_labels import FitLabels
from mcbench.workspace.workspace import Workspace


@pytest.fixture(scope="module")
def scene(finished: Path) -> FinishedScene:
    return FinishedScene(Workspace.open(finished).scenes()[0])


def test_bodies_and_parts_are_where_the_fit_has_them(scene: FinishedScene) -> None:
    labels, camera = FitLabels(scene), scene.cameras.posed[3]
    expected = labels.expected(camera.index)
    accepted = np.flatnonzero(scene.accepted)
    assert expected is not None and len(expected) == len(accepted) > 0
    for person, index in zip(expected, accepted, strict=True):
        keypoints = transform(camera.cam_from_world, scene.people.keypoints[index])
        ears = keypoints[[COCO17.index("left_ear"), COCO17.index("right_ear")]].mean(axis=0)
        body = person.body
        elbow = DOPE13.index("left_elbow")
        pixels = camera.camera.project(keypoints[COCO17.index("left_elbow")])
        np.testing.assert_allclose(body.pose2d[elbow], pixels)
        np.testing.assert_allclose(body.pose2d[DOPE13.index("head")], camera.camera.project(ears))
        np.testing.assert_allclose(about_root("body", body.pose3d), body.pose3d, atol=1e-12)
        assert set(np.unique(body.confidence)) <= {0.0, 0.5, 1.0} and (body.confidence == 1).sum() >= 4
        known = np.isfinite(scene.people.face[index]).all()
        assert (person.face is not None) == known
        if known:
            nose = scene.people.face[index, 30 - 17]
            pixels = camera.camera.project(transform(camera.cam_from_world, nose[None])[0])
            np.testing.assert_allclose(person.face.pose2d[FACE84.index("face_30")], pixels)
        for side, name in enumerate(("left_hand", "right_hand")):
            assert (getattr(person, name) is not None) == np.isfinite(scene.people.hands[index, side]).all()


def test_joints_of_an_unknown_limb_are_guessed(scene: FinishedScene, monkeypatch: pytest.MonkeyPatch) -> None:
    frame, arm = scene.cameras.posed[3].index, [DOPE13.index(f"left_{name}") for name in ("elbow", "wrist")]
    known = FitLabels(scene).expected(frame)
    unknown = scene.unknown_joints.copy()
    assert not unknown.any()
    unknown[:, list(HANGING[LIMB_NAMES.index("left_arm")])] = True
    monkeypatch.setitem(vars(scene), "unknown_joints", unknown)
    guessed = FitLabels(scene).expected(frame)
    assert known is not None and guessed is not None
    for before, after in zip(known, guessed, strict=True):
        others = np.delete(np.arange(len(DOPE13)), arm)
        np.testing.assert_array_equal(after.body.confidence[others], before.body.confidence[others])
        assert (after.body.confidence[arm] <= 0.5).all()
    assert any((before.body.confidence[arm] == 1).any() for before in known)


def test_no_camera_no_labels(scene: FinishedScene) -> None:
    assert FitLabels(scene).expected(10_000) is None
