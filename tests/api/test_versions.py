"""If-Match: of writers at once one wins, the others are told, and no answer leads anybody to overwrite another."""

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from shared import bootstrap
from tests.api.calling import Answer, call
from tests.api.seeding import asset, secrets_of_two_vaults, sites_and_types, user
from tests.fakes.tables import MemoryTables, WatchedTables
from tests.tokens import begin_anew


@pytest.fixture(autouse=True)
def desk(tables: MemoryTables) -> MemoryTables:
    return tables


@pytest.fixture(params=["assets", "users"])
def record(request: pytest.FixtureRequest) -> str:
    """The address of a record."""
    return f"{request.param}/{asset(1) if request.param == 'assets' else user(1)}"


def edit(address: str, value: str, etag: str) -> Answer:
    return call("PATCH", address, {"fields": {"notes": value}}, {"If-Match": etag})


def test_of_many_editors_with_one_version_one_wins_and_the_others_are_told(record: str) -> None:
    etag = call("GET", record).etag
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: edit(record, str(number), etag), range(8)))
    present = call("GET", record)
    assert sorted(answer.status for answer in answers) == [200, *[412] * 7]
    assert {answer.json["present_version"] for answer in answers if answer.status == 412} == {present.etag}
    (won,) = [answer for answer in answers if answer.status == 200]
    assert (won.json, won.etag) == (present.json, present.etag)


def test_an_answer_is_of_the_edit_itself_even_when_somebody_else_edited_right_after(
    desk: MemoryTables, record: str
) -> None:
    etag = call("GET", record).etag
    other: list[Any] = []

    def overtaken(table: str, operation: str, moment: str) -> None:
        if table != "outbox" and (operation, moment, other) == ("transact", "after", []):
            other.append("begun")
            other.append(edit(record, "theirs", "*").etag)

    begin_anew(WatchedTables(desk, overtaken))
    mine = edit(record, "mine", etag)
    assert mine.json["fields"]["notes"] == "mine"
    assert mine.etag != other[1]
    again = edit(record, "mine again", mine.etag)
    assert (again.status, again.json["present_version"]) == (412, other[1])
    assert call("GET", record).json["fields"]["notes"] == "theirs"


def test_an_answer_is_of_the_change_of_a_ticket_itself_even_when_somebody_else_changed_it_right_after(
    desk: MemoryTables,
) -> None:
    secrets_of_two_vaults(desk)
    address = f"tickets/{call('GET', 'tickets').json['items'][0]['id']}"
    etag = call("GET", address).etag
    other: list[str] = []

    def overtaken(table: str, operation: str, moment: str) -> None:
        if table != "outbox" and (operation, moment, other) == ("transact", "after", []):
            other.append("begun")
            other.append(call("PATCH", address, {"assignee": "theirs"}, {"If-Match": "*"}).etag)

    begin_anew(WatchedTables(desk, overtaken))
    mine = call("PATCH", address, {"assignee": "mine", "note": "Mine."}, {"If-Match": etag})
    assert (mine.json["assignee"], mine.json["etag"]) == ("mine", mine.etag)
    assert "Mine." in {note["text"] for note in mine.json["notes"]}
    assert mine.etag != other[1]
    again = call("PATCH", address, {"assignee": "mine again"}, {"If-Match": mine.etag})
    assert (again.status, again.json["present_version"]) == (412, other[1])
    # Nothing to write: the answer is of what is there.
    same = call("PATCH", address, {"assignee": "theirs"}, {"If-Match": other[1]})
    assert (same.status, same.etag) == (200, other[1])


@pytest.mark.parametrize(
    "change",
    [
        {"assignee": "kim", "priority": "critical"},
        {"status": "resolved", "note": "Done."},
        {"status": "closed"},
        {"snoozed_until": "2099-01-01T00:00:00Z"},
        {"team": None, "site": "london-hq"},
    ],
)
def test_what_a_change_of_a_ticket_answers_is_what_is_read_afterwards(
    desk: MemoryTables, change: dict[str, Any]
) -> None:
    secrets_of_two_vaults(desk)
    sites_and_types()
    for item in call("GET", "tickets").json["items"]:
        address = f"tickets/{item['id']}"
        answer = call("PATCH", address, change, {"If-Match": "*"})
        read = call("GET", address)
        assert (answer.status, answer.json, answer.etag) == (200, read.json, read.etag)


def test_what_an_edit_and_an_addition_answer_is_what_is_read_afterwards(record: str) -> None:
    body = {"fields": {"notes": "x", "name": "New", "active": False}}
    answer = call("PATCH", record, body, {"If-Match": call("GET", record).etag})
    read = call("GET", record)
    assert (answer.json, answer.etag) == (read.json, read.etag)
    made = call("POST", record.split("/", maxsplit=1)[0], {"id": "another", "fields": {"name": "Another"}})
    read = call("GET", made.headers["Location"].removeprefix("/api/v1/"))
    assert (made.json, made.etag) == (read.json, read.etag)


def test_who_takes_any_version_is_not_told_of_others_and_no_change_is_lost(desk: MemoryTables, record: str) -> None:
    secrets_of_two_vaults(desk)
    ticket = f"tickets/{call('GET', 'tickets').json['items'][0]['id']}"
    document = "settings/sites/york"
    writes: list[Callable[[int], Answer]] = [
        lambda number: edit(record, str(number), "*"),
        lambda number: call("PATCH", ticket, {"assignee": str(number)}, {"If-Match": "*"}),
        lambda number: call("PUT", document, {"title": str(number), "customer": "acorn"}, {"If-Match": "*"}),
    ]
    slow = WatchedTables(desk, lambda *_: time.sleep(random.uniform(0, 0.002)))
    bootstrap.reset()
    bootstrap.replace("tables", slow)
    for write in writes:
        with ThreadPoolExecutor(6) as pool:
            assert {answer.status for answer in pool.map(write, range(6))} <= {200, 201}
    values = {
        change["after"]
        for entry in call("GET", f"{record}/history").json["items"]
        for change in entry["changes"]
        if change["field"] == "notes"
    }
    assert values == set(map(str, range(6)))
    assert {entry["document"]["title"] for entry in call("GET", f"{document}/history").json["items"]} == values
    notes = " ".join(note["text"] for note in call("GET", ticket).json["notes"])
    assert all(f" to {number}." in notes for number in range(6))


def test_one_who_was_overtaken_is_told_the_version_that_is_there_now(desk: MemoryTables, record: str) -> None:
    document = "settings/sites/york"
    made = call("PUT", document, {"title": "York", "customer": "acorn"})
    etag = call("GET", record).etag
    other: list[str] = []

    def overtaking(write: Callable[[], Answer]) -> Callable[[str, str, str], None]:
        def overtake(table: str, operation: str, moment: str) -> None:
            if table != "outbox" and (operation, moment, other) == ("transact", "before", []):
                other.append("begun")
                other.append(write().etag)

        return overtake

    bootstrap.reset()
    bootstrap.replace("tables", WatchedTables(desk, overtaking(lambda: edit(record, "theirs", "*"))))
    refused = edit(record, "mine", etag)
    assert (refused.status, refused.json["present_version"]) == (412, other[1])
    other.clear()
    theirs = {"title": "Theirs", "customer": "acorn"}
    bootstrap.reset()
    bootstrap.replace(
        "tables", WatchedTables(desk, overtaking(lambda: call("PUT", document, theirs, {"If-Match": "*"})))
    )
    refused = call("PUT", document, {"title": "Mine", "customer": "acorn"}, {"If-Match": made.etag})
    assert (refused.status, refused.json["present_version"]) == (412, other[1])


@pytest.fixture
def doors(desk: MemoryTables) -> list[tuple[str, str, Any]]:
    """Every way to change something of which a version is asked: method, address, body."""
    secrets_of_two_vaults(desk)
    ticket = call("GET", "tickets").json["items"][0]["id"]
    store = {"vault_url": "https://acorn-vault.vault.azure.net", "method": "system_assigned"}
    call("PUT", "settings/credential-stores/acorn", store)
    return [
        ("PATCH", f"assets/{asset(1)}", {"fields": {"notes": "x"}}),
        ("PATCH", f"users/{user(1)}", {"fields": {"notes": "x"}}),
        ("PATCH", f"tickets/{ticket}", {"assignee": "kim"}),
        ("PUT", "settings/credential-stores/acorn", {**store, "cache_seconds": 100}),
        ("DELETE", "settings/credential-stores/acorn", None),
    ]


Doors = list[tuple[str, str, Any]]


@pytest.mark.parametrize("version", ["9999", '"9999"', 'W/"9999"', '"0123456789abcdef"', " 0123456789abcdef "])
def test_a_version_that_never_was_is_412_with_the_present_one(doors: Doors, version: str) -> None:
    for method, address, body in doors:
        read = call("GET", address)
        refused = call(method, address, body, {"If-Match": version})
        assert (refused.status, refused.json["present_version"]) == (412, read.etag), (method, address)
        assert refused.etag == read.etag
        after = call("GET", address)
        assert (after.json, after.etag) == (read.json, read.etag)


NO_VERSIONS = [
    "W/",
    "W/7",
    'w/"7"',
    '"7',
    "7, 8",
    '"7", "8"',
    '""',
    '"made up"',
    "W/\"datetime'2026-05-01T00%3A00%3A00.1234567Z'\"",
    '"*"',
    "*, *",
    "\u0661",
    "0123456789ABCDEF",
    "W/" * 4000,
    "null",
]


@pytest.mark.parametrize("version", NO_VERSIONS)
def test_what_is_no_version_is_400_and_says_what_is(doors: Doors, version: str) -> None:
    for method, address, body in doors:
        read = call("GET", address)
        refused = call(method, address, body, {"If-Match": version})
        assert (refused.status, refused.json["reason"]) == (400, "version_invalid"), (method, address)
        assert "If-Match: *" in refused.json["remedy"]
        assert len(refused.json["detail"]) < 200
        after = call("GET", address)
        assert (after.json, after.etag) == (read.json, read.etag)


@pytest.mark.parametrize("form", ["{}", '"{}"', 'W/"{}"', ' "{}" ', "*", "* "])
def test_the_version_that_was_read_is_taken_quoted_weak_or_bare(doors: Doors, form: str) -> None:
    for method, address, body in doors:
        etag = call("GET", address).etag
        assert call(method, address, body, {"If-Match": form.format(etag)}).status in {200, 204}, (method, address)


def test_a_change_without_a_version_is_told_the_very_header_to_send(doors: Doors) -> None:
    for method, address, body in doors:
        refused = call(method, address, body)
        assert (refused.status, refused.json["reason"]) == (409, "version_needed"), (method, address)
        header = f'If-Match: "{call("GET", address).etag}"'
        assert header in refused.json["remedy"]
        name, _, value = header.partition(": ")
        assert call(method, address, body, {name: value}).status in {200, 204}


def test_no_etag_of_the_storage_leaves_the_desk(doors: Doors) -> None:
    for _, address, _ in doors:
        assert "datetime" not in str(call("GET", address).headers["ETag"])
        assert len(call("GET", address).headers["ETag"]) <= 18
