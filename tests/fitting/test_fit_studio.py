"""Bodies fitted to noisy, partly wrong keypoints of real people, whose places are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fitting.studio import studio_scene

from mcbench.body.model import BodyModel
from mcbench.body.reduced import ReducedBody
from mcbench.cameras.alignment import Similarity
from mcbench.fitting.association import associate
from mcbench.fitting.keypoint_model import KeypointModel
from mcbench.fitting.scene_fit import SceneFitter
from mcbench.fitting.settings import FitSettings
from mcbench.joints import PANOPTIC19

INSTANTS = ("00000168", "00000169")


def keypoint_errors(folder: Path, body: BodyModel, seeds: range) -> np.ndarray:
    """Distances (N,) m of fitted bodies' keypoints to the true ones, of all that are known."""
    model = KeypointModel.for_body(body, PANOPTIC19.name)
    fitter = SceneFitter(ReducedBody(body, model.regressor), model, FitSettings(), body)
    metres = Similarity(0.01, np.eye(3), np.zeros(3))  # the studio's unit is a centimetre
    errors = []
    for instant in INSTANTS:
        for seed in seeds:
            scene = studio_scene(folder, instant, seed, false=0)
            views = scene.views.transformed(metres)
            tracks = associate(views, scene.detections)
            people = fitter.fit(views, scene.detections, tracks, metric=True).people
            shown = [set(scene.person[tracks[person.track].rows].tolist()) for person in people]
            assert sorted(map(len, shown)) == [1, 1, 1]
            assert set.union(*shown) == {0, 1, 2}
            for person, (who,) in zip(people, shown, strict=True):
                state = person.state
                vertices = body.forward(state.betas[None], state.rotations[None], state.transl[None]).vertices[0]
                errors.append(np.linalg.norm(model.of(vertices) - metres.scale * scene.truth[who], axis=1))
    every = np.concatenate(errors)
    return every[np.isfinite(every)]


def test_people_of_the_studio(test_data: Path, open_body: BodyModel) -> None:
    errors = keypoint_errors(test_data / "panoptic_truth", open_body, range(1))
    assert np.median(errors) < 0.02
    assert errors.mean() < 0.03


@pytest.mark.slow
def test_people_of_the_studio_over_ten_seeds(test_data: Path, open_body: BodyModel) -> None:
    errors = keypoint_errors(test_data / "panoptic_truth", open_body, range(10))
    assert np.median(errors) < 0.015
    assert errors.mean() < 0.025
