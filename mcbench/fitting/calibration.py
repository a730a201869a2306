"""Learning a detector's keypoints on a body where truth is known: which means of vertices they are, and their noise.

A detector puts its hips, ears and fingers where its annotators did, not where the body's own regressors have them,
and the difference does not average out over views. Its keypoints are triangulated with true cameras, and each is
learnt as a sparse non-negative mean of the true body's vertices around where the body's own regressor has it. Views
of one side leave a point's depth open, so errors count as they look in the views: across the rays, hardly along them.
How errors grow as the score falls is learnt from single readings, against the true body's keypoints as learnt.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.spatial import cKDTree

from mcbench.body.model import BodyModel
from mcbench.body.sparse_mean import farthest_points, learn_mean
from mcbench.cameras.triangulation import reprojection
from mcbench.fitting.keypoint_model import STATURE, KeypointModel
from mcbench.fitting.parts import part_of
from mcbench.joints import joint_set

Array = npt.NDArray[np.float64]

#: Vertices round a keypoint that may carry it, and how far from it they may lie, m.
_CANDIDATES = 60
#: ... for a keypoint of the body, and for one of a hand or a face.
_RADIUS_M, _PART_RADIUS_M = 0.13, 0.03
#: A triangulated keypoint farther than this from the body's own is a failure of the detector, no definition, m; and one
#: of a hand or a face.
_FAILURE_M, _PART_FAILURE_M = 0.12, 0.05
#: The body's own definition counts as so many people who agree with it: it holds what few people leave open.
_PRIOR_PEOPLE = 3.0
_MIN_PEOPLE = 6
#: The body is taken for symmetric where mirrored vertices fall on vertices this closely, m.
_SYMMETRIC_M = 0.004
_FOLDS = 4
#: Noise in real videos over noise in rendered ones, which are sharp and plainly dressed; our choice.
_FROM_RENDERED = 3.0
#: Edges of the scores within which errors are taken for alike, and the least readings for such a range to count.
_SCORE_EDGES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 0.98, 1.0)
_MIN_READINGS = 50
#: Sizes of errors are summed up by the one that four in five stay below: the median would make light of the tail, the
#: mean square of all would be the failures'.
_QUANTILE = 0.8
#: A learnt definition must leave less than this share of the error of the body's own, on people left out.
_BETTER = 0.95


@dataclass(frozen=True)
class CalibrationSample:
    """One person seen by a detector in true cameras.

    Attributes
    ----------
    vertices : (V, 3) true, metres. points : (K, 3) the detector's keypoints, triangulated; NaN where unknown.
    seen : (K, 3, 3) mean over the keypoint's views of I - d d', with d the unit ray to it: an error e has the mean
        squared size e' seen e across the rays.
    spread : (K,) robust standard deviation, an axis, of their residuals in the images, as a share of a standing
        adult's height there; NaN where unknown.
    projection : (M, 3, 4) K [R | t] of the views. pixels : (M, K, 2) readings there, undistorted; NaN where unknown.
    score : (M, K). size_px : (M,) a standing adult's height there.
    """

    vertices: Array
    points: Array
    seen: Array
    spread: Array
    projection: Array
    pixels: Array
    score: Array
    size_px: Array


def learn_keypoints(
    body: BodyModel, keypoint_set: str, samples: Sequence[CalibrationSample], provenance: dict[str, Any]
) -> KeypointModel:
    """The keypoint model that explains the samples.

    Keypoints that few of them show, or that the body's own regressors explain as well, keep those.

    `bias` is what the model leaves of the triangulated points of people it was not learnt on (cross-validated), so
    it holds the differences from person to person and from pose to pose. Errors across the rays, before and after, mm,
    are added to the provenance.
    """
    default = KeypointModel.default(body, keypoint_set)
    mirror = mirrored_vertices(body)
    flip = np.array(joint_set(keypoint_set).flip)
    rows, noise, bias = [], default.noise.copy(), default.bias.copy()
    before, after = {}, {}
    for k, name in enumerate(joint_set(keypoint_set).joints):
        own = default.regressor[[k]]
        failure = _FAILURE_M if part_of(name) == "body" else _PART_FAILURE_M
        people = [i for i, s in enumerate(samples) if own.nnz and _offset(own, s, k) < failure]
        if len(people) < _MIN_PEOPLE:
            rows.append(own)
            continue
        vertices, points, seen, of = _both_sides(samples, people, k, int(flip[k]), mirror, default.regressor, failure)
        whitening = _root(seen)
        candidates = _candidates(body, own, _RADIUS_M if part_of(name) == "body" else _PART_RADIUS_M)
        own_errors = _across(whitening, (own.toarray() @ vertices)[:, 0] - points)
        errors = np.empty_like(own_errors)
        for fold in range(_FOLDS):
            out = of % _FOLDS == fold
            learnt = _learn(vertices[~out], points[~out], whitening[~out], own, candidates)
            errors[out] = _across(whitening[out], (learnt @ vertices[out])[:, 0] - points[out])
        better = _deviation(errors) < _BETTER * _deviation(own_errors)
        rows.append(sparse.csr_matrix(_learn(vertices, points, whitening, own, candidates)) if better else own)
        bias[k] = _deviation(errors if better else own_errors) / STATURE
        noise[k] = _FROM_RENDERED * float(np.nanmedian([samples[i].spread[k] for i in people]))
        before[name] = 1e3 * float(np.median(own_errors))
        after[name] = 1e3 * float(np.median(errors if better else own_errors))
    model = KeypointModel(
        keypoint_set,
        body.name,
        sparse.csr_matrix(sparse.vstack(rows)),
        noise,
        bias,
        provenance={
            **provenance,
            "people": len(samples),
            "median_error_mm": {"own_regressors": before, "calibrated": after},
        },
    )
    score_grid, score_doubt = _doubt_by_score(model, samples)
    return replace(model, score_grid=score_grid, score_doubt=score_doubt)


def _doubt_by_score(model: KeypointModel, samples: Sequence[CalibrationSample]) -> tuple[Array, Array]:
    """Scores (B,), rising, and the size of a reading's error at each over that of the same keypoint's sure readings."""
    errors, scores = [], []
    for sample in samples:
        off = np.linalg.norm(sample.pixels - reprojection(sample.projection, model.of(sample.vertices)), axis=-1)
        errors.append(off / sample.size_px[:, None])
        scores.append(sample.score)
    # hands and faces have scores of another meaning, and too many points not to outvote the body
    body = [k for k, name in enumerate(joint_set(model.keypoint_set).joints) if part_of(name) == "body"]
    error, score = np.concatenate(errors)[:, body], np.concatenate(scores)[:, body]
    sure = np.where(score >= _SCORE_EDGES[-2], error, np.nan)
    enough = np.isfinite(sure).sum(0) >= _MIN_READINGS
    ratio = error[:, enough] / np.nanquantile(sure[:, enough], _QUANTILE, axis=0)
    score = score[:, enough]
    grid: list[float] = []
    doubt: list[float] = []
    for low, high in itertools.pairwise(_SCORE_EDGES):
        here = np.isfinite(ratio) & (score >= low) & ((score < high) | (high == _SCORE_EDGES[-1]))
        if here.sum() >= _MIN_READINGS:
            grid.append(float(np.median(score[here])))
            doubt.append(float(np.quantile(ratio[here], _QUANTILE)))
    # never surer at a lower score, whatever the sample says
    falling = np.maximum.accumulate(doubt[::-1])[::-1]
    return np.array(grid), np.asarray(falling / falling[-1:])


def mirrored_vertices(body: BodyModel) -> npt.NDArray[np.int64] | None:
    """(V,) the vertex on the other side of each; None for a body that is not symmetric."""
    distance, index = cKDTree(body.v_template).query(body.v_template * [-1, 1, 1])
    return None if np.quantile(distance, 0.99) > _SYMMETRIC_M else np.asarray(index, dtype=np.int64)


def _offset(own: sparse.csr_matrix, sample: CalibrationSample, k: int) -> float:
    """Distance across the rays between a keypoint and where the body has it, m; infinite where it is unknown."""
    error = (own @ sample.vertices)[0] - sample.points[k]
    return float(np.sqrt(max(error @ sample.seen[k] @ error, 0.0))) if np.isfinite(error).all() else np.inf


def _root(matrices: Array) -> Array:
    """Symmetric square roots (N, 3, 3) of positive semidefinite matrices."""
    values, vectors = np.linalg.eigh(matrices)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0))[:, None] @ np.swapaxes(vectors, 1, 2))


def _across(whitening: Array, errors: Array) -> Array:
    """Sizes (N,) across the rays of errors (N, 3)."""
    return np.asarray(np.linalg.norm((whitening @ errors[..., None])[..., 0], axis=1))


def _both_sides(
    samples: Sequence[CalibrationSample],
    people: list[int],
    k: int,
    other: int,
    mirror: npt.NDArray[np.int64] | None,
    regressor: sparse.csr_matrix,
    failure: float,
) -> tuple[Array, Array, Array, npt.NDArray[np.int64]]:
    """Vertices (N, V, 3), points (N, 3), seen (N, 3, 3) and person (N,): each person, and its mirror image."""
    vertices = [samples[i].vertices for i in people]
    points = [samples[i].points[k] for i in people]
    seen = [samples[i].seen[k] for i in people]
    of = list(people)
    across = np.array([-1, 1, 1])
    if mirror is not None:
        for i, sample in enumerate(samples):
            if _offset(regressor[[other]], sample, other) < failure:
                vertices.append(sample.vertices[mirror] * across)
                points.append(sample.points[other] * across)
                seen.append(sample.seen[other] * across[:, None] * across)
                of.append(i)
    return np.array(vertices), np.array(points), np.array(seen), np.array(of)


def _candidates(body: BodyModel, own: sparse.csr_matrix, radius: float) -> npt.NDArray[np.int64]:
    place = (own @ body.v_template)[0]
    near = np.flatnonzero(np.linalg.norm(body.v_template - place, axis=1) < radius)
    # what belongs to other limbs comes and goes with the pose; the own support's parts are the ones to take
    parts = np.unique(body.skinning[own.indices].argmax(1))
    main = body.skinning.argmax(1)
    related = {*parts, *(body.parents[p] for p in parts), *(j for j, up in enumerate(body.parents) if up in parts)}
    near = near[np.isin(main[near], [int(j) for j in related])]
    return np.union1d(near[farthest_points(body.v_template[near], _CANDIDATES)], own.indices)


def _learn(
    vertices: Array,
    points: Array,
    whitening: Array,
    own: sparse.csr_matrix,
    candidates: npt.NDArray[np.int64],
) -> Array:
    """Weights (1, V) of a keypoint."""
    # people who hold the body's own definition, weighted by the root of their number as least squares has it
    weight = np.sqrt(_PRIOR_PEOPLE / len(vertices))
    centre = vertices.mean(1, keepdims=True)
    prior = np.einsum("v,nvx->nx", own.toarray()[0], vertices)
    stacked = np.concatenate([vertices - centre, weight * (vertices - centre)])
    targets = np.concatenate([points - centre[:, 0], weight * (prior - centre[:, 0])])
    mean = learn_mean(stacked, targets, candidates, np.concatenate([whitening, whitening]))
    weights = np.zeros((1, vertices.shape[1]))
    weights[0, mean.vertices] = mean.weights
    return weights


def _deviation(sizes: Array) -> float:
    """Standard deviation, an axis, of errors of such sizes (N,) across the rays."""
    return float(np.quantile(sizes, _QUANTILE) / 1.7941)  # of the chi distribution, two freedoms
