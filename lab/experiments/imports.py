"""Experiments on EC2 and AuthRocket: what changes there, or fails, and what the next import makes of it."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from lab.emulators.ec2.accounts import ACORN, LONDON
from lab.experiments.experiment import Experiment, ExperimentError, Parts, one_of
from lab.first_run import counted, import_documents, troubles_of, wait_for_run

_EC2 = "aws-tenants"
_AUTHROCKET = "authrocket-realms"
# More than the brake's share of 0.3 of some 225.
_LEAVING = 100


def _import(parts: Parts, kind: str) -> Iterator[str]:
    runs = 0
    for run in import_documents(parts.desk, kind):
        runs += 1
        yield from _told(parts, run)
    if not runs:
        yield f"Nothing was imported: no document of {kind} has syncing."


def _told(parts: Parts, run: dict[str, Any]) -> Iterator[str]:
    yield f"Imported {run['kind']}/{run['name']}: {counted(run['counts'])}"
    yield from troubles_of(parts.desk, run)
    yield f"Look: ./lab/do get runs/{run['id']}"


def _instances(parts: Parts, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Name and instance id for each name, label or id that a person typed."""
    known: dict[str, str] = {}
    for machine in parts.fleet.machines():
        instance_id = machine["instance_id"]
        known |= {name: instance_id for name in (instance_id, machine["label"], machine["name"]) if name}
    shown = [name for name in known if name.startswith("ACORN")]
    for wanted in names:
        if wanted not in known:
            one_of(wanted, shown, "instance named")
        yield wanted, known.get(wanted) or known[one_of(wanted, shown, "instance named")]


def _set_state(parts: Parts, names: Sequence[str], state: str) -> Iterator[str]:
    # All are looked up before any is changed.
    for name, instance_id in list(_instances(parts, names)):
        parts.fleet.control("set_state", {"instance_id": instance_id, "state": state})
        yield f"{name} ({instance_id}) is {state} in EC2."
    yield from _import(parts, _EC2)
    for name in names[:3]:
        yield f"Look: ./lab/do get 'assets?field=name&value={quote(name)}'"


def _stop(parts: Parts, names: Sequence[str]) -> Iterator[str]:
    return _set_state(parts, names, "stopped")


def _start(parts: Parts, names: Sequence[str]) -> Iterator[str]:
    return _set_state(parts, names, "running")


def _terminate(parts: Parts, names: Sequence[str]) -> Iterator[str]:
    return _set_state(parts, names, "terminated")


def _remove_user(parts: Parts, addresses: Sequence[str]) -> Iterator[str]:
    users = {str(user["email"]): user_id for user_id, user in parts.authrocket.realm().users.items() if user["email"]}
    address = one_of(addresses[0], list(users), "user with the address")
    parts.authrocket.remove_user(users[address])
    yield f"{address} is no user of AuthRocket any more."
    yield from _import(parts, _AUTHROCKET)


def _aws_fails(parts: Parts, arguments: Sequence[str]) -> Iterator[str]:
    del arguments
    parts.fleet.control("refuse", {"account": ACORN, "region": LONDON, "code": "UnauthorizedOperation"})
    yield f"EC2 refuses to list the instances of account {ACORN} in {LONDON}, until: ./lab/do aws-works"
    yield from _import(parts, _EC2)


def _aws_works(parts: Parts, arguments: Sequence[str]) -> Iterator[str]:
    del arguments
    parts.fleet.control("refuse", {"account": ACORN, "region": LONDON, "code": None})
    yield "EC2 answers again."
    yield from _import(parts, _EC2)


def _authrocket_fails(parts: Parts, arguments: Sequence[str]) -> Iterator[str]:
    del arguments
    parts.authrocket.answer_with(403)
    yield "AuthRocket answers 403 to every call, until: ./lab/do authrocket-works"
    yield from _import(parts, _AUTHROCKET)


def _authrocket_works(parts: Parts, arguments: Sequence[str]) -> Iterator[str]:
    del arguments
    parts.authrocket.answer_with(None)
    yield "AuthRocket answers again."
    yield from _import(parts, _AUTHROCKET)


def _fill_brake(parts: Parts, arguments: Sequence[str]) -> Iterator[str]:
    del arguments
    users = [user_id for user_id, user in parts.authrocket.realm().users.items() if user["state"] == "active"]
    leaving = users[-_LEAVING:]
    for user_id in leaving:
        parts.authrocket.remove_user(user_id)
    yield f"{len(leaving)} of {len(users)} active users are gone from AuthRocket, as when a filter is set wrongly."
    yield from _import(parts, _AUTHROCKET)


def _confirm(parts: Parts, arguments: Sequence[str]) -> Iterator[str]:
    run = parts.desk.call("GET", f"/api/v1/runs/{arguments[0]}")
    if not run["counts"].get("held_back"):
        raise ExperimentError(f"no brake held in the run {arguments[0]}: there is nothing to confirm.")
    body = json.dumps({"mode": "confirm", "run_id": arguments[0]}).encode()
    started_at = datetime.now(UTC)
    parts.desk.call("POST", f"/api/v1/{run['kind']}/{quote(run['name'])}/imports", body)
    yield from _told(parts, wait_for_run(parts.desk, run["kind"], started_at, run["name"]))


def _both(parts: Parts, arguments: Sequence[str]) -> Iterator[str]:
    del arguments
    yield from _import(parts, _EC2)
    yield from _import(parts, _AUTHROCKET)


EXPERIMENTS = (
    Experiment("stop-instance", "NAME…", "instances are stopped, and imported", _stop, most=50),
    Experiment("start-instance", "NAME…", "instances run again, and are imported", _start, most=50),
    Experiment(
        "terminate-instance", "NAME…", "instances are terminated; their assets become inactive", _terminate, most=50
    ),
    Experiment("remove-user", "ADDRESS", "a user leaves AuthRocket; the desk's user becomes inactive", _remove_user),
    Experiment("aws-fails", "", "EC2 refuses one region, until aws-works", _aws_fails),
    Experiment("aws-works", "", "EC2 answers again", _aws_works),
    Experiment("authrocket-fails", "", "AuthRocket refuses the key, until authrocket-works", _authrocket_fails),
    Experiment("authrocket-works", "", "AuthRocket answers again", _authrocket_works),
    Experiment(
        "fill-brake", "", f"{_LEAVING} users leave at once; the brake holds their deactivation back", _fill_brake
    ),
    Experiment("confirm", "RUN", "deactivate what the brake of a run held back", _confirm),
    Experiment("import", "", "import EC2 and AuthRocket now, as the daily timers do", _both),
)
