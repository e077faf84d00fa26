"""Every experiment by its name, and how one is carried out."""

import json
from collections.abc import Iterator, Sequence

from lab.desk import Desk, DeskError
from lab.emulators.key_vault.state import LabError
from lab.experiments import imports, secrets
from lab.experiments.experiment import Experiment, ExperimentError, Parts, one_of, parts_of


def _get(parts: Parts, arguments: Sequence[str]) -> Iterator[str]:
    path = arguments[0].removeprefix(parts.desk.url).lstrip("/")
    if not path.startswith("api/"):
        path = f"api/v1/{path}"
    yield json.dumps(parts.desk.call("GET", f"/{path}"), indent=2, ensure_ascii=False)


EXPERIMENTS = {
    one.name: one
    for one in (
        *secrets.EXPERIMENTS,
        *imports.EXPERIMENTS,
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
