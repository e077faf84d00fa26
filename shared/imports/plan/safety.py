"""The brake: what takes much away is not carried out before a person has looked, in a part or in the whole run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Brake:
    """Nothing is deactivated when `at_least` records and more than `share` of the active ones would be."""

    share: float = 0.3
    at_least: int = 10

    def holds(self, count: int, active: int) -> bool:
        return count >= self.at_least and count > self.share * active


@dataclass(frozen=True)
class Losses:
    """What complete readings would take away of `active` records: how many would be deactivated, and how many would
    lose each field. `withdrawals` are written down, and wait for the run's end."""

    active: int = 0
    deactivated: int = 0
    emptied: Mapping[str, int] = field(default_factory=dict[str, int])
    withdrawals: int = 0


def why_held(fields: Sequence[str], losses: Sequence[Losses], brake: Brake) -> str:
    """A sentence when the brake holds a withdrawal: of these fields, or for none the deactivation of a record.

    `losses` are those of the part and of the run. Empty when it may be carried out.
    """
    for place, lost in zip(("part", "run"), losses, strict=True):
        if fields:
            counts = {one: lost.emptied.get(one, 0) for one in fields}
            held = [f"{one} of {count}" for one, count in counts.items() if brake.holds(count, lost.active)]
        else:
            held = [str(lost.deactivated)] if brake.holds(lost.deactivated, lost.active) else []
        if held:
            what = f"{' and '.join(held)} of {lost.active} active records of the {place}"
            return (
                f"The brake holds: {what} would be {'emptied' if fields else 'deactivated'}, which is more than "
                f"{brake.share:.0%}. Look whether the source shows everything, and confirm the run if that is right."
            )
    return ""
