"""`mcbench sfm`: a camera for every frame."""

from __future__ import annotations

from mcbench.cli.stage_command import stage_command
from mcbench.pipelines.sfm import STAGE

command = stage_command(
    STAGE,
    """Find a camera for every frame of the scenes of WORKSPACE.

    Keyframes are mapped with COLMAP and every other frame is located in the map. Scenes where that cannot work are
    rejected for a typed reason: static_camera, pure_rotation, too_few_features, too_few_matches, fragmented,
    degenerate, … Cameras that came with a scene are checked and passed on.

    \b
    Example:
      mcbench sfm ws
      mcbench sfm ws --scene clip_003 --max-keyframes 80
      mcbench sfm ws --cameras list
    """,
)
