"""Events by storage queue end in the same rows as by webhook, and none is lost when it cannot be recorded."""

import base64
import json
from collections.abc import Sequence

import pytest

from shared.errors import MisconfiguredError, TryLaterError
from shared.reasons import Reason
from shared.storage.rows import Operation, Row
from shared.storage.tables import Page, Table, Where
from shared.tickets.inbound.queue import QueuedEvents
from tests.tickets.desk import PAYLOADS, Desk


def queued(desk: Desk) -> QueuedEvents:
    return QueuedEvents(lambda: desk.configured, desk.ingestor, desk.quarantine)


def message(name: str) -> bytes:
    """The content of a message as the host hands it on: without its Base64."""
    return base64.b64decode((PAYLOADS / name).read_text("ascii"))


def reasons(desk: Desk) -> list[str]:
    return [str(row["reason"]) for row in desk.rows("item:")]


@pytest.mark.parametrize("name", ["storage_queue_message.txt", "storage_queue_message_cloud_event.txt"])
def test_a_message_ends_in_the_rows_that_the_same_event_makes_by_webhook(name: str) -> None:
    by_queue, by_webhook = Desk(), Desk()
    for _ in range(2):
        queued(by_queue).record(message(name))
    by_webhook.post(message(name))
    assert len(by_queue.tickets()) == 1
    assert by_queue.rows("") == by_webhook.rows("")


def test_both_ways_at_once_make_one_ticket() -> None:
    desk = Desk()
    desk.post(message("storage_queue_message.txt"))
    assert queued(desk).record(message("storage_queue_message.txt")).events == 1
    assert len(desk.tickets()) == 1


def test_a_message_that_is_no_json_is_quarantined_at_once() -> None:
    desk = Desk()
    found = queued(desk).record(b"\xff not json")
    assert (found.events, len(found.quarantined)) == (0, 1)
    assert reasons(desk) == [Reason.BODY_NOT_READABLE]


def test_without_settings_the_queue_shall_give_the_message_again() -> None:
    desk = Desk()
    configured, desk.configured = desk.configured, None
    with pytest.raises(MisconfiguredError) as refused:
        queued(desk).record(message("storage_queue_message.txt"))
    assert refused.value.reason == Reason.SETTING_MISSING
    desk.configured = configured
    assert queued(desk).record(message("storage_queue_message.txt")).events == 1


def test_a_message_that_failed_for_good_is_kept_with_its_reason() -> None:
    desk = Desk()
    desk.configured = None
    kept = queued(desk).give_up(message("storage_queue_message.txt"))
    assert reasons(desk) == [Reason.MAX_DELIVERIES_EXCEEDED]
    item = desk.quarantine.get(kept.quarantined[0])
    assert item.event == json.loads(message("storage_queue_message.txt"))
    assert "there is no document key-vault-events/default" in item.message


def test_a_message_that_can_be_recorded_at_last_is_no_fault() -> None:
    desk = Desk()
    assert queued(desk).give_up(message("storage_queue_message.txt")).events == 1
    assert (len(desk.tickets()), reasons(desk)) == (1, [])


class _Failing:
    """A table that fails as it is told; everything else it hands on."""

    def __init__(self, table: Table, error: Exception) -> None:
        self.table, self.error = table, error

    @property
    def name(self) -> str:
        return self.table.name

    def find(self, partition_key: str, row_key: str, select: Sequence[str] | None = None) -> Row | None:
        return self.table.find(partition_key, row_key, select)

    def page(
        self, where: Where, *, select: Sequence[str] | None = None, size: int = 1000, after: str | None = None
    ) -> Page:
        return self.table.page(where, select=select, size=size, after=after)

    def transact(self, partition_key: str, operations: Sequence[Operation]) -> Sequence[str]:
        if partition_key != "quarantine:":
            raise self.error
        return self.table.transact(partition_key, operations)


@pytest.mark.parametrize("error", [TryLaterError(Reason.STORAGE_UNAVAILABLE, "Not now."), RuntimeError("a bug")])
def test_what_the_storage_refuses_is_raised_first_and_quarantined_in_the_end(error: Exception) -> None:
    desk = Desk()
    desk.repository.table = _Failing(desk.repository.table, error)
    with pytest.raises(type(error)):
        queued(desk).record(message("storage_queue_message.txt"))
    queued(desk).give_up(message("storage_queue_message.txt"))
    assert reasons(desk) == [Reason.MAX_DELIVERIES_EXCEEDED]
    assert desk.tickets() == []
