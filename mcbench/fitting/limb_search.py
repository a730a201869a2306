"""Looking in the images for a limb that keypoints have put in the wrong place.

A detector guesses at arms behind a back, and takes the leg of one person for another's; the fit then follows, and from
there no outline leads back. But people's limbs have the colours of the limb on the other side, in every view at once.
So poses of the limb are drawn from the prior, the likeliest are drawn around once more, and each is judged by its
pixels: how much likelier their colours are as the limb's than as what is behind it, where it would be in sight;
and by what the keypoints say. A limb behind something costs and gains nothing there, so one that nothing shows is left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from mcbench.body.mesh import vertex_normals
from mcbench.body.model import BodyModel
from mcbench.body.rotations import exp_so3, log_so3
from mcbench.cameras.triangulation import two_view_points
from mcbench.fitting.colours import Colours, likeness, sample_colours
from mcbench.fitting.contours import SHADING, ContourFinder
from mcbench.fitting.depth_order import DepthOrder
from mcbench.fitting.energy import PersonEnergy, project
from mcbench.fitting.gravity import Floor
from mcbench.fitting.limb_chain import LimbChain, LimbSurface, pose_cost, poses_from_prior, under_floor
from mcbench.fitting.observations import PersonObservations, view_weights
from mcbench.fitting.robust import geman_mcclure
from mcbench.fitting.state import BodyState, PersonState, stacked
from mcbench.joints import SMPL24, JointSet

Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
#: The readings of one keypoint, and how far (3,) it is from its joint, metres.
_Column = tuple[PersonObservations, Array]

#: Poses drawn from the prior, and near the best one, round after round.
_DRAWN, _NEARBY, _ROUNDS = 240, 40, 3
_NEAR_RAD = 0.35
#: Standard deviation of a colour about those of the limb, of 255; what share of pixels has any colour; and the density
#: of a colour behind it, over that at the middle of a limb's colours.
_COLOUR_SD, _ANY, _BEHIND = 16.0, 0.04, 0.25
#: A pixel counts for as much as the readings of neighbouring ones and of neighbouring views allow it.
_PIXEL_WEIGHT = 0.12
#: How much the readings count for each candidate for one limb: they may be of another's. How far apart candidates are,
#: metres.
_BELIEVED, _APART_M = (1.0, 0.0, 1.0, 0.0, 1.0, 0.0), 0.10
#: How far from a candidate its outline may be, px, how many points of its rim must be free, and how many candidates
#: are told.
_REACH_PX, _LEAST_RIM, _TRIED = 14, 25, 3
#: Nothing has been fitted there yet, so less of an outline is shown than where the limb is: this share of it.
_PROMISING = 0.6
_FACING = 0.3
#: Poses that readings of two views tell: how many are tried, how far off the length of a bone may be, as a share, and
#: the least angle between the lines of sight.
_READ, _LENGTH_ERROR, _PARALLAX = 120, 0.15, np.radians(4.0)
#: Colours of each person that are kept for telling what is behind a limb.
_COLOURS_A_PERSON = 60
_SEED = 20201120


class LimbSearch:
    """Searches the limbs of one person in the images.

    Parameters
    ----------
    body : the model. finder : of outlines, for its images and colours.
    order : who is in front of whom, with this person as its `person`.
    energy, state : the person as fitted, metres. joints : what the keypoints are.
    colours : everybody's, (S, 3) of the samples of the surface, NaN where unknown.
    floor : that nobody is under; None where it is not known.
    """

    def __init__(
        self,
        body: BodyModel,
        finder: ContourFinder,
        order: DepthOrder,
        person: int,
        energy: PersonEnergy,
        state: PersonState,
        joints: JointSet,
        colours: Sequence[Colours],
        floor: Floor | None = None,
    ) -> None:
        self._body, self._finder, self._order, self._person = body, finder, order, person
        self._energy, self._state, self._joints = energy, state, joints
        posed = body.forward(*stacked([state.body]))
        self._vertices = posed.vertices[0]
        self._normals = vertex_normals(self._vertices, body.faces)
        self._colours = colours[person]
        self._others = np.concatenate([_some(own) for own in colours])
        self._floor = floor
        views = finder.images.views
        self._view_weight = view_weights(views.cam_from_world, self._vertices.mean(0), 10.0)

    def search(self, limb: LimbSurface, mirrored: bool = True) -> list[BodyState]:
        """The body with the limb where the images show most of its outline, at most `_TRIED` places; none that shows
        less than `_PROMISING` of what is shown where it is, and none where its colours are not known.

        The candidates differ from each other and from where the limb is by `_APART_M` at the limb's end or middle.
        Where the colours of the other side are not those of the limb (`mirrored`), a place is judged by colours alone
        that it shows itself.
        """
        colours = self._expected(limb) if mirrored else None
        palette = None
        if colours is not None:
            palette = colours[self._finder.topology.near_samples[limb.samples]]
            known = np.asarray(np.isfinite(palette).all(axis=-1))
            if known.any(axis=1).mean() < 0.5:
                return []
        chain = LimbChain(self._body, self._state.body, limb)
        behind = self._behind(limb)
        rng = np.random.default_rng(_SEED)
        present = np.stack([log_so3(self._state.body.rotations[joint]) for joint in limb.joints[:2]])

        read = self._columns(limb)

        def seen(angles: Array) -> tuple[Array, Array]:
            """Negative log-likelihoods (H,) of poses (H, 2, 3) by prior, images and floor, up to a constant, and the
            limb's ends (H, 2, 3)."""
            turns = exp_so3(angles)
            points, normals, ends = chain.place(turns[:, 0], turns[:, 1], self._normals[limb.samples])
            values = pose_cost(limb, angles)
            if palette is not None:
                values += self._pixels(points, normals, palette, behind)
            if self._floor is not None:
                values += under_floor(points, self._floor)
            return values, ends

        def judged(angles: Array, believed: float) -> tuple[Array, Array]:
            """The same with readings that count for so much."""
            values, ends = seen(angles)
            return values + (believed * self._readings(read, ends) if believed else 0.0), ends

        _, taken = seen(present[None])
        drawn = np.concatenate([poses_from_prior(rng, limb.joints, _DRAWN), chain.swung(), self._read(read, chain)])
        by_images, ends = seen(drawn)
        by_readings = self._readings(read, ends)
        found = [self._state.body]
        for believed in _BELIEVED:
            apart = np.linalg.norm(ends[:, None] - taken, axis=-1).max(-1).min(1) > _APART_M
            if not apart.any():
                break
            values = by_images + believed * by_readings
            best = int(np.flatnonzero(apart)[values[apart].argmin()])
            angles, place = _refined(rng, partial(judged, believed=believed), drawn[best])
            taken = np.concatenate([taken, ends[best : best + 1], place[None]])
            rotations = self._state.body.rotations.copy()
            rotations[list(limb.joints[:2])] = exp_so3(angles)
            found.append(replace(self._state.body, rotations=rotations))
        shares = self._shares(limb, found, behind, colours)
        order = np.argsort(-shares, kind="stable")
        return [found[index] for index in order if index and shares[index] > _PROMISING * shares[0]][:_TRIED]

    def _shares(self, limb: LimbSurface, bodies: list[BodyState], behind: DepthOrder, colours: Colours | None) -> Array:
        """Share of the limb's outline that the images show for each body; 0 where hardly any of it is free.

        Of the `colours` given, or of those that each shows where it is.
        """
        vertices = self._body.forward(*stacked(bodies)).vertices
        shares = [
            self._finder.find(v, behind, 0, _REACH_PX, colours, limb.limb_vertices).share(least=_LEAST_RIM)
            for v in vertices
        ]
        return np.nan_to_num(np.array(shares))

    def _expected(self, limb: LimbSurface) -> Colours:
        """Colours (S, 3) of the samples of the surface, the limb's taken from the other side; NaN where unknown."""
        topology = self._finder.topology
        own = limb.limb_vertices[topology.samples]
        return np.where(own[:, None], self._colours[topology.mirrored_samples], self._colours)

    def _behind(self, limb: LimbSurface) -> DepthOrder:
        """Depths of the person without the limb, and of others."""
        rest = self._vertices[~limb.limb_vertices]
        alone = DepthOrder.of_people([rest], self._finder.images.views, self._order.cell)
        return DepthOrder([alone.own[0]], [self._order.others[self._person]], self._order.cell)

    def _pixels(self, points: Array, normals: Array, palette: Colours, behind: DepthOrder) -> Array:
        """Cost (H,) of the colours seen at points (H, S, 3) of the limb with normals (H, S, 3)."""
        views = self._finder.images.views
        total = np.zeros(len(points))
        others = self._others
        for view, (image, projection, center, size) in enumerate(
            zip(self._finder.images.pixels, views.projection, views.centers, views.size, strict=True)
        ):
            cam = points @ projection[:, :3].T + projection[:, 3]
            depth = np.maximum(cam[..., 2], 1e-6)
            pixels = cam[..., :2] / depth[..., None]
            rays = center - points
            seen = np.asarray((rays * normals).sum(-1) > _FACING * np.linalg.norm(rays, axis=-1))
            seen &= (cam[..., 2] > 0.05) & (pixels > 1).all(axis=-1) & (pixels < size - 2).all(axis=-1)
            seen[seen] = behind.in_front(0, view, pixels[seen], depth[seen])
            if self._finder.furniture is not None:
                seen[seen] = ~self._finder.furniture.hides(view, pixels[seen], depth[seen])
            pose, sample = np.nonzero(seen)
            if not len(pose):
                continue
            colour = sample_colours(image, pixels[seen])
            own = _density(colour[:, None], palette[sample])[:, 0]
            behind_it = np.full(len(colour), _BEHIND)
            on_body = behind.anybody(0, view, pixels[seen])
            behind_it[on_body] = np.maximum(_BEHIND, _density(colour[on_body], others))
            gain = np.log(own / behind_it)
            total -= self._view_weight[view] * np.bincount(pose, gain, minlength=len(points))
        return _PIXEL_WEIGHT * total

    def _read(self, columns: Sequence[_Column], chain: LimbChain) -> Array:
        """Poses (H, 2, 3) that two views each read, where bones have about the lengths that they have.

        Views of somebody else's limb outvote those of the own one in all of them together, not in each two.
        """
        ends = [self._seen_by_two(single, offset) for single, offset in columns]
        if len(ends) < 2:
            return np.zeros((0, 2, 3))
        places = np.stack(ends, axis=1)
        bones = np.diff(places, axis=1, prepend=np.broadcast_to(chain.start, (len(places), 1, 3)))
        ratio = np.linalg.norm(bones, axis=-1) / chain.lengths
        possible = np.flatnonzero((np.abs(ratio - 1) < _LENGTH_ERROR).all(axis=1))
        return chain.reaching(places[possible[:: max(1, -(-len(possible) // _READ))]])

    def _seen_by_two(self, single: PersonObservations, offset: Array) -> Array:
        """Where each two views (N, 3) see a joint that is `offset` from a keypoint; NaN where they do not tell."""
        first, second = np.triu_indices(len(single), 1)
        seen = single.weight[:, 0] > 0
        found = two_view_points(single.K @ single.cam_from_world, single.pixels[:, 0], _PARALLAX)
        return np.where((seen[first] & seen[second])[:, None], found - offset, np.nan)

    def _columns(self, limb: LimbSurface) -> list[_Column]:
        """Of the limb's lower joint and end, as far as they are read: the readings of their keypoints, and how far
        these are from the joints now: what a detector takes for an elbow is no elbow."""
        energy, body = self._energy, self._state.body
        now = energy.points(self._state)
        joints = energy.body.evaluate(body.betas, body.rotations, body.transl, jacobian=False).joints
        found = []
        for joint in limb.joints[1:]:
            if (name := SMPL24.joints[joint]) in self._joints.joints:
                column = self._joints.index(name)
                found.append((energy.observations.keypoints(np.array([column])), now[column] - joints[joint]))
        return found

    def _readings(self, columns: Sequence[_Column], ends: Array) -> Array:
        """Cost (H,) of the readings of the limb's lower joint and end, which are at `ends` (H, 2, 3)."""
        kernel = self._energy.kernel
        total = np.zeros(len(ends))
        for place, (single, offset) in enumerate(columns):
            residual, _, valid = project(ends[:, place] + offset, single)  # (M, H, 2)
            squared = ((residual / single.sigma[..., None]) ** 2).sum(-1)
            rho = np.where(valid, geman_mcclure(squared, kernel)[0], kernel**2)
            total += 0.5 * (single.weight * rho).sum(0)
        return total


def _refined(
    rng: np.random.Generator, judged: Callable[[Array], tuple[Array, Array]], angles: Array
) -> tuple[Array, Array]:
    """The likeliest pose (2, 3) near one, and its lower joint and end (2, 3)."""
    for round_ in range(_ROUNDS):
        drawn = angles + rng.normal(0, _NEAR_RAD / 2**round_, (_NEARBY, 2, 3))
        drawn[0] = angles
        values, ends = judged(drawn)
        angles, place = drawn[values.argmin()], ends[values.argmin()]
    return angles, place


def _some(colours: Colours) -> Colours:
    """(N, 3) some of those that are known."""
    known = colours[np.isfinite(colours).all(axis=1)]
    return known[:: max(1, len(known) // _COLOURS_A_PERSON)]


def _density(colours: Colours, palette: Colours) -> Array:
    """Density (…, T) of colours (…, T, 3) given those of a surface, (…, C, 3), over that at one of them."""
    return np.asarray(_ANY + (1 - _ANY) * likeness(colours, palette, _COLOUR_SD, SHADING))
