"""Scenes drawn from a difficulty: people in a room, a camera's path, and what is planted."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from mcbench.body.anny_rig import AnnyRig
from mcbench.cameras.camera import Camera, camera_center, transform
from mcbench.synth.camera_path import look_at, sample_path
from mcbench.synth.difficulty import Difficulty
from mcbench.synth.people import Person, collides, make_people
from mcbench.synth.poses import Pose, greeting, sample_pose
from mcbench.synth.room import SHELL, Room
from mcbench.synth.visibility import Caster, joints_seen

Array = npt.NDArray[np.float64]

PLANTS = ("moving_person", "static_camera", "pure_rotation", "cut", "nobody")
#: Draws of people and path before the best of them is taken.
_TRIES = 40
_VIEWS = 7  # of the path at which a draw is measured
#: How far a planted mover walks, metres.
_WALK_M = 0.5


@dataclass(frozen=True)
class Scene:
    """All that a clip shows.

    Attributes
    ----------
    camera : without distortion. cam_from_world : (F, 3, 4). moved : (F, P, 3) metres since the first frame.
    measured : occluded, cut, height_px, as in `Band`.
    """

    room: Room
    people: list[Person]
    camera: Camera
    cam_from_world: Array
    moved: Array
    measured: dict[str, float]


def sample_scene(
    rng: np.random.Generator,
    difficulty: Difficulty,
    frames: int,
    size: tuple[int, int],
    fps: float,
    people: int | None = None,
    plant: str | None = None,
) -> Scene:
    """Draw a scene; people and path are drawn again until the difficulty's band is met (or nearly)."""
    count = int(rng.integers(difficulty.people[0], difficulty.people[1] + 1)) if people is None else people
    if plant == "nobody":
        count = 0
    focal = rng.uniform(*difficulty.focal) * max(size[0], size[1] * 16 / 9)
    camera = Camera("SIMPLE_PINHOLE", *size, (focal, size[0] / 2, size[1] / 2))
    best: tuple[float, Scene] | None = None
    group: list[Person] = []
    cast_at_group = _people_caster(group)
    for attempt in range(_TRIES):
        if attempt % 4 == 0:  # paths are cheaper than people
            group = _sample_group(rng, difficulty, count)
            cast_at_group = _people_caster(group)
        path = sample_path(rng, frames, fps, difficulty.path, rng.uniform(*difficulty.aim_m))
        if plant == "static_camera":
            path = np.repeat(path[:1], frames, axis=0)
        elif plant == "pure_rotation":
            path = _rotation_only(path)
        room = _sample_room(rng, difficulty, group, path)
        measured = measure(room, group, cast_at_group, camera, path)
        scene = Scene(room, group, camera, path, np.zeros((frames, count, 3)), measured)
        miss = _miss(difficulty, measured)
        if best is None or miss < best[0]:
            best = (miss, scene)
        if miss == 0 or count == 0:
            break
    assert best is not None
    scene = best[1]
    if plant == "moving_person" and count:
        scene = replace(scene, moved=_walk(scene))
    return scene


def _miss(difficulty: Difficulty, measured: dict[str, float]) -> float:
    """How far outside the band a scene is."""
    total = 0.0
    for name, unit in (("occluded", 0.1), ("cut", 0.5), ("height_px", 50.0)):
        low, high = getattr(difficulty.band, name)
        total += max(low - measured[name], measured[name] - high, 0.0) / unit
    return total


def _sample_group(rng: np.random.Generator, difficulty: Difficulty, count: int) -> list[Person]:
    """People in rows that face the camera's side, more or less; some pairs greet each other."""
    poses: list[Pose] = [sample_pose(rng) for _ in range(count)]
    greets = count >= 2 and rng.random() < 0.4
    if greets:
        poses[0] = poses[1] = greeting(rng)
    made = make_people(rng, poses)
    rows = min(difficulty.rows, max(1, (count + 1) // 2))
    spacing = rng.uniform(*difficulty.spacing_m)
    places = []
    for i in range(count):
        row, column = i % rows, i // rows
        columns = len(range(row, count, rows))
        x = (column - (columns - 1) / 2 + (0.45 if row % 2 else 0)) * spacing * (1.25 if rows > 1 else 1)
        places.append(np.array([x, (row - (rows - 1) / 2) * spacing * 1.1]))
    order = rng.permutation(count)
    placed: list[Person] = []
    for i, person in enumerate(made):
        spot = places[order[i]]
        yaw = rng.normal(0, 0.5)
        for widen in range(40):
            here = spot * (1 + 0.03 * widen) + rng.normal(0, 0.06 + 0.02 * widen, 2)
            candidate = person.placed(here, yaw + rng.normal(0, 0.1 + 0.05 * widen))
            if greets and i == 1 and widen < 10:  # in front of the first, face to face
                gap = rng.uniform(0.75, 0.95) + 0.05 * widen
                first_yaw = np.arctan2(*(_facing(placed[0]) * [1, -1]))
                candidate = person.placed(_middle(placed[0]) + gap * _facing(placed[0]), first_yaw + np.pi)
            if not collides(candidate, placed):
                break
        placed.append(candidate)
    return placed


def _middle(person: Person) -> Array:
    return person.joints[0, :2]


def _facing(person: Person) -> Array:
    """Unit vector (2,) on the floor in which the pelvis faces."""
    left = person.joints[1, :2] - person.joints[2, :2]
    forward = np.array([left[1], -left[0]])
    return forward / np.linalg.norm(forward)


def _sample_room(rng: np.random.Generator, difficulty: Difficulty, people: list[Person], path: Array) -> Room:
    """A room round people and path, seats under who sits, furniture where nobody is."""
    centres = camera_center(path)
    reach = np.abs(np.concatenate([centres[:, :2], *(p.vertices[:, :2] for p in people)])).max(0)
    size = (2 * reach[0] + rng.uniform(0.8, 2.0), 2 * reach[1] + rng.uniform(0.8, 2.0), rng.uniform(2.6, 3.0))
    boxes: list[Array] = []
    for person in people:
        if person.seat is not None:
            half = 0.19
            x, y, z = person.seat
            boxes.append(np.array([[x - half, y - half, 0.0], [x + half, y + half, max(z, 0.1)]]))
    wanted = int(rng.integers(difficulty.furniture[0], difficulty.furniture[1] + 1))
    for _ in range(60):
        if wanted == 0:
            break
        box = rng.uniform((0.3, 0.3, 0.3), (1.0, 0.7, 1.0))
        low = np.array([*(rng.uniform(-0.45, 0.45, 2) * size[:2]), 0.0])
        high = low + box
        if (high[:2] > np.array(size[:2]) / 2 - 0.05).any():
            continue
        margin = 0.15
        points = np.concatenate([centres, *(p.vertices[::7] for p in people)])[:, :2]
        near = ((points > low[:2] - margin) & (points < high[:2] + margin)).all(1)
        if not near.any():
            boxes.append(np.stack([low, high]))
            wanted -= 1
    return Room(size, np.array(boxes, dtype=np.float64).reshape(-1, 2, 3))


def _rotation_only(path: Array) -> Array:
    """A camera that turns on the spot."""
    centre = camera_center(path[len(path) // 2])
    turn = np.deg2rad(np.linspace(-9, 9, len(path)))
    distance = np.linalg.norm(centre[:2])
    ahead = np.arctan2(-centre[1], -centre[0])
    targets = centre + distance * np.stack([np.cos(ahead + turn), np.sin(ahead + turn), 0 * turn - 0.1], axis=1)
    return look_at(np.broadcast_to(centre, targets.shape), targets)


def _walk(scene: Scene) -> Array:
    """(F, P, 3): the first person walks ahead, the others stand."""
    moved = np.zeros_like(scene.moved)
    share = np.linspace(0, 1, len(moved))
    moved[:, 0, :2] = share[:, None] * _WALK_M * _facing(scene.people[0])
    return moved


def _people_caster(people: list[Person]) -> Caster:
    """A `Caster` at people, without looks or a room."""
    if not people:
        return lambda origins, _: (np.full(len(origins), -1), np.full(len(origins), np.inf))
    faces, count = AnnyRig.load().faces, len(people[0].vertices)
    triangles = np.concatenate([faces + i * count for i in range(len(people))])
    return _mesh_caster(np.concatenate([p.vertices for p in people]), triangles, np.arange(len(people)))


def _mesh_caster(vertices: Array, triangles: npt.NDArray[np.int64], owners: npt.NDArray[np.int64]) -> Caster:
    """A `Caster` at equally large groups of triangles, (T, 3) in all, one an owner."""
    scene = EmbreeScene()
    mesh = TriangleMesh(scene, vertices.astype(np.float32), triangles.astype(np.int32))
    each = len(triangles) // len(owners)

    def cast(origins: Array, directions: Array) -> tuple[npt.NDArray[np.int64], Array]:
        assert mesh is not None  # embree does not keep it alive
        found = scene.run(
            np.ascontiguousarray(origins, dtype=np.float32),
            np.ascontiguousarray(directions, dtype=np.float32),
            output=1,
        )
        hit = found["primID"] >= 0
        return np.where(hit, owners[found["primID"] // each], -1), np.where(hit, found["tfar"], np.inf)

    return cast


def _with_furniture(cast: Caster, room: Room) -> Caster:
    """The same with a room's boxes in the way."""
    if not len(room.boxes):
        return cast
    corner, along, down = room.rectangles()[SHELL:].swapaxes(0, 1)
    corners = np.stack([corner, corner + along, corner + down, corner + along + down], axis=1).reshape(-1, 3)
    halves = np.concatenate([[4 * i + np.array([0, 1, 2]), 4 * i + np.array([1, 3, 2])] for i in range(len(corner))])
    cast_at_boxes = _mesh_caster(corners, halves, np.array([-1]))

    def cast_at_all(origins: Array, directions: Array) -> tuple[npt.NDArray[np.int64], Array]:
        (person, distance), (_, box) = cast(origins, directions), cast_at_boxes(origins, directions)
        return np.where(box < distance, -1, person), np.minimum(box, distance)

    return cast_at_all


def measure(room: Room, people: list[Person], cast_at_people: Caster, camera: Camera, path: Array) -> dict[str, float]:
    """What `Band` bounds, at a few views of a path."""
    if not people:
        return {"occluded": 0.0, "cut": 0.0, "height_px": 0.0}
    cast = _with_furniture(cast_at_people, room)
    joints = np.stack([p.joints for p in people])
    some = np.stack([p.vertices[::11] for p in people])
    inside = hidden = 0
    cut = np.zeros(len(people), dtype=bool)
    heights = []
    for view in np.unique(np.linspace(0, len(path) - 1, _VIEWS).astype(int)):
        visible, within = joints_seen(cast, camera, path[view], joints)
        inside += int(within.sum())
        hidden += int((within & ~visible).sum())
        cut |= ~within.all(1) & within.any(1)
        pixels = camera.project(transform(path[view], some))
        heights.extend(np.ptp(pixels[..., 1], axis=1)[within.any(1)] * 540 / camera.height)
    return {
        "occluded": hidden / max(inside, 1),
        "cut": float(cut.mean()),
        "height_px": float(np.nanmedian(heights)) if heights else 0.0,
    }
