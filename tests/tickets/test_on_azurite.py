"""The same convergence on the real storage emulator: workers at once, duplicates, one table."""

import random
from concurrent.futures import ThreadPoolExecutor

from lab.emulators.event_grid.events import Schema
from shared.storage.rest_tables import RestTables
from shared.storage.tables import scan
from tests.fakes.tables import MemoryTables
from tests.storage_emulator import Storage
from tests.tickets.desk import Desk, configuration
from tests.tickets.test_convergence import deliver
from tests.tickets.test_simulated import VAULTS, history


def test_workers_at_once_leave_in_azurite_what_one_leaves_in_memory(storage: Storage) -> None:
    chance = random.Random(11)
    events = [event.to_json(Schema.EVENT_GRID) for event in history(60, chance)]
    clean = Desk(MemoryTables(), configuration(*VAULTS))
    deliver(clean, events)
    shuffled = events + chance.sample(events, 15)
    chance.shuffle(shuffled)
    batches = [shuffled[start : start + 5] for start in range(0, len(shuffled), 5)]
    with ThreadPoolExecutor(4) as workers:
        desks = [
            Desk(RestTables.from_connection_string(storage.connection_string), configuration(*VAULTS)) for _ in range(4)
        ]
        list(workers.map(deliver, (desks[number % 4] for number in range(len(batches))), batches))
    desks[0].settle()
    clean.settle()
    assert isinstance(clean.tables, MemoryTables)
    for name in ("tickets", "index"):
        table = RestTables.from_connection_string(storage.connection_string).table(name)
        left = {(row.partition_key, row.row_key): dict(row.values) for row in scan(table, [])}
        assert left == clean.tables.contents()[name]
