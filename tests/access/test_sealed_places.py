"""Where a list goes on tells a limited caller no key of another customer's things."""

import base64
import json
from collections.abc import Iterator
from contextlib import suppress

import pytest

from functions.http.endpoints import declared_endpoints
from functions.http.query import AFTER
from shared import bootstrap
from shared.access.roles import Role
from shared.access.seals import PARTITION, ROW_KEY, Seals
from shared.errors import InvalidInputError
from shared.storage.rows import Row, Save
from tests.access.test_customers import ask, ids, limited
from tests.api.calling import call
from tests.api.conftest import tables
from tests.api.seeding import asset, user
from tests.fakes.tables import MemoryTables, WatchedTables
from tests.outbox.settling import settle

__all__ = ["ids", "limited", "tables"]

LISTS = ("assets", "users", "tickets")


def readings(token: str) -> Iterator[str]:
    """All that can be made of a token without a key."""
    yield token
    with suppress(ValueError):
        raw = base64.urlsafe_b64decode(token.encode())
        yield raw.decode("latin-1")
        yield from readings(raw.decode())


def others(what: str, mine: str) -> list[str]:
    """The ids and row keys of all things but that one."""
    found = [item["id"] for item in call("GET", f"{what}?limit=200").json["items"]]
    return [part for one in found if one != mine for part in (one, one.rpartition(":")[2])]


@pytest.mark.parametrize("what", LISTS)
def test_the_place_of_a_limited_caller_holds_no_key_and_leads_on(
    ids: dict[str, dict[str, str]], limited: dict[str, str], what: str
) -> None:
    for number in range(10, 14):
        if what != "tickets":
            (asset if what == "assets" else user)(number, site="london")
            (asset if what == "assets" else user)(number + 100, site="leeds")
        else:
            moved = call("PATCH", f"tickets/{ids['nobody'][what]}", {"site": "london"}, {"If-Match": "*"})
            assert moved.status == 200
    settle(bootstrap.gathered_outbox())
    mine = {item["id"] for item in ask(limited, "GET", f"{what}?limit=200").json["items"]}
    assert len(mine) >= 2
    walked: list[str] = []
    place, told = "", list[str]()
    while True:
        page = ask(limited, "GET", f"{what}?limit=1{place}").json
        walked += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        told.append(page["next"])
        place = f"&after={page['next']}"
    assert sorted(walked) == sorted(mine)
    assert told
    keys = [one for one in others(what, "") if len(one) > 3]
    for token in told:
        assert not [key for text in readings(token) for key in keys if key in text]
    # The same keys do stand in what an unlimited caller is told: the search above finds them.
    plain = call("GET", f"{what}?limit=1").json["next"]
    # A ticket's place is one of the index, whose keys name the ticket.
    there = (
        [one["id"] for one in call("GET", f"{what}?limit=200").json["items"]] if what == "tickets" else tables_of(what)
    )
    assert [text for text in readings(plain) for one in there if one in text]


def tables_of(what: str) -> list[str]:
    rows = bootstrap.tables().table(what).page([], size=1000).rows
    return [row.row_key for row in rows]


def test_every_list_of_a_limited_caller_takes_sealed_places_alone(
    ids: dict[str, dict[str, str]], limited: dict[str, str]
) -> None:
    paged = [one for one in declared_endpoints().values() if one.by_customer and AFTER in (one.query or ())]
    assert len(paged) >= 5
    plain = base64.urlsafe_b64encode(json.dumps({"PartitionKey": "manual", "RowKey": "r"}).encode()).decode()
    _, other = bootstrap.access_tokens().make("of-oak", by="test", role=Role.READER, customers=["oak"])
    for declared in paged:
        what = declared.route.split("/")[1]
        address = declared.route.removeprefix("v1/").replace("{id}", ids["acorn"].get(what, ""))
        for token in (plain, "made-up", "A" * 120, ""):
            answer = ask(limited, "GET", f"{address}?after={token}")
            expected = (200, None) if token == "" else (400, "continuation_invalid")
            assert (answer.status, answer.json.get("reason")) == expected, (address, token)
        sealed = bootstrap.seals().seal(plain)
        unlimited = call("GET", f"{address}?after={sealed}")
        assert (unlimited.status, unlimited.json["reason"]) == (400, "continuation_invalid"), address
    assert ask({"X-Api-Key": other}, "GET", "assets").status == 200


def test_all_workers_have_one_key_wherever_they_meet_and_a_damaged_one_is_made_anew() -> None:
    token = base64.urlsafe_b64encode(b"a place").decode()
    for number in range(6):
        memory = MemoryTables()
        other, met = Seals(memory.table("access")), list[int]()

        def meet(_table: str, _verb: str, _when: str, met: list[int] = met, number: int = number) -> None:
            met.append(0)
            if len(met) == number:
                other.seal(token)  # noqa: B023 - called within the turn

        one = Seals(WatchedTables(memory, meet).table("access"))
        assert other.open(one.seal(token)) == token
        assert one.open(other.seal(token)) == token
        memory.table("access").transact(PARTITION, [Save(Row(PARTITION, ROW_KEY, {"key": "x"}))])
        later = Seals(memory.table("access"))
        assert Seals(memory.table("access")).open(later.seal(token)) == token
        with pytest.raises(InvalidInputError):
            later.open(one.seal(token))


def test_a_token_of_another_length_looks_the_same() -> None:
    seals = Seals(MemoryTables().table("access"))
    short, long = (base64.urlsafe_b64encode(b"k" * length).decode() for length in (20, 60))
    assert len(seals.seal(short)) == len(seals.seal(long))
    assert seals.seal(short) != seals.seal(short)
    for token in (short, long):
        assert seals.open(seals.seal(token)) == token
