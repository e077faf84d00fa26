"""What a bench gives: figures with their floors and budgets, and curves for the page."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One measured number.

    `value` is in `unit`; of a ratio the unit is `×` and `against` says of what. `absolute` is this machine's own number
    in words. `budget` is the most that it may be: a bound for plain code, not a race.
    """

    group: str
    name: str
    value: float
    unit: str = "×"
    against: str = ""
    absolute: str = ""
    budget: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """None without a budget."""
        return None if self.budget is None else self.value <= self.budget

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "met": self.met}


@dataclass(frozen=True)
class Curve:
    """How figures grow with their work: `lines` are points (work, figure) by name."""

    file: str
    title: str
    work: str
    figure: str
    lines: Mapping[str, Sequence[tuple[float, float]]]


@dataclass
class Results:
    """All that one run of the bench found."""

    figures: list[Figure] = field(default_factory=list[Figure])
    curves: list[Curve] = field(default_factory=list[Curve])
    left_out: list[str] = field(default_factory=list[str])

    def add(self, *figures: Figure) -> None:
        self.figures += figures

    def with_earlier(self, earlier: Mapping[str, Any]) -> "Results":
        """These, and of an earlier run (its JSON) what was not measured now."""
        groups, files = {figure.group for figure in self.figures}, {curve.file for curve in self.curves}
        kept = [_figure(one) for one in earlier.get("figures", ()) if one["group"] not in groups]
        curves = [Curve(**one) for one in earlier.get("curves", ()) if one["file"] not in files]
        return Results([*kept, *self.figures], [*curves, *self.curves], self.left_out)

    def as_json(self) -> dict[str, Any]:
        return {
            "figures": [figure.as_json() for figure in self.figures],
            "curves": [asdict(curve) for curve in self.curves],
            "left_out": self.left_out,
        }


def _figure(given: Mapping[str, Any]) -> Figure:
    return Figure(**{name: value for name, value in given.items() if name != "met"})
