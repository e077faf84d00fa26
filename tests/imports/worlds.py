"""A far side that a test can change, and everything of the product behind it, once per source.

The engine's tests take a `World` of every source in `WORLDS`: a third source joins by adding its own.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, cast

from shared.assets.accounts import AccountDirectory
from shared.assets.documents.aws_tenants import AccountDocument, AwsTenantDocument
from shared.assets.source import Ec2SourceType
from shared.bootstrap.kinds import KINDS
from shared.imports.part_rows import PartIndex, PartRows
from shared.imports.plan.model import Trigger
from shared.imports.runs.housekeeping import RunHousekeeping
from shared.imports.runs.model import Summary
from shared.imports.runs.repository import RunRepository
from shared.imports.runs.runner import ImportRunner, PartMessage
from shared.imports.runs.starter import RunStarter
from shared.imports.runs.statuses import ImportStatuses
from shared.imports.sources import SourceType
from shared.index.index import Index
from shared.records.editor import ALL, RecordEditor
from shared.records.model import MANUAL_PARTITION, Key, column_of
from shared.records.table import RecordTable
from shared.settings.store import SettingsStore
from shared.storage.rows import Value
from shared.storage.tables import Tables
from shared.users.documents import AuthRocketRealmDocument
from shared.users.grants import UserRows
from shared.users.model import SourceUser
from shared.users.source import Realms, RealmSourceType
from tests.fakes.tables import MemoryTables

BEGINNING = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
ACCOUNT, REGION = "111122223333", "eu-west-2"


@dataclass
class FarRecord:
    """A record of the far side: what it is called, the number it is matched by, and one more value."""

    name: str
    number: str = ""
    note: str = ""
    gone: bool = False
    email: str = ""
    verification: str = "verified"
    # Where a machine is; everywhere when it is empty.
    region: str = ""


class FarSide:
    """What the source reads. Fails after `fails_after` pages when that is set."""

    def __init__(self) -> None:
        self.records: dict[str, FarRecord] = {}
        self.page_size = 2
        self.order: Callable[[Sequence[str]], Sequence[str]] = sorted
        self.fails_after: int | None = None
        self.failure: Exception = RuntimeError("unset")
        self.before_page: Callable[[], None] = lambda: None

    def put(self, record_id: str, **values: Any) -> None:
        self.records[record_id] = FarRecord(**{"name": record_id, **values})

    def pages(self) -> Iterator[list[tuple[str, FarRecord]]]:
        ids = list(self.order(list(self.records)))
        if self.fails_after == 0:
            raise self.failure
        for number, start in enumerate(range(0, len(ids), self.page_size), 1):
            self.before_page()
            yield [(one, self.records[one]) for one in ids[start : start + self.page_size] if one in self.records]
            if self.fails_after == number:
                raise self.failure


class Clock:
    def __init__(self) -> None:
        self.at = BEGINNING

    def __call__(self) -> datetime:
        return self.at

    def advance(self, **by: float) -> None:
        self.at += timedelta(**by)


class SourceCase(Protocol):
    """What the engine's tests need to know of a source. Fields are by their general names: name, number, note."""

    kind: str
    document: str
    part: str
    table: str
    partition: str
    fields: Mapping[str, str]

    def settle(self, settings: SettingsStore, **policies: Any) -> None:
        """Write the documents. Policies: deactivate, grace_days, create, match, share, at_least, on_create, keep."""
        ...

    def source(
        self, tables: Tables, settings: SettingsStore, far: FarSide, now: Callable[[], datetime]
    ) -> SourceType: ...


class FakeEc2:
    """Stands in for `Ec2`: instances of the far side, in EC2's shape, page by page."""

    def __init__(self, far: FarSide) -> None:
        self._far = far

    def read_instances(
        self,
        document: AwsTenantDocument,
        account: AccountDocument | None,
        region: str,
        *,
        tenant: str = "",
        page_size: int = 1000,
    ) -> Iterator[list[Mapping[str, Any]]]:
        for page in self._far.pages():
            yield [
                {
                    "InstanceId": record_id,
                    "State": {"Name": "terminated" if record.gone else "running"},
                    "tags": {"Name": record.name, "AssetNumber": record.number, "Note": record.note},
                    "account": ACCOUNT,
                    "region": region,
                }
                for record_id, record in page
                if record.region in ("", region)
            ]


class Ec2Case:
    kind = AwsTenantDocument.kind
    document = "acorn"
    part = f"{ACCOUNT}:{REGION}"
    table = "assets"
    partition = f"aws:{ACCOUNT}:{REGION}"
    fields: Mapping[str, str] = {"name": "name", "number": "asset-number", "note": "notes"}
    # A tenant of many accounts has a part for each of them and each region.
    accounts: Sequence[Mapping[str, str]] = ({"account": ACCOUNT},)
    regions: Sequence[str] = (REGION,)
    # What a test sets otherwise in the tenant's document.
    changes: Mapping[str, Any] = {}

    def ec2(self, far: FarSide) -> Any:
        return FakeEc2(far)

    def settle(self, settings: SettingsStore, **policies: Any) -> None:
        if settings.find(AwsTenantDocument, self.document) is None:
            settings.put("customers", "st-johns", {"title": "St Johns High School"}, by="test")
            settings.put("sites", "leeds", {"title": "Leeds", "customer": "st-johns"}, by="test")
            settings.put("asset-types", "server", {"title": "Server"}, by="test")
            vault = {"vault_url": "https://acorn.vault.azure.net", "method": "system_assigned"}
            settings.put("credential-stores", "kv", vault, by="test")
        content: dict[str, Any] = {
            "title": "Acorn Construction",
            "syncing": True,
            "access": {
                "method": "access_key",
                "access_key_id": "AKIAEXAMPLE",
                "secret": {"in_place": {"store": "kv", "secret": "aws"}},
            },
            "accounts": [dict(account) for account in self.accounts],
            "regions": list(self.regions),
            "field_mappings": [
                {"source": "tags.Name", "field": "name"},
                {"source": "tags.AssetNumber", "field": "asset-number"},
                {
                    "source": "tags.Note",
                    "field": "notes",
                    "only_on_create": policies.get("on_create", False),
                    "keep_when_empty": policies.get("keep", False),
                },
            ],
            "asset_type": {"default": "server"},
            "default_site": "leeds",
            "deactivate_deleted": policies.get("deactivate", True),
            "grace_days": policies.get("grace_days", 0),
            "create_new_assets": policies.get("create", True),
            "brake": {"share": policies.get("share", 0.3), "at_least": policies.get("at_least", 10)},
            "believe_empty_answers": policies.get("believe_empty_answers", True),
        }
        if policies.get("match", True):
            content |= {"matching_field": "asset-number", "matching_ignores_case": policies.get("ignore_case", False)}
        content |= self.changes
        settings.put("aws-tenants", self.document, content, by="test", if_match=_any(settings, self.document))

    def source(self, tables: Tables, settings: SettingsStore, far: FarSide, now: Callable[[], datetime]) -> SourceType:
        fake = self.ec2(far)
        directory = AccountDirectory(tables.table("runs"), now)
        return Ec2SourceType(
            PartRows(tables.table(self.table), Index(tables.table("index"))), settings, directory, lambda: fake
        )


def _unrandom(text: str) -> str:
    return re.sub(r":[0-9a-f]{6}$", ":EDIT", re.sub(r"(\d{18}-[a-z0-9-]+)-[0-9a-f]{6}", r"\1-RUN", text))


def _any(settings: SettingsStore, name: str) -> str | None:
    return None if settings.find(AwsTenantDocument, name, fresh=True) is None else "*"


REALM = "rl_0vAcorn"


class _FarRealms(Realms):
    """Stands in for the API of a realm: users of the far side, page by page."""

    def __init__(self, settings: SettingsStore, far: FarSide) -> None:
        nobody: Any = None
        super().__init__(settings, nobody, nobody)
        self._far = far

    def api(self, name: str, document: AuthRocketRealmDocument, *, seconds: float, page_size: int | None = None) -> Any:
        return self

    def users(self) -> Iterator[list[SourceUser]]:
        for page in self._far.pages():
            yield [
                SourceUser(
                    record_id,
                    not record.gone,
                    {
                        "name": record.name,
                        "reference": record.number,
                        "custom": {"note": record.note},
                        "email": record.email,
                        "email_verification": record.verification,
                    },
                )
                for record_id, record in page
            ]


class AuthRocketCase:
    kind = AuthRocketRealmDocument.kind
    document = "customers"
    part = REALM
    table = "users"
    partition = f"authrocket:{REALM}"
    fields: Mapping[str, str] = {"name": "name", "number": "reference", "note": "notes"}

    def settle(self, settings: SettingsStore, **policies: Any) -> None:
        there = settings.find(AuthRocketRealmDocument, self.document, fresh=True) is not None
        if not there:
            settings.put("customers", "st-johns", {"title": "St Johns High School"}, by="test")
            settings.put("sites", "leeds", {"title": "Leeds", "customer": "st-johns"}, by="test")
            vault = {"vault_url": "https://acorn.vault.azure.net", "method": "system_assigned"}
            settings.put("credential-stores", "kv", vault, by="test")
        content: dict[str, Any] = {
            "title": "Customers",
            "syncing": True,
            "endpoint_url": "https://api-e2.authrocket.com/v2",
            "api_key": {"in_place": {"store": "kv", "secret": "authrocket"}},
            "realm": REALM,
            "field_mappings": [
                {"source": "name", "field": "name"},
                {"source": "reference", "field": "reference"},
                {
                    "source": "custom.note",
                    "field": "notes",
                    "only_on_create": policies.get("on_create", False),
                    "keep_when_empty": policies.get("keep", False),
                },
            ],
            "match_order": [],
            "default_site": "leeds",
            "deactivate_inactive": policies.get("deactivate", True),
            "deactivate_vanished": policies.get("deactivate", True),
            "grace_days": policies.get("grace_days", 0),
            "create_new_users": policies.get("create", True),
            "brake": {"share": policies.get("share", 0.3), "at_least": policies.get("at_least", 10)},
            "believe_empty_answers": policies.get("believe_empty_answers", True),
        }
        if policies.get("match", True):
            content["match_order"] = [{"field": "reference", "ignore_case": policies.get("ignore_case", False)}]
        settings.put(self.kind, self.document, content, by="test", if_match="*" if there else None)

    def source(self, tables: Tables, settings: SettingsStore, far: FarSide, now: Callable[[], datetime]) -> SourceType:
        rows = UserRows(tables.table(self.table), Index(tables.table("index")))
        return RealmSourceType(_FarRealms(settings, far), settings, rows, RunRepository(tables.table("runs")), str)


class _Forgetting:
    """Rows whose index keeps nothing that a change needs."""

    def __init__(self, rows: PartRows) -> None:
        self._rows = rows

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rows, name)

    def index(self, partition_key: str, run_id: str, columns: Collection[str] = ()) -> PartIndex:
        del columns
        return self._rows.index(partition_key, run_id)


WORLDS: Mapping[str, Callable[[], SourceCase]] = {"authrocket": AuthRocketCase, "ec2": Ec2Case}


@dataclass
class World:
    """One source with all that stands behind it, on tables in memory (or on others)."""

    case: SourceCase
    tables: Tables = field(default_factory=MemoryTables)
    far: FarSide = field(default_factory=FarSide)
    clock: Clock = field(default_factory=Clock)
    # Whether the index keeps what was there before; else each changed row is read again.
    keeps: bool = True

    def __post_init__(self) -> None:
        self.settings = SettingsStore(self.tables.table("settings"), KINDS, self.clock)
        self.rebuild(self.tables)

    def rebuild(self, tables: Tables) -> None:
        """A new worker on other (watched) tables; settings stay as they are."""
        source = self.case.source(tables, self.settings, self.far, self.clock)
        if not self.keeps:
            source.rows = cast("PartRows", _Forgetting(source.rows))
        self.runs = RunRepository(tables.table("runs"))
        self.runner = ImportRunner(self.runs, {source.kind: source}, self.clock)
        self.starter = RunStarter(self.runner)
        self.keeper = RunHousekeeping(self.runner, self.clock, kept_for=timedelta(days=90))
        self.records = RecordTable(tables.table(self.case.table), index=Index(tables.table("index")))
        self.statuses = ImportStatuses(self.runs, self.runner.sources, lambda _kind: None, self.clock)
        self.editing = RecordEditor(self.records, self.clock, lambda *_: None)

    def settle(self, **policies: Any) -> None:
        self.case.settle(self.settings, **policies)

    def begin(self, trigger: Trigger = Trigger.SCHEDULED, **how: Any) -> tuple[str, PartMessage]:
        """A run, and the message of its fan-out."""
        started = self.starter.start(self.case.kind, self.case.document, trigger=trigger, by="test", **how)
        [message] = started.messages
        return started.run.id, message

    def start(self, trigger: Trigger = Trigger.SCHEDULED, **how: Any) -> tuple[str, list[PartMessage]]:
        """A run, and the messages of what its fan-out led to."""
        run_id, message = self.begin(trigger, **how)
        return run_id, self.runner.do_part(message)

    def work(self, messages: list[PartMessage], *, redelivered: bool = False) -> None:
        todo = list(messages)
        while todo:
            todo += self.runner.do_part(todo.pop(0), redelivered=redelivered)

    def run(self, trigger: Trigger = Trigger.SCHEDULED, **how: Any) -> Summary:
        run_id, messages = self.start(trigger, **how)
        self.work(messages)
        return self.runner.summary(run_id)

    def entries(self, run_id: str, *actions: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        after: str | None = None
        while True:
            page, after = self.runs.entries.page(run_id, actions, after=after)
            found += page
            if after is None:
                return found

    def column(self, name: str) -> str:
        return column_of(self.case.fields[name])

    def key(self, record_id: str) -> Key:
        return Key(self.case.partition, record_id)

    def edit(self, record_id: str, *, release: Sequence[str] = (), **values: Any) -> None:
        fields = {self.case.fields.get(name, name): value for name, value in values.items()}
        released = [self.case.fields.get(name, name) for name in release]
        self.editing.edit(self.key(record_id), fields, released, by="jim", if_match="*")

    def add(self, record_id: str, **values: Any) -> None:
        self.editing.add(record_id, {self.case.fields[name]: value for name, value in values.items()}, by="jim")

    def edit_by_hand(self, record_id: str, **values: Any) -> None:
        """Change a record that was made by hand."""
        fields = {self.case.fields[name]: value for name, value in values.items()}
        self.editing.edit(Key(MANUAL_PARTITION, record_id), fields, [], by="jim", if_match="*")

    def let_go(self, record_id: str) -> None:
        """Release all that a person holds of a record made by hand."""
        self.editing.edit(Key(MANUAL_PARTITION, record_id), {}, [ALL], by="jim", if_match="*")

    def rows(self) -> dict[str, dict[str, Value]]:
        """The records by row key (the manual ones too), without history."""
        return {key[1]: row for key, row in self.contents().items() if not key[1].startswith("~")}

    def contents(self) -> dict[tuple[str, str], dict[str, Value]]:
        assert isinstance(self.tables, MemoryTables)
        return self.tables.contents().get(self.case.table, {})

    def comparable(self) -> dict[Any, Any]:
        """All rows with what is random in run ids and history keys taken out: what two histories are compared by."""
        return {
            (key[0], _unrandom(key[1])): {
                column: _unrandom(value) if isinstance(value, str) else value for column, value in values.items()
            }
            for key, values in self.contents().items()
        }

    def active(self) -> set[str]:
        return {key for key, row in self.rows().items() if row.get("active", True) and "alias_of" not in row}

    def field(self, record_id: str, name: str) -> Value | None:
        return self.rows()[record_id].get(self.column(name))
