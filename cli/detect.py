"""`mcbench detect`: find the people in the frames of every scene."""

from __future__ import annotations

from mcbench.cli.stage_command import stage_command
from mcbench.pipelines.detect import STAGE

command = stage_command(
    STAGE,
    """Find the people in the frames of every scene: boxes, keypoints, 3D, masks.

    Needs the cameras of `sfm`. Scenes without people are rejected (no_people). Keypoints imported with the source are
    used as they are.

    \b
    Examples:
      mcbench detect ws
      mcbench detect ws --scene clip_000 --max-frames 120
      mcbench detect ws --detector rtmpose
    """,
)
