"""What a part costs beside its records, counted with the real code: the same among thousands as among a few."""

from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

from shared.bootstrap.kinds import KINDS
from shared.imports.runs.fan_out import FIRST, PARTS_AT_ONCE, PIECES_AT_ONCE
from shared.imports.runs.model import SUCCESSFUL
from shared.imports.runs.reports import RunReports
from shared.imports.runs.runner import PARTS_COUNTED
from shared.settings.store import SettingsStore
from shared.storage.rows import Operation, Row
from shared.storage.tables import Page, Table, Where
from tests.fakes.tables import MemoryTables
from tests.imports.test_parts import REGIONS, tenant_of


class CountedTables:
    """Tables that count calls, and rows read."""

    def __init__(self, inner: MemoryTables) -> None:
        self.inner = inner
        self.calls: Counter[str] = Counter()
        self.rows: Counter[str] = Counter()

    def table(self, name: str) -> Table:
        return _CountedTable(self.inner.table(name), self)


class _CountedTable:
    def __init__(self, inner: Table, counted: CountedTables) -> None:
        self._inner = inner
        self._counted = counted

    @property
    def name(self) -> str:
        return self._inner.name

    def find(self, partition_key: str, row_key: str, select: Sequence[str] | None = None) -> Row | None:
        self._counted.calls[self.name] += 1
        row = self._inner.find(partition_key, row_key, select)
        self._counted.rows[self.name] += row is not None
        return row

    def transact(self, partition_key: str, operations: Sequence[Operation]) -> Sequence[str]:
        self._counted.calls[self.name] += 1
        return self._inner.transact(partition_key, operations)

    def page(
        self, where: Where, *, select: Sequence[str] | None = None, size: int = 1000, after: str | None = None
    ) -> Page:
        self._counted.calls[self.name] += 1
        page = self._inner.page(where, select=select, size=size, after=after)
        self._counted.rows[self.name] += len(page.rows)
        return page


class Costs:
    """What a run costs beside its records: fan-out, parts, counting. `steps` are rows read in each."""

    def __init__(self, accounts: int) -> None:
        self._tables = CountedTables(MemoryTables())
        self.world = tenant_of(accounts, self._tables.inner)
        self.world.settings = SettingsStore(self._tables.table("settings"), KINDS, self.world.clock)
        self.world.rebuild(self._tables)
        self.parts = accounts * len(REGIONS)

    def run(self, **how: Any) -> tuple[str, float, float]:
        """The run's id; rows read and storage calls a part."""
        self._tables.rows.clear()
        self._tables.calls.clear()
        run_id, messages = self.world.start(**how)
        todo, self.steps = deque(messages), list[int]()
        while todo:
            before = self._rows()
            todo += self.world.runner.do_part(todo.popleft())
            self.steps.append(self._rows() - before)
        rows, calls = self._rows(), self.calls()
        run = self.world.runs.get(run_id)
        assert run.state in SUCCESSFUL
        assert run.counts["parts_done"] == self.parts
        return run_id, rows / self.parts, calls / self.parts

    def _rows(self) -> int:
        return self._tables.rows["runs"] + self._tables.rows["settings"]

    def calls(self) -> int:
        return self._tables.calls["runs"] + self._tables.calls["settings"]


def test_a_part_costs_the_same_among_five_thousand_as_among_fifty() -> None:
    few, many = Costs(7), Costs(625)
    _, rows_of_few, calls_of_few = few.run()
    _, rows_of_many, calls_of_many = many.run()
    assert max(rows_of_few, rows_of_many) <= 8, (rows_of_few, rows_of_many)
    assert max(calls_of_few, calls_of_many) <= 12, (calls_of_few, calls_of_many)
    assert rows_of_many <= 1.1 * rows_of_few
    assert calls_of_many <= 1.1 * calls_of_few
    # A run is counted at its end, so many parts a step; no step before reads another part.
    counting = -(-many.parts // PARTS_COUNTED)
    assert max(many.steps[-counting:]) <= PARTS_COUNTED + 10
    assert max(many.steps[:-counting]) <= 10
    assert sum(many.steps[-counting:]) <= many.parts + 10 * counting


def test_the_progress_of_five_thousand_parts_is_right_and_costs_few_calls() -> None:
    for accounts, most_calls in ((7, 3), (625, 9)):
        costs = Costs(accounts)
        run_id, messages = costs.world.start()
        reports, done = RunReports(costs.world.runner), 0
        todo = deque(messages)
        while done < costs.parts // 2:
            message = todo.popleft()
            is_part = not message["part"].startswith(FIRST)
            done += is_part
            for one in costs.world.runner.do_part(message):
                # All parts are created before the first is done.
                (todo.appendleft if one["part"].startswith(FIRST) else todo.append)(one)
            if not is_part and any(one["part"].startswith(FIRST) for one in todo):
                assert reports.run(run_id)["counts_at_least"]
        before = costs.calls()
        shown = reports.run(run_id)
        assert (shown["counts"]["parts"], shown["counts"]["parts_open"]) == (costs.parts, costs.parts - done)
        assert not shown["counts_at_least"]
        assert costs.calls() - before <= most_calls


def test_a_part_of_an_applied_preview_costs_the_same_among_many() -> None:
    costs: list[tuple[float, float]] = []
    for accounts in (7, 100):
        world = Costs(accounts)
        preview, _, _ = world.run(preview=True)
        world.world.clock.advance(minutes=1)
        _, rows, calls = world.run(apply=preview)
        costs.append((rows, calls))
        *earlier, _ = world.steps
        assert max(earlier) <= PARTS_AT_ONCE * PIECES_AT_ONCE + 10
    (rows_of_few, calls_of_few), (rows_of_many, calls_of_many) = costs
    # Splitting a large run reads each name once more.
    assert rows_of_many <= rows_of_few + 2
    assert calls_of_many <= 1.1 * calls_of_few


def test_a_part_that_settles_what_it_would_take_away_costs_the_same_among_many() -> None:
    for share in (0.3, 1.0):
        found: list[tuple[float, float]] = []
        for accounts in (7, 100):
            world = Costs(accounts)
            world.world.settle(match=False, share=share)
            world.run()
            world.world.far.records.clear()
            world.world.clock.advance(minutes=1)
            run_id, rows, calls = world.run()
            counts = world.world.runs.get(run_id).counts
            assert counts.get("held_back" if share < 1 else "deactivate") == world.parts
            found.append((rows, calls))
            # Pieces are split, and parts counted twice: no step reads more than either.
            assert max(world.steps) <= max(PARTS_COUNTED, PARTS_AT_ONCE * PIECES_AT_ONCE) + 10
        (rows_of_few, calls_of_few), (rows_of_many, calls_of_many) = found
        assert max(rows_of_few, rows_of_many) <= 24, found
        assert max(calls_of_few, calls_of_many) <= 28, found
        assert rows_of_many <= 1.1 * rows_of_few + 1
        assert calls_of_many <= 1.1 * calls_of_few
