"""Looking in the images for a limb that keypoints have put in the wrong place.

A detector guesses at arms behind a back, and takes the leg of one person for another's; the fit then follows, and from
there no outline leads back. But people's limbs have the colours of the limb on the other side, in every view at once.
So poses of the limb are drawn from the prior, the likeliest are drawn around once more, and each is judged by its
pixels: how much likelier their colours are as the limb's than as what is behind it, where it would be in sight;
and by what the keypoints say. A limb behind something costs and gains nothing there, so one that nothing shows is left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from mcbench.body.kinematics import joint_motions, levels
from mcbench.body.mesh import vertex_normals
from mcbench.body.model import BodyModel
from mcbench.body.rotations import exp_so3, log_so3
from mcbench.fitting.colours import Colours, likeness, sample_colours
from mcbench.fitting.contours import ContourFinder
from mcbench.fitting.depth_order import DepthOrder
from mcbench.fitting.energy import PersonEnergy, project
from mcbench.fitting.gravity import Floor
from mcbench.fitting.motion_ranges import smpl_ranges
from mcbench.fitting.observations import view_weights
from mcbench.fitting.priors import LIMIT_SOFTNESS, limit_excess
from mcbench.fitting.robust import geman_mcclure
from mcbench.fitting.state import BodyState, PersonState, stacked
from mcbench.joints import SMPL24, JointSet

Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Upper and lower joint of each limb, and the joint at its end.
LIMBS = tuple(
    tuple(SMPL24.index(f"{side}_{joint}") for joint in joints)
    for joints in (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle"))
    for side in ("left", "right")
)
#: Points of a limb's skin that are looked at.
_SAMPLES = 60
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
_BELIEVED, _APART_M = (1.0, 0.0, 1.0, 0.0, 1.0, 0.0), 0.15
#: How far from a candidate its outline may be, px, how many points of its rim must be free, and how many candidates
#: are told.
_REACH_PX, _LEAST_RIM, _TRIED = 14, 25, 2
_FACING = 0.3
#: A limb may be this deep under the floor, m, as floor and body are known so well; and the standard deviation of more.
_FLOOR_SLACK_M, _FLOOR_SD_M = 0.04, 0.02
#: Turns of a lower joint from its least bend to its largest, and of the upper one about its bone, that are tried with
#: the upper bone where it is.
_BENDS, _TWISTS = 8, np.radians([-60.0, -40.0, -20.0, 0.0, 20.0, 40.0, 60.0])
#: Colours of each person that are kept for telling what is behind a limb.
_COLOURS_A_PERSON = 60
_SEED = 20201120


@dataclass(frozen=True)
class LimbSurface:
    """A limb's skin.

    Attributes
    ----------
    joints : upper joint, lower joint, end. samples : (S,) vertices.
    limb_vertices : (V,) bool, what moves with the limb.
    """

    joints: tuple[int, int, int]
    samples: IntArray
    limb_vertices: npt.NDArray[np.bool_]


def limb_surfaces(body: BodyModel) -> list[LimbSurface]:
    """Left and right arm, left and right leg, in the order of `LIMBS`."""
    found = []
    for upper, lower, end in LIMBS:
        below = _below(body.parents, upper)
        own = body.skinning[:, below].sum(1) > 0.5
        skin = np.flatnonzero(own & body.skin_mask)
        order = np.random.default_rng(_SEED).permutation(len(skin))
        share = body.vertex_area[skin][order]
        # evenly by area: as many of a fine mesh's vertices as of a coarse one's
        picks = np.searchsorted(np.cumsum(share), (np.arange(_SAMPLES) + 0.5) / _SAMPLES * share.sum())
        samples = np.unique(skin[order][picks])
        found.append(LimbSurface((upper, lower, end), samples, own))
    return found


def _below(parents: tuple[int, ...], joint: int) -> list[int]:
    """A joint and all that hang on it."""
    found = [joint]
    for index in range(joint + 1, len(parents)):
        if parents[index] in found:
            found.append(index)
    return found


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

    def search(self, limb: LimbSurface) -> list[BodyState]:
        """The body with the limb where the images show most of its outline, at most `_TRIED` places; none where that
        is no more than where it is, or its colours are not known.

        The candidates differ from each other and from where the limb is by `_APART_M` at the limb's end or middle.
        """
        colours = self._expected(limb)
        palette = colours[self._finder.topology.near_samples[limb.samples]]
        known = np.asarray(np.isfinite(palette).all(axis=-1))
        if known.any(axis=1).mean() < 0.5:
            return []
        chain = _Chain(self._body, self._state.body, limb)
        behind = self._behind(limb)
        rng = np.random.default_rng(_SEED)
        present = np.stack([log_so3(self._state.body.rotations[joint]) for joint in limb.joints[:2]])

        def judged(angles: Array, believed: float) -> tuple[Array, Array]:
            """Negative log-likelihoods (H,) of poses (H, 2, 3), up to a constant, and the limb's ends (H, 2, 3), of
            readings `believed` to count for so much."""
            turns = exp_so3(angles)
            points, normals, ends = chain.place(turns[:, 0], turns[:, 1], self._normals[limb.samples])
            values = self._pixels(points, normals, palette, behind) + _prior(limb, angles)
            values += believed * self._readings(limb, ends)
            if self._floor is not None:
                values += under_floor(points, self._floor)
            return values, ends

        _, taken = judged(present[None], 0.0)
        drawn = np.concatenate([_from_prior(rng, limb.joints, _DRAWN), chain.swung(self._state.body)])
        by_images, ends = judged(drawn, 0.0)
        read = self._readings(limb, ends)
        found = [self._state.body]
        for believed in _BELIEVED:
            apart = np.linalg.norm(ends[:, None] - taken, axis=-1).max(-1).min(1) > _APART_M
            if not apart.any():
                break
            values = by_images + believed * read
            best = int(np.flatnonzero(apart)[values[apart].argmin()])
            angles, place = _refined(rng, partial(judged, believed=believed), drawn[best])
            taken = np.concatenate([taken, ends[best : best + 1], place[None]])
            rotations = self._state.body.rotations.copy()
            rotations[list(limb.joints[:2])] = exp_so3(angles)
            found.append(replace(self._state.body, rotations=rotations))
        shares = self._shares(limb, found, behind, colours)
        order = np.argsort(-shares, kind="stable")
        return [found[index] for index in order if shares[index] > shares[0]][:_TRIED]

    def _shares(self, limb: LimbSurface, bodies: list[BodyState], behind: DepthOrder, colours: Colours) -> Array:
        """Share of the limb's outline that the images show for each body; 0 where hardly any of it is free."""
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

    def _readings(self, limb: LimbSurface, ends: Array) -> Array:
        """Cost (H,) of the readings of the limb's lower joint and end, which are at `ends` (H, 2, 3)."""
        energy, body = self._energy, self._state.body
        total = np.zeros(len(ends))
        now = energy.points(self._state)
        joints = energy.body.evaluate(body.betas, body.rotations, body.transl, jacobian=False).joints
        for place, joint in enumerate(limb.joints[1:]):
            name = SMPL24.joints[joint]
            if name not in self._joints.joints:
                continue
            column = self._joints.index(name)
            # as far from the joint as it is now: what a detector takes for an elbow is no elbow
            shifted = ends[:, place] + now[column] - joints[joint]
            single = energy.observations.keypoints(np.array([column]))
            residual, _, valid = project(shifted, single)  # (M, H, 2)
            squared = ((residual / single.sigma[..., None]) ** 2).sum(-1)
            rho = np.where(valid, geman_mcclure(squared, energy.kernel)[0], energy.kernel**2)
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
    return np.asarray(_ANY + (1 - _ANY) * likeness(colours, palette, _COLOUR_SD))


class _Chain:
    """A limb that turns in its upper and lower joint, what is below the lower one rigid.

    A point of the skin is, with the shares w of what does not move, of the upper joint U and of all that is below the
    lower joint L, x = fixed + w_U (A_U (v - J_U) + t_U) + A_L y + w_L t_L, where y is constant.
    """

    def __init__(self, body: BodyModel, state: BodyState, limb: LimbSurface) -> None:
        upper, lower, end = self._joints = limb.joints
        rest = body.joint_template + body.joint_shapedirs @ state.betas
        turned, moved = joint_motions(levels(body.parents), rest, state.rotations)
        index = limb.samples
        shaped = body.v_template[index] + body.shapedirs[index] @ state.betas
        weights = body.skinning[index]
        each = np.einsum("jab,vjb->vja", turned, shaped[:, None] - rest) + moved  # (S, J, 3)
        below = _below(body.parents, lower)
        others = np.array([j for j in range(len(rest)) if j != upper and j not in below])
        self._fixed = np.einsum("vj,vja->va", weights[:, others], each[:, others]) + state.transl
        self._upper_weight = weights[:, upper, None]
        self._upper = shaped - rest[upper]
        local = (each[:, below] - moved[lower]) @ turned[lower]
        self._lower = np.einsum("vj,vja->va", weights[:, below], local)
        self._lower_weight = weights[:, below].sum(1)[:, None]
        self._parent = turned[body.parents[upper]]
        self._start = moved[upper]
        self._bone = rest[lower] - rest[upper]
        self._last = (moved[end] - moved[lower]) @ turned[lower]
        self._turned = turned[upper], turned[lower]
        self._transl = state.transl

    def swung(self, state: BodyState) -> Array:
        """Axis-angles (B * T, 2, 3) of the upper and lower joint: the upper bone where it is, the lower one bent."""
        upper, lower, _ = self._joints
        axis = self._bone / np.linalg.norm(self._bone)
        about = log_so3(state.rotations[upper] @ exp_so3(_TWISTS[:, None] * axis))
        ranges = smpl_ranges()
        low, high = ranges.low[lower - 1], ranges.high[lower - 1]
        hinge = int((high - low).argmax())
        bends = np.zeros((_BENDS, 3))
        bends[:, hinge] = np.linspace(low[hinge], high[hinge], _BENDS)
        pairs = [np.stack([turn, bend]) for turn in about for bend in bends]
        return np.array(pairs)

    def place(self, upper: Array, lower: Array, normals: Array) -> tuple[Array, Array, Array]:
        """Points (H, S, 3), normals (H, S, 3), and the lower joint and the end (H, 2, 3), for turns (H, 3, 3) of the
        upper and the lower joint; `normals` (S, 3) are those of the pose that the chain was made of."""
        first = self._parent @ upper
        second = first @ lower
        elbow = self._start + first @ self._bone
        points = (
            self._fixed
            + self._upper_weight * (self._upper @ first.swapaxes(1, 2) + self._start)
            + self._lower @ second.swapaxes(1, 2)
            + self._lower_weight * elbow[:, None]
        )
        lower_most = self._lower_weight[:, 0] > 0.5
        by_upper = (normals @ self._turned[0]) @ first.swapaxes(1, 2)
        by_lower = (normals @ self._turned[1]) @ second.swapaxes(1, 2)
        ends = np.stack([elbow, elbow + second @ self._last], axis=1) + self._transl
        return points, np.where(lower_most[:, None], by_lower, by_upper), ends


def under_floor(points: Array, floor: Floor) -> Array:
    """Cost (H,) of points (H, S, 3) of bodies under a floor."""
    deepest = floor.height - (points @ floor.up).min(-1)
    return np.asarray(0.5 * (np.maximum(deepest - _FLOOR_SLACK_M, 0) / _FLOOR_SD_M) ** 2)


def _from_prior(rng: np.random.Generator, joints: tuple[int, int, int], count: int) -> Array:
    """Axis-angle (count, 2, 3) of the upper and the lower joint."""
    rows = [joint - 1 for joint in joints[:2]]
    ranges = smpl_ranges()
    return np.asarray(rng.normal(ranges.mean[rows], 1.3 * ranges.deviation[rows], (count, 2, 3)))


def _prior(limb: LimbSurface, angles: Array) -> Array:
    """Cost (H,) of poses (H, 2, 3)."""
    rows = [joint - 1 for joint in limb.joints[:2]]
    ranges = smpl_ranges()
    all_angles = np.tile(ranges.mean, (len(angles), 1, 1))
    all_angles[:, rows] = angles
    beyond = limit_excess(all_angles)[:, rows] / np.radians(LIMIT_SOFTNESS)
    usual = (angles - ranges.mean[rows]) / ranges.deviation[rows]
    return 0.5 * np.asarray((usual**2 + beyond**2).sum((1, 2)))
