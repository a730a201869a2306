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
from mcbench.cameras.triangulation import triangulate
from mcbench.cameras.views import Views
from mcbench.dataset.detections import Detections
from mcbench.fitting.association import Track
from mcbench.fitting.contour_energy import ContourTerm
from mcbench.fitting.energy import PersonEnergy, PersonProblem, SceneProblem, SceneState
from mcbench.fitting.initial import Initialiser
from mcbench.fitting.keypoint_model import STATURE, KeypointModel
from mcbench.fitting.landmarks import Landmarks
from mcbench.fitting.lifting import lifted_points
from mcbench.fitting.limb_swaps import unswap_limbs
from mcbench.fitting.motion_ranges import ranges_of
from mcbench.fitting.observations import PersonObservations, observe
from mcbench.fitting.occlusion import Occluders
from mcbench.fitting.outlines import Look, Outline, Outlines
from mcbench.fitting.parts import HANDS, WholeBody, active_unknowns
from mcbench.fitting.priors import Priors
from mcbench.fitting.settings import FitSettings
from mcbench.fitting.solver import Solution, minimise
from mcbench.fitting.state import BodyState, PersonState
from mcbench.fitting.stillness import Movement, measure_movement
from mcbench.fitting.uncertainty import (
    body_covariance,
    contradicted_share,
    joints_covariance,
    noise_factor,
    noise_factor_at,
)
from mcbench.joints import joint_set

Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: A wide kernel first: from a rough start, good keypoints may lie far off.
_WIDE_KERNEL = 10.0
#: People whose log-scale is off the median by more than this many of its standard deviations do not vote on the scale.
_SCALE_OUTLIER = 3.0
#: ... nor people who moved at least so much (m).
_MOVED_TOO_MUCH = 0.06
#: Who contradicts more than this share of the sure readings may be somewhere else.
_CONTRADICTED = 0.1
#: Times that readings are weighed anew after everybody has been fitted.
_RECONSIDERATIONS = 2
#: Variance of a part's residuals over the expected one beyond which it is not this person's, and the least believed.
_FOREIGN, _LEAST_NOISE = 9.0, 0.5
#: How far from the fitted rim an outline is looked for, px, round by round.
_REACHES_PX = (14, 8, 5)
#: A limb is looked for elsewhere where the images show less than this share of its outline, and put there where they
#: show so much more of it. On rendered people 0.1 to 0.5 of a wrong limb's outline is shown, 0.55 to 0.95 of a right
#: one's.
_LIMB_LOST, _LIMB_FOUND = 0.55, 0.12
#: Somebody of whose outline the images show less than this share of what they show of others, those best shown, may
#: have been taken for turned round, and is when the images show so much more of them that way.
_LESS_SHOWN, _BEST_SHOWN, _TURNED_SHOWN = 0.9, 0.75, 0.08
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


@dataclass(frozen=True)
class _Alone:
    """A person fitted alone: the energy with the keypoint model's own noise, the variance factor found, the state."""

    energy: PersonEnergy
    noise: float
    state: PersonState


@dataclass(frozen=True)
class _Scale:
    """What people say of a scene's scale: log of the correction to a first one, its standard deviation, who agrees, and
    everybody's own vote with its standard deviation."""

    log_scale: float
    deviation: float
    voters: tuple[int, ...]
    votes: dict[int, tuple[float, float]]

    def vote(self, index: int, first: float) -> tuple[float, float] | None:
        """A person's own vote on the log of metres a unit, `first` being the first scale."""
        if index not in self.votes:
            return None
        log_scale, deviation = self.votes[index]
        return log_scale + float(np.log(first)), deviation


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
        self._whole = WholeBody.of(joint_set(keypoints.keypoint_set), body.n_joints)
        self._whole_body = body
        every = len(self._whole.body) == len(self._whole.joints)
        self._body = body if every else body.keypoints(self._whole.body)
        self._model = model
        self._landmarks = Landmarks.of_body(model) if self._whole.parts and model is not None else None
        self._keypoints = keypoints
        self._settings = settings
        weights = (settings.shape_weight, settings.pose_weight, settings.limit_weight)
        self._priors = Priors(*weights, ranges_of(body.joint_template))
        self._joints = self._whole.body_joints
        self._initialiser = Initialiser(self._body, self._joints, self._priors.mean_turns)

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
        first = 1.0 if metric else self._initialiser.scale([track.points[self._whole.body] for track in tracks])
        if first is None:
            return SceneFit([], 1.0, (np.nan, np.nan), (), tuple(range(len(tracks))))
        rough = views.transformed(_scaling(first))
        solved: dict[int, _Alone] = {}
        for index, track in enumerate(tracks):
            if (found := self._fit_alone(rough, detections, track, first)) is not None:
                solved[index] = found
        settled = _Scale(0.0, 0.0, (), {}) if metric else self._settle_scale(solved)
        scale = first * float(np.exp(settled.log_scale))
        world = views.transformed(_scaling(scale))
        people = {index: self._grown(alone, scale / first) for index, alone in solved.items()}
        people = self._reconsider(people, world, detections, tracks)
        by_keypoints = dict(people)
        parts: dict[int, list[str]] = {}
        for index in people if self._whole.parts else ():
            everything = self._everything(world, detections, tracks[index], people[index])
            people[index], parts[index] = self._with_parts(people[index], everything)
        seen: dict[int, Outline] = {}
        turned: dict[int, tuple[_Alone, Outline]] = {}
        if outlines is not None and people:
            placed = outlines.transformed(_scaling(scale))
            people, seen = self._with_outlines(people, parts, placed)
            turned = self._turned_round(people, seen, by_keypoints, placed)
            for index, (person, outline) in turned.items():
                people[index], seen[index], parts[index] = person, outline, []
        if seen and not metric:
            # the error bar stays: it is people's sizes that leave a scale open, not where their outlines are
            voters = [i for i in settled.voters if _legs_shown(seen[i])] or list(settled.voters)
            growth = float(np.exp(self._solve_with_scale([people[i] for i in voters], 0.0).state.log_scale))
            scale *= growth
            people = {index: self._grown(person, growth) for index, person in people.items()}
        margin = float(np.exp(_Z90 * settled.deviation))
        fits = []
        for index, person in people.items():
            movement = self._movement(by_keypoints[index], person)
            vote = settled.vote(index, first)
            known = parts.get(index, [])
            fits.append(self._finish(index, person, known, movement, vote, seen.get(index), index in turned))
        unfitted = tuple(i for i in range(len(tracks)) if i not in solved)
        return SceneFit(fits, scale, (scale / margin, scale * margin), settled.voters, unfitted)

    def _observe(self, views: Views, detections: Detections, track: Track, centre: Array) -> PersonObservations:
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

    def _energy(self, views: Views, detections: Detections, track: Track, centre: Array) -> PersonEnergy:
        """Of the body's own keypoints."""
        observations = self._observe(views, detections, track, centre).keypoints(self._whole.body)
        return PersonEnergy(
            self._body,
            observations,
            self._priors,
            self._settings.kernel,
            self._offset_sd(observations),
            active=active_unknowns(self._body, []),
        )

    def _offset_sd(self, observations: PersonObservations, keypoints: IntArray | None = None) -> Array:
        """Of the detector's `keypoints` (K,), the body's own where none are given.

        Points of a part are off together as they err together: no more of them are independent.
        """
        chosen = self._whole.body if keypoints is None else keypoints
        bias = self._keypoints.bias[chosen] / np.sqrt(self._keypoints.independence[chosen])
        return np.asarray(bias * STATURE * observations.mean_doubt())

    def _fit_alone(self, views: Views, detections: Detections, track: Track, scale: float) -> _Alone | None:
        """A person at the first guess of the scale; None where there are too few views or no orientation.

        The lowest energy of several starts: as triangulated, with left and right swapped, which a detector that takes
        a back for a front needs, and with doubtful keypoints, which the association leaves out, triangulated too: a
        forearm that starts far from where they are is out of their reach.
        """
        points = track.points[self._whole.body] * scale
        finite = np.isfinite(points).all(-1)
        if not finite.any():
            return None
        energy = self._energy(views, detections, track, np.median(points[finite], axis=0))
        if len(energy.observations) < self._settings.min_views:
            return None
        flip = np.array(self._joints.flip)
        guesses = (points, points[flip], _all_triangulated(energy.observations))
        starts = [self._initialiser.guess(guess) for guess in guesses]
        solutions = [self._solve(energy, start) for start in starts if start is not None]
        if not solutions:
            return None
        best = min(solutions, key=lambda s: s.value).state
        state, noise = self._refine(energy, best, noise_factor(energy, best))
        return _Alone(energy, noise, state)

    def _refine(self, energy: PersonEnergy, start: PersonState, noise: float) -> tuple[PersonState, float]:
        """The fit for this noise of the data, and the noise that its residuals show."""
        problem = PersonProblem(_with_noise(energy, noise))
        state = minimise(problem, start, max_iterations=self._settings.max_iterations, tolerance=1e-6).state
        return state, noise_factor(energy, state)

    def _solve(self, energy: PersonEnergy, start: BodyState) -> Solution[PersonState]:
        return self._settled(energy, self._rough(energy, start))

    def _rough(self, energy: PersonEnergy, start: BodyState) -> Solution[PersonState]:
        """With a wide kernel, from a start that may be far off."""
        wide = PersonProblem(replace(energy, kernel=_WIDE_KERNEL))
        first = PersonState.without_offsets(start, len(energy.offset_sd))
        return minimise(wide, first, max_iterations=self._settings.max_iterations, tolerance=1e-3)

    def _settled(self, energy: PersonEnergy, rough: Solution[PersonState]) -> Solution[PersonState]:
        limit = self._settings.max_iterations
        return minimise(PersonProblem(energy), rough.state, max_iterations=limit, tolerance=1e-6)

    def _settle_scale(self, solved: dict[int, _Alone]) -> _Scale:
        """The correction to the first scale, by everybody who agrees on it."""
        votes: dict[int, tuple[float, float]] = {}
        for index, alone in solved.items():
            vote = self._solve_with_scale([alone], 0.0)
            votes[index] = (vote.state.log_scale, float(np.sqrt(_shared_variance(vote))))
        values = np.array([vote for vote, _ in votes.values()])
        deviations = np.array([deviation for _, deviation in votes.values()])
        middle = _weighted_median(values, 1 / deviations**2)
        voters = tuple(
            index
            for index, (vote, deviation) in votes.items()
            if abs(vote - middle) <= _SCALE_OUTLIER * deviation and not self._moved(solved[index])
        )
        voters = voters or tuple(votes)
        together = self._solve_with_scale([solved[i] for i in voters], middle)
        return _Scale(together.state.log_scale, float(np.sqrt(_shared_variance(together))), voters, votes)

    def _solve_with_scale(self, people: list[_Alone], log_scale: float) -> Solution[SceneState]:
        return minimise(
            SceneProblem([_with_noise(p.energy, max(p.noise, 1.0)) for p in people]),
            SceneState(tuple(p.state for p in people), log_scale),
            max_iterations=self._settings.max_iterations,
            tolerance=1e-7,
        )

    @staticmethod
    def _moved(alone: _Alone) -> bool:
        movement = measure_movement(alone.energy, alone.state, alone.noise)
        return movement is not None and movement.at_least > _MOVED_TOO_MUCH

    def _grown(self, person: _Alone, growth: float) -> _Alone:
        """The fit in a world that is larger by `growth`, starting from where it is."""
        body = person.state.body
        start = PersonState(replace(body, transl=body.transl * growth), person.state.offsets * growth)
        energy = person.energy.grown(growth)
        state, noise = self._refine(energy, start, person.noise)
        return _Alone(energy, noise, state)

    def _reconsider(
        self, people: dict[int, _Alone], views: Views, detections: Detections, tracks: Sequence[Track]
    ) -> dict[int, _Alone]:
        """Everybody fitted anew with less trust in readings of what others hide, and limbs exchanged where they were.

        Everybody is judged before anybody is moved, so the order of people does not matter. Who contradicts many of
        their readings is started from elsewhere, too. Of several solutions the likeliest counts: one that says that
        readings are of hidden joints may be off by more, but pays for it.
        """
        originals = {index: person.energy for index, person in people.items()}
        for _ in range(_RECONSIDERATIONS):
            occluders = self._occluders(people, views)
            fitted: dict[int, _Alone] = {}
            for place, (index, person) in enumerate(people.items()):
                starts = [person.state.body]
                if contradicted_share(person.energy.points(person.state), person.energy.observations) > _CONTRADICTED:
                    starts += self._other_starts(person.energy.observations, detections, tracks[index])
                fitted[index] = self._likeliest(person, originals[index], starts, occluders, place)
            people = fitted
        return people

    def _occluders(self, people: dict[int, _Alone], views: Views) -> Occluders | None:
        if self._model is None or len(people) < 2:
            return None
        used = np.unique(np.concatenate([person.energy.observations.view for person in people.values()]))
        return Occluders.of_people(self._model, [person.state.body for person in people.values()], views, used)

    def _likeliest(
        self, person: _Alone, original: PersonEnergy, starts: list[BodyState], occluders: Occluders | None, place: int
    ) -> _Alone:
        """The best fit from several starts, each with the doubts about readings that it implies itself."""
        best: tuple[float, PersonEnergy, PersonState] | None = None
        for start in starts:
            points = original.points(PersonState.without_offsets(start, len(original.offset_sd)))
            observations = original.observations
            if occluders is not None:
                observations = observations.doubted(occluders.doubt(place, points, observations))
            observations = unswap_limbs(observations, points, self._joints)
            if start is person.state.body and observations.same_as(person.energy.observations):
                energy, state, value = (
                    person.energy,
                    person.state,
                    PersonProblem(person.energy).linearise(person.state).value,
                )
            else:
                energy = replace(original, observations=observations, offset_sd=self._offset_sd(observations))
                solution = self._solve(energy, start)
                state, value = solution.state, solution.value
            value += 2 * float((observations.weight * np.log(observations.doubt)).sum())
            if best is None or value < best[0]:
                best = value, energy, state
        assert best is not None  # there is always the person's own body
        _, energy, state = best
        state, noise = self._refine(energy, state, noise_factor(energy, state))
        return _Alone(energy, noise, state)

    def _other_starts(self, observations: PersonObservations, detections: Detections, track: Track) -> list[BodyState]:
        """Bodies that some of the readings would have: from the first and from the second half of the views, and as the
        detector takes the person to be in 3D."""
        half = len(observations) // 2
        first = np.arange(len(observations)) < half
        guesses = [_all_triangulated(part) for part in (observations.select(first), observations.select(~first))]
        whole = _all_triangulated(observations)
        lifted = detections.keypoints3d[:, self._whole.body]
        guesses += [whole, lifted_points(observations, lifted, track, whole, self._joints)]
        starts = [self._initialiser.guess(guess) for guess in guesses]
        return [start for start in starts if start is not None]

    def _everything(self, views: Views, detections: Detections, track: Track, person: _Alone) -> PersonObservations:
        """A person's readings of all keypoints, as those of the body have been judged; `views` in metres."""
        centre = np.median(person.energy.points(person.state), axis=0)
        return self._whole.joined(self._observe(views, detections, track, centre), person.energy.observations)

    def _with_parts(self, person: _Alone, everything: PersonObservations) -> tuple[_Alone, list[str]]:
        """The person fitted to hands and face as well, from where the body is, and the parts that are known by it.

        The lowest of two energies: from hands as they are, and as their palms lie when triangulated. How large the
        errors of a part are is told by its residuals, relative to the body's, as sharp as images show it. A part that
        this body cannot have where it is read is another's, or none.
        """
        seen = self._whole.seen(everything)
        if not seen:
            return person, []
        kept = np.concatenate([self._whole.body, *(self._whole.parts[part] for part in seen)])
        body, observations = self._whole_body.keypoints(kept), everything.keypoints(kept)
        own = len(self._whole.body)
        energy = replace(
            person.energy,
            body=body,
            observations=observations,
            offset_sd=self._offset_sd(observations, kept),
            active=active_unknowns(body, seen),
            n_telling=own,
        )
        starts = [person.state.body]
        turned = self._whole.with_hands_turned(self._whole_body, person.state.body, everything)
        starts += [] if turned is None else [turned]
        best = self._settled(energy, min((self._rough(energy, start) for start in starts), key=lambda s: s.value)).state
        points, first = energy.points(best), own
        of_body = noise_factor(energy, best)
        larger = np.ones(len(kept))
        foreign = []
        for part in seen:
            mine = np.arange(first, first + len(self._whole.parts[part]))
            of_part = noise_factor_at(points[mine], observations.keypoints(mine))
            foreign += [part] if of_part > _FOREIGN else []
            larger[mine] = np.sqrt(max(of_part, _LEAST_NOISE) / of_body)
            first += len(mine)
        if foreign:
            return self._with_parts(person, self._whole.without(everything, foreign))
        energy = replace(energy, observations=observations.noisier(larger))
        return _Alone(energy, *self._refine(energy, best, of_body)[::-1]), seen

    @staticmethod
    def _movement(*fits: _Alone) -> Movement | None:
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

    def _with_outlines(
        self, people: dict[int, _Alone], parts: dict[int, list[str]], outlines: Outlines
    ) -> tuple[dict[int, _Alone], dict[int, Outline]]:
        """Everybody fitted to their outlines, too, and what the images say of these in the end.

        Everybody is looked for before anybody is moved, so the order of people does not matter. A limb whose outline
        the images do not show is looked for elsewhere before the last round.
        """
        people = dict(people)
        outlines = outlines.furnished([person.state.body for person in people.values()])
        found: dict[int, Outline] = {}
        for reach in _REACHES_PX:
            if reach == _REACHES_PX[-1]:
                people = self._with_limbs_found(people, parts, outlines, found)
            look = outlines.before([person.state.body for person in people.values()])
            found = {index: look.outline(place, reach) for place, index in enumerate(people)}
            people = {index: self._fit_outline(person, found[index].term) for index, person in people.items()}
        return people, found

    def _turned_round(
        self, people: dict[int, _Alone], found: dict[int, Outline], by_keypoints: dict[int, _Alone], outlines: Outlines
    ) -> dict[int, tuple[_Alone, Outline]]:
        """Those whom the detector takes to look the other way, as their outlines show them, with these.

        From behind, in clothes that tell no back from a front, it may exchange left and right in every view.
        """
        shares = {index: outline.share for index, outline in found.items() if outline.share is not None}
        usual = float(np.quantile(list(shares.values()), _BEST_SHOWN)) if shares else 0.0
        turned: dict[int, tuple[_Alone, Outline]] = {}
        for place, index in enumerate(people):
            if not shares.get(index, np.inf) < _LESS_SHOWN * usual:
                continue
            other = self._exchanged(by_keypoints[index])
            if other is None:
                continue
            outline = found[index]
            for reach in _REACHES_PX:
                bodies = [other.state.body if i == index else p.state.body for i, p in people.items()]
                outline = outlines.furnished(bodies).before(bodies).outline(place, reach)
                other = self._fit_outline(other, outline.term)
            if outline.share is not None and outline.share > shares[index] + _TURNED_SHOWN:
                turned[index] = other, outline
        return turned

    def _exchanged(self, person: _Alone) -> _Alone | None:
        """The person if what the detector calls left is right; None where that has no orientation."""
        flip = np.array(self._joints.flip)
        observations = person.energy.observations.keypoints(flip)
        energy = replace(person.energy, observations=observations, offset_sd=self._offset_sd(observations))
        start = self._initialiser.guess(_all_triangulated(observations))
        if start is None:
            return None
        state = self._solve(energy, start).state
        state, noise = self._refine(energy, state, noise_factor(energy, state))
        return _Alone(energy, noise, state)

    def _with_limbs_found(
        self,
        people: dict[int, _Alone],
        parts: dict[int, list[str]],
        outlines: Outlines,
        found: dict[int, Outline],
    ) -> dict[int, _Alone]:
        """Limbs without outlines put where the images have them, if that shows more of their outlines.

        An arm whose hand is known ends there, whatever an arm beside it would show: the trunk has an outline, too.
        """
        if not any((outline.limb_shares < _LIMB_LOST).any() for outline in found.values()):
            return people
        look = outlines.before([person.state.body for person in people.values()])
        colours = look.colours()
        moved = dict(people)
        for place, index in enumerate(people):
            shares = found[index].limb_shares
            for number, limb in enumerate(outlines.limbs):
                known = number < len(HANDS) and HANDS[number] in parts.get(index, [])
                if known or not shares[number] < _LIMB_LOST or not shares[number ^ 1] >= _LIMB_LOST:
                    continue
                present = moved[index]
                energy = _with_noise(present.energy, present.noise)
                search = look.limb_search(place, energy, present.state, self._joints, colours)
                best = shares[number] + _LIMB_FOUND
                for body in search.search(limb):
                    there = replace(present, state=replace(present.state, body=body))
                    now, share = self._limb_at(there, look, place, number)
                    if share > best:
                        moved[index], best = now, share
        return moved

    def _limb_at(self, person: _Alone, look: Look, place: int, limb: int) -> tuple[_Alone, float]:
        """A person fitted from where a limb was put, and the share of its outline that the images show there."""
        share = np.nan
        for reach in _REACHES_PX[:2]:
            outline = look.moved(place, person.state.body).outline(place, reach)
            person, share = self._fit_outline(person, outline.term), float(outline.limb_shares[limb])
        return person, share

    def _fit_outline(self, person: _Alone, term: ContourTerm | None) -> _Alone:
        if term is None:
            return person
        energy = replace(person.energy, contours=term)
        problem = PersonProblem(_with_noise(energy, person.noise))
        limit = self._settings.max_iterations
        state = minimise(problem, person.state, max_iterations=limit, tolerance=1e-4).state
        return _Alone(energy, noise_factor(energy, state), state)

    def _finish(
        self,
        index: int,
        person: _Alone,
        parts: list[str],
        movement: Movement | None,
        vote: tuple[float, float] | None,
        outline: Outline | None,
        turned_round: bool,
    ) -> PersonFit:
        """The person with error bars."""
        energy = person.energy
        fitted = _with_noise(energy, person.noise)
        limit = self._settings.max_iterations
        solution = minimise(PersonProblem(fitted), person.state, max_iterations=limit, tolerance=1e-6)
        covariance = body_covariance(fitted, solution.state)
        body = solution.state.body
        landmarks = {} if self._landmarks is None else self._landmarks.of_state(body, covariance, parts)
        per_weight = solution.value / max(float(energy.observations.weight.sum()), 1e-12)
        return PersonFit(
            index,
            body,
            energy.observations,
            joints_covariance(energy.body, body, covariance),
            landmarks,
            person.noise,
            per_weight,
            movement,
            vote,
            outline,
            turned_round,
        )


def _legs_shown(outline: Outline) -> bool:
    """Whether the images show a person's legs where they are fitted, as far as they are free of others."""
    return not bool((outline.limb_shares[2:] < _LIMB_LOST).any())


def _scaling(factor: float) -> Similarity:
    return Similarity(factor, np.eye(3), np.zeros(3))


def _all_triangulated(observations: PersonObservations) -> Array:
    """Keypoints (K, 3) of a person by all their readings, doubtful ones as well; NaN where there are too few."""
    return triangulate(
        observations.K @ observations.cam_from_world,
        np.where(observations.weight[..., None] > 0, observations.pixels, np.nan),
        observations.doubt**-2.0,
        _WIDE_KERNEL * observations.sigma,
    ).points


def _with_noise(energy: PersonEnergy, factor: float) -> PersonEnergy:
    return replace(energy, observations=energy.observations.with_noise(factor))


def _shared_variance(solution: Solution[SceneState]) -> float:
    covariance = solution.system.shared_covariance()  # type: ignore[attr-defined]
    return float(covariance[0, 0])


def _weighted_median(values: Array, weights: Array) -> float:
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(cumulative, cumulative[-1] / 2)])
