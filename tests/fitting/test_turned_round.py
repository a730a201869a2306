"""Somebody whom the detector reads from the front is seen from behind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from fitting.plain_scene import arc, photographed, standing

from mcbench.body.model import BodyModel
from mcbench.body.reduced import ReducedBody
from mcbench.body.rotations import exp_so3
from mcbench.cameras.views import Views
from mcbench.dataset.detections import Detections
from mcbench.fitting.association import Track
from mcbench.fitting.keypoint_model import KeypointModel
from mcbench.fitting.outlines import Outlines
from mcbench.fitting.scene_fit import SceneFit, SceneFitter
from mcbench.fitting.settings import FitSettings
from mcbench.fitting.state import BodyState
from mcbench.joints import BLAZEPOSE33, SMPL24

VIEWS = arc(8)


def reaching(x: float, angle: float) -> BodyState:
    """Somebody who sits and reaches ahead with the left arm, turned by `angle` about the vertical; pelvis at x."""
    state = standing(x)
    rotations = state.rotations.copy()
    rotations[0] = exp_so3(np.array([0.0, angle, 0.0]))
    rotations[SMPL24.index("left_shoulder")] = exp_so3(np.array([0.3, -0.9, -0.5]))
    for side in ("left", "right"):
        rotations[SMPL24.index(f"{side}_hip")] = exp_so3(np.array([-1.3, 0.0, 0.0]))
        rotations[SMPL24.index(f"{side}_knee")] = exp_so3(np.array([1.4, 0.0, 0.0]))
    return replace(state, rotations=rotations)


def read(body: BodyModel, people: list[BodyState], exchanged: set[int]) -> tuple[Detections, list[Track]]:
    """Exact keypoints of people's bodies in all views; of some the left ones are taken for the right ones."""
    views = Views(VIEWS.frame, VIEWS.cameras, VIEWS.K, VIEWS.cam_from_world)
    regressor, keypoints, points = body.keypoint_regressor(BLAZEPOSE33.name), [], []
    for n, person in enumerate(people):
        vertices = body.forward(person.betas[None], person.rotations[None], person.transl[None]).vertices[0]
        mine = regressor @ vertices
        points.append(mine[list(BLAZEPOSE33.flip)] if n in exchanged else mine)
        keypoints.append(views.project(points[-1]))
    pixels = np.stack(keypoints, axis=1)  # (F, P, K, 2)
    count, of = len(VIEWS), len(people)
    detections = Detections(
        keypoint_set=BLAZEPOSE33.name,
        detector="exact",
        frame=np.repeat(VIEWS.frame, of),
        score=np.full(count * of, 0.9),
        box=np.concatenate([pixels.min(2), pixels.max(2)], axis=-1).reshape(-1, 4),
        keypoints=pixels.reshape(-1, 33, 2),
        keypoint_score=np.tile(np.where(np.arange(33) > BLAZEPOSE33.index("right_mouth"), 0.9, 0.0), (count * of, 1)),
        keypoints3d=np.full((count * of, 33, 3), np.nan),
        mask=np.zeros((count * of, 0, 0), np.uint8),
    )
    known = np.zeros(33)
    return detections, [
        Track(np.arange(n, count * of, of), np.zeros(count, bool), points[n], known, known.astype(np.int64), known)
        for n in range(of)
    ]


def fitted(body: BodyModel, people: list[BodyState], exchanged: set[int]) -> SceneFit:
    model = KeypointModel.for_body(body, BLAZEPOSE33.name)
    detections, tracks = read(body, people, exchanged)
    outlines = Outlines.of_body(body, photographed(body, people, VIEWS))
    fitter = SceneFitter(ReducedBody(body, model.regressor), model, FitSettings(), body)
    return fitter.fit(VIEWS, detections, tracks, metric=True, outlines=outlines)


def joints(body: BodyModel, state: BodyState) -> np.ndarray:
    return body.forward(state.betas[None], state.rotations[None], state.transl[None]).joints[0]


def test_who_is_read_the_wrong_way_round_is_turned(open_body: BodyModel) -> None:
    people = [reaching(-0.5, 0.4), reaching(0.5, np.pi + 0.3)]
    found = fitted(open_body, people, exchanged={1})
    assert [person.turned_round for person in found.people] == [False, True]
    limbs = [SMPL24.index(f"{s}_{j}") for s in ("left", "right") for j in ("shoulder", "elbow", "wrist", "knee")]
    for person, truth in zip(found.people, people, strict=True):
        off = np.linalg.norm(joints(open_body, person.state) - joints(open_body, truth), axis=1)[limbs]
        assert np.median(off) < 0.03 and off.max() < 0.1


def test_who_is_read_rightly_from_behind_stays(open_body: BodyModel) -> None:
    found = fitted(open_body, [reaching(-0.5, 0.4), reaching(0.5, np.pi + 0.3)], exchanged=set())
    assert not any(person.turned_round for person in found.people)
