"""Every experiment by its name, and how one is carried out."""

import json
import time
from collections.abc import Iterator, Sequence

from lab.desk import Desk, DeskError
from lab.emulators.key_vault.state import LabError
from lab.experiments import imports, secrets
from lab.experiments.experiment import Experiment, ExperimentError, Parts, one_of, parts_of

# A timer that is fired is not waited for: it is over within this on a desk of the lab.
_LOOKED_WITHIN_SECONDS = 3.0


def _get(parts: Parts, arguments: Sequence[str]) -> Iterator[str]:
    path = arguments[0].removeprefix(parts.desk.url).lstrip("/")
    if not path.startswith("api/"):
        path = f"api/v1/{path}"
    yield json.dumps(parts.desk.call("GET", f"/{path}"), indent=2, ensure_ascii=False)


def _morning(parts: Parts, arguments: Sequence[str]) -> Iterator[str]:
    """What the desk tells of itself, once it has looked, and lists have followed."""
    del arguments
    for function in ("prove_conditions", "follow_marked_partitions"):
        parts.desk.fire(function)
        time.sleep(_LOOKED_WITHIN_SECONDS)
    found = parts.desk.call("GET", "/api/v1/tickets?source=Deskbridge&limit=200")["items"]
    for ticket in found:
        yield f"{ticket['id']} {ticket['kind']} of {ticket['object_name']}: {ticket['summary']}"
    if not found:
        yield "Nothing is wrong with the desk."


EXPERIMENTS = {
    one.name: one
    for one in (
        *secrets.EXPERIMENTS,
        *imports.EXPERIMENTS,
        Experiment("morning", "", "look at what the desk tells of itself, as an operator does first", _morning),
        Experiment("get", "PATH", "show what the API answers, such as tickets or runs", _get),
    )
}


def carry_out(desk: Desk, words: Sequence[str]) -> Iterator[str]:
    """Lines for a person, as it goes on. Raises ExperimentError with what was wrong."""
    if not words:
        yield from catalogue()
        return
    experiment = EXPERIMENTS[one_of(words[0], list(EXPERIMENTS), "experiment")]
    arguments = words[1:]
    if len(arguments) > experiment.most or bool(arguments) != bool(experiment.takes):
        raise ExperimentError(f"write: ./lab/do {experiment.name} {experiment.takes}".rstrip())
    try:
        yield from experiment.carry_out(parts_of(desk), arguments)
    except (DeskError, LabError) as error:
        raise ExperimentError(str(error)) from error


def catalogue() -> Iterator[str]:
    """What there is to do."""
    yield "Things to do while the desk is up. What you change stays, also at the next `make run`."
    for one in EXPERIMENTS.values():
        yield f"  ./lab/do {f'{one.name} {one.takes}':<28}  {one.about}"
    yield "`make run FRESH=1` begins anew."
