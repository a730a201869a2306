"""Fit the bodies of a scene: tracks in, people in a metric world out.

The order of things: a scale from the tracks' limbs makes the world roughly metric; every person is fitted alone, twice,
as the residuals of the first fit tell the noise of the second;
people whose own scale does not agree with the others' (movers, wrong tracks) are set aside while the rest settle the
scale of the scene together. So far the body's own keypoints count alone; hands and faces, of which every reading is
its own, join where bodies are settled. Where there are images, everybody is then fitted to their outlines, too, which
change with the fit, so a few times; and the scale is settled anew. In the end every person is fitted at that scale,
measured for movement, and given error bars.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mcbench.body.model import BodyModel
from mcbench.body.reduced import ReducedBody
from mcbench.cameras.alignment import Similarity
from mcbench.cameras.views import Views
from mcbench.dataset.detections import Detections
from mcbench.fitting.association import Track
from mcbench.fitting.energy import PersonEnergy
from mcbench.fitting.initial import Initialiser
from mcbench.fitting.keypoint_model import KeypointModel
from mcbench.fitting.landmarks import Landmarks
from mcbench.fitting.limb_chain import LIMB_NAMES, limb_surfaces
from mcbench.fitting.observations import PersonObservations
from mcbench.fitting.outline_fit import with_outlines
from mcbench.fitting.outlines import LIMB_LOST, Outline, Outlines
from mcbench.fitting.part_fit import PartFit
from mcbench.fitting.person_energies import PersonEnergies
from mcbench.fitting.person_solver import PersonSolver, SolvedPerson
from mcbench.fitting.reconsidering import Reconsidering
from mcbench.fitting.scene_scale import SceneScale, corrected
from mcbench.fitting.settings import FitSettings
from mcbench.fitting.solver import Solution
from mcbench.fitting.starts import Starts
from mcbench.fitting.state import BodyState, PersonState
from mcbench.fitting.stillness import Movement, measure_movement
from mcbench.fitting.turned_round import TurningRound
from mcbench.fitting.uncertainty import body_covariance, joints_covariance, noise_factor
from mcbench.fitting.unknown_limbs import unknown_limbs, with_all_poses, without_limbs

Array = npt.NDArray[np.float64]

#: Solutions whose keypoints are all nearer to each other than this are one, metres.
_SAME_M = 0.02
_Z90 = 1.6449  # 90 % of a normal distribution lie within this many standard deviations


@dataclass(frozen=True)
class PersonFit:
    """One fitted person; lengths in metres.

    Attributes
    ----------
    track : index into the tracks given.
    state : the body, in the metric world.
    observations : what it was fitted to.
    joints_cov : (24, 3, 3) covariance of the joints of `smpl24` relative to joint 0, m^2 (joint 0: its absolute one).
    landmarks : of the parts of `parts.PARTS` that are known: the points of a hand (21, 3) or of a face (51, 3), without
        its contour, m, and their covariance (…, 3, 3) relative to the wrist or to the joint of the head, m^2.
    noise : variance of the residuals over that of the keypoint model.
    energy : the energy reached, a unit of the observations' weight.
    movement : how far they moved; None where it cannot be measured.
    log_scale : this person's own vote on the log of metres a unit, and its standard deviation; None for metric cameras.
    outline : what the images say of the fitted outline; None where nobody looked.
    turned_round : whether the detector takes this person's left for the right, and the back for the front.
    unknown_limbs : of which of `LIMB_NAMES` nothing is known.
    """

    track: int
    state: BodyState
    observations: PersonObservations
    joints_cov: Array
    landmarks: dict[str, tuple[Array, Array]]
    noise: float
    energy: float
    movement: Movement | None
    log_scale: tuple[float, float] | None
    outline: Outline | None
    turned_round: bool
    unknown_limbs: tuple[str, ...]


@dataclass(frozen=True)
class SceneFit:
    """The people of a scene and its scale.

    Attributes
    ----------
    people : the people fitted, in the tracks' order; in the given world times `scale`.
    scale : metres a unit of the given world.
    scale_interval : its 90 % interval.
    scale_voters : tracks whose people settled the scale; empty for metric cameras.
    unfitted : tracks that gave no body: too few views, or no orientation.
    """

    people: list[PersonFit]
    scale: float
    scale_interval: tuple[float, float]
    scale_voters: tuple[int, ...]
    unfitted: tuple[int, ...]


class SceneFitter:
    """Fits people to the detections of a scene.

    Parameters
    ----------
    body : the body reduced to the detector's keypoints.
    keypoints : the keypoint model.
    settings : how to fit.
    model : the whole body, which tells who hides whom; None: nobody is taken to hide anybody.
    """

    def __init__(
        self,
        body: ReducedBody,
        keypoints: KeypointModel,
        settings: FitSettings,
        model: BodyModel | None = None,
    ) -> None:
        self._settings = settings
        self._energies = energies = PersonEnergies(body, keypoints, settings)
        self._solver = solver = PersonSolver(settings.max_iterations)
        self._initialiser = Initialiser(energies.body, energies.joints, energies.priors.mean_turns)
        self._starts = Starts(self._initialiser, energies.joints)
        self._reconsidering = Reconsidering(energies, solver, self._starts, model)
        self._part_fit = PartFit(energies, solver)
        self._turning_round = TurningRound(energies, solver, self._starts)
        self._limbs = [] if model is None else limb_surfaces(model)
        self._landmarks = Landmarks.of_body(model) if energies.whole.parts and model is not None else None

    def fit(
        self,
        views: Views,
        detections: Detections,
        tracks: Sequence[Track],
        metric: bool,
        outlines: Outlines | None = None,
    ) -> SceneFit:
        """Fit all tracks.

        Parameters
        ----------
        views : the posed cameras.
        detections : the scene's detections.
        tracks : who is who.
        metric : the cameras' units are metres: the scale is 1 and stays.
        outlines : to be looked for in the images of some of the views.
        """
        own, limit = self._energies.whole.body, self._settings.max_iterations
        first = 1.0 if metric else self._initialiser.scale([track.points[own] for track in tracks])
        if first is None:
            return SceneFit([], 1.0, (np.nan, np.nan), (), tuple(range(len(tracks))))
        rough = views.transformed(_scaling(first))
        alone = {i: self._fit_alone(rough, detections, track, first) for i, track in enumerate(tracks)}
        solved = {index: person for index, person in alone.items() if person is not None}
        settled = SceneScale.known(solved) if metric else SceneScale.settled(solved, limit)
        scale = first * float(np.exp(settled.log_scale))
        world = views.transformed(_scaling(scale))
        people = {index: self._solver.grown(person, scale / first) for index, person in settled.people.items()}
        people = self._reconsidering.reconsidered(people, world, detections, tracks)
        by_keypoints = dict(people)
        parts: dict[int, list[str]] = {}
        for index in people if self._energies.whole.parts else ():
            everything = self._energies.everything(world, detections, tracks[index], people[index])
            people[index], parts[index] = self._part_fit.joined(people[index], everything)
        seen: dict[int, Outline] = {}
        turned: set[int] = set()
        if outlines is not None and people:
            people, seen, turned = with_outlines(
                people,
                parts,
                by_keypoints,
                outlines.transformed(_scaling(scale)),
                self._solver,
                self._energies.joints,
                self._turning_round,
            )
        if seen and not metric:
            # the error bar stays: it is people's sizes that leave a scale open, not where their outlines are
            voters = [i for i in settled.voters if _legs_shown(seen[i])] or list(settled.voters)
            correction, people = corrected(people, voters, limit)
            growth = float(np.exp(correction))
            scale *= growth
            people = {index: self._solver.grown(person, growth) for index, person in people.items()}
        world = views.transformed(_scaling(scale))
        margin = float(np.exp(_Z90 * settled.deviation))
        fits = []
        for index, person in people.items():
            movement = _movement(by_keypoints[index], person)
            vote = settled.vote(index, first)
            known = [] if index in turned else parts.get(index, [])
            agreeing = self._energies.agreeing(world, detections, tracks[index], person, index in turned)
            unknown = unknown_limbs(agreeing, seen.get(index), known, self._energies.joints)
            fits.append(self._finish(index, person, known, movement, vote, seen.get(index), index in turned, unknown))
        unfitted = tuple(i for i in range(len(tracks)) if i not in solved)
        return SceneFit(fits, scale, (scale / margin, scale * margin), settled.voters, unfitted)

    def _fit_alone(self, views: Views, detections: Detections, track: Track, scale: float) -> SolvedPerson | None:
        """A person at the first guess of the scale, the lowest energy of several starts; None where there are too few
        views or no orientation."""
        points = track.points[self._energies.whole.body] * scale
        finite = np.isfinite(points).all(-1)
        if not finite.any():
            return None
        energy = self._energies.of_track(views, detections, track, np.median(points[finite], axis=0))
        if len(energy.observations) < self._settings.min_views:
            return None
        starts = self._starts.first(points, energy.observations)
        if not starts:
            return None
        rough = _different(energy, [self._solver.rough(energy, start) for start in starts])
        solutions = [self._solver.settled(energy, solution) for solution in rough]
        return self._solver.refined(energy, min(solutions, key=lambda s: s.value).state)

    def _finish(
        self,
        index: int,
        person: SolvedPerson,
        parts: list[str],
        movement: Movement | None,
        vote: tuple[float, float] | None,
        outline: Outline | None,
        turned_round: bool,
        unknown: list[int],
    ) -> PersonFit:
        """The person with error bars."""
        known = without_limbs(person.energy, unknown, self._limbs, self._energies.joints)
        fitted, solution = self._solver.finished(replace(person, energy=known))
        covariance = body_covariance(fitted, solution.state)
        body, observations = solution.state.body, person.energy.observations
        landmarks = {} if self._landmarks is None else self._landmarks.of_state(body, covariance, parts)
        joints_cov = joints_covariance(fitted.body, body, covariance)
        return PersonFit(
            index,
            body,
            observations,
            with_all_poses(joints_cov, fitted.body, body, unknown),
            landmarks,
            person.noise,
            solution.value / max(float(observations.weight.sum()), 1e-12),
            movement,
            vote,
            outline,
            turned_round,
            tuple(LIMB_NAMES[number] for number in unknown),
        )


def _different(energy: PersonEnergy, solutions: Sequence[Solution[PersonState]]) -> list[Solution[PersonState]]:
    """The solutions without those that are an earlier one over again."""
    different: list[tuple[Array, Solution[PersonState]]] = []
    for solution in solutions:
        points = energy.points(solution.state)
        if all(np.linalg.norm(points - other, axis=-1).max() > _SAME_M for other, _ in different):
            different.append((points, solution))
    return [solution for _, solution in different]


def _movement(*fits: SolvedPerson) -> Movement | None:
    """How far a person moved by the keypoints, the least of it for several fits; None where no fit tells.

    A body that is a little wrong travels to make up for it, but each wrong one elsewhere. Who stands still by one
    is not asked about by the next.
    """
    least: Movement | None = None
    for fit in fits:
        movement = measure_movement(fit.energy, fit.state, noise_factor(fit.energy, fit.state))
        if movement is not None and (least is None or movement.at_least < least.at_least):
            least = movement
        if least is not None and least.at_least == 0.0:
            break
    return least


def _legs_shown(outline: Outline) -> bool:
    """Whether the images show a person's legs where they are fitted, as far as they are free of others."""
    return not bool((outline.limb_shares[2:] < LIMB_LOST).any())


def _scaling(factor: float) -> Similarity:
    return Similarity(factor, np.eye(3), np.zeros(3))
