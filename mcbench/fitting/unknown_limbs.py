"""Limbs of which nothing is known: no image shows their outlines, and no readings agree on where they are.

What is left to say of such a limb, guesses of the detector and a few edges of other things, puts it somewhere without
knowing, and with the error bar of something read. So it is left out: the limb is posed as the prior has it, and its
error bars are the prior's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mcbench.body.formats import smpl24_joints
from mcbench.body.reduced import ReducedBody
from mcbench.body.rotations import exp_so3
from mcbench.fitting.energy import PersonEnergy
from mcbench.fitting.limb_chain import HANGING, LIMB_NAMES, LIMBS, LimbSurface, poses_from_prior
from mcbench.fitting.outlines import LIMB_LOST, Outline
from mcbench.fitting.parts import HANDS, MIN_VIEWS
from mcbench.fitting.state import BodyState
from mcbench.joints import JointSet

Array = npt.NDArray[np.float64]

#: Poses of an unknown limb that are drawn.
_DRAWS = 200
_SEED = 20201128
#: Keypoints that tell where a limb is, and what the names of those that hang on it contain.
_TELLING = {"arm": ("elbow", "wrist"), "leg": ("knee", "ankle")}
_OF_LEG = ("knee", "ankle", "heel", "toe", "foot")
_OF_ARM = ("elbow", "wrist", "hand", "pinky", "index", "thumb")


def unknown_limbs(
    agreeing: npt.NDArray[np.bool_], outline: Outline | None, known: Sequence[str], joints: JointSet
) -> list[int]:
    """Which limbs (`LIMB_NAMES`) of a person are unknown.

    Parameters
    ----------
    agreeing : (M, K) sure readings of the body's own keypoints, `joints`, that agree with the fit.
    outline : what the images say; None where nobody looked. Unless they show the person where it is fitted, nobody can
        say that they do not show a limb: all are known then.
    known : the hands and faces that are.
    """
    found: list[int] = []
    if outline is None or outline.term is None:
        return found
    for number, limb in enumerate(LIMB_NAMES):
        side, kind = limb.split("_")
        telling = [joints.index(n) for part in _TELLING[kind] if (n := f"{side}_{part}") in joints.joints]
        read = agreeing[:, telling].any(axis=1).sum() >= MIN_VIEWS
        shown = outline.limb_shares[number] >= LIMB_LOST
        if not (read or shown or (number < len(HANDS) and HANDS[number] in known)):
            found.append(number)
    return found


def without_limbs(
    energy: PersonEnergy, limbs: Sequence[int], surfaces: Sequence[LimbSurface], joints: JointSet
) -> PersonEnergy:
    """The same energy with nothing read or seen of some limbs, whose skins are `surfaces`."""
    if not limbs:
        return energy
    weight = energy.observations.weight.copy()
    for number in limbs:
        side, kind = LIMB_NAMES[number].split("_")
        weight[:, [k for k, name in enumerate(joints.joints) if _hangs_on(name, side, kind)]] = 0.0
    contours = energy.contours
    if contours is not None:
        contours = contours.without(np.any([surfaces[number].limb_vertices for number in limbs], axis=0))
    return replace(energy, observations=replace(energy.observations, weight=weight), contours=contours)


def with_all_poses(covariance: Array, body: ReducedBody, state: BodyState, limbs: Sequence[int]) -> Array:
    """The covariance (24, 3, 3) of joints with those that hang on unknown limbs anywhere that a limb may be.

    Turns by so much take joints along arcs, which the derivatives at one pose do not show: the mean squares of where
    poses drawn from the prior take them, added to what is open of where the limb begins.
    """
    found, rng = covariance.copy(), np.random.default_rng(_SEED)
    for number in limbs:
        begin, hanging = LIMBS[number][0], list(HANGING[number])
        turns = exp_so3(poses_from_prior(rng, LIMBS[number][:2], _DRAWS))
        here = _reach(body, state, begin, hanging)
        moved = []
        for turn in turns:
            rotations = state.rotations.copy()
            rotations[list(LIMBS[number][:2])] = turn
            moved.append(_reach(body, replace(state, rotations=rotations), begin, hanging) - here)
        found[hanging] = covariance[begin] + np.einsum("njx,njy->jxy", moved, moved) / _DRAWS
    return found


def _reach(body: ReducedBody, state: BodyState, begin: int, joints: Sequence[int]) -> Array:
    """Joints (N, 3) of `smpl24` relative to one of them."""
    posed = body.evaluate(state.betas, state.rotations, state.transl, False, state.expression)
    own = smpl24_joints(posed.joints[None])[0]
    return np.asarray(own[list(joints)] - own[begin])


def _hangs_on(name: str, side: str, kind: str) -> bool:
    if not name.startswith(f"{side}_"):
        return False
    of_leg = any(part in name for part in _OF_LEG)  # an index is of the foot as well
    return of_leg if kind == "leg" else not of_leg and any(part in name for part in _OF_ARM)
