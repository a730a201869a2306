"""Joint sets: named and registered once, with explicit mappings between them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass


@dataclass(frozen=True)
class JointSet:
    """An ordered set of named joints.

    Attributes
    ----------
    name : the registered name.
    joints : names in order; left and right joints start with `left_` and `right_`, but those of a face, `face_0` to
        `face_67`, are numbered as in the iBUG annotation, and `face_0_1` lies between `face_0` and `face_1`.
    bones : pairs of joint indices to draw.
    """

    name: str
    joints: tuple[str, ...]
    bones: tuple[tuple[int, int], ...] = ()

    def __len__(self) -> int:
        return len(self.joints)

    def index(self, joint: str) -> int:
        return self.joints.index(joint)

    @property
    def flip(self) -> tuple[int, ...]:
        """Permutation that swaps left and right."""
        return tuple(self.joints.index(_other_side(name)) for name in self.joints)


def _mirrored_landmarks() -> tuple[int, ...]:
    """Of the 68 landmarks of a face: the one on the other side."""
    rows = ((0, 17), (17, 27), (31, 36), (48, 55), (55, 60), (60, 65), (65, 68))  # from one side to the other
    flip = list(range(68))
    for first, end in rows:
        flip[first:end] = reversed(range(first, end))
    for right, left in ((36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)):
        flip[right], flip[left] = left, right
    return tuple(flip)


#: The landmark `face_<i>` on the other side of each, by i.
FACE68_FLIP = _mirrored_landmarks()


def _other_side(name: str) -> str:
    side, _, rest = name.partition("_")
    if side == "face":
        return "_".join(["face", *map(str, sorted(FACE68_FLIP[int(i)] for i in rest.split("_")))])
    return {"left": f"right_{rest}", "right": f"left_{rest}"}.get(side, name)


_REGISTRY: dict[str, JointSet] = {}


def _register(name: str, joints: str, bones: str = "") -> JointSet:
    names = tuple(joints.split())
    pairs = tuple((names.index(a), names.index(b)) for a, b in (pair.split("-") for pair in bones.split()))
    _REGISTRY[name] = JointSet(name, names, pairs)
    return _REGISTRY[name]


def joint_set(name: str) -> JointSet:
    """The joint set registered as `name`; raises KeyError that lists the known ones."""
    if name not in _REGISTRY:
        raise KeyError(f"unknown joint set {name!r}; known: {', '.join(sorted(_REGISTRY))}")
    return _REGISTRY[name]


def joint_sets() -> tuple[str, ...]:
    return tuple(_REGISTRY)


def mapping(source: str, target: str) -> list[tuple[int, int]]:
    """Pairs (index in source, index in target) of the joints that both sets name alike."""
    src, dst = joint_set(source), joint_set(target)
    return [(i, dst.joints.index(n)) for i, n in enumerate(src.joints) if n in dst.joints]


SMPL24 = _register(
    "smpl24",
    "pelvis left_hip right_hip spine1 left_knee right_knee spine2 left_ankle right_ankle spine3 left_foot right_foot "
    "neck left_collar right_collar head left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist "
    "left_hand right_hand",
    "pelvis-left_hip pelvis-right_hip pelvis-spine1 left_hip-left_knee right_hip-right_knee spine1-spine2 "
    "left_knee-left_ankle right_knee-right_ankle spine2-spine3 left_ankle-left_foot right_ankle-right_foot "
    "spine3-neck spine3-left_collar spine3-right_collar neck-head left_collar-left_shoulder "
    "right_collar-right_shoulder left_shoulder-left_elbow right_shoulder-right_elbow left_elbow-left_wrist "
    "right_elbow-right_wrist left_wrist-left_hand right_wrist-right_hand",
)
#: Parent of each `smpl24` joint, -1 for the root.
SMPL24_PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)

_HAND15 = " ".join(f"{finger}{i}" for finger in ("index", "middle", "pinky", "ring", "thumb") for i in (1, 2, 3))
_FINGER_JOINTS = " ".join(f"{side}_{name}" for side in ("left", "right") for name in _HAND15.split())
_BODY22 = " ".join(SMPL24.joints[:22])
#: SMPL-H and SMPL-X: SMPL's first 22 joints, then those of the fingers, from base to tip, in SMPL-X after jaw and eyes.
SMPLH52 = _register("smplh52", f"{_BODY22} {_FINGER_JOINTS}")
SMPLX55 = _register("smplx55", f"{_BODY22} jaw left_eye_smplhf right_eye_smplhf {_FINGER_JOINTS}")


def _parents_with_hands(joints: JointSet) -> tuple[int, ...]:
    parents = list(SMPL24_PARENTS[:22])
    for name in joints.joints[22:]:
        side, _, own = name.partition("_")
        above = "head"
        if own[:-1] in ("index", "middle", "pinky", "ring", "thumb"):
            above = f"{side}_wrist" if own[-1] == "1" else f"{side}_{own[:-1]}{int(own[-1]) - 1}"
        parents.append(joints.index(above))
    return tuple(parents)


SMPLH52_PARENTS, SMPLX55_PARENTS = _parents_with_hands(SMPLH52), _parents_with_hands(SMPLX55)

_COCO = (
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow left_wrist "
    "right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle"
)
_LIMBS = (
    "left_shoulder-right_shoulder left_shoulder-left_elbow left_elbow-left_wrist right_shoulder-right_elbow "
    "right_elbow-right_wrist left_shoulder-left_hip right_shoulder-right_hip left_hip-right_hip left_hip-left_knee "
    "left_knee-left_ankle right_hip-right_knee right_knee-right_ankle"
)
COCO17 = _register("coco17", _COCO, "nose-left_eye nose-right_eye left_eye-left_ear right_eye-right_ear " + _LIMBS)
_BLAZEPOSE = (
    "nose left_eye_inner left_eye left_eye_outer right_eye_inner right_eye right_eye_outer left_ear right_ear "
    "left_mouth right_mouth left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist left_pinky "
    "right_pinky left_index right_index left_thumb right_thumb left_hip right_hip left_knee right_knee left_ankle "
    "right_ankle left_heel right_heel left_foot_index right_foot_index"
)
_BLAZEPOSE_BONES = (
    _LIMBS + " left_ankle-left_heel right_ankle-right_heel left_heel-left_foot_index right_heel-right_foot_index"
)
BLAZEPOSE33 = _register("blazepose33", _BLAZEPOSE, _BLAZEPOSE_BONES)
#: What `mcbench.reader` reads of BlazePose's: limbs, feet, and what tells a face from the back of a head.
READER19 = _register(
    "reader19",
    "nose left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist left_hip "
    "right_hip left_knee right_knee left_ankle right_ankle left_heel right_heel left_foot_index right_foot_index",
    _LIMBS + " left_ankle-left_heel right_ankle-right_heel left_heel-left_foot_index right_heel-right_foot_index",
)
_FEET = "left_big_toe left_small_toe left_heel right_big_toe right_small_toe right_heel"
#: OpenPose BODY_25 and the experimental BODY_25B (COCO's 17, upper neck, head top, feet).
BODY25 = _register(
    "body25",
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist mid_hip right_hip right_knee "
    "right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear left_ear left_big_toe left_small_toe "
    "left_heel right_big_toe right_small_toe right_heel",
    _LIMBS,
)
BODY25B = _register("body25b", _COCO + " upper_neck head_top " + _FEET, _LIMBS)
_FACE68 = " ".join(f"face_{i}" for i in range(68))
_FINGERS = [[f"{finger}_{i}" for i in (1, 2, 3, 4)] for finger in ("thumb", "index", "middle", "ring", "pinky")]
_HAND21 = " ".join(["wrist", *(joint for finger in _FINGERS for joint in finger)])
_HANDS42 = " ".join(f"{side}_hand_{name}" for side in ("left", "right") for name in _HAND21.split())
_HAND_BONES = " ".join(
    f"{side}_hand_{a}-{side}_hand_{b}"
    for side in ("left", "right")
    for finger in _FINGERS
    for a, b in itertools.pairwise(["wrist", *finger])
)
COCO_WHOLEBODY133 = _register(
    "coco_wholebody133",
    " ".join([_COCO, _FEET, _FACE68, _HANDS42]),
    _LIMBS,
)
#: BlazePose's 33 with the face and the hands of COCO-WholeBody.
HOLISTIC143 = _register(
    "holistic143", " ".join([_BLAZEPOSE, _FACE68, _HANDS42]), " ".join([_BLAZEPOSE_BONES, _HAND_BONES])
)
HAND21 = _register("hand21", _HAND21)
H36M17 = _register(
    "h36m17",
    "pelvis right_hip right_knee right_ankle left_hip left_knee left_ankle spine thorax nose head_top left_shoulder "
    "left_elbow left_wrist right_shoulder right_elbow right_wrist",
)
LSP14 = _register(
    "lsp14",
    "right_ankle right_knee right_hip left_hip left_knee left_ankle right_wrist right_elbow right_shoulder "
    "left_shoulder left_elbow left_wrist neck head_top",
)
PANOPTIC19 = _register(
    "panoptic19",
    "neck nose mid_hip left_shoulder left_elbow left_wrist left_hip left_knee left_ankle right_shoulder right_elbow "
    "right_wrist right_hip right_knee right_ankle left_eye left_ear right_eye right_ear",
)

#: The body of DOPE. Its head is the middle of the ears.
DOPE13 = _register(
    "dope13",
    "right_ankle left_ankle right_knee left_knee right_hip left_hip right_wrist left_wrist right_elbow left_elbow "
    "right_shoulder left_shoulder head",
    _LIMBS + " left_shoulder-head right_shoulder-head",
)
#: Points of iBUG's 68 along the contour of a face, from the person's right ear round the chin to the left one.
FACE68_CONTOUR = 17
_CONTOUR33 = ["face_0", *(name for i in range(1, FACE68_CONTOUR) for name in (f"face_{i - 1}_{i}", f"face_{i}"))]
_FACE84 = " ".join([*_CONTOUR33, *(f"face_{i}" for i in range(FACE68_CONTOUR, 68))])


def _lines(*lines: list[str]) -> str:
    return " ".join(f"{a}-{b}" for line in lines for a, b in itertools.pairwise(line))


def _marks(first: int, stop: int, closed: bool = False) -> list[str]:
    return [f"face_{i}" for i in (*range(first, stop), *([first] if closed else []))]


_FACE_BONES = _lines(
    _CONTOUR33,
    *(_marks(17, 22), _marks(22, 27), _marks(27, 31), _marks(31, 36)),
    *(_marks(first, stop, True) for first, stop in ((36, 42), (42, 48), (48, 60), (60, 68))),
)
#: The face of DOPE: iBUG's contour with a point between each two neighbours, then iBUG's other 51.
FACE84 = _register("face84", _FACE84, _FACE_BONES)
#: Of each of `face84` the two of iBUG's 68, by number, whose middle it is: twice the same where iBUG has the point.
FACE84_OF_FACE68 = tuple(
    (int(numbers[0]), int(numbers[-1])) for numbers in (name.split("_")[1:] for name in FACE84.joints)
)
#: The whole body of DOPE: body, left and right hand, face.
DOPE139 = _register(
    "dope139",
    " ".join([*DOPE13.joints, _HANDS42, _FACE84]),
    " ".join([_LIMBS, "left_shoulder-head right_shoulder-head", _HAND_BONES, _FACE_BONES]),
)
