"""Named scoring protocols: every choice that changes a number, in one place (`docs/protocols.md`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcbench.errors import UsageError
from mcbench.metrics.pose import AlignBy, mpjpe, pa_mpjpe, pa_pve, pve

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Protocol:
    """How predictions are scored.

    Attributes
    ----------
    name : what `--protocol` takes.
    root : joints of `smpl24` whose mean is the root in MPJPE and PVE.
    joints : the joints of `smpl24` that MPJPE and PA-MPJPE score.
    pa_pve_by : what PA-PVE aligns.
    area_weighted : PVE averages over the area of the outer skin; otherwise over all vertices alike.
    description : one line for people.
    """

    name: str
    root: tuple[int, ...]
    joints: tuple[int, ...]
    pa_pve_by: AlignBy
    area_weighted: bool
    description: str

    def joint_scores(self, predicted: npt.ArrayLike, true: npt.ArrayLike) -> dict[str, Array]:
        """`mpjpe` and `pa_mpjpe` (N,), metres, of joints (N, 24, 3) in the same axes."""
        return {
            "mpjpe": mpjpe(predicted, true, self.root, self.joints),
            "pa_mpjpe": pa_mpjpe(predicted, true, self.joints),
        }

    def vertex_scores(
        self,
        predicted: npt.ArrayLike,
        true: npt.ArrayLike,
        predicted_joints: npt.ArrayLike,
        true_joints: npt.ArrayLike,
        skin_area: npt.ArrayLike,
    ) -> dict[str, Array]:
        """`pve` and `pa_pve` (N,), metres, of vertices (N, V, 3); `skin_area` (V,) is zero off the outer skin."""
        weights = skin_area if self.area_weighted else None
        return {
            "pve": pve(predicted, true, predicted_joints, true_joints, self.root, weights),
            "pa_pve": pa_pve(predicted, true, predicted_joints, true_joints, self.pa_pve_by, weights),
        }


_ALL = tuple(range(24))
#: The hands of `smpl24` (22, 23) are left out: bodies are fitted without finger keypoints.
_BODY = tuple(range(22))

PROTOCOLS = {
    p.name: p
    for p in (
        Protocol("mcbench", (0,), _BODY, "joints", True, "pelvis root, 22 joints, area-weighted skin"),
        Protocol("3dpw", (0,), _ALL, "joints", False, "pelvis root, 24 joints, all vertices alike"),
        Protocol("emdb", (1, 2), _ALL, "joints", False, "mid-hip root, 24 joints, all vertices alike"),
        Protocol("agora", (1, 2), _ALL, "joints", False, "mid-hip root, 24 joints, all vertices alike"),
        Protocol("vertex", (0,), _ALL, "vertices", False, "as 3dpw, with PA-PVE aligned by the vertices"),
    )
}


def protocol(name: str) -> Protocol:
    """The protocol of that name; raises `UsageError` that lists the known ones."""
    if name not in PROTOCOLS:
        raise UsageError(f"no protocol {name!r}", hint=f"known: {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]
