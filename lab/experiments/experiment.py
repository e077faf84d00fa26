"""What an experiment is: a name, what it takes, and a function on a running desk."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from lab.changes import KeptAuthRocket, KeptFleet
from lab.desk import Desk
from lab.emulators.key_vault import VaultLab


class ExperimentError(ValueError):
    """It cannot be carried out; the message says what would be right."""


@dataclass(frozen=True)
class Experiment:
    """One thing to do. `carry_out` yields lines for a person."""

    name: str
    takes: str
    about: str
    carry_out: Callable[["Parts", Sequence[str]], Iterator[str]]
    most: int = 1


@dataclass(frozen=True)
class Parts:
    """A running desk with its emulators."""

    desk: Desk
    vaults: VaultLab
    fleet: KeptFleet
    authrocket: KeptAuthRocket


def parts_of(desk: Desk) -> Parts:
    """Raises ExperimentError while the desk is starting."""
    if desk.vaults is None or desk.fleet is None or desk.authrocket is None:
        raise ExperimentError("the desk is still starting: wait until it says that it is up.")
    return Parts(desk, desk.vaults, desk.fleet, desk.authrocket)


def one_of(wanted: str, known: Sequence[str], what: str) -> str:
    """The name as it is known, whatever case a person types. Raises ExperimentError with the names there are."""
    for name in known:
        if name.casefold() == wanted.casefold():
            return name
    shown = ", ".join(known[:12]) + (f", … ({len(known)} in all)" if len(known) > 12 else "")
    raise ExperimentError(f"there is no {what} {wanted!r}. There are: {shown or 'none'}.")
