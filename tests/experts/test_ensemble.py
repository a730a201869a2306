"""The experts together on a real photo: a man stands before a man and a woman who sit."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mcbench.dope.people import WholeBody
from mcbench.errors import UsageError
from mcbench.experts.ensemble import Ensemble
from mcbench.joints import DOPE139
from mcbench.pipelines.weights import fetch_weights

FLIP = np.array(DOPE139.flip)


@pytest.fixture(scope="module")
def photo(test_data: Path) -> np.ndarray:
    image = cv2.imread(str(test_data / "in_the_wild" / "COCO_val2014_000000000241.jpg"), cv2.IMREAD_COLOR)
    assert image is not None
    return np.ascontiguousarray(image[..., ::-1])


@pytest.fixture(scope="module")
def experts() -> Ensemble:
    fetch_weights()
    return Ensemble()


@pytest.fixture(scope="module")
def people(photo: np.ndarray, experts: Ensemble) -> list[WholeBody]:
    """From left to right: the sitting man, the standing one, the woman."""
    return sorted(experts(photo), key=lambda person: float(person.face.pose2d[:, 0].mean()))


def test_three_people_with_their_parts(people: list[WholeBody]) -> None:
    assert len(people) == 3 and all(p.body is not None and p.face is not None for p in people)
    man, stands, _ = people
    np.testing.assert_allclose(stands.left_hand.pose2d[0], (273, 355), atol=10)
    np.testing.assert_allclose(man.right_hand.pose2d[0], (85, 443), atol=10)
    np.testing.assert_allclose(man.left_hand.pose2d[0], (119, 437), atol=10)
    for person in people:
        points = person.pose2d
        assert np.isfinite(points[:13]).all() and ((person.confidence >= 0) & (person.confidence <= 1)).all()
        head, face = points[DOPE139.index("head")], person.face
        assert (head > face.box[:2] - face.size).all() and (head < face.box[2:] + face.size).all()
        assert person.body.pose3d[DOPE139.index("head"), 1] < -0.3  # m above the hips
        np.testing.assert_allclose(person.face.pose3d[-32:-20].mean(axis=0), 0, atol=1e-9)


def test_the_84_of_a_face_go_round_it(people: list[WholeBody]) -> None:
    """A point between two of iBUG's 17 lies between them, also where the mesh has one of its own there."""
    for person in people:
        contour = person.face.pose2d[:33]
        steps = np.linalg.norm(np.diff(contour, axis=0), axis=1)
        wide = np.linalg.norm(contour[2::2] - contour[:-2:2], axis=1)
        assert (steps[::2] + steps[1::2] < 1.25 * wide + 0.5).all() and (steps < 0.9 * np.repeat(wide, 2) + 0.5).all()


def test_a_mirrored_photo_has_the_mirrored_people(
    photo: np.ndarray, people: list[WholeBody], experts: Ensemble
) -> None:
    mirrored = experts(np.ascontiguousarray(photo[:, ::-1]))
    assert len(mirrored) == 3
    for person in people[:2]:
        expected = (person.pose2d * [-1, 1] + [photo.shape[1], 0])[FLIP]
        off = [np.nanmedian(np.linalg.norm(other.pose2d - expected, axis=1)) for other in mirrored]
        assert min(off) < 4 and sorted(off)[1] > 30
        assert list(mirrored[int(np.argmin(off))].parts) == list(person.parts)


def test_only_what_is_asked_for(photo: np.ndarray, people: list[WholeBody]) -> None:
    found = Ensemble({"hand"})(photo)
    assert {name for person in found for name in person.parts} == {"left_hand", "right_hand"}
    asked = sorted(p.left_hand.score for p in people if p.left_hand)
    np.testing.assert_allclose(sorted(p.left_hand.score for p in found if p.left_hand), asked)
    with pytest.raises(UsageError, match="body, hand, face"):
        Ensemble({"foot"})


@pytest.mark.parametrize("size", [(20, 20), (1, 300)])
def test_nobody(experts: Ensemble, size: tuple[int, int]) -> None:
    assert experts(np.full((*size, 3), 128, np.uint8)) == []


def test_who_they_are() -> None:
    told = Ensemble.provenance()
    assert set(told["weights"]) == {"body", "hand", "face"}
    assert all(w["licence"] == "Apache-2.0" and len(w["sha256"]) == 64 for k in told["weights"].values() for w in k)
