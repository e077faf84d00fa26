"""Counts on the storage emulator, by the client that the app has."""

from collections.abc import Iterator

import pytest

from shared import bootstrap
from tests.api.calling import call
from tests.api.seeding import asset, sites_and_types
from tests.outbox.settling import settle_counts
from tests.storage_emulator import Storage


@pytest.fixture(autouse=True)
def desk(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AzureWebJobsStorage", storage.connection_string)
    bootstrap.reset()
    bootstrap.settings().put("customers", "acorn", {"title": "Acorn"}, by="tests")
    yield
    bootstrap.reset()


def test_changes_come_to_the_summary_and_a_full_count_finds_nothing_to_repair() -> None:
    sites_and_types()
    ids = [asset(number, type="server", site="london-hq") for number in range(3)]
    call("PATCH", f"assets/{ids[0]}", {"fields": {"active": False}}, {"If-Match": "*"})
    settle_counts()
    for customer in ("", "?customer=acorn"):
        found = call("GET", f"summary{customer}").json["assets"]
        assert found["by_status"] == {"active": 2, "inactive": 1}
        assert found["by_site"] == [{"site": "london-hq", "count": 2}]
    work = bootstrap.index_housekeeping()
    names = [name for name in work.due() if name.startswith("counts")]
    for name in names:
        while work.compare(name):
            pass
    settle_counts()
    passes = {one.name: one for one in work.passes() if one.name in names}
    assert passes.keys() == set(names)
    assert passes["counts:assets"].last_compared == 1
    assert sum(one.last_repaired for one in passes.values()) == 0
    assert call("GET", "summary").json["assets"]["by_status"] == {"active": 2, "inactive": 1}
