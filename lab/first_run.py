"""The desk's main job, once through: settings, every Key Vault event, all imports, and what came of it."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from azure.data.tables import TableServiceClient

from lab import story
from lab.desk import WEBHOOK_PASSWORD, WEBHOOK_USER, Desk, DeskError
from lab.emulators.event_grid import EventGrid, EventSubscription, KeyVaultEvent, Outcome, Schema, basic_authorization
from lab.examples import apply_examples
from lab.following import follow_changes

Say = Callable[[str], object]

WATCHED = ("tickets", "assets", "users", "settings")
# With this begins the key of every row that is no ticket, asset, user or document.
_BESIDE = "~"
WAIT_SECONDS = 180
START_SECONDS = 60
_COUNTS = {
    "read": "read",
    "create": "created",
    "update": "updated",
    "deactivate": "deactivated",
    "held_back": "held back by the brake",
    "unchanged": "unchanged",
    "skip": "skipped",
    "error": "errors",
}


@dataclass(frozen=True)
class Source:
    """What is imported, and the timer that does it."""

    what: str
    timer: str


IMPORTS = {
    "aws-tenants": Source("EC2 instances", "import_ec2_assets"),
    "authrocket-realms": Source("AuthRocket users", "import_authrocket_users"),
}


@dataclass(frozen=True)
class Figures:
    """What one pass did: rows by table before and after, how many of them were written, and what went wrong."""

    rows: Mapping[str, int]
    written: Mapping[str, int]
    troubles: Sequence[str] = ()

    @property
    def changed_nothing(self) -> bool:
        return not any(self.written.values())


def run_once(desk: Desk, say: Say = print) -> Figures:
    """One pass that must succeed. Raises DeskError with everything that went wrong."""
    figures = run_through(desk, say)
    if figures.troubles:
        raise DeskError("; ".join(figures.troubles))
    return figures


def run_through(desk: Desk, say: Say = print) -> Figures:
    """One pass. What fails is told, and the rest goes on: a person may have made it fail on purpose."""
    before = _versions(desk)
    troubles: list[str] = []
    for step in (_apply_settings, _deliver_events, _import_all):
        try:
            troubles += step(desk, say)
        except (DeskError, OSError) as error:
            troubles.append(f"{step.__name__.strip('_').replace('_', ' ')}: {error}")
    follow_changes(desk.connection_string)
    after = _versions(desk)
    return Figures(
        {table: len(rows) for table, rows in after.items()},
        {table: sum(before[table].get(key) != etag for key, etag in rows.items()) for table, rows in after.items()},
        troubles,
    )


def _apply_settings(desk: Desk, say: Say) -> Sequence[str]:
    applied = apply_examples(desk)
    counts = [f"{applied.actions.count(action)} {action}" for action in dict.fromkeys(applied.actions)]
    counts += [f"{len(applied.kept)} left as you left them"] if applied.kept else []
    say(f"settings: {', '.join(counts) or 'none'}")
    return applied.refused


def _deliver_events(desk: Desk, say: Say) -> Sequence[str]:
    delivered = 0
    for schema in Schema:
        events = story.events(schema, desk.began)
        if refusal := deliver(desk, events, schema=schema, batch=1 if schema is Schema.EVENT_GRID else 10):
            compare = "Compare the secret key-vault-webhook and the settings key-vault-events/default."
            return [f"Key Vault events were not taken: {refusal} {compare}"]
        delivered += len(events)
    say(f"Key Vault events: {delivered} delivered, every type in both schemas")
    return ()


def deliver(
    desk: Desk,
    events: Sequence[KeyVaultEvent],
    *,
    schema: Schema = Schema.EVENT_GRID,
    batch: int = 1,
    password: str = WEBHOOK_PASSWORD,
) -> str:
    """Have Event Grid send events to the desk's webhook. What the desk said instead of taking them; empty if it did."""
    subscription = EventSubscription(
        f"{desk.url}/api/events/key-vault",
        name="deskbridge-lab",
        schema=schema,
        headers={"Authorization": basic_authorization(WEBHOOK_USER, password)},
        max_events_per_batch=batch,
    )
    with EventGrid(subscription, speed=1000) as grid:
        handshake = grid.subscribe()
        if not handshake.accepted:
            return f"the validation handshake failed: {handshake.explanation}"
        report = grid.deliver(events)
    refused = [event for event in report.events if event.outcome is not Outcome.DELIVERED]
    if not refused:
        return ""
    last = refused[0].attempts[-1]
    return f"{report.summary()}; the desk answered {last.status or 'nothing'}."


def _import_all(desk: Desk, say: Say) -> Sequence[str]:
    troubles: list[str] = []
    for kind, source in IMPORTS.items():
        runs = 0
        try:
            for run in import_documents(desk, kind):
                runs += 1
                say(f"{source.what}: {counted(run['counts'])}")
                troubles += [f"{source.what}, {kind}/{run['name']}: {trouble}" for trouble in troubles_of(desk, run)]
        except DeskError as error:
            troubles.append(f"{source.what} were not imported: {error}")
            continue
        if not runs:
            say(f"{source.what}: nothing to import, no document of {kind} has syncing")
    return troubles


def counted(counts: Mapping[str, int]) -> str:
    """The counts of a run in words."""
    return ", ".join(f"{counts[action]} {word}" for action, word in _COUNTS.items() if counts.get(action)) or "nothing"


def troubles_of(desk: Desk, run: Mapping[str, Any]) -> list[str]:
    """What a person has to know of a run that ended: why it failed, and what a brake held back."""
    found = []
    if run["status"] not in {"succeeded", "withheld"}:
        errors = desk.call("GET", f"/api/v1/runs/{run['id']}/errors?limit=1")["items"]
        told = errors[0] if errors else run
        found.append(
            f"the import {run['status'].replace('_', ' ')}: {told['message']} {told.get('remedy') or ''}".strip()
        )
    if held := run["counts"].get("held_back"):
        found.append(
            f"the brake held back {held} deactivations. If they are right, confirm: ./lab/do confirm {run['id']}"
        )
    return found


def import_documents(desk: Desk, kind: str) -> Iterator[Any]:
    """Import every document of a kind as its timer does, deactivations included; yields each run that ended.

    Raises DeskError for one that does not start or end.
    """
    documents = desk.call("GET", f"/api/v1/settings/{kind}?limit=200")["items"]
    names = [one["name"] for one in documents if one["document"].get("syncing")]
    if names:
        started_at = datetime.now(UTC)
        desk.fire(IMPORTS[kind].timer)
        for name in names:
            yield wait_for_run(desk, kind, started_at, name)


def run_import(desk: Desk, function: str, kind: str) -> Any:
    """Fire the timer of an import, and wait for the run that it starts. Raises DeskError unless it succeeded."""
    started_at = datetime.now(UTC)
    desk.fire(function)
    run = wait_for_run(desk, kind, started_at)
    if run["status"] != "succeeded":
        raise DeskError(f"the import of {kind} ended as {run['status']}: {run}")
    return run


def wait_for_run(desk: Desk, kind: str, started_at: datetime, name: str = "") -> Any:
    """The newest run of a kind that started since then, once it has ended. Raises DeskError after three minutes."""
    began = time.monotonic()
    found = "started"
    query = f"kind={kind}&name={quote(name)}" if name else f"kind={kind}"
    while time.monotonic() - began < (WAIT_SECONDS if found == "ended" else START_SECONDS):
        runs = desk.call("GET", f"/api/v1/runs?{query}")["items"]
        recent = [run for run in runs if datetime.fromisoformat(run["started_at"]) >= started_at]
        if recent and recent[0]["finished_at"]:
            return recent[0]
        found = "ended" if recent else found
        time.sleep(0.3)
    raise DeskError(f"no run of {kind} {name} {found} in time: see {desk.log}")


def sweep_vaults(desk: Desk) -> str:
    """Sweep all vaults to the end; the sweep's id. Raises DeskError after three minutes."""
    sweep = desk.call("POST", "/api/v1/sweeps", b'{"vaults": "all"}')
    began = time.monotonic()
    while time.monotonic() - began < START_SECONDS:
        if desk.call("GET", f"/api/v1/sweeps/{sweep['id']}")["state"] == "finished":
            return str(sweep["id"])
        time.sleep(0.3)
    raise DeskError(f"the sweep {sweep['id']} did not end in time: see {desk.log}")


def _versions(desk: Desk) -> dict[str, dict[tuple[str, str], str]]:
    """Key and ETag of every row: what was written shows by its ETag."""
    found: dict[str, dict[tuple[str, str], str]] = {}
    with TableServiceClient.from_connection_string(desk.connection_string) as service:
        present = {table.name for table in service.list_tables()}
        for name in WATCHED:
            rows = (
                service.get_table_client(name).list_entities(select=["PartitionKey", "RowKey"])
                if name in present
                else ()
            )
            found[name] = {
                (row["PartitionKey"], row["RowKey"]): str(row.metadata["etag"])
                for row in rows
                # What follows from changes, counts and readings stand behind the things themselves.
                if not row["RowKey"].startswith(_BESIDE)
            }
    return found
