"""Newly granted admin permissions: noted in the same transaction as the change, then made tickets, once each."""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from shared.errors import ChangedMeanwhileError
from shared.imports.part_rows import Groups, PartRows
from shared.imports.plan.model import PlanEntry
from shared.storage.rows import Delete, Row, Save, Value, pack, unpack
from shared.storage.tables import Table, partition, row_key_prefix, scan
from shared.users.mapping import MappedUser
from shared.users.model import Grant, grants_in, memberships_in, realm_of

# Behind the records and their history, so that neither the index nor a list of users meets them.
NOTE = "~n:"


@dataclass(frozen=True)
class GrantNote:
    """Permissions that a user was newly found to have. `occasion` is the run or event that found them."""

    partition_key: str
    user_id: str
    user_name: str
    user_email: str
    site: str
    grants: tuple[Grant, ...]
    occasion: str
    at: datetime


class UserRows(PartRows):
    """The users' rows. A change that grants admin permissions carries its note with it, in the same transaction."""

    def operations(self, partition_key: str, entry: PlanEntry, run_id: str, document: str, now: datetime) -> Groups:
        groups = super().operations(partition_key, entry, run_id, document, now)
        new = newly_granted(entry)
        if groups and new and entry.desired is not None:
            target, group = groups[-1]
            group.append(Save(_note_row(target, entry.row_key, new, entry.desired.values, entry, run_id, now)))
        return groups


def newly_granted(entry: PlanEntry) -> frozenset[Grant]:
    """Admin permissions that the entry's change brings. A user whose memberships were never read brings none, and of a
    realm's very first import nobody does: what was there before is not new."""
    desired = entry.desired
    if not isinstance(desired, MappedUser) or not desired.grants or not entry.assign:
        return frozenset()
    after = memberships_in(desired.values)
    before = memberships_in(entry.existing.values) if entry.existing is not None else [] if desired.settled else None
    if after is None or before is None:
        return frozenset()
    return grants_in(after) - grants_in(before)


class OpenTicket(Protocol):
    """Opens a ticket about a user of a realm; for the same `condition` once, however often it is called."""

    def __call__(
        self, *, realm: str, user_id: str, condition: str, summary: str, details: str, site: str, at: datetime
    ) -> object: ...


class GrantTickets:
    """Makes tickets of the notes. It may be interrupted and repeated: a note goes when its tickets are there."""

    def __init__(self, table: Table, open_ticket: OpenTicket) -> None:
        self._table = table
        self._open = open_ticket

    def deliver(self, partition_key: str) -> int:
        """Tickets for all notes of a realm; how many notes there were. Raises what opening a ticket raises."""
        done = 0
        for row in list(scan(self._table, [partition(partition_key), *row_key_prefix(NOTE)])):
            note = _to_note(row)
            for grant in note.grants:
                self._open(
                    realm=realm_of(note.partition_key),
                    user_id=note.user_id,
                    condition=f"{note.partition_key}/{note.user_id}/{grant.org_id}/{grant.permission}/{note.occasion}",
                    summary=f"{note.user_name} was granted {grant.permission} in {grant.org_name}",
                    details=_details(note, grant),
                    site=note.site,
                    at=note.at,
                )
            # Another worker may tell of the same note: the tickets are the same, and who is later finds it gone.
            with suppress(ChangedMeanwhileError):
                self._table.transact(partition_key, [Delete(row.row_key)])
            done += 1
        return done


def _details(note: GrantNote, grant: Grant) -> str:
    means = "owns the organisation" if grant.permission == "ar:owner" else "may manage who is in the organisation"
    address = f" <{note.user_email}>" if note.user_email else ""
    return (
        f"{note.user_name}{address} ({note.user_id}) {means} {grant.org_name} ({grant.org_id}) now. It was found at "
        f"{note.at:%Y-%m-%d %H:%M} UTC by {note.occasion}. Take the permission away in AuthRocket if nobody ordered it."
    )


def _note_row(
    partition_key: str,
    row_key: str,
    new: frozenset[Grant],
    values: Mapping[str, Value | None],
    entry: PlanEntry,
    run_id: str,
    now: datetime,
) -> Row:
    note: dict[str, Any] = {
        "user_id": entry.id,
        "user_name": entry.label,
        "user_email": values.get("f_email") or "",
        "site": values.get("site") or "",
        "grants": sorted([one.org_id, one.org_name, one.permission] for one in new),
        "occasion": run_id,
    }
    # The same grants found twice by one run are one note; other ones are another.
    digest = hashlib.blake2b(json.dumps(note["grants"]).encode(), digest_size=6).hexdigest()
    return Row(partition_key, f"{NOTE}{row_key}:{run_id}:{digest}", {**pack("note", note), "at": now})


def _to_note(row: Row) -> GrantNote:
    note = unpack(row, "note")
    at = row.time("at")
    assert at is not None  # noqa: S101 - written with every note
    grants = tuple(Grant(*one) for one in note["grants"])
    rest = {name: note[name] for name in ("user_id", "user_name", "user_email", "site", "occasion")}
    return GrantNote(partition_key=row.partition_key, grants=grants, at=at, **rest)
