"""Events that cannot become tickets, kept with their reason until somebody replays or removes them."""

import base64
import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from shared.access.audit import UNAUDITED, Audit, AuditedChange, AuditKind
from shared.conditions import UNREPORTED, ConditionKind, ConditionReport, Conditions, slot_of
from shared.errors import AlreadyExistsError, ChangedMeanwhileError, NotFoundError
from shared.reasons import Reason
from shared.storage.rows import Create, Delete, Operation, Replace, Row, Save, Value, pack, unpack
from shared.storage.tables import Condition, Page, Table, partition, row_key_prefix, scan
from shared.text import descending

# No vault can be named so: a vault's name has no colon.
PARTITION = "quarantine:"
# JSON text beyond this is cut: a row holds 1 MiB, in UTF-16, and what is cut can be read but not replayed.
LONGEST = 200_000

# Two rows each: a transaction takes a hundred.
_ITEMS_AT_ONCE = 50
# Characters of events in a transaction, which takes 4 MiB.
_CHARACTERS_AT_ONCE = 400_000
# So few are looked up one by one: what lies between them may be the whole quarantine.
_FEW = 20


@dataclass(frozen=True)
class Refused:
    """An event to be kept, and why."""

    member: Any
    reason: Reason
    message: str


@dataclass(frozen=True)
class Quarantined:
    """One refused event. `event` is None when it was too long to be kept whole; `text` is then its beginning."""

    item_id: str
    reason: str
    message: str
    received_at: datetime
    event: Any
    text: str = ""


class Quarantine:
    """The rows of the quarantine: `item:<digest of the event>`, and `at:<newest first>:<digest>` for the list."""

    def __init__(
        self,
        table: Table,
        now: Callable[[], datetime],
        audit: Audit = UNAUDITED,
        conditions: Conditions = UNREPORTED,
    ) -> None:
        self._table = table
        self._now = now
        self._audit = audit
        self._conditions = conditions
        self._told: datetime | None = None

    def keep(self, member: Any, reason: Reason, message: str) -> str:
        """Keep an event; the same one again is the same item. Answers with the item's id."""
        text = _text_of(member, message)
        item_id = _item_id(text)
        present = self._table.find(PARTITION, f"item:{item_id}", select=["received_at", "reason"])
        if present is not None and present.text("reason") == reason:
            return item_id
        received_at = (present.time("received_at") if present is not None else None) or self._now()
        item, listed = _rows(text, reason, message, received_at)
        # Another worker may keep it at the same time.
        with suppress(AlreadyExistsError):
            self._table.transact(PARTITION, [Create(item) if present is None else Save(item), Save(listed)])
        self._tell(received_at)
        return item_id

    def keep_all(self, refused: Sequence[Refused]) -> list[str]:
        """Keep many events, fifty by a call, and those that came before by two; the ids of their items, in order."""
        texts = [_text_of(one.member, one.message) for one in refused]
        # One that stands twice is one item.
        waiting = {_item_id(text): (text, one) for text, one in zip(texts, refused, strict=True)}
        together: list[tuple[str, Refused]] = []
        size = 0
        # Neighbours by their ids stand together, so that those that came before are one range of rows.
        for _, (text, one) in sorted(waiting.items()):
            length = min(len(text), LONGEST)
            if len(together) == _ITEMS_AT_ONCE or size + length > _CHARACTERS_AT_ONCE:
                self._keep_together(together)
                together, size = [], 0
            together.append((text, one))
            size += length
        self._keep_together(together)
        if texts:
            self._tell(self._now())
        return [_item_id(text) for text in texts]

    def newest(self) -> ConditionReport | None:
        """That something is kept; None when nothing is."""
        rows = scan(self._table, [partition(PARTITION), *row_key_prefix("at:")], size=1)
        received_at = next((row.time("received_at") for row in rows), None)
        return None if received_at is None else _kept_at(received_at)

    def _tell(self, received_at: datetime) -> None:
        """Once in some minutes: a burst of events is one thing to know."""
        report = _kept_at(received_at)
        if report.since != self._told:
            self._conditions.report(report)
            self._told = report.since

    def _keep_together(self, items: Sequence[tuple[str, Refused]]) -> None:
        try:
            self._write(items, {})
        except AlreadyExistsError:
            present = self._present([_item_id(text) for text, _ in items])
            was = [(present.get(_item_id(text)), text, one) for text, one in items]
            due = [(text, one) for row, text, one in was if row is None or row.text("reason") != one.reason]
            try:
                self._write(due, present)
            except AlreadyExistsError:
                # Another worker keeps the same at this moment.
                for _, one in due:
                    self.keep(one.member, one.reason, one.message)

    def _write(self, items: Sequence[tuple[str, Refused]], present: Mapping[str, Row]) -> None:
        operations: list[Operation] = []
        for text, one in items:
            before = present.get(_item_id(text))
            received_at = (before.time("received_at") if before is not None else None) or self._now()
            item, listed = _rows(text, one.reason, one.message, received_at)
            operations += [Create(item) if before is None else Save(item), Save(listed)]
        if operations:
            self._table.transact(PARTITION, operations)

    def _present(self, item_ids: Sequence[str]) -> Mapping[str, Row]:
        """Those that are kept already, of ids in their order."""
        keys, select = [f"item:{one}" for one in item_ids], ["received_at", "reason"]
        if len(keys) < _FEW:
            rows = [row for key in keys if (row := self._table.find(PARTITION, key, select=select)) is not None]
        else:
            between = (Condition("RowKey", "ge", keys[0]), Condition("RowKey", "le", keys[-1]))
            rows = list(scan(self._table, [partition(PARTITION), *between], select=select))
        wanted = set(item_ids)
        return {item_id: row for row in rows if (item_id := row.row_key.removeprefix("item:")) in wanted}

    def change(self, item: Quarantined, reason: Reason, message: str) -> str:
        """Say anew why an item is kept, if it still is; its id."""
        row = self._table.find(PARTITION, f"item:{item.item_id}")
        if row is not None and row.text("reason") != reason:
            values: dict[str, Value] = {"reason": str(reason), "message": message, "received_at": item.received_at}
            listed = Row(PARTITION, _listed_key(item.received_at, item.item_id), {**values, "item_id": item.item_id})
            # Somebody else replays or removes it.
            with suppress(ChangedMeanwhileError):
                self._table.transact(PARTITION, [Replace(replace(row, values={**row.values, **values})), Save(listed)])
        return item.item_id

    def get(self, item_id: str) -> Quarantined:
        """The item; raises NotFoundError."""
        row = self._table.find(PARTITION, f"item:{item_id}")
        if row is None:
            raise NotFoundError(Reason.NOT_FOUND, f"There is no quarantined event {item_id!r}.")
        text = unpack(row, "event", "")
        whole = bool(row.values.get("whole", True))
        received_at = row.time("received_at")
        assert received_at is not None  # noqa: S101 - written with every row
        return Quarantined(
            item_id,
            row.text("reason"),
            row.text("message"),
            received_at,
            json.loads(text) if whole else None,
            "" if whole else text,
        )

    def page(self, size: int, after: str | None) -> Page:
        """Newest first: rows with reason, message, received_at and item_id."""
        return self._table.page([partition(PARTITION), *row_key_prefix("at:")], size=size, after=after)

    def remove(self, item: Quarantined) -> None:
        """Remove the item; it may be gone already."""
        keys = [f"item:{item.item_id}", _listed_key(item.received_at, item.item_id)]
        try:
            self._table.transact(PARTITION, [Delete(key) for key in keys])
        except ChangedMeanwhileError:
            return

    def discard(self, item: Quarantined, *, by: str) -> None:
        """Remove the item because a person says so; it may be gone already."""
        change = AuditedChange(AuditKind.QUARANTINE, "removed", f"quarantine/{item.item_id}", by)
        keys = [f"item:{item.item_id}", _listed_key(item.received_at, item.item_id)]
        with suppress(ChangedMeanwhileError), self._audit.recording(self._table.name, PARTITION, change) as audited:
            self._table.transact(PARTITION, [*(Delete(key) for key in keys), *audited])

    def older_than(self, moment: datetime) -> Iterator[str]:
        """The row keys of the items that were received before `moment`: the two of each side by side, so that they go
        in one transaction."""
        for row in scan(self._table, [partition(PARTITION), *row_key_prefix("at:")]):
            received_at = row.time("received_at")
            if received_at is not None and received_at < moment:
                yield from (row.row_key, f"item:{row.text('item_id')}")


def _kept_at(received_at: datetime) -> ConditionReport:
    at = slot_of(received_at)
    return ConditionReport(
        ConditionKind.QUARANTINE,
        "desk/quarantine",
        at,
        at,
        reason=str(Reason.EVENTS_QUARANTINED),
        message="The quarantine keeps what could not become a ticket, or was no message of the desk.",
        remedy="Look at GET /api/v1/quarantine: each item has its reason. Replay or remove it.",
    )


def text_of_bytes(content: bytes) -> dict[str, str]:
    """What is no JSON, as a member that can be kept: its text, or its bytes in Base64 when they are none in UTF-8."""
    try:
        return {"content": content.decode("utf-8-sig")}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode("ascii")}


def is_cut(member: Any, item_ids: Collection[str]) -> bool:
    """Whether one of these items keeps no more than the beginning of that event."""
    try:
        text = json.dumps(member, sort_keys=True)
    except RecursionError:
        # Nothing of it is kept.
        return True
    return len(text) > LONGEST and _item_id(text) in item_ids


def _text_of(member: Any, message: str) -> str:
    try:
        return json.dumps(member, sort_keys=True)
    except RecursionError:
        # Read a few frames higher up the stack: no event of Event Grid is nested a thousand deep.
        return json.dumps(f"It is nested too deeply to be kept. {message}")


def _item_id(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:24]


def _rows(text: str, reason: Reason, message: str, received_at: datetime) -> tuple[Row, Row]:
    """The item, and its place in the list."""
    values: dict[str, Value] = {"reason": str(reason), "message": message, "received_at": received_at}
    whole, item_id = len(text) <= LONGEST, _item_id(text)
    content = pack("event", text if whole else text[:LONGEST])
    item = Row(PARTITION, f"item:{item_id}", {**values, "whole": whole, **content})
    return item, Row(PARTITION, _listed_key(received_at, item_id), {**values, "item_id": item_id})


def _listed_key(received_at: datetime, item_id: str) -> str:
    return f"at:{descending(received_at)}:{item_id}"
