"""How joints turn: the means, spreads and ranges of their angles, each in axes of its own.

The joints of the body turn about SMPL's axes (x to the left, y up, z to the front, arms spread). A finger's joints
turn about axes that its bones at rest tell, so that any file of SMPL-H or SMPL-X will do: x bends it towards the palm,
y twists it about its bone, z spreads it. How far fingers are bent at rest differs from file to file, and is taken off.

Ranges are the normal ranges of motion of the American Academy of Orthopaedic Surgeons (as tabled in C. Norkin,
D. White, "Measurement of Joint Motion", 5th edition, 2016, appendix B), those of the spine and neck divided evenly
among the joints that share them; a jaw opens by 35 to 50 mm (the same, chapter 13), about 30 degrees. Means and
standard deviations are our choice: a relaxed person, spine, collars and feet stiff, knees and elbows hinges.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from mcbench.body.formats import FORMATS
from mcbench.joints import SMPL24

Array = npt.NDArray[np.float64]

#: (mean, standard deviation, lowest, highest) of an angle, degrees.
_Angle = tuple[float, float, float, float]

#: joint (left or middle): of the angles about x, y and z.
_TABLE: dict[str, tuple[_Angle, _Angle, _Angle]] = {
    "spine1": ((0, 10, -12, 32), (0, 8, -17, 17), (0, 7, -15, 15)),
    "spine2": ((0, 10, -12, 32), (0, 8, -17, 17), (0, 7, -15, 15)),
    "spine3": ((0, 10, -12, 32), (0, 8, -17, 17), (0, 7, -15, 15)),
    "neck": ((0, 12, -30, 28), (0, 15, -40, 40), (0, 9, -23, 23)),
    "head": ((0, 12, -30, 28), (0, 15, -40, 40), (0, 9, -23, 23)),
    "left_hip": ((-15, 40, -125, 30), (0, 18, -45, 45), (0, 18, -30, 45)),
    "left_knee": ((12, 40, -8, 150), (0, 8, -20, 20), (0, 4, -10, 10)),
    "left_ankle": ((0, 12, -25, 50), (0, 8, -20, 20), (0, 8, -35, 35)),
    "left_foot": ((0, 6, -60, 40), (0, 3, -10, 10), (0, 3, -10, 10)),
    "left_collar": ((0, 6, -15, 15), (0, 7, -20, 20), (0, 7, -15, 35)),
    "left_shoulder": ((0, 35, -90, 90), (-15, 40, -135, 45), (-45, 40, -100, 95)),
    "left_elbow": ((0, 25, -80, 80), (-25, 40, -150, 8), (0, 8, -15, 15)),
    "left_wrist": ((0, 15, -45, 45), (0, 12, -30, 30), (0, 20, -80, 70)),
    "left_hand": ((0, 5, -20, 20), (0, 5, -20, 20), (0, 5, -20, 20)),
    "jaw": ((3, 7, 0, 30), (0, 2, -6, 6), (0, 1, -4, 4)),
    "left_eye_smplhf": ((0, 3, -30, 30), (0, 3, -35, 35), (0, 1, -5, 5)),
}
#: Of fingers and thumb, from the palm on: bend (a straight finger's is 0), twist, spread.
_FINGER = (
    ((20, 25, -45, 90), (0, 5, -10, 10), (0, 8, -20, 20)),
    ((30, 30, -5, 100), (0, 3, -6, 6), (0, 3, -6, 6)),
    ((15, 20, -10, 90), (0, 3, -6, 6), (0, 3, -6, 6)),
)
#: The thumb's first joint is a saddle, whose rest differs from body to body.
_THUMB = (
    ((5, 15, -30, 35), (0, 12, -30, 30), (0, 15, -40, 40)),
    ((12, 18, -15, 55), (0, 4, -10, 10), (0, 6, -15, 15)),
    ((15, 25, -20, 80), (0, 3, -6, 6), (0, 3, -6, 6)),
)
_FINGERS = ("index", "middle", "pinky", "ring", "thumb")
#: The last joint of a finger is bent at rest by this share of the middle one's bend: its tip is no joint.
_LAST_BEND = 0.7


@dataclass(frozen=True)
class MotionRanges:
    """Of all joints but the root, J - 1 of them.

    Attributes
    ----------
    mean, deviation, low, high : (J - 1, 3) of their angles, radians.
    axes : (J - 1, 3, 3) whose rows are each joint's axes, in those of the body at rest.
    """

    mean: Array
    deviation: Array
    low: Array
    high: Array
    axes: Array

    @property
    def mean_pose(self) -> Array:
        """(J - 1, 3) the mean as axis-angles in the axes of the body at rest."""
        return np.asarray((self.mean[:, None] @ self.axes)[:, 0])


def motion_ranges(names: tuple[str, ...], rest: Array) -> MotionRanges:
    """The ranges of a body's joints, by their names (J) and places at rest (J, 3)."""
    axes = np.tile(np.eye(3), (len(names), 1, 1))
    place = dict(zip(names, rest, strict=True))
    rows: list[list[_Angle]] = []
    for joint, name in enumerate(names[1:], start=1):
        side, _, own = name.partition("_")
        if own[:-1] in _FINGERS:
            axes[joint], bend = _finger_axes(place, side, own[:-1], int(own[-1]))
            (mean, deviation, low, high), *others = (_THUMB if own[:-1] == "thumb" else _FINGER)[int(own[-1]) - 1]
            rows.append([(mean - bend, deviation, low - bend, high - bend), *others])
        elif side == "right":
            x, y, z = _TABLE[f"left_{own}"]
            rows.append([x, *((-mean, deviation, -high, -low) for mean, deviation, low, high in (y, z))])
        else:
            rows.append(list(_TABLE[name]))
    mean, deviation, low, high = np.moveaxis(np.radians(np.array(rows, dtype=np.float64)), -1, 0)
    return MotionRanges(mean, deviation, low, high, axes[1:])


@lru_cache(maxsize=1)
def smpl_ranges() -> MotionRanges:
    """Those of SMPL's 24 joints, which no body's shape changes."""
    return motion_ranges(SMPL24.joints, np.zeros((len(SMPL24), 3)))


def ranges_of(rest: Array) -> MotionRanges:
    """The ranges of a body's joints from their places at rest (J, 3), of SMPL, SMPL-H or SMPL-X."""
    return smpl_ranges() if len(rest) == len(SMPL24) else motion_ranges(FORMATS[len(rest)].joints.joints, rest)


def _finger_axes(place: dict[str, Array], side: str, finger: str, joint: int) -> tuple[Array, float]:
    """Axes (3, 3) of a finger's joint as rows, and how far it is bent at rest, degrees."""
    wrist, index, pinky = (place[f"{side}_{name}"] for name in ("wrist", "index1", "pinky1"))
    back = np.cross(index - wrist, pinky - wrist) * (1.0 if side == "left" else -1.0)
    chain = [wrist, *(place[f"{side}_{finger}{i}"] for i in (1, 2, 3))]
    bones = [_unit(b - a) for a, b in itertools.pairwise(chain)]  # the last bone, to the tip, is unknown
    along = bones[min(joint, 2)]
    # fingers bend towards the palm, the thumb across it
    towards = pinky - chain[1] if finger == "thumb" else -back
    towards = _unit(towards - (towards @ along) * along)
    axes = np.stack([np.cross(along, towards), along, towards])
    bends = [_angle_about(axes[0], a, b) for a, b in ((bones[0], bones[1]), (bones[1], bones[2]))]
    if finger == "thumb":
        bends[0] = 0.0  # its first bone goes on from no other
    return axes, float(np.degrees([*bends, _LAST_BEND * bends[1]][joint - 1]))


def _angle_about(axis: Array, a: Array, b: Array) -> float:
    return float(np.arctan2(np.cross(a, b) @ axis, a @ b))


def _unit(vector: Array) -> Array:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12))
