"""What a request or a timer costs in storage calls: the same with a thousand vaults and parts as with ten."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from unittest.mock import Mock, patch

import pytest

from functions.http.endpoints import declared_endpoints
from shared import bootstrap
from shared.access.roles import Role
from shared.bootstrap.kinds import KINDS
from shared.imports.part_rows import PartRows
from shared.records.index_rows import moved_by
from shared.records.match_rows import MatchRows
from shared.records.model import Key
from shared.settings.store import SettingsStore
from shared.storage.rows import Create, Operation, Row, Value
from shared.storage.tables import Condition, Page, Table, Where
from tests.api.calling import Sent, call
from tests.fakes.tables import MemoryTables
from tests.outbox.settling import settle
from tests.registered import FUNCTIONS
from tests.tickets.desk import Desk, configuration, resource_id, settings
from tests.tickets.test_decide import days, kv_event
from tests.tokens import token_of

FEW, MANY, _ROWS = 10, 1_000, 100
_OVER_ALL = "page over all partitions of"


@pytest.fixture(autouse=True)
def of_its_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AzureWebJobsStorage", "UseDevelopmentStorage=true")
    yield
    bootstrap.reset()


@cache
def _filled(many: int) -> MemoryTables:
    """So many vaults with a ticket each, accounts with an asset each, and realms with a user each."""
    bootstrap.reset()
    tables = MemoryTables()
    bootstrap.replace("tables", tables)
    store = SettingsStore(tables.table("settings"), KINDS, bootstrap.now)
    store.put("customers", "acorn", {"title": "Acorn"}, by="tests")
    for site in ("leeds", "london-hq", "unused"):
        store.put("sites", site, {"title": site.title(), "customer": "acorn"}, by="tests")
    for name in ("server", "unused"):
        store.put("asset-types", name, {"title": name.title()}, by="tests")
    url = "https://acorn.vault.azure.net"
    store.put("credential-stores", "kv", {"vault_url": url, "method": "system_assigned"}, by="tests")
    secret = {"store": "kv", "secret": "webhook", "scope": "key-vault-events"}
    store.put("credentials", "webhook", secret, by="tests")
    content = {
        **settings(dead_letters="keep"),
        "allowed_vaults": [],
        "vault_patterns": [{"name": "vault-*", "store": "kv"}],
    }
    store.put("key-vault-events", "default", content, by="tests")
    names = [f"vault-{number:04}" for number in range(many)]
    desk = Desk(tables, configuration(*names))
    desk.now = bootstrap.now() - timedelta(hours=3)
    for number, name in enumerate(names):
        event = kv_event("NearExpiry", "aa", days(60), name=f"mail-{number}", expires=days(90))
        assert desk.post([{**event, "topic": resource_id(name)}]).status == 200
    desk.settle()
    for number in range(many):
        values = {"f_name": f"Web {number}", "type": "server", "site": ("leeds", "london-hq")[number % 2]}
        _put(tables, "assets", f"aws:{number:012}:eu-west-1", f"i-0{number:016x}", values)
        _put(tables, "users", f"authrocket:rl_{number:04}", f"usr_{number}", {"f_email": f"kim-{number}@acorn.example"})
    # Until nothing has changed lately.
    outbox = bootstrap.gathered_outbox()
    for later in (timedelta(0), timedelta(minutes=5), timedelta(hours=3)):
        moment = datetime.now(UTC) + later
        with patch.object(outbox, "_now", Mock(return_value=moment)):
            settle(outbox)
    token_of()
    return tables


def _put(tables: MemoryTables, kind: str, partition_key: str, row_key: str, columns: Mapping[str, Value]) -> None:
    values: dict[str, Value] = {"source_id": row_key, "active": True, "created_at": bootstrap.now(), **columns}
    moved = moved_by(row_key, {}, values, is_new=True)
    assert moved is not None
    rows = PartRows(tables.table(kind), bootstrap.index(), bootstrap.gathered_outbox())
    MatchRows(bootstrap.index(), kind).announce([(Key(partition_key, row_key), values)], bootstrap.now())
    rows.write(partition_key, [Create(Row(partition_key, row_key, values))], [moved])


class _Counted:
    """Tables that answer a hundred rows at a time, and count what they are asked: whoever reads them all is seen."""

    def __init__(self, inner: MemoryTables, calls: Counter[str]) -> None:
        self._inner = inner
        self._calls = calls

    def table(self, name: str) -> Table:
        return _CountedTable(self._inner.table(name), self._calls)


class _CountedTable:
    def __init__(self, inner: Table, calls: Counter[str]) -> None:
        self._inner = inner
        self._calls = calls
        self.name = inner.name

    def find(self, partition_key: str, row_key: str, select: Sequence[str] | None = None) -> Row | None:
        self._calls[f"find {self.name}"] += 1
        return self._inner.find(partition_key, row_key, select)

    def transact(self, partition_key: str, operations: Sequence[Operation]) -> Sequence[str]:
        self._calls[f"transact {self.name}"] += 1
        return self._inner.transact(partition_key, operations)

    def page(
        self, where: Where, *, select: Sequence[str] | None = None, size: int = 1000, after: str | None = None
    ) -> Page:
        is_whole = not any(isinstance(one, Condition) and one.column == "PartitionKey" for one in where)
        self._calls[f"{_OVER_ALL if is_whole else 'page'} {self.name}"] += 1
        return self._inner.page(where, select=select, size=min(size, _ROWS), after=after)


def _calls(many: int, ask: Callable[[], object]) -> Counter[str]:
    memory, calls = _filled(many), Counter[str]()
    bootstrap.reset()
    bootstrap.replace("tables", _Counted(memory, calls))
    token_of()
    calls.clear()
    ask()
    return calls


def _addresses() -> dict[str, str]:
    """What each reading endpoint is asked, with an example of each parameter of its path."""
    found: dict[str, str] = {}
    for declared in declared_endpoints().values():
        if "GET" in declared.methods and isinstance(declared.access, Role) and "{" not in declared.route:
            found[declared.function] = declared.route.removeprefix("v1/")
    return found


# Beside each list as it is: with filters, one thing, and pages of exports.
GETS = {
    **_addresses(),
    "tickets of a customer": "tickets?customer=acorn",
    "tickets of a vault": "tickets?scope=vault-0007",
    "tickets found": "tickets?q=mail-7",
    "tickets by expiry": "tickets?expires_before=2100-01-01T00:00:00Z&state=open",
    "tickets changed lately": "tickets?updated_after=2026-01-01T00:00:00Z",
    "assets of a customer": "assets?customer=acorn",
    "assets of a site and a type": "assets?site=leeds&type=server",
    "assets of a tenant and an owner": "assets?tenant=acorn,oak&owner=kim",
    "assets found": "assets?q=web",
    "assets changed lately": "assets?updated_after=2026-01-01T00:00:00Z",
    "an asset": "assets/aws:000000000007:eu-west-1:i-00000000000000007",
    "the history of an asset": "assets/aws:000000000007:eu-west-1:i-00000000000000007/history",
    "users found": "users?q=kim-7",
    "a user by their address": "users?email=kim-7@acorn.example",
    "a page of an export of tickets": "exports/tickets?limit=5",
    "a page of an export of assets": "exports/assets?limit=5",
    "a page of an export of users": "exports/users?limit=5",
}


FOUND_NOWHERE, _LOOKED_THROUGH = "assets of a tenant and an owner", 25
# What is listed in the order in which it is stored: a page each, and the next goes on behind it.
STORED = {
    "list_audit",
    *("list_assets", "list_users", "a page of an export of assets", "a page of an export of users"),
    *(FOUND_NOWHERE, "assets changed lately"),
}


def _same(name: str, ask: Callable[[], object]) -> None:
    few, many = (_calls(size, ask) for size in (FEW, MANY))
    # Lists of several lanes meet some among few that are empty. What is found nowhere is looked for in a bounded number
    # of pages, and the answer says where to go on.
    assert sum(many.values()) <= (_LOOKED_THROUGH if name == FOUND_NOWHERE else sum(few.values()) + 3), (few, many)
    over_all = sum(count for what, count in many.items() if what.startswith(_OVER_ALL))
    assert bool(over_all) == (name in STORED), many


@pytest.mark.parametrize("name", sorted(GETS))
def test_a_reading_costs_the_same(name: str) -> None:
    def ask() -> None:
        assert call("GET", GETS[name]).status in (200, 503), name

    _same(name, ask)


def _edit() -> None:
    changed = {"fields": {"asset-number": "SERV-7"}}
    answer = call("PATCH", "assets/aws:000000000007:eu-west-1:i-00000000000000007", changed, {"If-Match": "*"})
    assert answer.status == 200, answer.body


def _change_ticket() -> None:
    [item, *_] = call("GET", "tickets?q=mail-7").json["items"]
    answer = call("PATCH", f"tickets/{item['id']}", {"assignee": "kim", "note": "Seen."}, {"If-Match": "*"})
    assert answer.status == 200, answer.body


def _remove_site() -> None:
    assert call("DELETE", "settings/sites/leeds", headers={"If-Match": "*"}).status == 409
    assert call("DELETE", "settings/sites/unused", headers={"If-Match": "*"}).status == 204


def _remove_type() -> None:
    assert call("DELETE", "settings/asset-types/server", headers={"If-Match": "*"}).status == 409
    assert call("DELETE", "settings/asset-types/unused", headers={"If-Match": "*"}).status == 204


WRITES: Mapping[str, Callable[[], object]] = {
    "an edit of an asset": _edit,
    "a change of a ticket, with a note": _change_ticket,
    "the removal of a site": _remove_site,
    "the removal of a type": _remove_type,
    "a sweep of all vaults": lambda: call("POST", "sweeps", {}),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_write_costs_the_same(name: str) -> None:
    _same(name, WRITES[name])


TIMERS = sorted(name for name, each in FUNCTIONS.items() if each.get_trigger().type == "timerTrigger")


@pytest.mark.parametrize("name", TIMERS)
def test_a_timer_costs_the_same(name: str) -> None:
    def fire() -> None:
        outputs = {one.name: Sent() for one in FUNCTIONS[name].get_bindings() if one.type == "queue"}
        FUNCTIONS[name].get_user_function()(timer=None, **outputs)

    _same(name, fire)
