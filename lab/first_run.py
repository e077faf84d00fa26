"""The desk's main job, once through: settings, every Key Vault event, both imports, and what came of it."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from string import Template
from typing import Any

from azure.data.tables import TableServiceClient

from lab import story
from lab.desk import LAB, WEBHOOK_PASSWORD, WEBHOOK_USER, Desk, DeskError
from lab.emulators.event_grid import EventGrid, EventSubscription, Schema, basic_authorization

WATCHED = ("tickets", "assets", "users", "settings")
WAIT_SECONDS = 180
_COUNTS = {
    "read": "read",
    "create": "created",
    "update": "updated",
    "deactivate": "deactivated",
    "unchanged": "unchanged",
    "skip": "skipped",
    "error": "errors",
}


@dataclass(frozen=True)
class Figures:
    """What one pass did: rows by table before and after, and how many of them were written."""

    rows: Mapping[str, int]
    written: Mapping[str, int]

    @property
    def changed_nothing(self) -> bool:
        return not any(self.written.values())


def run_once(desk: Desk, say: Callable[[str], object] = print) -> Figures:
    """Apply, deliver, import, wait. Raises DeskError with the first thing that failed."""
    before = _versions(desk)
    _apply_settings(desk, say)
    _deliver_events(desk, say)
    _import(desk, "import_ec2_assets", "aws-tenants", "EC2 instances", say)
    _import(desk, "import_authrocket_users", "authrocket-realms", "AuthRocket users", say)
    after = _versions(desk)
    return Figures(
        {table: len(rows) for table, rows in after.items()},
        {table: sum(before[table].get(key) != etag for key, etag in rows.items()) for table, rows in after.items()},
    )


def settings_texts(desk: Desk) -> Iterator[tuple[str, str]]:
    """The example settings with this desk's addresses in them, file by file."""
    values = {_placeholder(name): address for name, address in desk.addresses.items()}
    for path in sorted((LAB / "settings").glob("*.yaml")):
        yield path.name, Template(path.read_text("utf-8")).substitute(values)


def _placeholder(name: str) -> str:
    return name.upper().replace(" ", "_").replace("-", "_")


def _apply_settings(desk: Desk, say: Callable[[str], object]) -> None:
    text = "\n---\n".join(text for _, text in settings_texts(desk))
    answer = desk.call("POST", "/api/v1/settings", text.encode(), "application/yaml")
    actions = [item["action"] for item in answer["items"]]
    counts = ", ".join(f"{actions.count(action)} {action}" for action in dict.fromkeys(actions))
    say(f"settings applied: {len(actions)} documents ({counts})")


def _deliver_events(desk: Desk, say: Callable[[str], object]) -> None:
    delivered = 0
    for schema in Schema:
        subscription = EventSubscription(
            f"{desk.url}/api/events/key-vault",
            name="deskbridge-lab",
            schema=schema,
            headers={"Authorization": basic_authorization(WEBHOOK_USER, WEBHOOK_PASSWORD)},
            max_events_per_batch=1 if schema is Schema.EVENT_GRID else 10,
        )
        with EventGrid(subscription, speed=1000) as grid:
            handshake = grid.subscribe()
            if not handshake.accepted:
                raise DeskError(f"the validation handshake ({schema}) failed: {handshake}")
            events = story.events(schema)
            report = grid.deliver(events)
        if not report.all_delivered:
            raise DeskError(f"Key Vault events ({schema}) were not all delivered: {report}")
        delivered += len(events)
    say(f"Key Vault events delivered: {delivered}, every type in both schemas, single and batched")


def run_import(desk: Desk, function: str, kind: str) -> Any:
    """Fire the timer of an import, and wait for the run that it starts. Raises DeskError unless it succeeded."""
    started_at = datetime.now(UTC)
    desk.fire(function)
    run = wait_for_run(desk, kind, started_at)
    if run["status"] != "succeeded":
        raise DeskError(f"the import of {kind} ended as {run['status']}: {run}")
    return run


def wait_for_run(desk: Desk, kind: str, started_at: datetime) -> Any:
    """The newest run of a kind that started since then, once it has ended. Raises DeskError after three minutes."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        runs = desk.call("GET", f"/api/v1/runs?kind={kind}")["items"]
        recent = [run for run in runs if datetime.fromisoformat(run["started_at"]) >= started_at]
        if recent and recent[0]["finished_at"]:
            return recent[0]
        time.sleep(0.3)
    raise DeskError(f"no run of {kind} ended within {WAIT_SECONDS} seconds: see the host's log")


def _import(desk: Desk, function: str, kind: str, what: str, say: Callable[[str], object]) -> None:
    counts = run_import(desk, function, kind)["counts"]
    told = ", ".join(f"{counts[action]} {word}" for action, word in _COUNTS.items() if counts.get(action))
    say(f"{what} imported in {counts['parts']} part{'s' if counts['parts'] != 1 else ''}: {told}")


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
            found[name] = {(row["PartitionKey"], row["RowKey"]): str(row.metadata["etag"]) for row in rows}
    return found
