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

from mcbench.fitting.energy import PersonEnergy
from mcbench.fitting.limb_chain import LIMB_NAMES, LimbSurface
from mcbench.fitting.outlines import LIMB_LOST, Outline
from mcbench.fitting.parts import HANDS, MIN_VIEWS
from mcbench.joints import JointSet

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
    outline : what the images say; None where nobody looked, which leaves it to the readings.
    known : the hands and faces that are.
    """
    counts = agreeing.sum(axis=0)
    found = []
    for number, limb in enumerate(LIMB_NAMES):
        side, kind = limb.split("_")
        telling = [joints.index(n) for part in _TELLING[kind] if (n := f"{side}_{part}") in joints.joints]
        read = max((int(counts[k]) for k in telling), default=0) >= MIN_VIEWS
        shown = outline is not None and outline.limb_shares[number] >= LIMB_LOST
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


def _hangs_on(name: str, side: str, kind: str) -> bool:
    if not name.startswith(f"{side}_"):
        return False
    of_leg = any(part in name for part in _OF_LEG)  # an index is of the foot as well
    return of_leg if kind == "leg" else not of_leg and any(part in name for part in _OF_ARM)
