"""Whether the timer started the sweep that is due. Where all its tries failed, the next one is a day away."""

from datetime import datetime, timedelta

from shared.storage.rows import Row, pack_text
from shared.storage.tables import Condition, Table, partition, scan
from shared.text import descending
from shared.tickets.inbound.sweep_rows import SWEEPS_PARTITION, to_sweep

BY_TIMER, MADE_UP = "schedule", "schedule, once more"
# The timer fires once a day. Where it was turned off, or fires less often, what is made up for ends soon.
_DUE_AFTER = timedelta(hours=25)
_MADE_UP_FOR = timedelta(days=3)


def missing_start(table: Table, now: datetime) -> str | None:
    """By whom a sweep of all vaults is to be started in the timer's place; None when none is missing.

    Where none was ever started, the first is due.
    """
    latest = _newest(table)
    if latest is None:
        return BY_TIMER
    if now - to_sweep(latest).started_at < _DUE_AFTER:
        return None
    since = Condition("RowKey", "lt", descending(now - _MADE_UP_FOR))
    by_timer = _newest(table, since, Condition("started_by", "eq", BY_TIMER))
    return MADE_UP if by_timer is not None else None


def _newest(table: Table, *where: Condition) -> Row | None:
    """The newest sweep of all vaults."""
    ((column, all_vaults),) = pack_text("vaults", "[]").items()
    # A page of storage may be empty before the end.
    return next(scan(table, [partition(SWEEPS_PARTITION), Condition(column, "eq", all_vaults), *where], size=1), None)
