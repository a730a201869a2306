"""The adapter to rtmlib, with rtmlib's two models replaced by known answers."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from mcbench.errors import InputError
from mcbench.experts.base import Detector
from mcbench.experts.rtmpose import RTMPoseDetector

BOX = np.array([10.0, 10, 50, 90])


class Wholebody:
    """As rtmlib's: a box model and a pose model, both given BGR images."""

    def __init__(self, mode: str, backend: str, device: str) -> None:
        self.seen: list[np.ndarray] = []

    def det_model(self, bgr: np.ndarray) -> np.ndarray:
        assert bgr[0, 0].tolist() == [30, 20, 10]
        return BOX[None]

    def pose_model(self, bgr: np.ndarray, bboxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        t = np.linspace(0, 1, 133)[:, None]
        keypoints = np.stack([b[:2] + (b[2:] - b[:2]) * np.hstack([t, (7 * t) % 1]) for b in bboxes])
        scores = np.full((len(bboxes), 133), 0.8)
        scores[:, 100], scores[:, 5] = -0.1, 1.4
        return keypoints, scores


@pytest.fixture
def detector(monkeypatch: pytest.MonkeyPatch) -> RTMPoseDetector:
    monkeypatch.setitem(sys.modules, "rtmlib", SimpleNamespace(Wholebody=Wholebody))
    return RTMPoseDetector()


IMAGE = np.full((120, 160, 3), (10, 20, 30), np.uint8)


def test_one_person_with_half_pixel_centres_and_unknowns(detector: RTMPoseDetector) -> None:
    assert isinstance(detector, Detector)
    (person,) = detector.detect(IMAGE)
    np.testing.assert_array_equal(person.box, BOX)
    np.testing.assert_allclose(person.keypoints[0], [10.5, 10.5])
    assert np.isnan(person.keypoints[100]).all() and person.keypoint_score[100] == 0
    assert person.keypoint_score[5] == 1.0 and person.mask.shape == (0, 0) and np.isnan(person.keypoints3d).all()


def test_priors_are_looked_at_where_no_box_is(detector: RTMPoseDetector) -> None:
    far = np.array([[100.0, 20], [140, 100]])
    assert len(detector.detect(IMAGE, [far, np.full((133, 2), np.nan)])) == 2
    assert len(detector.detect(IMAGE, [BOX.reshape(2, 2)])) == 1
    assert len(detector.detect(IMAGE, [far], search=False)) == 1
    assert detector.detect(IMAGE, search=False) == []


def test_without_rtmlib_it_says_how_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rtmlib", None)
    with pytest.raises(InputError, match=r"mcbench\[rtmpose\]"):
        RTMPoseDetector()


def test_without_its_weights_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: str) -> None:
        raise OSError("no route to host")

    monkeypatch.setitem(sys.modules, "rtmlib", SimpleNamespace(Wholebody=refuse))
    with pytest.raises(InputError, match="no route to host") as caught:
        RTMPoseDetector()
    assert caught.value.reason == "missing_weights"
