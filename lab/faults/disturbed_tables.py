"""The tables as a worker meets them on a bad day: each call may fail before or after it took place, or be its last.

What fails does so in the words of the client library, and the product makes its own of them.
"""

from collections.abc import Callable, Sequence

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    DecodeError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
    ServiceResponseTimeoutError,
)

from lab.fakes.tables import KilledError, MemoryTable, MemoryTables, encode_continuation
from lab.faults.disturbances import AFTER, BEFORE, Disturbances, Fault
from lab.faults.flows import Flow
from lab.faults.simulation import Simulation
from shared.storage.errors import translated
from shared.storage.names import ASSETS_TABLE, USERS_TABLE
from shared.storage.rows import Operation, Row
from shared.storage.tables import Page, Table, Where

# Longer than a message stays hidden.
_STALLED_SECONDS = 700.0
# Told of every transaction that took place: table, partition key, operations.
Committed = Callable[[str, str, Sequence[Operation]], None]
# Told of every row that was read by its keys: table, partition key, row key.
Read = Callable[[str, str, str], None]


class DisturbedTables:
    """What a worker gets as its tables."""

    def __init__(
        self,
        inner: MemoryTables,
        simulation: Simulation,
        disturbances: Disturbances,
        committed: Committed,
        read: Read,
    ) -> None:
        self.inner = inner
        self.read = read
        self.simulation = simulation
        self.disturbances = disturbances
        self.committed = committed

    def table(self, name: str) -> Table:
        return _DisturbedTable(self.inner.table(name), self)


class _DisturbedTable:
    def __init__(self, inner: MemoryTable, around: DisturbedTables) -> None:
        self._inner = inner
        self._around = around

    @property
    def name(self) -> str:
        return self._inner.name

    def find(self, partition_key: str, row_key: str, select: Sequence[str] | None = None) -> Row | None:
        fault = self._before()
        row = self._inner.find(partition_key, row_key, select)
        self._after(fault)
        if row is not None:
            self._around.read(self.name, partition_key, row_key)
        return row

    def transact(self, partition_key: str, operations: Sequence[Operation]) -> Sequence[str]:
        self._perhaps_stall()
        fault = self._before(operations)
        etags = self._inner.transact(partition_key, operations)
        self._around.committed(self.name, partition_key, operations)
        self._after(fault, operations)
        if fault is Fault.REPEATED:
            # The library's own repetition of a call that took place meets what it wrote itself.
            etags = self._inner.transact(partition_key, operations)
            self._around.committed(self.name, partition_key, operations)
        return etags

    def _perhaps_stall(self) -> None:
        """An import stands still when all is decided and nothing written, until another one has done its part."""
        around = self._around
        if self.name not in {ASSETS_TABLE, USERS_TABLE} or around.simulation.doing not in {Flow.ASSETS, Flow.USERS}:
            return
        if around.disturbances.happens(
            "worker", around.disturbances.rates.interference / 4, ("stalled before a write",)
        ):
            around.simulation.sleep(_STALLED_SECONDS)

    def page(
        self, where: Where, *, select: Sequence[str] | None = None, size: int = 1000, after: str | None = None
    ) -> Page:
        fault = self._before(page=True)
        if fault is Fault.EMPTY_PAGE:
            return Page((), after or encode_continuation(("", "")))
        if fault is Fault.SHORT_PAGE:
            size = min(size, self._around.disturbances.rng.randint(1, 3))
        page = self._inner.page(where, select=select, size=size, after=after)
        self._after(fault)
        return page

    def _before(self, operations: Sequence[Operation] = (), *, page: bool = False) -> Fault | None:
        around = self._around
        around.simulation.pause()
        fault = around.disturbances.at_storage_call(page=page)
        if fault is Fault.KILLED_BEFORE:
            raise KilledError
        if fault is not None and fault in BEFORE:
            self._fail(fault, operations)
        if fault is Fault.SLOW:
            around.simulation.sleep(around.disturbances.slowness())
        return fault

    def _after(self, fault: Fault | None, operations: Sequence[Operation] = ()) -> None:
        if fault is Fault.KILLED_AFTER:
            raise KilledError
        if fault is not None and fault in AFTER:
            self._fail(fault, operations)

    def _fail(self, fault: Fault, operations: Sequence[Operation]) -> None:
        with translated(self.name, operations):
            raise error_of(fault)


def error_of(fault: Fault) -> AzureError:
    """What the client library raises, once it has given up trying again."""
    said = f"simulated: {fault}"
    if fault is Fault.REFUSED:
        return ServiceRequestError(said)
    if fault in {Fault.RESET_BEFORE, Fault.RESET_AFTER}:
        return ServiceResponseError(said)
    if fault in {Fault.TIMED_OUT_BEFORE, Fault.TIMED_OUT_AFTER}:
        return ServiceResponseTimeoutError(said)
    if fault in {Fault.EXPIRED_TOKEN, Fault.CLOCK_REFUSED}:
        denied = ClientAuthenticationError(said)
        denied.status_code = 401 if fault is Fault.EXPIRED_TOKEN else 403
        return denied
    if fault is Fault.UNREADABLE:
        unreadable = DecodeError(said)
        unreadable.status_code = 202
        return unreadable
    error = HttpResponseError(said)
    error.status_code = 429 if fault is Fault.THROTTLED else 503
    return error
