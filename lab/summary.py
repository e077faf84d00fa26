"""What the first run made, for a person: counts, a few rows of each kind, and where to look further."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lab.desk import Desk
from lab.first_run import Figures

ROWS = 5
_VIEWS: tuple[tuple[str, str, Sequence[str]], ...] = (
    ("tickets", "/api/v1/tickets", ("id", "priority", "status", "summary")),
    ("assets", "/api/v1/assets", ("source_id", "name", "asset-number", "type", "site", "status")),
    ("users", "/api/v1/users", ("name", "email", "site", "status")),
)


def describe(desk: Desk, figures: Figures) -> Iterator[str]:
    """Lines to print."""
    for what, address, columns in _VIEWS:
        items = list(_items(desk, address))
        yield ""
        yield f"{what}: {len(items)}"
        yield from _table(
            [{column: _cell(_value(item, column)) for column in columns} for item in items[:ROWS]], columns
        )
        if len(items) > ROWS:
            yield f"  … and {len(items) - ROWS} more"
    yield ""
    if figures.changed_nothing:
        yield "Nothing changed: every row is as the last run left it."
    else:
        written = ", ".join(f"{count} in {table}" for table, count in figures.written.items() if count)
        yield f"Rows written: {written}."


def where_to_look(desk: Desk) -> Iterator[str]:
    yield ""
    yield f"The desk is up at {desk.url} (Ctrl-C stops it and everything it started)."
    yield f"  its function key: {desk.key_hint}"
    for address in ("/api/v1/tickets", "/api/v1/assets", "/api/v1/users", "/api/v1/runs", "/api/v1/settings"):
        yield f'  curl -H "x-functions-key: $KEY" {desk.url}{address}'
    yield "Send it an event:"
    yield (
        "  EVENT_GRID_PASSWORD=lab-only-webhook-password .venv/bin/python -m lab.emulators.event_grid send"
        " --user event-grid --type SecretNearExpiry --vault acorn-vault --name api-key"
        f" --to {desk.url}/api/events/key-vault"
    )
    yield f"The tables: {desk.connection_string.split('TableEndpoint=')[1].rstrip(';')}"
    for name, address in desk.addresses.items():
        yield f"  {name}: {address}"


def _items(desk: Desk, address: str) -> Iterator[Mapping[str, Any]]:
    after = ""
    while True:
        page = desk.call("GET", f"{address}?limit=200{after}")
        yield from page["items"]
        if not page["next"]:
            return
        after = f"&after={page['next']}"


def _value(item: Mapping[str, Any], column: str) -> Any:
    return item[column] if column in item else item.get("fields", {}).get(column)


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _table(rows: Sequence[Mapping[str, str]], columns: Sequence[str]) -> Iterator[str]:
    widths = {column: max([len(column), *(len(row[column]) for row in rows)]) for column in columns}
    yield "  " + "  ".join(column.ljust(widths[column]) for column in columns).rstrip()
    for row in rows:
        yield "  " + "  ".join(row[column].ljust(widths[column]) for column in columns).rstrip()
