"""Where the fit of a person by keypoints starts, so that one of the starts leads to the right body."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcbench.cameras.triangulation import triangulate
from mcbench.dataset.detections import Detections
from mcbench.fitting.association import Track
from mcbench.fitting.initial import Initialiser
from mcbench.fitting.lifting import lifted_points
from mcbench.fitting.observations import PersonObservations
from mcbench.fitting.person_solver import WIDE_KERNEL
from mcbench.fitting.state import BodyState
from mcbench.joints import JointSet

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Starts:
    """Guesses bodies from keypoints, whose names are `joints`; a guess without an orientation is none."""

    initialiser: Initialiser
    joints: JointSet

    def first(self, points: Array, observations: PersonObservations) -> list[BodyState]:
        """From the triangulated keypoints (K, 3) and the readings of a person of whom nothing else is known.

        As triangulated, with left and right swapped, which a detector that takes a back for a front needs, and with
        doubtful keypoints, which the association leaves out, triangulated too: a forearm that starts far from where
        they are is out of their reach.
        """
        return self._guessed((points, points[np.array(self.joints.flip)], all_triangulated(observations)))

    def triangulated(self, observations: PersonObservations) -> list[BodyState]:
        """The one body that all readings would have, or none."""
        return self._guessed([all_triangulated(observations)])

    def others(
        self, observations: PersonObservations, detections: Detections, track: Track, keypoints: npt.NDArray[np.int64]
    ) -> list[BodyState]:
        """Bodies that some of the readings would have: from the first and from the second half of the views, and as the
        detector takes the person to be in 3D; `keypoints` (K,) are the detector's."""
        half = len(observations) // 2
        first = np.arange(len(observations)) < half
        guesses = [all_triangulated(part) for part in (observations.select(first), observations.select(~first))]
        whole = all_triangulated(observations)
        lifted = detections.keypoints3d[:, keypoints]
        guesses += [whole, lifted_points(observations, lifted, track, whole, self.joints)]
        return self._guessed(guesses)

    def _guessed(self, guesses: Iterable[Array]) -> list[BodyState]:
        starts = [self.initialiser.guess(guess) for guess in guesses]
        return [start for start in starts if start is not None]


def all_triangulated(observations: PersonObservations) -> Array:
    """Keypoints (K, 3) of a person by all their readings, doubtful ones as well; NaN where there are too few."""
    return triangulate(
        observations.K @ observations.cam_from_world,
        np.where(observations.weight[..., None] > 0, observations.pixels, np.nan),
        observations.doubt**-2.0,
        WIDE_KERNEL * observations.sigma,
    ).points
