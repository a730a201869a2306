"""`people.json` of the stage `validate`: who is accepted, in `docs/formats.md` as mcbench-verdicts/1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mcbench.dataset.files import read_json, write_json
from mcbench.errors import InputError

FORMAT = "mcbench-verdicts/1"

#: Why a person may be rejected.
REASONS = (
    "few_views",
    "high_residual",
    "off_outline",
    "low_parallax",
    "implausible_shape",
    "implausible_pose",
    "moved",
    "uncertain",
)


@dataclass(frozen=True)
class Check:
    """One feature of a person against its threshold.

    Attributes
    ----------
    feature : its name, with the unit as suffix.
    value : what was measured; None where it cannot be, which no threshold refuses.
    threshold : the bound.
    bound : "min" or "max".
    reason : the reason for rejection when the bound is broken.
    passed : it is not.
    """

    feature: str
    value: float | None
    threshold: float
    bound: str
    reason: str

    def __post_init__(self) -> None:
        if self.reason not in REASONS:
            raise ValueError(f"{self.reason!r} is no reason for rejection; known: {', '.join(REASONS)}")

    @property
    def passed(self) -> bool:
        if self.value is None:
            return True
        return self.value >= self.threshold if self.bound == "min" else self.value <= self.threshold


@dataclass(frozen=True)
class Verdict:
    """The verdict on one person of `people.npz`, by its index."""

    person: int
    checks: tuple[Check, ...]

    @property
    def reasons(self) -> tuple[str, ...]:
        """The typed reasons for rejection, in the order of `REASONS`; none for an accepted person."""
        broken = {check.reason for check in self.checks if not check.passed}
        return tuple(reason for reason in REASONS if reason in broken)

    @property
    def accepted(self) -> bool:
        return not self.reasons


def save_verdicts(path: Path, verdicts: Sequence[Verdict]) -> None:
    write_json(
        path,
        {
            "format": FORMAT,
            "people": [
                {
                    "person": v.person,
                    "status": "accepted" if v.accepted else "rejected",
                    "reasons": v.reasons,
                    "checks": [{**vars(check), "passed": check.passed} for check in v.checks],
                }
                for v in verdicts
            ],
        },
    )


def load_verdicts(path: Path) -> list[Verdict]:
    """Raises `InputError` with the path when the file is not a valid one."""
    data = read_json(path)
    try:
        if data["format"] != FORMAT:
            raise InputError(f"format is {data['format']!r}, expected {FORMAT!r}", path=path)
        fields = tuple(Check.__dataclass_fields__)
        return [
            Verdict(int(p["person"]), tuple(Check(**{name: check[name] for name in fields}) for check in p["checks"]))
            for p in data["people"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"not a valid {FORMAT} file: {error!r}", path=path) from error
