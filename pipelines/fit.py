"""Stage `fit`: cameras and detections in, bodies in a metric world with Z up out.

Writes `people.npz` (`mcbench.dataset.people`), `cameras.json` (metres, Z up, floor near z = 0) and `scene.json` (scale
with its 90 % interval, the similarity from the `sfm` stage's world, gravity, and what was measured of each person).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from threadpoolctl import threadpool_limits

from mcbench.body.model import OPEN_BODIES, OPEN_BODY, OPEN_BODY_X, BodyModel, Posed, load_body
from mcbench.body.parameters import HEAD, named_pose
from mcbench.body.reduced import ReducedBody
from mcbench.body.rotations import log_so3
from mcbench.cameras.alignment import Similarity
from mcbench.cameras.views import Views
from mcbench.dataset.cameras_file import FrameCamera, SceneCameras
from mcbench.dataset.detections import Detections
from mcbench.dataset.files import read_npz, sha256_file, write_json
from mcbench.dataset.people import FittedPeople, unknown_landmarks
from mcbench.dataset.source import Source
from mcbench.errors import InputError, Rejected
from mcbench.fitting.association import associate
from mcbench.fitting.gravity import Gravity, floor_height, floor_plane, lowest_points, rotation_to_z, up_from_bodies
from mcbench.fitting.keypoint_model import KeypointModel, shipped_calibration
from mcbench.fitting.outlines import Outlines
from mcbench.fitting.parts import HANDS, part_of
from mcbench.fitting.residuals import median_residual_px
from mcbench.fitting.scene_fit import PersonFit, SceneFit, SceneFitter
from mcbench.fitting.scene_images import SceneImages
from mcbench.fitting.settings import FitSettings
from mcbench.fitting.state import stacked
from mcbench.joints import joint_set, joint_sets
from mcbench.workspace.stage import Stage, StageContext

SCENE_FORMAT = "mcbench-scene/1"
Array = npt.NDArray[np.float64]

#: Outlines are told by colours that several views of a surface agree on; of fewer images, a surface faces one or two.
_LEAST_IMAGES = 6


def run(context: StageContext[FitSettings]) -> dict[str, Any]:
    """Fit one scene.

    Raises
    ------
    Rejected : `no_cameras`, `no_detections`, `no_tracks` (no detections agree on a person), `no_fit` (none of the
        tracks gave a body).
    """
    settings = context.settings
    cameras = SceneCameras.load(context.inputs["sfm"] / "cameras.json")
    detections = Detections.load(context.inputs["detect"] / "detections.npz")
    views = Views.from_cameras(cameras)
    if not len(views):
        raise Rejected("no frame has a camera", reason="no_cameras")
    if not len(detections):
        raise Rejected("no detections", reason="no_detections")

    context.progress(0, 3, "association")
    with ThreadPoolExecutor(1) as aside:
        source = Source.load(context.inputs["source"])
        reading = aside.submit(_images, source, views, detections, settings.outline_views)
        tracks = associate(views, detections)
        images = reading.result()
    if not tracks:
        raise Rejected("no detections agree on a person", reason="no_tracks")
    body = load_body(settings.body or default_body(detections.keypoint_set))
    keypoints = _keypoint_model(body, detections.keypoint_set, settings)
    fitter = SceneFitter(ReducedBody(body, keypoints.regressor), keypoints, settings, body)
    points = _sparse_points(context.inputs["sfm"])
    outlines = None if images is None else Outlines.of_body(body, images, points)

    context.progress(1, 3, "bodies")
    # matrices of 200 rows: more threads of the linear algebra cost more than they bring, and scenes run side by side
    with threadpool_limits(1, user_api="blas"):
        fit = fitter.fit(
            views,
            detections,
            tracks,
            metric=cameras.units == "metre",
            outlines=outlines,
        )
    if not fit.people:
        raise Rejected(f"none of {len(tracks)} tracks gave a body", reason="no_fit")

    context.progress(2, 3, "world")
    world = Similarity(fit.scale, np.eye(3), np.zeros(3))
    posed = _forward(body, fit.people, Similarity.identity())
    level, up_source = _level(cameras.up, posed, world.apply(points))
    metric_from_sfm = level.compose(world)

    metric_cameras = _metric_cameras(cameras, metric_from_sfm)
    metric_cameras.save(context.out / "cameras.json")
    rows = [tracks[p.track].rows for p in fit.people]
    people = _people(body, fit.people, level, detections, rows, metric_cameras)
    people.save(context.out / "people.npz")
    statures = _statures(body, people.betas)
    scene = _scene(fit, len(tracks), metric_from_sfm, up_source, statures)
    write_json(context.out / "scene.json", scene)
    return {
        "tracks": len(tracks),
        "people": len(people),
        "scale_interval": scene["scale_interval"],
        "up": up_source,
        "residual_px": people.residual_px,
    }


def default_body(keypoint_set: str) -> str:
    """The open body that says all of a detector's keypoints: with fingers and expressions where these are read."""
    read = any(part_of(name) != "body" for name in joint_set(keypoint_set).joints)
    return OPEN_BODY_X if read else OPEN_BODY


def _images(source: Source, views: Views, detections: Detections, count: int) -> SceneImages | None:
    """The images of `count` of the posed frames that show people, evenly spread; None of too few frames, or when 0."""
    showing = np.intersect1d(views.frame, detections.frame)
    if count <= 0 or len(showing) < _LEAST_IMAGES:
        return None
    chosen = showing[np.unique(np.round(np.linspace(0, len(showing) - 1, count)).astype(np.int64))]
    frames = [int(frame) for frame in chosen]
    return SceneImages.of_frames(views, frames, [image for _, image in source.images(frames)])


def _sparse_points(folder: Path) -> Array:
    """Points (N, 3) of the sparse reconstruction, its units; none where cameras came from elsewhere."""
    path = folder / "points.npz"
    return np.asarray(read_npz(path)["xyz"], dtype=np.float64) if path.exists() else np.zeros((0, 3))


def _level(known_up: Array | None, posed: Posed, points: Array) -> tuple[Similarity, str]:
    """The rigid motion that turns a metric world to Z up with the floor at z = 0, and who told up.

    Up is taken from the cameras, else from the floor among the sparse `points` (N, 3), else from the bodies.
    """
    gravity = up_from_bodies(posed.joints) if known_up is None else Gravity(known_up, "cameras")
    feet = lowest_points(posed.vertices, gravity.up)
    floor = floor_plane(points, gravity, feet) if known_up is None else None
    if floor is not None:
        return Similarity(1.0, rotation_to_z(floor.up), np.array([0.0, 0.0, -floor.height])), "floor"
    lowest = floor_height(feet @ gravity.up)
    return Similarity(1.0, rotation_to_z(gravity.up), np.array([0.0, 0.0, -lowest])), gravity.source


def _keypoint_model(body: BodyModel, keypoint_set: str, settings: FitSettings) -> KeypointModel:
    if not settings.keypoint_model:
        return KeypointModel.for_body(body, keypoint_set)
    path = Path(settings.keypoint_model)
    model = KeypointModel.load(path)
    if not model.is_for(body, keypoint_set):
        raise InputError(f"is not for {keypoint_set} on the body {body.name}", path=path, reason="other_keypoints")
    return model.extended(body, keypoint_set)


def _pose(state_rotations: Array, level: Similarity) -> Array:
    rotations = state_rotations.copy()
    rotations[0] = level.R @ rotations[0]
    return rotations


def _forward(body: BodyModel, people: list[PersonFit], level: Similarity) -> Posed:
    """The bodies after the rigid motion `level` of their world, with the model's own joints.

    SMPL turns about the pelvis J of the shape: R (x - J) + J + transl, so transl' = L (J + transl) - J.
    """
    betas, _, transl, expression = stacked([p.state for p in people])
    rotations = np.stack([_pose(p.state.rotations, level) for p in people])
    pelvis = body.joint_template[0] + betas @ body.joint_shapedirs[0].T
    return body.forward(betas, rotations, level.apply(pelvis + transl) - pelvis, expression)


def _metric_cameras(cameras: SceneCameras, metric_from_sfm: Similarity) -> SceneCameras:
    frames = [
        FrameCamera(
            f.index,
            f.name,
            f.camera,
            None if f.cam_from_world is None else metric_from_sfm.apply_to_camera(f.cam_from_world),
        )
        for f in cameras.frames
    ]
    return SceneCameras(frames, "metre", np.array([0.0, 0.0, 1.0]), "fit", {"made_by": cameras.origin})


def _people(
    body: BodyModel,
    fits: list[PersonFit],
    level: Similarity,
    detections: Detections,
    rows: list[npt.NDArray[np.int64]],
    cameras: SceneCameras,
) -> FittedPeople:
    """What the file tells of the people; `rows` are each one's detections, whether the fit used them or not."""
    posed = _forward(body, fits, level)
    coco = sparse.csr_matrix(body.keypoint_regressor("coco17"))
    keypoints = np.stack([coco @ vertices for vertices in posed.vertices])
    rotations = np.stack([_pose(p.state.rotations, level) for p in fits])
    pose = log_so3(rotations)
    person = np.full(len(detections), -1, dtype=np.int64)
    has_camera = np.isin(detections.frame, [camera.index for camera in cameras.posed])
    for index, own in enumerate(rows):
        person[own[has_camera[own]]] = index
    betas, _, _, expression = stacked([p.state for p in fits])
    named = named_pose(pose)
    landmarks = unknown_landmarks(len(fits))
    for index, one in enumerate(fits):
        _tell_parts(index, one, level, named, expression, landmarks)
    return FittedPeople(
        body_model=body.name,
        body_digest=body.digest,
        n_joints=np.array(body.n_joints),
        betas=betas,
        expression=expression,
        **named,
        **landmarks,
        transl=posed.joints[:, 0] - body.joint_template[0] - betas @ body.joint_shapedirs[0].T,
        joints=body.smpl24_joints(posed.joints),
        joints_cov=np.stack([level.R @ p.joints_cov @ level.R.T for p in fits]),
        keypoints=keypoints,
        detection_person=person,
        residual_px=median_residual_px(keypoints, person, detections, cameras),
    )


def _tell_parts(
    index: int,
    person: PersonFit,
    level: Similarity,
    named: dict[str, Array],
    expression: Array,
    landmarks: dict[str, Array],
) -> None:
    """Write a person's hands and face (in place): where they are, or NaN where they are unknown."""
    known = person.landmarks
    for hand, part in enumerate(HANDS):
        if part in known:
            points, covariance = known[part]
            landmarks["hands"][index, hand] = level.apply(points)
            landmarks["hands_cov"][index, hand] = level.R @ covariance @ level.R.T
        else:
            named[f"{part}_pose"][index] = np.nan
    if "face" in known:
        points, covariance = known["face"]
        landmarks["face"][index] = level.apply(points)
        landmarks["face_cov"][index] = level.R @ covariance @ level.R.T
    else:
        expression[index] = np.nan
        for name in HEAD:
            named[name][index] = np.nan


def _statures(body: BodyModel, betas: Array) -> Array:
    """Height (P,) m of the bodies standing straight, in SMPL's rest pose."""
    rest = np.tile(np.eye(3), (len(betas), body.n_joints, 1, 1))
    heights = body.forward(betas, rest, np.zeros((len(betas), 3))).vertices[..., 1]
    return np.asarray(heights.max(1) - heights.min(1))


def _scene(
    fit: SceneFit, n_tracks: int, metric_from_sfm: Similarity, up_source: str, statures: Array
) -> dict[str, Any]:
    return {
        "format": SCENE_FORMAT,
        "scale": fit.scale,
        "scale_interval": fit.scale_interval,
        "scale_voters": [i for i, p in enumerate(fit.people) if p.track in fit.scale_voters],
        "metric_from_sfm": {
            "scale": metric_from_sfm.scale,
            "R": metric_from_sfm.R,
            "t": metric_from_sfm.t,
        },
        "up_source": up_source,
        "tracks": n_tracks,
        "tracks_unfitted": len(fit.unfitted),
        "people": [
            {
                "stature_m": stature,
                "detections": len(p.observations),
                "energy": p.energy,
                "noise": p.noise,
                "outline_share": None if p.outline is None else p.outline.share,
                "turned_round": p.turned_round,
                "unknown_limbs": p.unknown_limbs,
                "limb_outline_shares": None if p.outline is None else p.outline.limb_shares,
                "own_scale": None if p.log_scale is None else float(np.exp(p.log_scale[0])),
                "own_scale_sd": None if p.log_scale is None else p.log_scale[1],
                "moved_m": None if p.movement is None else p.movement.estimate,
                "moved_sd_m": None if p.movement is None else p.movement.deviation,
                "moved_at_least_m": None if p.movement is None else p.movement.at_least,
                "knots": None if p.movement is None else p.movement.frames,
                "displacement_m": None
                if p.movement is None
                else p.movement.shrinkage * p.movement.displacement @ metric_from_sfm.R.T,
            }
            for p, stature in zip(fit.people, statures, strict=True)
        ],
    }


def _resources(settings: FitSettings) -> dict[str, str]:
    # which open body is taken depends on the keypoints
    bodies = [load_body(name) for name in ([settings.body] if settings.body else OPEN_BODIES)]
    found = {f"body/{body.name}": body.digest for body in bodies}
    if settings.keypoint_model:
        path = Path(settings.keypoint_model)
        KeypointModel.load(path)  # a wrong file must fail here, where it costs no result that is there
        found["keypoint_model"] = sha256_file(path)
    else:
        shipped = {(b.name, name): shipped_calibration(b.name, name) for b in bodies for name in joint_sets()}
        found |= {
            f"keypoint_model/{name}_{body}": sha256_file(path)
            for (body, name), path in shipped.items()
            if path is not None
        }
    return found


STAGE = Stage("fit", 28, ("source", "sfm", "detect"), FitSettings, run, _resources)
