"""The tables as a worker meets them on a bad day: each call may fail before or after it took place, or be its last."""

from collections.abc import Callable, Sequence

from lab.fakes.tables import KilledError, MemoryTable, MemoryTables, encode_continuation
from lab.faults.disturbances import Disturbances, Fault
from lab.faults.simulation import Simulation
from shared.errors import TryLaterError
from shared.reasons import Reason
from shared.storage.rows import Operation, Page, Row, Where
from shared.storage.tables import Table

# Told of every transaction that took place: table, partition key, operations.
Committed = Callable[[str, str, Sequence[Operation]], None]


class DisturbedTables:
    """What a worker gets as its tables."""

    def __init__(
        self, inner: MemoryTables, simulation: Simulation, disturbances: Disturbances, committed: Committed
    ) -> None:
        self.inner = inner
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
        return row

    def transact(self, partition_key: str, operations: Sequence[Operation]) -> Sequence[str]:
        fault = self._before()
        etags = self._inner.transact(partition_key, operations)
        self._around.committed(self.name, partition_key, operations)
        self._after(fault)
        if fault is Fault.REPEATED:
            # The library's own repetition of a call that took place meets what it wrote itself.
            etags = self._inner.transact(partition_key, operations)
            self._around.committed(self.name, partition_key, operations)
        return etags

    def page(
        self, where: Where, *, select: Sequence[str] | None = None, size: int = 1000, after: str | None = None
    ) -> Page:
        fault = self._before(page=True)
        if fault is Fault.EMPTY_PAGE:
            return Page((), after or encode_continuation(("", "")))
        if fault is Fault.SHORT_PAGE:
            size = min(size, self._around.disturbances.chances.randint(1, 3))
        page = self._inner.page(where, select=select, size=size, after=after)
        self._after(fault)
        return page

    def _before(self, *, page: bool = False) -> Fault | None:
        around = self._around
        around.simulation.pause()
        fault = around.disturbances.at_storage_call(page=page)
        if fault is Fault.KILLED_BEFORE:
            raise KilledError
        if fault is Fault.REFUSED:
            raise self._no_answer()
        if fault is Fault.SLOW:
            around.simulation.sleep(around.disturbances.slowness())
        return fault

    def _after(self, fault: Fault | None) -> None:
        if fault is Fault.KILLED_AFTER:
            raise KilledError
        if fault is Fault.ANSWER_LOST:
            raise self._no_answer()

    def _no_answer(self) -> TryLaterError:
        return TryLaterError(Reason.STORAGE_UNAVAILABLE, f"The table {self.name} did not answer (simulated).")
