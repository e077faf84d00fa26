"""What a run tells of single records: the plan of a preview, and of an import what an operator must look at."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared.imports.plan.model import Action
from shared.imports.plan.withdrawals import Withdrawal
from shared.imports.runs.model import Part
from shared.storage.continuation import invalid_continuation_token
from shared.storage.cursors import decode_cursor, encode_cursor
from shared.storage.rows import Row, Save, pack, unpack
from shared.storage.tables import Condition, Table, partition, row_key_prefix, scan
from shared.text import escape_key

PART = "part:"
_ENTRY = "entry:"
_WITHDRAWALS = "withdrawals:"
ENTRIES_PER_ROW = 50
# Rows of attempts that were killed, before a page ends short; and rows of one reading (of 50 entries each).
_MOST_PASSED_OVER = 200
_MOST_AT_ONCE = 64


class EntryRepository:
    """The entries of runs, in rows of the run's partition beside its parts."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def add(self, part: Part, action: str, number: int, entries: Sequence[Mapping[str, Any]]) -> None:
        """One batch of a part's entries, at most ENTRIES_PER_ROW; `number` counts the batches of the attempt."""
        self._add(f"{_ENTRY}{action}:", part, number, entries)

    def add_withdrawals(self, part: Part, number: int, withdrawals: Sequence[Mapping[str, Any]]) -> None:
        """One batch of what an attempt writes down that it would take away, as `add`."""
        self._add(_WITHDRAWALS, part, number, withdrawals)

    def _add(self, prefix: str, part: Part, number: int, entries: Sequence[Mapping[str, Any]]) -> None:
        key = f"{prefix}{escape_key(part.name)}:{part.attempt_id}:{number:06d}"
        row = Row(part.run_id, key, {**pack("entries", list(entries)), "part": part.name})
        self._table.transact(part.run_id, [Save(row)])

    def page(
        self, run_id: str, actions: Sequence[str], *, part: str = "", size: int = 50, after: str | None = None
    ) -> tuple[list[dict[str, Any]], str | None]:
        """At most `size` entries of the attempts that count, by action and part; `after` is an earlier page's second
        answer. `actions` empty asks for all.

        A page costs the same wherever it stands. It is short, even empty, where it met much that does not count.
        Raises InvalidInputError.
        """
        begin, taken = _position(after)
        attempts: dict[str, Sequence[str]] = {}
        prefixes = [f"{_ENTRY}{action}:{f'{escape_key(part)}:' if part else ''}" for action in sorted(actions)]
        found: list[dict[str, Any]] = []
        passed_over = 0
        for row in self._rows(run_id, prefixes or [_ENTRY], begin, size // ENTRIES_PER_ROW + 2):
            name = row.text("part")
            if name not in attempts:
                attempts[name] = self._attempts(run_id, name)
            if not _counts(row, attempts[name]) or part not in {"", name}:
                passed_over += 1
                if passed_over == _MOST_PASSED_OVER:
                    return found, encode_cursor(row.row_key, ENTRIES_PER_ROW)
                continue
            skipped = taken if row.row_key == begin else 0
            entries = unpack(row, "entries", [])[skipped:]
            room = size - len(found)
            found += [{"part": name, **entry} for entry in entries[:room]]
            if len(entries) > room:
                return found, encode_cursor(row.row_key, skipped + room)
        return found, None

    def of_part(self, part: Part, action: str = "") -> Iterator[dict[str, Any]]:
        """All entries of one part, or those of one action."""
        for one in [action] if action else sorted(Action):
            prefix = f"{_ENTRY}{one}:{escape_key(part.name)}:"
            for row in scan(self._table, [partition(part.run_id), *row_key_prefix(prefix)]):
                if row.text("part") == part.name and _counts(row, (part.attempt_id, part.reading)):
                    yield from unpack(row, "entries", [])

    def planned(self, part: Part) -> dict[str, tuple[str, str]]:
        """What a preview planned: fingerprint and action by id."""
        plan: dict[str, tuple[str, str]] = {}
        for entry in self.of_part(part):
            # Of a record that is updated, and keeps a value that its source has no more, the second comes first.
            plan.setdefault(str(entry["id"]), (str(entry["fingerprint"]), str(entry["action"])))
        return plan

    def withdrawals(self, part: Part) -> Iterator[Withdrawal]:
        """What the reading of a part wrote down, page after page."""
        prefix = f"{_WITHDRAWALS}{escape_key(part.name)}:{part.reading}:"
        for row in scan(self._table, [partition(part.run_id), *row_key_prefix(prefix)]):
            yield from map(Withdrawal.parse, unpack(row, "entries", []))

    def _attempts(self, run_id: str, part: str) -> Sequence[str]:
        """The attempts whose entries count: the last one, and the reading that it stands on."""
        row = self._table.find(run_id, PART + escape_key(part), select=("attempt_id", "reading"))
        return () if row is None else (row.text("attempt_id"), row.text("reading"))

    def _rows(self, run_id: str, prefixes: Sequence[str], begin: str, at_once: int) -> Iterator[Row]:
        """The rows with these prefixes, in order, from the row key `begin` on."""
        for prefix in prefixes:
            _, end = row_key_prefix(prefix)
            if begin >= str(end.value):
                continue
            where = [partition(run_id), Condition("RowKey", "ge", max(begin, prefix)), end]
            after: str | None = None
            while True:
                page = self._table.page(where, size=at_once, after=after)
                yield from page.rows
                after = page.next
                if after is None:
                    break
                # Whoever needs more than was thought of passes over what does not count.
                at_once = min(_MOST_AT_ONCE, at_once * 2)


def _position(after: str | None) -> tuple[str, int]:
    """The row key to go on at, and how many entries of that row have been given out."""
    if after is None:
        return "", 0
    row_key, taken = decode_cursor(after, str, int)
    if not row_key.startswith(_ENTRY) or taken < 0:
        raise invalid_continuation_token()
    return row_key, taken


def _counts(row: Row, attempts: Sequence[str]) -> bool:
    """Whether the row is of one of these attempts: one that was killed leaves rows behind."""
    return any(attempt and f":{attempt}:" in row.row_key for attempt in attempts)
