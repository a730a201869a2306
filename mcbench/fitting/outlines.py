"""The outlines of all people of a scene: from fitted bodies and images to terms of their energies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mcbench.body.model import BodyModel
from mcbench.cameras.alignment import Similarity
from mcbench.fitting.colours import Colours
from mcbench.fitting.contour_energy import ContourTerm
from mcbench.fitting.contours import ContourFinder, SurfaceTopology
from mcbench.fitting.depth_order import DepthOrder
from mcbench.fitting.energy import PersonEnergy
from mcbench.fitting.furniture import Furniture
from mcbench.fitting.gravity import Floor, floor_plane, lowest_points, up_from_bodies
from mcbench.fitting.limb_chain import LimbSurface, limb_surfaces, under_floor
from mcbench.fitting.limb_search import LimbSearch
from mcbench.fitting.scene_images import SceneImages
from mcbench.fitting.state import BodyState, PersonState, stacked
from mcbench.joints import JointSet

Array = npt.NDArray[np.float64]

#: Side of the cells in which people's depths are compared, px.
_CELL_PX = 2
#: Fewer points of a person's rim than this tell nothing.
_MIN_READINGS = 50
#: Images that show less than this share of it show it by chance: a few cameras far apart, whose colours differ.
_LEAST_SHARE = 0.4
#: Fewer points of a limb's rim tell nothing of it.
_MIN_LIMB = 25
#: How far from the fitted rim an outline is looked for, px, round by round.
REACHES_PX = (14, 8, 5)
#: A limb is taken to be elsewhere where the images show less than this share of its outline. On rendered people 0.1 to
#: 0.5 of a wrong limb's outline is shown, 0.55 to 0.95 of a right one's.
LIMB_LOST = 0.55
#: Cost of being under the floor beyond which a limb is not where it is fitted.
_DEEP_UNDER = 8.0


@dataclass(frozen=True)
class Outline:
    """What the images say of a person's outline.

    Attributes
    ----------
    term : for the person's energy; None where too little is seen, or what is seen is not to be trusted.
    share : of the points of the fitted rim, those at which the images show an outline; None where hardly any point is
        free of other people.
    shown : at how many points they do.
    limb_shares : (4,) the same of the limbs (`LIMBS`); NaN where hardly any point of theirs is free.
    """

    term: ContourTerm | None
    share: float | None
    shown: int
    limb_shares: Array


@dataclass(frozen=True)
class Outlines:
    """Looks for outlines of bodies in a scene's images.

    Attributes
    ----------
    points : (N, 3) sparse points of the scene. floor, furniture : among them, once there are people (`furnished`).
    """

    body: BodyModel
    topology: SurfaceTopology
    limbs: tuple[LimbSurface, ...]
    images: SceneImages
    points: Array
    floor: Floor | None = None
    furniture: Furniture | None = None

    @classmethod
    def of_body(cls, body: BodyModel, images: SceneImages, points: Array | None = None) -> Outlines:
        points = np.zeros((0, 3)) if points is None else points
        return cls(body, SurfaceTopology.of_body(body), tuple(limb_surfaces(body)), images, points)

    def transformed(self, similarity: Similarity) -> Outlines:
        """The same in the world that `similarity` maps this world to, without floor and furniture."""
        images, points = self.images.transformed(similarity), similarity.apply(self.points)
        return replace(self, images=images, points=points, floor=None, furniture=None)

    def furnished(self, people: Sequence[BodyState]) -> Outlines:
        """The same, in metres, with what stands before people; without where no floor shows under their feet."""
        posed = self.body.forward(*stacked(people))
        gravity = up_from_bodies(self.body.smpl24_joints(posed.joints))
        floor = floor_plane(self.points, gravity, lowest_points(posed.vertices, gravity.up))
        if floor is None:
            return replace(self, floor=None, furniture=None)
        surfaces = np.concatenate([self.topology.surface(vertices) for vertices in posed.vertices])
        furniture = Furniture.of_points(self.points, floor.up, floor.height, surfaces, self.images.views)
        return replace(self, floor=floor, furniture=furniture)

    def before(self, people: Sequence[BodyState]) -> Look:
        """Everybody, in metres, as they stand before the images now."""
        vertices = self.body.forward(*stacked(people)).vertices
        surfaces = [self.topology.surface(v) for v in vertices]
        order = DepthOrder.of_people(surfaces, self.images.views, _CELL_PX)
        return Look(self, vertices, order)


@dataclass(frozen=True)
class Look:
    """People before the images: vertices (P, V, 3) and who is in front of whom."""

    outlines: Outlines
    vertices: Array
    order: DepthOrder

    @property
    def _finder(self) -> ContourFinder:
        return ContourFinder(self.outlines.topology, self.outlines.images, self.outlines.furniture)

    def outline(self, person: int, reach: int) -> Outline:
        """A person's outline, no farther than `reach` px from where it is fitted."""
        vertices = self.vertices[person]
        readings = self._finder.find(vertices, self.order, person, reach)
        share = readings.share() if readings.tried >= _MIN_READINGS else None
        limb_shares = np.array([readings.share(limb.limb_vertices, _MIN_LIMB) for limb in self.outlines.limbs])
        if share is None or share < _LEAST_SHARE or len(readings) < _MIN_READINGS:
            return Outline(None, share, len(readings), limb_shares)
        views = self.outlines.images.views
        term = ContourTerm.of_readings(readings, self.outlines.body, views, vertices.mean(0))
        return Outline(term, share, len(readings), limb_shares)

    def limbs_under_floor(self, person: int) -> npt.NDArray[np.bool_]:
        """(4,) whether a person's limbs (`LIMBS`) reach deep under the floor; none does where no floor is known."""
        if self.outlines.floor is None:
            return np.zeros(len(self.outlines.limbs), dtype=bool)
        points = [self.vertices[person, limb.samples] for limb in self.outlines.limbs]
        return np.array([under_floor(p, self.outlines.floor) > _DEEP_UNDER for p in points])

    def moved(self, person: int, body: BodyState) -> Look:
        """The same with one person elsewhere; what hides others stays as it is."""
        vertices = self.vertices.copy()
        vertices[person] = self.outlines.body.forward(*stacked([body])).vertices[0]
        surface = self.outlines.topology.surface(vertices[person])
        own = list(self.order.own)
        own[person] = DepthOrder.of_people([surface], self.outlines.images.views, _CELL_PX).own[0]
        return replace(self, vertices=vertices, order=replace(self.order, own=own))

    def colours(self) -> list[Colours]:
        """Everybody's, (S, 3) of the samples of the surface, NaN where unknown."""
        return [self._finder.colours(vertices, self.order, person) for person, vertices in enumerate(self.vertices)]

    def limb_search(
        self, person: int, energy: PersonEnergy, state: PersonState, joints: JointSet, colours: Sequence[Colours]
    ) -> LimbSearch:
        """A search for limbs of a person; `joints` are what the keypoints of `energy` are, `colours` everybody's."""
        finder, floor = self._finder, self.outlines.floor
        return LimbSearch(self.outlines.body, finder, self.order, person, energy, state, joints, colours, floor)
