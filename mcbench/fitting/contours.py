"""Where images show the outline of a body that is nearly fitted.

A detector's keypoints are off by centimetres, and by the same ones in every view. The outline of a body is off by
nothing: it is where the image stops showing the body. Every point of the surface has the same colours in all views, as
nobody moves, so the views in which it is seen from the front tell which colours the outline separates from others.
Along the normal of each point of the projected rim, the reading is the place that best parts pixels of those colours,
inwards, from pixels of others, outwards; where there is no such place, there is no reading.

Rims in front of the own body, behind other people or furniture, and near the image's border are left out. The search
is led by the fit, as in the tracking of articulated bodies by their edges (Drummond and Cipolla, "Real-time tracking of
highly articulated structures in the presence of noisy measurements", 2001), the decision by colours on either side as
in Hanek and Beetz, "The contracting curve density algorithm", 2004; both re-derived for many still views.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from mcbench.body.mesh import vertex_normals
from mcbench.body.model import BodyModel
from mcbench.fitting.colours import Colours, likeness, median_over_views, sample_colours
from mcbench.fitting.depth_order import DepthOrder
from mcbench.fitting.furniture import Furniture
from mcbench.fitting.scene_images import SceneImages

Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Points of the surface that colours are kept of, and how many near a point of the rim it is compared with.
_SAMPLES, _NEAR = 2000, 16
#: Side of the cubes of which each has one point that stands for the surface there, metres.
_COVER_M = 0.010
#: A sample's colour is taken where the surface faces the camera by this cosine at least.
_FACING = 0.5
#: Difference of colours (of 255) at which a pixel is as likely of the body as not is 1.18 times this.
_COLOUR_SD = 14.0
#: Colours that are not read where they are looked for are of another light: their brightness differs by so much more.
SHADING = 2.5
#: Pixels on either side of a boundary that must be of the body, or not.
_SIDE = 4
_INSIDE, _OUTSIDE = 0.6, 0.25
#: Least contrast across a boundary, of 255.
_CONTRAST = 25.0
#: One reading a cell of so many pixels.
_SPACING_PX = 5.0
#: Pixels outwards from the rim at which the own body must not be met again: its outline is inside itself there.
_CLEAR_PX = (5.0, 8.0, 11.0)
_MARGIN = 4  # px of a profile beyond the reach on either side


@dataclass(frozen=True)
class ContourReadings:
    """M points of a body's outline that images show.

    Attributes
    ----------
    edge : (M, 2) vertices whose middle is on the rim.
    view : (M,) index into the views.
    normal : (M, 2) unit, outwards, in the image.
    place : (M,) px, where along the normal the outline is: n . pixel.
    depth : (M,) of the rim, metres.
    spacing_px : about how far apart they are on an outline, px.
    tried_at : (N,) vertices at the points of the rim that were looked at.
    """

    edge: IntArray
    view: IntArray
    normal: Array
    place: Array
    depth: Array
    spacing_px: float
    tried_at: IntArray

    def __len__(self) -> int:
        return len(self.view)

    @property
    def tried(self) -> int:
        """How many points of the rim were looked at."""
        return len(self.tried_at)

    def share(self, part: npt.NDArray[np.bool_] | None = None, least: int = 1) -> float:
        """Share of the points looked at, on a part (V,) of the body, that have a reading; NaN of fewer than `least`."""
        tried, read = self.tried_at, self.edge[:, 0]
        if part is not None:
            tried, read = tried[part[tried]], read[part[read]]
        return len(read) / len(tried) if len(tried) >= least else np.nan


@dataclass(frozen=True)
class SurfaceTopology:
    """What is to be known of a body's mesh, whatever its pose.

    Attributes
    ----------
    faces : (F, 3). edge : (E, 2) vertices of the edges that two faces of the skin share, and `edge_faces` (E, 2) these.
    samples : (S,) vertices that colours are kept of. near_samples : (V, N) those near each vertex.
    mirrored_samples : (S,) the one on the other side of each.
    cover : vertices and faces whose places and middles lie everywhere on the surface, about `_COVER_M` apart.
    """

    faces: IntArray
    edge: IntArray
    edge_faces: IntArray
    samples: IntArray
    near_samples: IntArray
    mirrored_samples: IntArray
    cover: tuple[IntArray, IntArray]

    @classmethod
    def of_body(cls, body: BodyModel) -> SurfaceTopology:
        edge, edge_faces = _inner_edges(body.faces)
        skin = body.skin_mask[edge].all(1)
        samples = spread_vertices(body, _SAMPLES)
        tree = cKDTree(body.v_template[samples])
        near = tree.query(body.v_template, k=_NEAR)[1]
        mirrored = tree.query(body.v_template[samples] * [-1, 1, 1])[1]
        return cls(
            body.faces,
            edge[skin],
            edge_faces[skin],
            samples,
            near.astype(np.int64),
            mirrored.astype(np.int64),
            _cover(body),
        )

    def surface(self, vertices: Array) -> Array:
        """Points (N, 3) everywhere on the surface of a body with vertices (V, 3)."""
        on_vertices, in_faces = self.cover
        return np.concatenate([vertices[on_vertices], vertices[self.faces[in_faces]].mean(1)])


def _cover(body: BodyModel) -> tuple[IntArray, IntArray]:
    points = np.concatenate([body.v_template, body.v_template[body.faces].mean(1)])
    chosen = _one_a_cell(points, _COVER_M)
    return chosen[chosen < body.n_vertices], chosen[chosen >= body.n_vertices] - body.n_vertices


def _inner_edges(faces: IntArray) -> tuple[IntArray, IntArray]:
    """Edges (E, 2) that two faces share, and the two (E, 2)."""
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    owner = np.tile(np.arange(len(faces)), 3)
    order = np.lexsort((edges[:, 1], edges[:, 0]))
    edges, owner = edges[order], owner[order]
    first = np.flatnonzero((edges[1:] == edges[:-1]).all(1))
    return edges[first], np.stack([owner[first], owner[first + 1]], axis=1)


def spread_vertices(body: BodyModel, count: int) -> IntArray:
    """About `count` vertices of the skin, one a cube of space: evenly, however dense the mesh is."""
    skin = np.flatnonzero(body.skin_mask)
    low, high = 0.002, 0.2
    chosen = skin
    for _ in range(24):
        side = np.sqrt(low * high)
        chosen = skin[_one_a_cell(body.v_template[skin], side)]
        low, high = (side, high) if len(chosen) > count else (low, side)
    return chosen


def _one_a_cell(points: Array, side: float) -> IntArray:
    """Rising indices of the first of the points (N, D) in each cell of a grid."""
    cells = np.floor(points / side).astype(np.int64)
    cells -= cells.min(axis=0, initial=0)
    key = np.ravel_multi_index(tuple(cells.T), tuple(cells.max(axis=0, initial=0) + 1))
    return np.sort(np.unique(key, return_index=True)[1])


@dataclass(frozen=True)
class ContourFinder:
    """Finds outlines in the images of a scene, in metres, of bodies with the topology given."""

    topology: SurfaceTopology
    images: SceneImages
    furniture: Furniture | None = None

    def find(
        self,
        vertices: Array,
        order: DepthOrder,
        person: int,
        reach: int,
        colours: Colours | None = None,
        part: npt.NDArray[np.bool_] | None = None,
    ) -> ContourReadings:
        """The outline of a body near where it is fitted.

        Parameters
        ----------
        vertices : (V, 3) of the body, metres.
        order : who is in front of whom, with this body as its `person`.
        reach : how far from the fitted rim the outline may be, px.
        colours : (S, 3) of the samples of the surface; None: those that the images show where it is fitted.
        part : (V,) the part of the body whose outline is looked for; None: all of it.
        """
        edge, view, middle, normal, depth = self._rims(vertices, order, person, reach, part)
        if not len(view):
            return ContourReadings(edge, view, normal, np.zeros(0), depth, _SPACING_PX, edge[:, 0])
        shading = 1.0 if colours is None else SHADING
        if colours is None:
            colours = self.colours(vertices, order, person)
        profile, steps = self._profiles(view, middle, normal, reach)
        place, good = boundary(profile, colours[self.topology.near_samples[edge[:, 0]]], steps, shading)
        at = (middle * normal).sum(1) + place
        return ContourReadings(edge[good], view[good], normal[good], at[good], depth[good], _SPACING_PX, edge[:, 0])

    def _rims(
        self, vertices: Array, order: DepthOrder, person: int, reach: int, part: npt.NDArray[np.bool_] | None
    ) -> tuple[IntArray, IntArray, Array, Array, Array]:
        """The rim's points to look at: edges (M, 2), views (M,), middles and normals (M, 2) px, depths (M,)."""
        top, views = self.topology, self.images.views
        corners = vertices[top.faces]
        face_normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        offset = np.einsum("fx,fx->f", face_normal, corners[:, 0])
        edges, edge_faces = top.edge, top.edge_faces
        if part is not None:
            own = part[edges[:, 0]]
            edges, edge_faces = edges[own], edge_faces[own]
        first_face, second_face = np.ascontiguousarray(edge_faces.T)
        found = []
        for view, (projection, center, size) in enumerate(
            zip(views.projection, views.centers, views.size, strict=True)
        ):
            facing = np.asarray(face_normal @ center > offset)
            rim = np.flatnonzero(facing[first_face] != facing[second_face])
            ends = vertices[edges[rim].ravel()] @ projection[:, :3].T + projection[:, 3]
            ends = ends.reshape(-1, 2, 3)
            ahead = np.minimum(ends[:, 0, 2], ends[:, 1, 2]) > 0.05
            rim, ends = rim[ahead], ends[ahead]
            depth = (ends[:, 0, 2] + ends[:, 1, 2]) / 2
            pixels = ends[..., :2] / ends[..., 2:]
            middle = (pixels[:, 0] + pixels[:, 1]) / 2
            border = reach + _MARGIN + 1
            x, y = middle.T
            chosen = np.flatnonzero((x > border) & (y > border) & (x < size[0] - border) & (y < size[1] - border))
            rim, middle, depth = rim[chosen], middle[chosen], depth[chosen]
            # outwards: across the line of sight, the surface's normal on the rim
            moved = (face_normal[first_face[rim]] + face_normal[second_face[rim]]) @ projection[:, :3].T
            normal = (moved[:, :2] - middle * moved[:, 2:]) / depth[:, None]
            normal /= np.maximum(np.hypot(normal[:, 0], normal[:, 1]), 1e-12)[:, None]
            keep = order.free_rim(person, view, middle, normal, depth, _CLEAR_PX)
            if self.furniture is not None:
                keep[keep] = ~self.furniture.hides(view, middle[keep], depth[keep])
            chosen = np.flatnonzero(keep)
            chosen = chosen[_one_a_cell(middle[chosen], _SPACING_PX)]
            view_of = np.full(len(chosen), view)
            found.append((edges[rim[chosen]], view_of, middle[chosen], normal[chosen], depth[chosen]))
        all_edges, view_of, middles, normals, depths = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return all_edges, view_of, middles, normals, depths

    def colours(self, vertices: Array, order: DepthOrder, person: int) -> Colours:
        """(S, 3) the median colour of each sample of the surface over the views that face it; NaN where none does."""
        samples, views = self.topology.samples, self.images.views
        points = vertices[samples]
        normals = vertex_normals(vertices, self.topology.faces)[samples]
        seen = np.full((len(views), len(samples), 3), np.nan, dtype=np.float32)
        for view, (image, projection, center, size) in enumerate(
            zip(self.images.pixels, views.projection, views.centers, views.size, strict=True)
        ):
            cam = points @ projection[:, :3].T + projection[:, 3]
            pixels = cam[:, :2] / np.maximum(cam[:, 2:], 1e-6)
            rays = center - points
            facing = (rays * normals).sum(1) > _FACING * np.linalg.norm(rays, axis=1)
            good = facing & (cam[:, 2] > 0.05) & (pixels > 1).all(1) & (pixels < size - 2).all(1)
            good[good] = order.in_front(person, view, pixels[good], cam[good, 2])
            seen[view, good] = sample_colours(image, pixels[good])
        return median_over_views(seen)

    def _profiles(
        self, view: IntArray, middle: Array, normal: Array, reach: int
    ) -> tuple[Colours, npt.NDArray[np.int64]]:
        """Colours (M, T, 3) along the normals, at T steps (px)."""
        steps = np.arange(-reach - _MARGIN, reach + _MARGIN + 1)
        points = middle[:, None] + steps[:, None] * normal[:, None]
        profile = np.empty((len(view), len(steps), 3), dtype=np.float32)
        for index in np.unique(view):
            here = view == index
            profile[here] = sample_colours(self.images.pixels[index], points[here])
        return profile, steps


def boundary(
    profile: Colours, colours: Colours, steps: npt.NDArray[np.int64], shading: float = 1.0
) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Where profiles leave a body, px along `steps`, and whether they surely do there.

    Parameters
    ----------
    profile : (M, T, 3) colours from inside to outside. colours : (M, N, 3) those of the body nearby, NaN unknown.
    steps : (T,) px, one apart.
    """
    known = np.asarray(np.isfinite(colours).all(-1))
    own = likeness(profile, colours, _COLOUR_SD, shading)
    balance = np.cumsum(own - 0.5, axis=1)
    score = 2 * balance - balance[:, -1:]  # the body up to here, others from here on
    count, rows = len(steps), np.arange(len(profile))
    last = _MARGIN + score[:, _MARGIN : count - _MARGIN - 1].argmax(1)
    inwards = own[rows[:, None], last[:, None] - np.arange(_SIDE)].mean(1)
    outwards = own[rows[:, None], last[:, None] + 1 + np.arange(1, _SIDE)].mean(1)
    good = (inwards > _INSIDE) & (outwards < _OUTSIDE) & known.any(axis=1)
    good &= (last > _MARGIN) & (last < count - _MARGIN - 2)
    # pixels on the boundary are mixtures of both sides: their shares of the body tell where it runs
    inner = (profile[rows, last - 3] + profile[rows, last - 2]) / 2
    outer = (profile[rows, last + 3] + profile[rows, last + 4]) / 2
    contrast = inner - outer
    strength = (contrast**2).sum(-1)
    mixed = profile[rows[:, None], last[:, None] + np.arange(-1, 3)] - outer[:, None]
    share = np.clip((mixed * contrast[:, None]).sum(-1) / np.maximum(strength, 1e-6)[:, None], 0, 1)
    place = steps[last] - 1.5 + share.sum(1)
    return place.astype(np.float64), good & (strength > _CONTRAST**2)
