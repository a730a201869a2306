"""People in space: what a camera sees of them is where they were found."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import toy_people as toy

from mcbench.cameras.camera import Camera
from mcbench.dope.people import WholeBody, about_root
from mcbench.dope.placement import placed
from mcbench.joints import DOPE139
from mcbench.viz.people3d import page

CAMERA = Camera("SIMPLE_PINHOLE", 640, 480, (800.0, 320.0, 240.0))


def seen(kind: str, points: np.ndarray) -> object:
    """A part of joints (J, 3) in the camera's frame, seen exactly."""
    part = toy.part(kind, CAMERA.project(points), 1.0, np.random.default_rng(0))
    return replace(part, pose3d=about_root(kind, points))


def test_flat_people_come_back() -> None:
    rng = np.random.default_rng(0)
    body = np.concatenate([toy.STANDING * [0.8, 1.7] - [0.3, 0.8], np.full((13, 1), 6.0)], axis=1)
    hand = body[7] + np.concatenate([rng.uniform(-0.08, 0.08, (21, 2)), np.zeros((21, 1))], axis=1)
    person = WholeBody.of({"body": seen("body", body), "left_hand": seen("hand", hand)})
    found = placed(person, CAMERA)
    assert found.shape == (len(DOPE139), 3)
    np.testing.assert_allclose(found[:13], body, atol=1e-6)
    np.testing.assert_allclose(found[13:34], hand, atol=1e-6)
    assert np.isnan(found[34:]).all()
    alone = placed(WholeBody.of({"left_hand": seen("hand", hand)}), CAMERA)
    np.testing.assert_allclose(alone[13:34], hand, atol=1e-6)


def test_the_page_holds_the_points_and_no_markup_of_names() -> None:
    people = np.full((1, len(DOPE139), 3), np.nan)
    people[0, 0] = [0.1, 0.2, 4.00049]
    text = page("a <b>", [("</script><i>.png", people)], DOPE139.bones)
    data = json.loads(re.findall(r'type="application/json">(.*?)</script>', text, re.DOTALL)[0])
    assert data["images"][0]["file"] == "</script><i>.png"
    assert data["images"][0]["people"][0][:2] == [[0.1, 0.2, 4.0], None]
    assert "<b>" not in text and len(data["bones"]) == len(DOPE139.bones)
