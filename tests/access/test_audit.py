"""Entries of the audit trail: what they tell, their list by day, and how long they are kept."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.access.actor import Origin, acting
from shared.access.audit import (
    MOST_CHANGES,
    AuditedChange,
    AuditedField,
    AuditEntries,
    AuditEntry,
    AuditFilter,
    AuditKind,
    AuditTrail,
    differences,
)
from shared.access.masks import MASK
from shared.outbox.model import FollowUp
from shared.outbox.outbox import Outbox
from shared.storage.rows import Create, Row
from tests.fakes.tables import MemoryTables, WatchedTables

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


class World:
    def __init__(self, kept_days: int = 400) -> None:
        self.tables = MemoryTables()
        self.at = NOON
        self.entries = AuditEntries(self.tables.table("audit"), lambda: self.at, kept_for=timedelta(days=kept_days))
        self.outbox = Outbox(
            self.tables,
            {"audit": lambda due: self.entries.save(due.id, due.content)},
            lambda: self.at,
            lambda _: None,
        )
        self.trail = AuditTrail(
            self.entries,
            lambda table, partition, content: self.outbox.following(table, partition, FollowUp("audit", content)),
            lambda: self.at,
        )

    def note(self, thing: str = "sites/a", by: str = "kim", *fields: AuditedField) -> None:
        self.trail.note(AuditedChange(AuditKind.SETTINGS, "updated", thing, by, fields))

    def listed(self, **wanted: object) -> list[AuditEntry]:
        return list(self.entries.page(AuditFilter(**wanted), 100, None)[0])  # type: ignore[arg-type] # by name


def test_an_entry_written_with_a_change_tells_the_moment_and_role_of_the_change() -> None:
    world = World()
    change = AuditedChange(AuditKind.RECORD, "edited", "assets/manual:a", "kim", (AuditedField("name", "a", "b"),))
    with acting("operator", Origin.CONSOLE), world.trail.recording("assets", "manual", change) as audited:
        world.tables.table("assets").transact("manual", [Create(Row("manual", "a", {})), *audited])
    assert world.listed() == []
    world.at += timedelta(hours=1)
    for message in world.outbox.overdue():
        world.outbox.carry_out(message)
        world.outbox.carry_out(message)
    [entry] = world.listed()
    assert (entry.at, entry.by, entry.role, entry.origin) == (NOON, "kim", "operator", Origin.CONSOLE)
    assert (entry.kind, entry.action, entry.thing) == (AuditKind.RECORD, "edited", "assets/manual:a")
    assert entry.changes == (AuditedField("name", "a", "b"),)


def test_what_the_desk_does_by_itself_is_told_so() -> None:
    world = World()
    world.note()
    [entry] = world.listed()
    assert (entry.role, entry.origin) == ("", Origin.SYSTEM)


def test_secrets_are_masked_by_name_and_by_form_in_every_place() -> None:
    world = World()
    token = "desk_Zk3lJ2m9Qw8xT5v7bN1cR4yU6iO0pA2sD3fG5hJ7kL9z"
    world.note(
        f"sites/{token}",
        f"kim {token}",
        AuditedField("custom.admin-password", "hunter1", "hunter2"),
        AuditedField("notes", None, f"it is {token}"),
        AuditedField(f"custom.{token}", 1, 2),
    )
    stored = str(world.tables.contents())
    assert "hunter" not in stored
    assert token not in stored
    [entry] = world.listed()
    assert entry.changes[0] == AuditedField("custom.admin-password", MASK, MASK)


def test_an_entry_is_bounded_however_much_was_changed() -> None:
    world = World()
    fields = [AuditedField(f"custom.f{number}", "\ud83d\ude00" * 9_000, "b\ud800" * 9_000) for number in range(3_000)]
    world.note("x" * 5_000, "y" * 5_000, *fields)
    [entry] = world.listed()
    assert (len(entry.changes), entry.more) == (MOST_CHANGES, 3_000 - MOST_CHANGES)


def test_differences_name_the_members_that_differ_by_their_paths() -> None:
    before = {"title": "A", "rules": [{"field": "name", "value": "x"}], "gone": {"deep": 1}, "same": [1]}
    after = {"title": "B", "rules": [{"field": "name", "value": "y"}, {"field": "b"}], "same": [1]}
    assert differences(before, after) == (
        AuditedField("gone.deep", 1, None),
        AuditedField("rules.0.value", "x", "y"),
        AuditedField("rules.1.field", None, "b"),
        AuditedField("title", "A", "B"),
    )
    assert differences(None, {"title": "A"}) == (AuditedField("title", None, "A"),)
    assert differences({"title": "A"}, None) == (AuditedField("title", "A", None),)


def test_a_value_of_a_field_that_stands_beside_it_is_masked_and_its_change_is_told() -> None:
    world = World()
    rule = {"field": "admin-password", "fixed": "hunter1"}
    fields = differences({"m": [rule]}, {"m": [{**rule, "fixed": "hunter2"}]})
    world.note("sites/a", "kim", *fields)
    [entry] = world.listed()
    assert entry.changes == (AuditedField("m.0.fixed", MASK, MASK),)
    assert "hunter" not in str(world.tables.contents())


def test_the_list_is_newest_first_in_pages_and_filtered_by_each_member() -> None:
    world = World()
    for number in range(30):
        world.at = NOON + timedelta(hours=7 * number)
        world.note(f"sites/s{number % 3}", f"person {number % 2}")
    everything = world.listed()
    assert [entry.at for entry in everything] == sorted((entry.at for entry in everything), reverse=True)
    assert len(everything) == 30
    paged: list[AuditEntry] = []
    after: str | None = None
    while True:
        items, after = world.entries.page(AuditFilter(), 7, after)
        paged += items
        if after is None:
            break
    assert paged == everything
    assert {entry.by for entry in world.listed(by="person 1")} == {"person 1"}
    assert len(world.listed(thing="sites/s2")) == 10
    assert world.listed(kind=AuditKind.TICKET) == []
    since, until = NOON + timedelta(hours=21), NOON + timedelta(hours=70)
    assert [entry.at for entry in world.listed(since=since, until=until)] == [
        NOON + timedelta(hours=7 * number) for number in range(9, 2, -1)
    ]


def test_two_entries_of_one_moment_are_two() -> None:
    world = World()
    world.note()
    world.note()
    assert len(world.listed()) == 2


def test_old_days_are_removed_in_bounded_steps_and_the_newest_stay() -> None:
    world = World(kept_days=30)
    for day in range(60):
        world.at = NOON + timedelta(days=day)
        for _ in range(120 if day == 3 else 1):
            world.note()
    calls: list[str] = []
    watched = WatchedTables(world.tables, lambda _table, verb, _when: calls.append(verb))
    entries = AuditEntries(watched.table("audit"), lambda: world.at, kept_for=timedelta(days=30))
    assert entries.remove_old() == 29 + 119
    assert entries.remove_old() == 0
    assert min(entry.at for entry in world.listed()) == NOON + timedelta(days=29)
    assert len(world.listed()) == 31
    # Before and after each: a page, and a transaction a day and hundred.
    assert len(calls) <= 2 * (30 + 4)


@pytest.mark.parametrize("rows", [7_000])
def test_one_turn_of_the_removal_is_bounded(rows: int) -> None:
    world = World(kept_days=1)
    for _ in range(rows):
        world.note()
    world.at = NOON + timedelta(days=5)
    assert world.entries.remove_old() == 5_000
    assert world.entries.remove_old() == rows - 5_000
