"""A clip: scenes rendered frame by frame into an H.264 file, and the truth of what was seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from mcbench.body.anny_rig import PARTS, AnnyRig
from mcbench.dataset.truth import SceneTruth
from mcbench.synth.difficulty import Difficulty
from mcbench.synth.renderer import Picture, Renderer
from mcbench.synth.scene import Scene
from mcbench.synth.surfaces import Surfaces, build_surfaces
from mcbench.synth.visibility import Caster, joints_seen, vertices_seen

Array = npt.NDArray[np.float64]

#: Pictures taken while the shutter is open, where there is motion blur: an odd number, the middle one at the pose.
_SHUTTER = 3
_NOISE_TILES = 5
#: A face is to be seen where so many of its landmarks are: of one that is turned away, a strip of the cheek is not.
_FACE_SEEN = 0.5


def render_clip(
    path: Path,
    scenes: list[Scene],
    difficulty: Difficulty,
    fps: float,
    rng: np.random.Generator,
    info: dict,
    on_frame: Callable[[], None] = lambda: None,
) -> SceneTruth:
    """Write the clip of scenes one after the other (more than one: a cut) and return its truth.

    The file is whole or absent. People of all scenes are numbered through; each is seen in the frames of its own
    scene only, and every scene has a world of its own.
    """
    width, height = scenes[0].camera.width, scenes[0].camera.height
    partial = path.with_name(f".{path.name}.tmp.mp4")
    parts = []
    with av.open(str(partial), "w") as container:
        stream = container.add_stream("libx264", rate=round(fps))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        # One thread and no macroblock tree, which gave other bytes from run to run: equal frames, equal file.
        stream.options = {"crf": str(difficulty.crf), "preset": "veryfast", "x264-params": "no-mbtree=1"}
        stream.codec_context.thread_count = 1
        for scene in scenes:
            filmed = _Filmed(scene, difficulty, rng)
            for index in range(len(scene.cam_from_world)):
                frame = av.VideoFrame.from_ndarray(filmed.frame(index), format="rgb24")
                container.mux(stream.encode(frame))
                on_frame()
            parts.append(filmed)
        container.mux(stream.encode(None))
    partial.replace(path)
    return _truth(path.name, scenes, parts, info)


class _Filmed:
    """Films one scene and keeps what was visible."""

    def __init__(self, scene: Scene, difficulty: Difficulty, rng: np.random.Generator) -> None:
        self.scene = scene
        self.difficulty = difficulty
        self.rng = rng
        self.surfaces = build_surfaces(rng, scene.room, scene.people, rng.uniform(*difficulty.brightness))
        self.renderer = Renderer(self.surfaces, scene.camera)
        self.rest_vertices = self.surfaces.vertices.copy()
        rig = AnnyRig.load()
        self.joints = _stack([p.joints for p in scene.people], (24, 3))
        self.vertices = _stack([p.vertices for p in scene.people], (len(rig.skin_mask), 3))
        frames, people = len(scene.cam_from_world), len(scene.people)
        self.joints_visible = np.zeros((frames, people, 24), dtype=bool)
        self.joints_inside = np.zeros_like(self.joints_visible)
        self.vertex_count = np.zeros((people, len(rig.skin_mask)), dtype=np.int32)
        self.box = np.full((frames, people, 4), np.nan)
        self.hands_px = np.zeros((frames, people, 2))
        self.face_px = np.zeros((frames, people))
        self.part_of_triangle = _triangle_parts(rig, self.surfaces)
        self.face_vertices = [cKDTree(p.vertices).query(p.face)[1] for p in scene.people]
        width, height = scene.camera.width, scene.camera.height
        self.noise = [
            (difficulty.noise / 255 * rng.standard_normal((height, width, 1))).astype(np.float32)
            for _ in range(_NOISE_TILES)
        ]

    def frame(self, index: int) -> npt.NDArray[np.uint8]:
        """The picture (H, W, 3) of a frame; takes note of what is visible."""
        pose = self.scene.cam_from_world[index]
        self._move(index)
        picture = self.renderer.render(pose)
        rgb: npt.NDArray = picture.rgb
        if self.difficulty.exposure > 0:
            for other in shutter_poses(self.scene.cam_from_world, index, self.difficulty.exposure):
                rgb = rgb + self.renderer.render(other).rgb
            rgb = rgb / _SHUTTER
        if self.difficulty.blur_px > 0:
            rgb = cv2.GaussianBlur(rgb, (0, 0), self.difficulty.blur_px)
        self._note(index, picture)
        tile = self.noise[index % _NOISE_TILES]
        rgb = rgb + np.roll(tile, tuple(self.rng.integers(0, 50, 2)), axis=(0, 1))
        return np.clip(255 * rgb + 0.5, 0, 255).astype(np.uint8)

    def _move(self, index: int) -> None:
        moved = self.scene.moved[index]
        if not self.scene.moved.any():
            return
        count = self.vertex_count.shape[1]
        for person, first in enumerate(self.surfaces.first):
            mine = slice(first, first + 2 * count)
            self.surfaces.vertices[mine] = self.rest_vertices[mine] + moved[person].astype(np.float32)
        self.surfaces.rebuild()
        self.renderer.moved()

    def _note(self, index: int, picture: Picture) -> None:
        scene = self.scene
        if not scene.people:
            return
        pose = scene.cam_from_world[index]
        joints, vertices = self.joints + scene.moved[index][:, None], self.vertices + scene.moved[index][:, None]
        visible, within = joints_seen(surfaces_caster(self.surfaces), scene.camera, pose, joints)
        self.joints_visible[index], self.joints_inside[index] = visible, within
        seen = vertices_seen(self.surfaces.blocked, scene.camera, pose, vertices)
        self.vertex_count += seen
        for i in range(len(scene.people)):
            mine = picture.person == i
            box = _extent(mine)
            if box is None:
                continue
            x0, y0, x1, y1 = self.box[index, i] = box
            inner = np.s_[y0:y1, x0:x1]
            part = np.where(mine[inner], self.part_of_triangle[picture.triangle[inner]], -1)
            for kind in range(3):
                found = _extent(part == kind)
                size = 0 if found is None else max(found[2] - found[0], found[3] - found[1])
                if kind < 2:
                    self.hands_px[index, i, kind] = size
                elif seen[i, self.face_vertices[i]].mean() >= _FACE_SEEN:
                    self.face_px[index, i] = size


def _extent(mask: npt.NDArray[np.bool_]) -> tuple[int, int, int, int] | None:
    """x0, y0, x1, y1 of the pixels that are set, the last two exclusive; None where there are none."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1) if len(rows) else None


def surfaces_caster(surfaces: Surfaces) -> Caster:
    """A `Caster` at the very surfaces that are rendered."""

    def cast(origins: Array, directions: Array) -> tuple[npt.NDArray[np.int64], Array]:
        found = surfaces.cast(origins, directions)
        person = np.where(found.triangle >= 0, surfaces.person[found.triangle], -1)
        return person, found.distance.astype(np.float64)

    return cast


def _triangle_parts(rig: AnnyRig, surfaces: Surfaces) -> npt.NDArray[np.int8]:
    """Of every triangle: 0 left hand, 1 right hand, 2 face, -1 anything else."""
    out = np.full(len(surfaces.triangles), -1, dtype=np.int8)
    count = len(rig.skin_mask)
    rest = np.asarray(rig.part)
    left = rig.skinning[:, [i for i, b in enumerate(rig.bones) if b.endswith(".L")]].sum(1) > 0.5
    face = _face_vertices(rig)
    mine = surfaces.person >= 0
    first = np.array([*surfaces.first, 0])[surfaces.person[mine]]
    vertex = (surfaces.triangles[mine, 0] - first) % count
    hand = rest[vertex] == PARTS.index("hand")
    out[mine] = np.where(hand, np.where(left[vertex], 0, 1), np.where(face[vertex], 2, -1))
    return out


def _face_vertices(rig: AnnyRig) -> npt.NDArray[np.bool_]:
    """The face: skin of the head in front of the middle of the eyes' depth and below the brow."""
    template = rig.template()
    head = rig.part == PARTS.index("head")
    eyes = template[rig.skinning[:, [rig.bone("eye.L"), rig.bone("eye.R")]].sum(1) > 0.5]
    return np.asarray(head & (template[:, 1] < eyes[:, 1].max() + 0.03) & (template[:, 2] < eyes[:, 2].max() + 0.05))


def shutter_poses(poses: Array, index: int, exposure: float) -> list[Array]:
    """Poses (3, 4) of the camera while the shutter is open, but for the frame's own, which is in their middle.

    poses : (F, 3, 4) of the frames; before the first and after the last the camera goes on as it went.
    exposure : how long it is open, in frames.
    """
    found = []
    for step in range(-(_SHUTTER // 2), _SHUTTER // 2 + 1):
        if step != 0 and len(poses) > 1:
            time = index + exposure * step / _SHUTTER
            before = int(np.clip(np.floor(time), 0, len(poses) - 2))
            found.append(_between(poses[before], poses[before + 1], time - before))
    return found or [poses[index]] * (_SHUTTER - 1)


def _between(a: Array, b: Array, share: float) -> Array:
    """A pose between two that are close: interpolated, made a rotation again."""
    u, _, vt = np.linalg.svd((1 - share) * a[:, :3] + share * b[:, :3])
    return np.concatenate([u @ vt, ((1 - share) * a[:, 3] + share * b[:, 3])[:, None]], axis=1)


def _truth(clip: str, scenes: list[Scene], parts: list[_Filmed], info: dict) -> SceneTruth:
    people = [p for scene in scenes for p in scene.people]
    total = len(people)
    vertex_number = parts[0].vertex_count.shape[1]
    fields: dict[str, list[npt.NDArray]] = {}
    begun = 0
    for scene, part in zip(scenes, parts, strict=True):
        frames, mine = len(scene.cam_from_world), slice(begun, begun + len(scene.people))
        begun = mine.stop
        for name, own, empty in (
            ("joints_visible", part.joints_visible, False),
            ("box", part.box, np.nan),
            ("hands_px", part.hands_px, 0.0),
            ("face_px", part.face_px, 0.0),
            ("moved", scene.moved, 0.0),
        ):
            wide = np.full((frames, total, *own.shape[2:]), empty, dtype=own.dtype)
            wide[:, mine] = own
            fields.setdefault(name, []).append(wide)
    inside = sum(int(p.joints_inside.sum()) for p in parts)
    hidden = sum(int((p.joints_inside & ~p.joints_visible).sum()) for p in parts)
    cut = np.concatenate([(p.joints_inside.any(2) & ~p.joints_inside.all(2)).any(0) for p in parts])
    heights = np.concatenate([(p.box[..., 3] - p.box[..., 1])[np.isfinite(p.box[..., 3])] for p in parts])
    whole = np.concatenate([(p.joints_visible.mean(2) >= 0.9).mean(0) for p in parts])
    measured = {
        "joints_inside": inside,
        "joints_occluded": hidden,
        "people": total,
        "people_cut": int(cut.sum()),
        "people_mostly_whole": int((whole > 0.5).sum()),
        "heights_px": np.percentile(heights, range(0, 101, 10)).round(1).tolist() if len(heights) else [],
        "distances_m": _distances(scenes),
    }
    return SceneTruth(
        clip,
        (scenes[0].camera.width, scenes[0].camera.height),
        np.concatenate([np.repeat(s.camera.K[None], len(s.cam_from_world), axis=0) for s in scenes]),
        np.concatenate([s.cam_from_world for s in scenes]),
        np.arange(total, dtype=np.int64),
        _stack([p.joints for p in people], (24, 3)),
        vertices=_stack([p.vertices for p in people], (vertex_number, 3)),
        vertices_visible=np.concatenate([p.vertex_count for p in parts]),
        hands=_stack([p.hands for p in people], (2, 21, 3)),
        face=_stack([p.face for p in people], (51, 3)),
        info={**info, "people": [p.info for p in people], "measured": measured},
        **{name: np.concatenate(values) for name, values in fields.items()},
    )


def _stack(arrays: list[Array], shape: tuple[int, ...]) -> Array:
    return np.stack(arrays) if arrays else np.zeros((0, *shape))


def _distances(scenes: list[Scene]) -> list[float]:
    """Nearest, median and farthest distance between camera and a person's pelvis, metres."""
    found = []
    for scene in scenes:
        centres = -np.einsum("fji,fj->fi", scene.cam_from_world[:, :, :3], scene.cam_from_world[:, :, 3])
        for person in scene.people:
            found.append(np.linalg.norm(centres - person.joints[0], axis=1))
    return np.percentile(np.concatenate(found), (0, 50, 100)).round(2).tolist() if found else []


def shortened(scene: Scene, frames: slice) -> Scene:
    """The scene with some of its frames."""
    return replace(scene, cam_from_world=scene.cam_from_world[frames], moved=scene.moved[frames])
