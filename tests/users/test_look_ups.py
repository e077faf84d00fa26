"""Records are found by their values as people and browsers write them. An empty list is only ever the truth."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from shared.bootstrap.kinds import KINDS
from shared.errors import InvalidInputError
from shared.index.index import Index
from shared.index.terms import search_words, terms_of
from shared.reasons import Reason
from shared.records.desk import RecordFilters
from shared.records.table import RecordTable
from shared.settings.store import SettingsStore
from shared.users.desk import UserDesk
from tests.fakes.tables import MemoryTables
from tests.outbox.settling import record_lists

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def desk_of(tables: MemoryTables) -> UserDesk:
    settings = SettingsStore(tables.table("settings"), KINDS, lambda: NOW)
    records = RecordTable(tables.table("users"), index=Index(tables.table("index")))
    return UserDesk(records, record_lists("users", tables, records), settings, lambda: NOW)


def found(desk: UserDesk, *, size: int = 10, **texts: str) -> Sequence[str]:
    """The ids of all pages."""
    ids, after = list[str](), None
    while True:
        page, after, _ = desk.page(RecordFilters(texts), size=size, after=after)
        ids += [one["id"].removeprefix("manual:") for one in page]
        if after is None:
            return ids


@pytest.mark.parametrize(
    ("stored", "asked"),
    [
        ("jim@acorn.example", "Jim@Acorn.example"),
        ("jim@acorn.example", " jim@acorn.example "),
        # As a person typed it, in capitals.
        ("Kim@Acorn.example", "Kim@Acorn.example"),
        ("Kim@Acorn.example", "kim@acorn.example"),
        ("KIM@ACORN.EXAMPLE", "kIM@aCORN.example"),
        ("x@b\u00fccher.example", "x@xn--bcher-kva.example"),
        # A plus sign arrives as a blank when nobody encoded it.
        ("plus+desk@acorn.example", "plus desk@acorn.example"),
        ("Plus+Desk@acorn.example", "plus desk@acorn.example"),
        ("plus+desk@acorn.example", "plus+desk@acorn.example"),
    ],
)
@pytest.mark.parametrize("by_field", [False, True])
def test_an_address_is_found(stored: str, asked: str, by_field: bool) -> None:
    # Imports, case 16
    desk = desk_of(MemoryTables())
    desk.add("somebody", {"email": stored}, by="jim")
    desk.add("other", {"email": "other@acorn.example"}, by="jim")
    assert (found(desk, field="email", value=asked) if by_field else found(desk, email=asked)) == ["somebody"]


def test_an_address_that_was_corrected_is_found_by_the_new_one_alone() -> None:
    desk = desk_of(MemoryTables())
    desk.add("somebody", {"email": "Old@acorn.example"}, by="jim")
    desk.edit("manual:somebody", {"email": "New@acorn.example"}, [], by="jim", if_match="*")
    assert (found(desk, email="old@acorn.example"), found(desk, email="new@acorn.example")) == ([], ["somebody"])


@pytest.mark.parametrize("field", ["phone", "custom.floor", "username"])
@pytest.mark.parametrize(
    ("value", "asked"),
    [
        (12, "12"),
        (12, "12.0"),
        (12, " 12 "),
        (12.0, "12"),
        (12.5, "12.5"),
        (12.5, "12.50"),
        (-3, "-3"),
        (1e6, "1000000"),
        (1000000, "1e6"),
        ("12", "12"),
        ("007", "007"),
        (True, "true"),
        (True, "True"),
        (False, "FALSE"),
        ("a", "a"),
        ("WEB-01", "web-01"),
        ("web-01", "WEB-01"),
        ("Ann Smith", "ann smith"),
        ("McCoy iPhone", "MCCOY IPHONE"),
        ("+44 1", "+44 1"),
        ("+44 1", " 44 1"),
        ("caf\u00e9", "cafe\u0301"),
        ("C++", "C++"),
    ],
)
def test_a_value_is_found_as_it_is_shown(field: str, value: object, asked: str) -> None:
    desk = desk_of(MemoryTables())
    desk.add("somebody", {field: value}, by="jim")
    desk.add("other", {field: "13"}, by="jim")
    desk.add("nobody", {"notes": "12"}, by="jim")
    assert found(desk, field=field, value=asked) == ["somebody"]


@pytest.mark.parametrize(
    ("value", "asked"), [(12, "12a"), (12, "1"), (True, "1"), ("caf\u00e9", "cafe"), ("ss", "\u00df")]
)
def test_another_value_is_not_found(value: object, asked: str) -> None:
    desk = desk_of(MemoryTables())
    desk.add("somebody", {"phone": value}, by="jim")
    assert found(desk, field="phone", value=asked) == []


@pytest.mark.parametrize("field", ["floor", "nothing", "e-mail"])
def test_a_field_that_there_is_not_is_refused_with_how_to_write_it(field: str) -> None:
    desk = desk_of(MemoryTables())
    desk.add("somebody", {"custom.floor": 3}, by="jim")
    with pytest.raises(InvalidInputError) as refused:
        found(desk, field=field, value="3")
    assert (refused.value.reason, "custom.<name>" in refused.value.remedy) == (Reason.PARAMETER_INVALID, True)
    assert found(desk, field="custom.floor", value="3") == ["somebody"]


def test_what_no_query_can_ask_for_is_looked_through_page_by_page() -> None:
    tables = MemoryTables()
    desk = desk_of(tables)
    for number in range(150):
        desk.add(f"u-{number:03}", {"department": "eStAtEs" if number % 50 == 49 else "IT"}, by="jim")
    assert found(desk, size=2, field="department", value="estates") == ["u-049", "u-099", "u-149"]
    page, after, _ = desk.page(RecordFilters({"field": "department", "value": "estates"}), size=2, after=None)
    # Nothing yet, and it is told that there is more.
    assert (page, after is None) == ([], False)


def test_a_search_finds_an_address_with_a_plus_sign_however_it_comes() -> None:
    terms = terms_of(["Plus+Desk@acorn.example"])
    for typed in ("plus+desk@acorn.example", "plus desk@acorn.example", "plus+desk", "desk@acorn"):
        words = search_words(typed)
        assert words.fit(terms), typed
        # The index has a row that begins so.
        assert any(term.startswith(words.first) for term in terms), typed
