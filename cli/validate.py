"""`mcbench validate`: which of the fitted people are accepted."""

from mcbench.cli.stage_command import stage_command
from mcbench.pipelines.validate import STAGE

command = stage_command(
    STAGE,
    """Accept or reject each fitted person of each scene of WORKSPACE, with typed reasons.

    \b
    Example:
      mcbench validate WS
      mcbench validate WS --min-views 5 --max-moved-m 0.05
    """,
)
