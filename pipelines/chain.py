"""The chain of stages, in order."""

from __future__ import annotations

from typing import Any

from mcbench.pipelines import detect, fit, sfm, validate
from mcbench.workspace.stage import Stage

CHAIN: tuple[Stage[Any], ...] = (sfm.STAGE, detect.STAGE, fit.STAGE, validate.STAGE)
