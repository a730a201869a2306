"""The outlines of all people of a scene: from fitted bodies and images to terms of their energies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mcbench.body.model import BodyModel
from mcbench.cameras.alignment import Similarity
from mcbench.fitting.contour_energy import ContourTerm
from mcbench.fitting.contours import ContourFinder, SurfaceTopology
from mcbench.fitting.depth_order import DepthOrder
from mcbench.fitting.scene_images import SceneImages
from mcbench.fitting.state import BodyState, stacked

Array = npt.NDArray[np.float64]

#: Side of the cells in which people's depths are compared, px.
_CELL_PX = 2
#: Fewer points of a person's rim than this tell nothing.
_MIN_READINGS = 50


@dataclass(frozen=True)
class Outline:
    """What the images say of a person's outline.

    Attributes
    ----------
    term : for the person's energy; None where too little is seen.
    share : of the points of the fitted rim, those at which the images show an outline; None where hardly any point is
        free of other people.
    """

    term: ContourTerm | None
    share: float | None


@dataclass(frozen=True)
class Outlines:
    """Looks for outlines of bodies in a scene's images."""

    body: BodyModel
    topology: SurfaceTopology
    images: SceneImages

    @classmethod
    def of_body(cls, body: BodyModel, images: SceneImages) -> Outlines:
        return cls(body, SurfaceTopology.of_body(body), images)

    def transformed(self, similarity: Similarity) -> Outlines:
        """The same in the world that `similarity` maps this world to."""
        return replace(self, images=self.images.transformed(similarity))

    def look(self, people: Sequence[BodyState], reach: int) -> list[Outline]:
        """The outlines of everybody, in metres, no farther than `reach` px from where they are fitted."""
        views = self.images.views
        vertices = self.body.forward(*stacked(people)).vertices
        finder = ContourFinder(self.topology, self.images)
        surfaces = [np.concatenate([v, v[self.body.faces].mean(1)]) for v in vertices]
        order = DepthOrder.of_people(surfaces, views, _CELL_PX)
        return [self._outline(finder, vertices[i], order, i, reach) for i in range(len(people))]

    def _outline(self, finder: ContourFinder, vertices: Array, order: DepthOrder, person: int, reach: int) -> Outline:
        readings = finder.find(vertices, order, person, reach)
        share = len(readings) / readings.tried if readings.tried >= _MIN_READINGS else None
        if len(readings) < _MIN_READINGS:
            return Outline(None, share)
        return Outline(ContourTerm.of_readings(readings, self.body, self.images.views, vertices.mean(0)), share)
