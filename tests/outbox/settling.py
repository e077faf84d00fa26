"""What the timer and the queue of the outbox do, for tests that look at lists, or compare all that is stored."""

from typing import Any

from shared.outbox.gathered import GatheredOutbox
from tests.fakes.tables import MemoryTables

Contents = dict[str, dict[tuple[str, str], dict[str, Any]]]


def settle(outbox: GatheredOutbox) -> None:
    """Carry out all that is to follow."""
    for message in outbox.due():
        outbox.carry_out(message)


def settled(outbox: GatheredOutbox, tables: MemoryTables) -> Contents:
    """All that is stored once nothing is to follow any more, without the markers: they say when, and by whom."""
    settle(outbox)
    contents = tables.contents()
    waiting = [key for rows in contents.values() for key in rows if key[1].startswith("~later")]
    assert not waiting, waiting
    return {table: rows for table, rows in contents.items() if table != "outbox"}
