"""What the association of people across views may be told."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class AssociationSettings:
    """Thresholds of `associate`. Lengths in the image are shares of a person's size (the longer side of the
    detection's box), so that they mean the same in metres and in SfM units, near and far.

    Attributes
    ----------
    min_score : keypoints below this score count as unknown.
    sigma : image distance at which a keypoint's Geman-McClure cost is one half.
    gate : a detection may belong to a skeleton up to this score-weighted mean cost of its keypoints (0 to 1).
    margin : ... and only while no other skeleton explains it better by more than this.
    flip_margin : a detection counts as left-right swapped when that makes its cost lower by more than this.
    link : largest median keypoint distance of two detections linked in neighbouring frames.
    same_person : skeletons whose projections lie closer than this (median) are one person.
    min_joints : a detection, a skeleton, and what the two share have at least so many body joints.
    min_detections : a track has at least so many detections.
    min_angle_deg : the rays of a track's detections span at least this angle, degrees.
    few_detections : so many detections, or fewer, may agree by chance, and must agree well:
    few_gate : their mean cost is at most this;
    few_share : they are at least this share of the views whose image should show the person;
    limb_spread : the logarithms of the limbs' lengths over usual ones deviate by at most this (median).
    """

    min_score: float = field(default=0.2, metadata={"help": "keypoints below this score count as unknown"})
    sigma: float = field(default=0.05, metadata={"hidden": True})
    gate: float = field(default=0.7, metadata={"hidden": True})
    margin: float = field(default=0.1, metadata={"hidden": True})
    flip_margin: float = field(default=0.1, metadata={"hidden": True})
    link: float = field(default=0.25, metadata={"hidden": True})
    same_person: float = field(default=0.05, metadata={"hidden": True})
    min_joints: int = field(default=5, metadata={"hidden": True})
    min_detections: int = field(default=3, metadata={"help": "least number of detections of a person"})
    min_angle_deg: float = field(default=2.0, metadata={"help": "least angle between a person's views, degrees"})
    few_detections: int = field(default=5, metadata={"hidden": True})
    few_gate: float = field(default=0.36, metadata={"hidden": True})
    few_share: float = field(default=0.2, metadata={"hidden": True})
    limb_spread: float = field(default=0.25, metadata={"hidden": True})
