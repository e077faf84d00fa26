"""What is seen across the features: the summary, exports, readiness."""

import time
from functools import partial
from typing import TYPE_CHECKING

from shared import bootstrap
from shared.bootstrap.singleton import singleton

if TYPE_CHECKING:
    from shared.index.housekeeping import IndexHousekeeping, NextPage
    from shared.overview.condition_checks import ConditionChecks
    from shared.overview.exports import Exports
    from shared.overview.readiness import ReadinessChecks
    from shared.overview.summary import DeskSummary


@singleton
def overview() -> "DeskSummary":
    from shared.overview.summary import DeskSummary

    return DeskSummary(bootstrap.counts_levels(), bootstrap.runs(), bootstrap.import_statuses(), bootstrap.now)


@singleton
def index_housekeeping() -> "IndexHousekeeping":
    from shared.counts.housekeeping import CountsHousekeeping
    from shared.index.housekeeping import IndexHousekeeping
    from shared.records.index_rows import counted_records, indexed_records
    from shared.storage.names import ASSETS_TABLE, USERS_TABLE
    from shared.tickets.store.ticket_index import COUNTED_TICKETS, INDEXED_TICKETS

    tables, outbox = bootstrap.tables(), bootstrap.gathered_outbox()
    indexed = (INDEXED_TICKETS, indexed_records(ASSETS_TABLE), indexed_records(USERS_TABLE))
    counts = CountsHousekeeping(tables, bootstrap.counts_levels(), outbox)
    counted = (COUNTED_TICKETS, counted_records(ASSETS_TABLE), counted_records(USERS_TABLE))
    further: dict[str, NextPage] = {f"counts:{one.name}": partial(counts.compare, one) for one in counted}
    further["counts"] = counts.compare_copies
    return IndexHousekeeping(tables, bootstrap.index(), outbox, indexed, bootstrap.now, further)


@singleton
def exports() -> "Exports":
    from shared.overview.exports import Exports

    return Exports(
        bootstrap.tickets(),
        bootstrap.assets(),
        bootstrap.users(),
        bootstrap.settings(),
        clock=time.monotonic,
        objects_of=lambda rows: bootstrap.object_lists().of_rows(rows),
    )


@singleton
def condition_checks() -> "ConditionChecks":
    from shared.overview import condition_looks
    from shared.overview.condition_checks import ConditionChecks

    looks = [
        condition_looks.import_look(bootstrap.import_statuses()),
        condition_looks.sweep_look(bootstrap.sweeps(), bootstrap.now),
        *condition_looks.recovery_looks(bootstrap.quarantine(), bootstrap.dead_letters),
        condition_looks.queue_look(bootstrap.queues, bootstrap.now),
        condition_looks.settings_look(bootstrap.settings(), bootstrap.now),
        condition_looks.token_look(bootstrap.access_tokens(), bootstrap.now),
        condition_looks.outbox_look(bootstrap.outbox, bootstrap.gathered_outbox, bootstrap.now),
    ]
    ask = condition_looks.asking(bootstrap.sweeps, bootstrap.credentials, bootstrap.now)
    return ConditionChecks(bootstrap.conditions(), looks, bootstrap.ticket_lists(), ask, bootstrap.now)


@singleton
def readiness() -> "ReadinessChecks":
    from shared.overview.readiness import ReadinessChecks

    return ReadinessChecks(
        bootstrap.tables(),
        bootstrap.queues,
        bootstrap.settings(),
        bootstrap.credential_checks,
        bootstrap.import_statuses,
        bootstrap.outbox,
        bootstrap.gathered_outbox,
        bootstrap.index_housekeeping,
        bootstrap.now,
    )
