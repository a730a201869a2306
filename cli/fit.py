"""`mcbench fit`: bodies of all scenes."""

from mcbench.cli.stage_command import stage_command
from mcbench.pipelines.fit import STAGE

command = stage_command(
    STAGE,
    """Fit one body a person to all frames of each scene of WORKSPACE, in metres, Z up, with error bars.

    \b
    Example:
      mcbench fit WS
      mcbench fit WS --scene kitchen --kernel 4
    """,
)
