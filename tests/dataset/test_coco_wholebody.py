"""COCO-WholeBody annotations as people of `dope139`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mcbench.dataset.coco_wholebody import read_annotations
from mcbench.errors import InputError
from mcbench.joints import COCO17, DOPE13, FACE84


def test_of_the_published_annotations(test_data: Path) -> None:
    images = read_annotations(test_data / "coco_wholebody" / "test_coco_wholebody.json")
    assert images[0].file == "000000000785.jpg" and len(images) == 4
    bodies = [sum(p.body is not None for p in image.people) for image in images]
    assert bodies == [1, 2, 4, 5] and sum(bodies) + sum(len(i.unlabelled["body"]) for i in images) == 14
    assert sum(p.face is not None for image in images for p in image.people) == 4
    skier = images[0].people[0]
    assert set(skier.parts) == {"body", "right_hand", "face"}
    assert len(images[0].unlabelled["hand"]) == 1 and len(images[0].unlabelled["face"]) == 0
    contour = skier.face.pose2d[[FACE84.index(f"face_{i}") for i in ("0", "0_1", "1")]]
    np.testing.assert_allclose(contour[1], (contour[0] + contour[2]) / 2)
    assert np.isnan(skier.face.pose3d).all()


def annotation(**changed: object) -> dict:
    keypoints = np.zeros((17, 3))
    keypoints[COCO17.index("left_knee")] = [30.0, 40.0, 1]
    keypoints[COCO17.index("right_hip")] = [20.0, 10.0, 2]
    return {"image_id": 1, "bbox": [10, 5, 30, 50], "keypoints": keypoints.ravel().tolist(), **changed}


def write(path: Path, *annotations: dict) -> Path:
    path.write_text(json.dumps({"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": annotations}))
    return path


def test_flags_become_confidence(tmp_path: Path) -> None:
    (image,) = read_annotations(write(tmp_path / "a.json", annotation()))
    body = image.people[0].body
    assert body.confidence[DOPE13.index("left_knee")] == 0.5 and body.confidence[DOPE13.index("right_hip")] == 1.0
    assert (body.confidence > 0).sum() == np.isfinite(body.pose2d).all(axis=1).sum() == 2
    np.testing.assert_array_equal(body.box, [20, 10, 30, 40])
    np.testing.assert_array_equal(image.unlabelled["face"], [[10, 5, 40, 55]])


def test_the_head_is_the_middle_of_both_ears(tmp_path: Path) -> None:
    keypoints = np.zeros((17, 3))
    keypoints[3:5] = [[10, 20, 2], [30, 24, 1]]
    (image,) = read_annotations(write(tmp_path / "a.json", annotation(keypoints=keypoints.ravel().tolist())))
    body = image.people[0].body
    np.testing.assert_array_equal(body.pose2d[DOPE13.index("head")], [20, 22])
    assert body.confidence[DOPE13.index("head")] == 0.5


def test_a_crowd_is_not_labelled(tmp_path: Path) -> None:
    (image,) = read_annotations(write(tmp_path / "a.json", annotation(iscrowd=1)))
    assert image.people == [] and len(image.unlabelled["body"]) == 1


@pytest.mark.parametrize("changed", [{"image_id": 7}, {"keypoints": [1, 2]}, {"face_valid": True, "face_kpts": [0.0]}])
def test_what_is_no_annotation_is_refused(tmp_path: Path, changed: dict) -> None:
    with pytest.raises(InputError) as error:
        read_annotations(write(tmp_path / "a.json", annotation(**changed)))
    assert error.value.reason == "bad_keypoints"
