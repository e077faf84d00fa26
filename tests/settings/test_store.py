"""The settings store, on tables in memory and on the emulator."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, cast

import pytest

from shared.errors import (
    ChangedMeanwhileError,
    ConflictError,
    Fault,
    InvalidInputError,
    MisconfiguredError,
    NotFoundError,
)
from shared.settings.base import Reference, SettingsDocument, Text
from shared.settings.kinds import DocumentKinds
from shared.settings.store import SettingsStore
from shared.settings.validation import ReceivedDocument, parse_yaml, parse_yaml_set, write_yaml
from shared.storage.names import SETTINGS_TABLE
from shared.storage.rows import Replace, Row
from shared.storage.tables import Page, Table, Where, get
from tests.fakes.tables import MemoryTables
from tests.storage_emulator import Storage


class Colour(SettingsDocument):
    """A document without references."""

    kind: ClassVar[str] = "colours"

    code: Text
    remark: Text | None = None
    fixed: Text = "once"

    def check_change(self, before: SettingsDocument) -> Sequence[Fault]:
        assert isinstance(before, Colour)
        return [] if self.fixed == before.fixed else [Fault("fixed", "cannot be changed once it is stored")]


class Wall(SettingsDocument):
    """A document that names another."""

    kind: ClassVar[str] = "walls"

    colour: Text

    def references(self) -> Sequence[Reference]:
        return [Reference("colour", "colours", self.colour)]


KINDS = DocumentKinds(Colour, Wall)


class Clock:
    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.moment += timedelta(milliseconds=1)
        return self.moment


@pytest.fixture(params=["memory", "azurite"])
def table(request: pytest.FixtureRequest) -> Iterator[Table]:
    if request.param == "memory":
        yield MemoryTables().table(SETTINGS_TABLE)
        return
    from shared.storage.rest_tables import RestTables

    account: Storage = request.getfixturevalue("storage")
    yield RestTables.from_connection_string(account.connection_string).table(SETTINGS_TABLE)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def documents(table: Table, clock: Clock) -> SettingsStore:
    return SettingsStore(table, KINDS, clock)


def test_a_document_is_written_read_changed_and_remembered(documents: SettingsStore) -> None:
    first, was_new = documents.put("colours", "red", {"code": "f00"}, by="anna")
    second, is_new = documents.put("colours", "red", {"code": "e00"}, by="ben", if_match="1")
    assert (first.version, was_new, second.version, is_new) == (1, True, 2, False)
    assert documents.get(Colour, "red").document.code == "e00"
    history = documents.history(Colour, "red")
    assert [(entry["action"], entry["changed_by"], entry["document"]) for entry in history] == [
        ("updated", "ben", {"code": "e00"}),
        ("created", "anna", {"code": "f00"}),
    ]


def test_of_two_writers_with_the_same_version_one_wins_and_the_other_is_told(documents: SettingsStore) -> None:
    documents.put("colours", "red", {"code": "f00"}, by="anna")
    documents.put("colours", "red", {"code": "e00"}, by="ben", if_match="1")
    with pytest.raises(ChangedMeanwhileError) as caught:
        documents.put("colours", "red", {"code": "d00"}, by="carl", if_match="1")
    assert caught.value.present_version == "2"
    assert documents.get(Colour, "red").document.code == "e00"


def test_a_version_of_a_name_is_never_given_twice_not_even_after_a_removal(documents: SettingsStore) -> None:
    for code in ("f00", "e00"):
        documents.put("colours", "red", {"code": code}, by="anna", if_match="*")
    documents.delete("colours", "red", by="ben", if_match="2")
    again, is_new = documents.put("colours", "red", {"code": "d00"}, by="carl")
    assert (again.version, is_new) == (4, True)
    for stale in "123":
        with pytest.raises(ChangedMeanwhileError):
            documents.put("colours", "red", {"code": "c00"}, by="dora", if_match=stale)
    assert [entry["version"] for entry in documents.history(Colour, "red")] == [4, 3, 2, 1]


def test_a_stored_document_is_not_replaced_by_one_who_has_not_read_it(documents: SettingsStore) -> None:
    documents.put("colours", "red", {"code": "f00"}, by="anna")
    with pytest.raises(ConflictError):
        documents.put("colours", "red", {"code": "e00"}, by="ben")


def test_a_new_document_cannot_carry_the_version_of_an_old_one(documents: SettingsStore) -> None:
    with pytest.raises(ChangedMeanwhileError):
        documents.put("colours", "red", {"code": "f00"}, by="anna", if_match="1")


@pytest.mark.parametrize(
    ("name", "content", "path"),
    [
        ("red", {"code": "f00", "cod": 1}, "cod"),
        ("red", {}, "code"),
        ("red", {"code": 12}, "code"),
        ("Red!", {"code": "f00"}, "name"),
        ("red", ["code"], ""),
    ],
)
def test_every_fault_has_its_path(documents: SettingsStore, name: str, content: object, path: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        documents.put("colours", name, content, by="anna")
    assert path in [fault.path for fault in caught.value.faults]


def test_what_may_not_change_says_so(documents: SettingsStore) -> None:
    documents.put("colours", "red", {"code": "f00", "fixed": "a"}, by="anna")
    with pytest.raises(InvalidInputError, match="cannot be changed"):
        documents.put("colours", "red", {"code": "f00", "fixed": "b"}, by="anna", if_match="*")


def test_a_reference_must_lead_somewhere_and_what_is_used_stays(documents: SettingsStore) -> None:
    with pytest.raises(InvalidInputError, match="there is no document colours/red"):
        documents.put("walls", "north", {"colour": "red"}, by="anna")
    documents.put("colours", "red", {"code": "f00"}, by="anna")
    documents.put("walls", "north", {"colour": "red"}, by="anna")
    with pytest.raises(ConflictError, match=r"walls/north \(colour\)"):
        documents.delete("colours", "red", by="anna", if_match="*")
    documents.delete("walls", "north", by="anna", if_match="*")
    documents.delete("colours", "red", by="anna", if_match="*")
    assert documents.find(Colour, "red") is None
    assert [entry["action"] for entry in documents.history(Colour, "red")] == ["deleted", "created"]


def test_a_name_that_begins_another_keeps_its_own_history(documents: SettingsStore) -> None:
    documents.put("colours", "red", {"code": "f00"}, by="anna")
    documents.put("colours", "red-dark", {"code": "a00"}, by="anna")
    assert len(documents.history(Colour, "red")) == 1


def test_a_set_is_applied_in_the_order_of_its_references_and_a_second_time_changes_nothing(
    documents: SettingsStore,
) -> None:
    written = [
        ReceivedDocument("walls", "north", {"colour": "red"}),
        ReceivedDocument("colours", "red", {"code": "f00"}),
    ]
    rehearsed = documents.apply(written, by="anna", dry_run=True)
    assert [change.action for change in rehearsed] == ["created", "created"]
    assert documents.list(Colour, fresh=True) == []
    assert documents.apply(written, by="anna") == rehearsed
    assert {change.action for change in documents.apply(written, by="anna")} == {"unchanged"}
    assert len(documents.history(Colour, "red")) == 1


def test_a_set_with_a_fault_writes_nothing_and_names_every_fault(documents: SettingsStore) -> None:
    with pytest.raises(InvalidInputError) as caught:
        documents.apply(
            [
                ReceivedDocument("colours", "red", {"code": "f00"}),
                ReceivedDocument("colours", "red", {"code": "f01"}),
                ReceivedDocument("colours", "blue", {}),
                ReceivedDocument("walls", "north", {"colour": "green"}),
                ReceivedDocument("doors", "front", {}),
            ],
            by="anna",
        )
    assert [fault.path for fault in caught.value.faults] == [
        "colours/red",
        "colours/blue: code",
        "doors/front: kind",
        "walls/north: colour",
    ]
    assert documents.list(Colour, fresh=True) == []


def test_what_is_exported_can_be_applied_again(documents: SettingsStore) -> None:
    documents.apply(
        [ReceivedDocument("walls", "north", {"colour": "red"}), ReceivedDocument("colours", "red", {"code": "f00"})],
        by="a",
    )
    text = write_yaml([{"kind": k, "name": s.name, "document": s.content} for k, s in documents.list_all()])
    assert {change.action for change in documents.apply(list(parse_yaml(text)), by="a")} == {"unchanged"}


def test_another_workers_change_is_seen_after_ten_seconds(table: Table, documents: SettingsStore, clock: Clock) -> None:
    documents.put("colours", "red", {"code": "f00"}, by="anna")
    other = SettingsStore(table, KINDS, clock)
    assert other.get(Colour, "red").document.code == "f00"
    documents.put("colours", "red", {"code": "e00"}, by="anna", if_match="*")
    clock.moment += timedelta(seconds=11)
    assert other.get(Colour, "red").document.code == "e00"


def test_a_stored_document_that_no_longer_passes_is_named(documents: SettingsStore, table: Table) -> None:
    documents.put("colours", "red", {"code": "f00"}, by="anna")
    row = get(table, "colours", "d:red")
    table.transact(
        "colours", [Replace(Row("colours", "d:red", {**row.values, "document": '{"tint":"f00"}'}, row.etag))]
    )
    with pytest.raises(MisconfiguredError, match="colours/red"):
        documents.get(Colour, "red", fresh=True)


def test_an_unknown_kind_answers_with_those_there_are(documents: SettingsStore) -> None:
    with pytest.raises(NotFoundError, match="colours, walls"):
        documents.put("doors", "front", {}, by="anna")


class CountedReads:
    """A table that counts the pages that are read of it."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.pages = 0

    def page(self, where: Where, **how: Any) -> Page:
        self.pages += 1
        return self._table.page(where, **how)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)


def test_a_large_set_reads_each_kind_once_however_often_it_is_named(documents: SettingsStore, clock: Clock) -> None:
    documents.put("colours", "red", {"code": "f00"}, by="anna")
    table = CountedReads(documents._table)
    counted = SettingsStore(cast("Table", table), KINDS, clock)
    changes = counted.apply([ReceivedDocument("walls", f"w{at}", {"colour": "red"}) for at in range(30)], by="anna")
    assert {change.action for change in changes} == {"created"}
    assert table.pages == 2


@pytest.mark.parametrize(
    "body",
    [
        b"kind: colours\nname: red\n",
        b"- a\n- b\n",
        b"kind: [",
        b"\xff\xfe",
        b"kind: colours\nname: 12\ndocument: {}\n",
        b"!!python/object/apply:os.system ['true']",
        b"kind: colours\nname: red\ndocument: {shade: 2024-13-45}\n",
        b"kind: colours\nname: red\ndocument: {shade: !!int x}\n",
        b"kind: colours\nname: red\ndocument: {shade: !!bool x}\n",
        b"kind: colours\nname: red\ndocument: {shade: !!timestamp x}\n",
        b"kind: colours\nname: red\ndocument: {shade: " + b"1" * 5_000 + b"}\n",
        b"[" * 5_000,
        b"kind: colours\nname: red\ndocument: &all {shade: *all}\n",
        b"- &a [x]\n- &b [" + b"*a," * 900 + b"]\n- [" + b"*b," * 900 + b"]\n",
    ],
)
def test_yaml_of_another_shape_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInputError):
        parse_yaml_set(body)


def test_a_few_lines_of_aliases_that_stand_for_millions_of_values_are_refused_before_they_are_looked_at() -> None:
    many = ", ".join(["*one"] * 2_000)
    text = (
        f"kind: colours\nname: red\ndocument:\n  a: &one [x]\n  b: &two [{many}]\n  c: [{many.replace('one', 'two')}]\n"
    )
    with pytest.raises(InvalidInputError, match="aliases"):
        parse_yaml_set(text.encode())


def test_aliases_may_be_used() -> None:
    text = b"kind: walls\nname: north\ndocument: {colour: &it red, other: *it}\n"
    assert parse_yaml_set(text)[0].content == {"colour": "red", "other": "red"}
