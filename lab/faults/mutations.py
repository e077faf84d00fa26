"""Mutations: bugs that are put into the product one at a time, to see after how many schedules they are found.

Each is what somebody might write who does not know why the line is there.
"""
# ruff: noqa: SLF001 - a mutation stands where the line stands

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from lab.faults.parallel_runs import spread
from lab.faults.schedule import Outcome, run_seed
from shared.counts.partition_row import PartitionCounts
from shared.errors import DeskbridgeError, TryLaterError
from shared.imports import applier
from shared.imports.applier import Applier
from shared.imports.part_import import PartImport
from shared.imports.part_rows import PartRows
from shared.imports.plan.model import ExistingRecord
from shared.imports.plan.planner import PartPlanner
from shared.imports.plan.safety import Brake
from shared.outbox.gathered import Carried, GatheredOutbox
from shared.records import history, index_rows
from shared.records.table import RecordTable
from shared.storage.etags import ANY_VERSION
from shared.storage.rows import Delete, Operation, Row, Save
from shared.tickets.desk.editor import TicketEditor
from shared.tickets.domain.listings import ObjectSeen
from shared.tickets.inbound import sweep
from shared.tickets.inbound.dead_letters import DeadLetters
from shared.tickets.inbound.ingestor import EventIngestor
from shared.tickets.store.repository import save_object
from shared.users.grants import GrantTickets
from shared.users.webhook import AuthRocketWebhook
from shared.vaults.credentials import VaultCredentials

_AT_ONCE = 20


@dataclass(frozen=True)
class Mutation:
    """A bug, and the flow in whose schedules it is looked for. It is in the product within `apply()`."""

    flow: str
    apply: Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Found:
    """After how many schedules a bug was found, and by which finding; `after` is None when it was not."""

    bug: str
    flow: str
    after: int | None
    finding: str = ""


def find_mutations(bugs: Sequence[str], most: int, jobs: int) -> Iterator[Found]:
    """Each of the bugs in schedules from seed 1 on, `most` of them at most."""
    for bug in bugs:
        yield _find_mutation(bug, most, jobs)


def run_mutated(bug: str, seed: int) -> Outcome:
    """One schedule with the bug in the product."""
    mutation = MUTATIONS[bug]
    with mutation.apply():
        return run_seed(seed, (mutation.flow,))


def _find_mutation(bug: str, most: int, jobs: int) -> Found:
    flow = MUTATIONS[bug].flow
    for start in range(1, most + 1, _AT_ONCE):
        seeds = range(start, min(start + _AT_ONCE, most + 1))
        found = [one for one in spread(partial(run_mutated, bug), seeds, jobs) if one.findings]
        if found:
            first = min(found, key=lambda one: one.seed)
            return Found(bug, flow, first.seed, first.findings[0])
    return Found(bug, flow, None)


# The bugs


def _no_history_of_updates() -> AbstractContextManager[Any]:
    real = history.line_of
    return patch.object(history, "line_of", lambda action, *rest: "" if action == "update" else real(action, *rest))


def _gone_taken_for_seen() -> AbstractContextManager[Any]:
    return patch.object(sweep, "ObjectGone", ObjectSeen)


def _letter_removed_first() -> AbstractContextManager[Any]:
    real = DeadLetters._replay_blob

    def early(self: DeadLetters, name: str, configuration: Any) -> tuple[int, int, bool]:
        def record(members: Any, configured: Any) -> Any:
            self._remove(name)
            return self._ingestor.record(members, configured)

        other: Any = copy.copy(self)
        other._ingestor = SimpleNamespace(record=record)
        return real(other, name, configuration)

    return patch.object(DeadLetters, "_replay_blob", early)


def _edit_without_etag() -> AbstractContextManager[Any]:
    real = RecordTable.save_edit

    def blind(self: RecordTable, before: Row, *rest: Any) -> Row:
        return real(self, _as_it_is_now(self, before), *rest)

    return patch.object(RecordTable, "save_edit", blind)


def _rows_without_etag() -> AbstractContextManager[Any]:
    real = Applier._write

    def blind(self: Applier, partition_key: str, operations: Sequence[Operation], *told: Any) -> bool:
        now = [
            one if isinstance(one, Delete) or not one.row.etag else replace(one, row=_as_it_is_now(self._rows, one.row))
            for one in operations
        ]
        return real(self, partition_key, now, *told)

    return patch.object(Applier, "_write", blind)


def _as_it_is_now(records: RecordTable | PartRows, row: Row) -> Row:
    """The row with the ETag of whatever stands there: as if none were asked for."""
    present = records._table.find(row.partition_key, row.row_key) if row.etag else None
    return row if present is None else replace(row, etag=present.etag)


def _objects_without_etag() -> AbstractContextManager[Any]:
    real = save_object

    def blind(*arguments: Any) -> Operation:
        operation: Any = real(*arguments)
        return Save(operation.row)

    return patch("shared.tickets.transactions.save_object", blind)


def _broken_reading_believed() -> AbstractContextManager[Any]:
    real = PartImport._pages

    def credulous(self: PartImport) -> Iterator[Any]:
        try:
            yield from real(self)
        except TryLaterError:
            return

    return patch.object(PartImport, "_pages", credulous)


def _quarantine_left_first() -> AbstractContextManager[Any]:
    real = EventIngestor.replay

    def early(self: EventIngestor, item: Any, configuration: Any) -> bool:
        self._quarantine.remove(item)
        return real(self, item, configuration)

    return patch.object(EventIngestor, "replay", early)


def _if_match_ignored() -> AbstractContextManager[Any]:
    real = TicketEditor.change

    def blind(self: TicketEditor, ticket_id: str, changes: Any, *, if_match: str | None, **rest: Any) -> Any:
        return real(self, ticket_id, changes, if_match=if_match and ANY_VERSION, **rest)

    return patch.object(TicketEditor, "change", blind)


def _note_removed_first() -> AbstractContextManager[Any]:
    real = GrantTickets.deliver

    def hasty(self: GrantTickets, partition_key: str) -> int:
        later: list[dict[str, Any]] = []
        done = real(GrantTickets(self._table, lambda **ticket: later.append(ticket)), partition_key)
        for ticket in later:
            self._open(**ticket)
        return done

    return patch.object(GrantTickets, "deliver", hasty)


def _confirmed_whatever_is_there() -> AbstractContextManager[Any]:
    real = PartPlanner._stays

    def blunt(self: PartPlanner, row_key: str) -> bool:
        return real(self, row_key) and row_key not in (self._policy.confirmed or ())

    return patch.object(PartPlanner, "_stays", blunt)


def _preview_disregarded() -> AbstractContextManager[Any]:
    def blind(self: PartImport, entry: Any) -> Any:
        if self._preview is not None:
            self._preview.pop(entry.id, None)
        return entry

    return patch.object(PartImport, "_as_previewed", blind)


def _former_terms_kept() -> AbstractContextManager[Any]:
    real = applier._moved

    def forgetful(entry: Any) -> Any:
        moved = real(entry)
        return None if moved is None else replace(moved, before=())

    return patch.object(applier, "_moved", forgetful)


def _failures_of_followers_ignored() -> AbstractContextManager[Any]:
    real = GatheredOutbox._do

    def careless(self: GatheredOutbox, *about: Any) -> list[Operation]:
        with suppress(DeskbridgeError):
            return real(self, *about)
        return []

    return patch.object(GatheredOutbox, "_do", careless)


def counts_written_first() -> AbstractContextManager[Any]:
    """Changes are counted before they are taken out of the outbox: only a death between the two shows it."""
    real = PartitionCounts.carry_out

    def careless(self: PartitionCounts, table: str, partition_key: str, contents: Any) -> Carried:
        carried = real(self, table, partition_key, contents)
        self._tables.table(table).transact(partition_key, carried.operations)
        return replace(carried, operations=())

    return patch.object(PartitionCounts, "carry_out", careless)


def _deactivation_not_counted() -> AbstractContextManager[Any]:
    real = index_rows.record_cell
    return patch.object(index_rows, "record_cell", lambda values: real({**values, "active": True}))


MUTATIONS: Mapping[str, Mutation] = {
    "no line of history for an update": Mutation("ec2", _no_history_of_updates),
    "a deleted object's ticket stays open": Mutation("tickets", _gone_taken_for_seen),
    "the dead letter removed before it is recorded": Mutation("tickets", _letter_removed_first),
    "a person's edit written without the ETag": Mutation("ec2", _edit_without_etag),
    "rows of an import written without their ETag": Mutation("ec2", _rows_without_etag),
    "the row of a vault's object written without its ETag": Mutation("tickets", _objects_without_etag),
    "deactivating after a reading that broke off": Mutation("ec2", _broken_reading_believed),
    "a refused password is not read again": Mutation(
        "tickets", lambda: patch.object(VaultCredentials, "invalidate", lambda *_: None)
    ),
    "an event leaves the quarantine before it is recorded": Mutation("tickets", _quarantine_left_first),
    "what a person holds is overwritten": Mutation(
        "ec2", lambda: patch.object(ExistingRecord, "locks", property(lambda _: frozenset[str]()))
    ),
    "`If-Match` of a ticket ignored": Mutation("tickets", _if_match_ignored),
    "applying a preview writes whatever is wanted now": Mutation("ec2", _preview_disregarded),
    "no brake": Mutation("ec2", lambda: patch.object(Brake, "holds", lambda *_: False)),
    "the note of a granted permission removed before its ticket is opened": Mutation("users", _note_removed_first),
    "the webhook of AuthRocket does not ask whether an import runs": Mutation(
        "users", lambda: patch.object(AuthRocketWebhook, "_check_no_import", lambda *_: None)
    ),
    "the index keeps what an instance was found by before": Mutation("ec2", _former_terms_kept),
    "what becomes inactive stays counted as active": Mutation("ec2", _deactivation_not_counted),
    "what failed to follow is taken for carried out": Mutation("tickets", _failures_of_followers_ignored),
    "confirming the brake also deactivates what came back": Mutation("ec2", _confirmed_whatever_is_there),
}
