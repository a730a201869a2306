"""The audit's numbers over any set of scenes: the same keys for one scene and for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mcbench.joints import SMPL24
from mcbench.metrics.scene_audit import GROUPS, Coverage, PersonAudit, SceneAudit
from mcbench.metrics.statistics import median, median_and_p90, share, wilson_interval

#: A fit this good (m, `pve_scaled`) should be accepted; one worse than WRONG should not.
GOOD_M, WRONG_M = 0.030, 0.050


def summarise(scenes: Sequence[SceneAudit]) -> dict[str, Any]:
    """All quantities of the audit over these scenes, in millimetres and shares; None where nothing measured one."""
    fitted = [p for scene in scenes for p in scene.people]
    found = [p for p in fitted if p.counts]
    accepted = [p for p in fitted if p.accepted]
    judged = [p for p in accepted if p.person_id is not None]
    true = sum(scene.people_true for scene in scenes)
    recalled = sum(p.accepted for p in found)
    good = [p for p in found if p.pve_scaled is not None and p.pve_scaled <= GOOD_M]
    wrong = sum(is_wrong(p) for p in accepted)
    fits = [scene for scene in scenes if scene.seconds_fit is not None and scene.people]
    covered = [scene.scale_covered for scene in scenes if scene.scale_covered is not None]
    return {
        "scenes": len(scenes),
        "scenes_rejected": sum(scene.rejected for scene in scenes),
        "people_true": true,
        "people_fitted": len(fitted),
        "people_found": len(found),
        "people_accepted": len(accepted),
        "recall": share(recalled, true),
        "recall_interval90": wilson_interval(recalled, true),
        "good_accepted_share": share(sum(p.accepted for p in good), len(good)),
        "good_accepted_share_interval90": wilson_interval(sum(p.accepted for p in good), len(good)),
        "accepted_wrong": wrong,
        "accepted_wrong_share": share(wrong, len(accepted)),
        "accepted_wrong_share_interval90": wilson_interval(wrong, len(accepted)),
        "pve_mm": median_and_p90(_mm(judged, lambda p: p.pve)),
        "pve_scaled_mm": median_and_p90(_mm(judged, lambda p: p.pve_scaled)),
        "pve_all_mm": median_and_p90(_mm(judged, lambda p: p.pve_all)),
        "pve_scaled_all_mm": median_and_p90(_mm(judged, lambda p: p.pve_scaled_all)),
        "pa_mpjpe_mm": median(_mm(judged, lambda p: p.pa_mpjpe)),
        "scale_error_pct": median([100 * s.scale_error for s in scenes if s.scale_error is not None]),
        "camera_center_mm": median(1000 * np.concatenate([np.zeros(0), *(s.camera_errors for s in scenes)])),
        **_coverage([p.coverage for p in judged if p.coverage is not None]),
        "scale_coverage90": share(sum(covered), len(covered)),
        "scale_coverage90_interval90": wilson_interval(sum(covered), len(covered)),
        "hand_mm": median([1000 * error for p in judged for error in p.hands if np.isfinite(error)]),
        "hand_recall": share(_known([p.hands for p in judged if p.counts]), sum(s.parts_true.hands for s in scenes)),
        "face_mm": median([1000 * error for p in judged for error in p.face if np.isfinite(error)]),
        "face_recall": share(_known([p.face for p in judged if p.counts]), sum(s.parts_true.faces for s in scenes)),
        "moved_mm": _moved([p for p in fitted if p.person_id is not None]),
        "seconds_fit_per_person": _seconds_a_person(fits),
    }


def is_wrong(person: PersonAudit) -> bool:
    """Whether accepting this person is wrong: nobody is there, or the body is too far off."""
    return person.person_id is None or (person.pve_scaled is not None and person.pve_scaled > WRONG_M)


def _seconds_a_person(scenes: Sequence[SceneAudit]) -> float | None:
    """Seconds of the fits a fitted person."""
    people = sum(len(scene.people) for scene in scenes)
    return sum(scene.seconds_fit or 0.0 for scene in scenes) / people if people else None


def person_row(scene: str, person: PersonAudit) -> dict[str, Any]:
    """One fitted person as JSON values, errors in millimetres."""

    def mm(value: float | None) -> float | None:
        return None if value is None else 1000 * value

    inside = None if person.coverage is None or not len(person.coverage.inside) else person.coverage.inside
    return {
        "scene": scene,
        "person": person.fitted,
        "true_person": person.person_id,
        "counts": person.counts,
        "accepted": person.accepted,
        "wrong": person.accepted and is_wrong(person),
        "pve_mm": mm(person.pve),
        "pve_scaled_mm": mm(person.pve_scaled),
        "pve_all_mm": mm(person.pve_all),
        "pve_scaled_all_mm": mm(person.pve_scaled_all),
        "pa_mpjpe_mm": mm(person.pa_mpjpe),
        "hands_mm": [mm(error) if np.isfinite(error) else None for error in person.hands],
        "face_mm": next((mm(error) for error in person.face if np.isfinite(error)), None),
        "coverage90": None if inside is None else float(inside.mean()),
        "moved_mm": mm(person.moved),
        "planted_mover": person.planted_mover,
    }


def _mm(people: Sequence[PersonAudit], quantity: Callable[[PersonAudit], float | None]) -> list[float]:
    return [1000 * value for p in people if (value := quantity(p)) is not None]


def _known(parts: Sequence[tuple[float, ...]]) -> int:
    """How many of the hands, or of the faces, that people have are known."""
    return int(sum(np.isfinite(errors).sum() for errors in parts))


def _moved(people: Sequence[PersonAudit]) -> dict[str, float | None] | None:
    """Medians of the measured movement of who stood still and of planted movers."""
    still = median(_mm([p for p in people if not p.planted_mover], lambda p: p.moved))
    planted = median(_mm([p for p in people if p.planted_mover], lambda p: p.moved))
    return None if still is None and planted is None else {"still": still, "planted": planted}


def _coverage(parts: Sequence[Coverage]) -> dict[str, Any]:
    joint = np.concatenate([np.zeros(0, dtype=np.int64), *(c.joint for c in parts)])
    inside = np.concatenate([np.zeros(0, dtype=bool), *(c.inside for c in parts)])
    absolute = np.concatenate([np.zeros(0, dtype=bool), *(c.inside_absolute for c in parts)])
    radius = np.concatenate([np.zeros(0), *(c.radius for c in parts)])
    groups = {name: np.isin(joint, [SMPL24.index(j) for j in members]) for name, members in GROUPS.items()}
    return {
        "coverage90": share(int(inside.sum()), len(inside)),
        "coverage90_absolute": share(int(absolute.sum()), len(absolute)),
        "coverage90_by_group": {g: share(int(inside[m].sum()), int(m.sum())) for g, m in groups.items()},
        "ellipsoid_mm": float(1000 * radius.mean()) if len(radius) else None,
        "ellipsoid_mm_by_group": {g: float(1000 * radius[m].mean()) if m.any() else None for g, m in groups.items()},
    }
