"""Settings of a fit."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class FitSettings:
    """How people are fitted; every default is ours and documented where it is used."""

    body: str = field(
        default="",
        metadata={
            "help": "Body model file in the format of SMPL, SMPL-H or SMPL-X, or the name of an open body, open_smpl "
            "or open_smplx; empty for the latter where hands or faces are read, else the former."
        },
    )
    keypoint_model: str = field(
        default="",
        metadata={
            "help": "Keypoint calibration (.npz); empty for the one that comes with mcbench, else the body's own."
        },
    )
    min_views: int = field(default=3, metadata={"help": "Least number of views of a person."})
    max_views: int = field(
        default=150,
        metadata={
            "help": "Views of a person that are used at most, evenly spread: neighbouring ones err alike. 0: all."
        },
    )
    min_score: float = field(
        default=0.0,
        metadata={
            "help": "Keypoints with a lower score are ignored. Errors are expected to grow as the score falls, so "
            "even guesses may count, where there is nothing better."
        },
    )
    kernel: float = field(default=3.0, metadata={"help": "Geman-McClure's scale, in standard deviations."})
    correlation_deg: float = field(
        default=10.0, metadata={"help": "Angle between views within which a detector errs alike, degrees."}
    )
    outline_views: int = field(
        default=16,
        metadata={
            "help": "Frames, evenly spread, in whose images people's outlines are looked for, which then count beside "
            "the keypoints. 0: keypoints alone."
        },
    )
    shape_weight: float = field(default=1.0, metadata={"help": "Weight of the prior on shape."})
    pose_weight: float = field(default=1.0, metadata={"help": "Weight of the prior on pose."})
    limit_weight: float = field(default=1.0, metadata={"help": "Weight of the penalty beyond anatomy's ranges."})
    max_iterations: int = field(default=60, metadata={"help": "Bound on the solver's iterations."})
