"""From the detections of a person to the energy of the fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mcbench.body.reduced import ReducedBody
from mcbench.cameras.views import Views
from mcbench.dataset.detections import Detections
from mcbench.fitting.association import Track
from mcbench.fitting.energy import PersonEnergy, project
from mcbench.fitting.keypoint_model import AGREES, STATURE, SURE, KeypointModel
from mcbench.fitting.motion_ranges import ranges_of
from mcbench.fitting.observations import PersonObservations, observe
from mcbench.fitting.parts import WholeBody, active_unknowns
from mcbench.fitting.person_solver import SolvedPerson
from mcbench.fitting.priors import Priors
from mcbench.fitting.settings import FitSettings
from mcbench.joints import joint_set

Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class PersonEnergies:
    """Makes energies of people.

    Parameters
    ----------
    body : the body reduced to all keypoints of the detector.
    keypoints : the keypoint model.
    settings : how to fit.

    Attributes
    ----------
    whole : which keypoints are the body's own. whole_body : `body`. body : reduced to the body's own keypoints, which
        `joints` names.
    priors : on shape and pose.
    """

    def __init__(self, body: ReducedBody, keypoints: KeypointModel, settings: FitSettings) -> None:
        self.whole = WholeBody.of(joint_set(keypoints.keypoint_set), body.n_joints)
        self.whole_body = body
        every = len(self.whole.body) == len(self.whole.joints)
        self.body = body if every else body.keypoints(self.whole.body)
        self.joints = self.whole.body_joints
        weights = (settings.shape_weight, settings.pose_weight, settings.limit_weight)
        self.priors = Priors(*weights, ranges_of(body.joint_template))
        self._keypoints = keypoints
        self._settings = settings

    def of_track(self, views: Views, detections: Detections, track: Track, centre: Array) -> PersonEnergy:
        """Of the body's own keypoints, of a person about `centre` (3,)."""
        observations = self._read(views, detections, track, centre).keypoints(self.whole.body)
        return PersonEnergy(
            self.body,
            observations,
            self.priors,
            self._settings.kernel,
            self.offset_sd(observations),
            active=active_unknowns(self.body, []),
        )

    def reread(self, energy: PersonEnergy, observations: PersonObservations) -> PersonEnergy:
        """The same energy of other readings of the body's own keypoints."""
        return replace(energy, observations=observations, offset_sd=self.offset_sd(observations))

    def everything(
        self, views: Views, detections: Detections, track: Track, person: SolvedPerson
    ) -> PersonObservations:
        """A person's readings of all keypoints, as those of the body have been judged; `views` in metres."""
        centre = np.median(person.energy.points(person.state), axis=0)
        return self.whole.joined(self._read(views, detections, track, centre), person.energy.observations)

    def offset_sd(self, observations: PersonObservations, keypoints: IntArray | None = None) -> Array:
        """Of the detector's `keypoints` (K,), the body's own where none are given.

        Points of a part are off together as they err together: no more of them are independent.
        """
        chosen = self.whole.body if keypoints is None else keypoints
        bias = self._keypoints.bias[chosen] / np.sqrt(self._keypoints.independence[chosen])
        return np.asarray(bias * STATURE * observations.mean_doubt())

    def agreeing(
        self, views: Views, detections: Detections, track: Track, person: SolvedPerson, turned_round: bool
    ) -> npt.NDArray[np.bool_]:
        """(M, K) which readings of the body's own keypoints are sure and agree with the fit; `views` in metres.

        By their scores alone: of what others stand in front of, too, the one who agrees has seen something.
        """
        points = person.energy.points(person.state)[: len(self.whole.body)]
        read = self._read(views, detections, track, np.median(points, axis=0)).keypoints(self.whole.body)
        if turned_round:
            read = read.keypoints(np.array(self.joints.flip))
        residual, _, valid = project(points, read)
        size_px = read.sigma / (self._keypoints.noise[self.whole.body] * read.doubt)  # of a standing adult
        sure = (read.weight > 0) & (read.doubt <= self._keypoints.doubt(SURE))
        return np.asarray(valid & sure & (np.linalg.norm(residual, axis=-1) < AGREES * size_px))

    def _read(self, views: Views, detections: Detections, track: Track, centre: Array) -> PersonObservations:
        """Readings of all keypoints of the detector."""
        return observe(
            views,
            detections,
            track,
            centre,
            self._keypoints,
            min_score=self._settings.min_score,
            correlation_deg=self._settings.correlation_deg,
            max_views=self._settings.max_views,
        )
