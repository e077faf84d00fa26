"""Which accounts and regions an import reads: listed, by pattern, found in an organization, asked once a day."""

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.assets.accounts import AccountDirectory, OrganizationAccount, OrganizationAccounts
from shared.assets.aws.keys import Caller
from shared.assets.documents.aws_tenants import ALL_REGIONS, AccountDocument, AwsTenantDocument
from shared.errors import MisconfiguredError
from shared.imports.runs import fan_out
from shared.imports.runs.model import PartState, Run, RunState
from shared.reasons import Reason
from shared.storage.tables import scan
from tests.fakes.tables import KilledError, MemoryTables, WatchedTables
from tests.imports.test_part_costs import CountedTables
from tests.imports.test_parts import drain, finish
from tests.imports.worlds import Ec2Case, FakeEc2, FarSide, World

ROLE = "deskbridge"
REGIONS = ("eu-west-1", "eu-west-2")


@dataclass
class FarOrganization:
    """An organization as its AWS calls answer, and how often each was asked."""

    names: dict[str, str] = field(default_factory=dict[str, str])
    suspended: set[str] = field(default_factory=set[str])
    units: dict[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    tags: dict[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    own: str = ""
    regions: Sequence[str] = REGIONS
    empty: set[str] = field(default_factory=set[str])
    asked: Counter[str] = field(default_factory=Counter[str])
    refusal: MisconfiguredError | None = None

    def accounts(self, document: AwsTenantDocument, tenant: str) -> OrganizationAccounts:
        self.asked["accounts"] += 1
        if self.refusal is not None:
            raise self.refusal
        found = [
            OrganizationAccount(one, name, one == self.own)
            for one, name in self.names.items()
            if one not in self.suspended
        ]
        return OrganizationAccounts(found, len(self.suspended))

    def units_of(self, document: AwsTenantDocument, tenant: str, account_id: str) -> Sequence[str]:
        self.asked["units"] += 1
        return self.units.get(account_id, ())

    def tags_of(self, document: AwsTenantDocument, tenant: str, account_id: str) -> Mapping[str, str]:
        self.asked["tags"] += 1
        return self.tags.get(account_id, {})


class _Ec2(FakeEc2):
    def __init__(self, far: FarSide, organization: FarOrganization) -> None:
        super().__init__(far)
        self.organization = organization
        self.readers: dict[str, str | None] = {}

    def caller(self, document: AwsTenantDocument, account: AccountDocument | None, *, tenant: str = "") -> Caller:
        return Caller("111122223333", "arn")

    def regions(
        self, document: AwsTenantDocument, account: AccountDocument | None, *, tenant: str = ""
    ) -> Sequence[str]:
        regions = document.regions_of(account)
        if regions != ALL_REGIONS:
            return regions
        self.organization.asked["regions"] += 1
        return self.organization.regions

    def read_instances(
        self,
        document: AwsTenantDocument,
        account: AccountDocument | None,
        region: str,
        *,
        tenant: str = "",
        page_size: int = 1000,
    ) -> Iterator[list[Mapping[str, Any]]]:
        assert account is not None
        self.readers[account.account] = account.role
        self.organization.asked[f"instances {account.account}:{region}"] += 1
        if region not in self.organization.empty:
            yield from super().read_instances(document, account, region, tenant=tenant)


class _Case(Ec2Case):
    def __init__(self, organization: FarOrganization) -> None:
        self.organization = organization

    def ec2(self, far: FarSide) -> _Ec2:
        self.made = _Ec2(far, self.organization)
        return self.made


class Desk:
    """A tenant whose accounts are those of an organization."""

    def __init__(self, *ids: str, tables: Any = None, **changes: Any) -> None:
        self.far = FarOrganization({one: f"team-{one[-1]}" for one in ids})
        self.case = _Case(self.far)
        self.world = World(self.case, tables=tables or MemoryTables())
        self.world.far.put("i-1")
        self.set(**changes)

    def set(self, organization: Mapping[str, Any] | None = None, **changes: Any) -> None:
        settings: dict[str, Any] = {"accounts": [], "regions": list(REGIONS)}
        self.case.changes = {
            **settings,
            "organization": {"account_role": ROLE, **(organization or {})},
            **changes,
        }
        self.world.settle(match=False)

    def run(self) -> Run:
        """The next day's run."""
        self.world.clock.advance(days=1)
        self.far.asked.clear()
        return self.world.run().run

    def parts(self, run: Run) -> list[str]:
        """Those that read instances."""
        return [part.name for part in self.world.runs.parts.all(run.id) if not part.expanded]

    def told(self, run: Run, part: str = "accounts of the organization") -> str:
        found = self.world.runs.parts.find(run.id, part)
        assert found is not None
        return found.message


A, B, C = "111111111111", "222222222222", "333333333333"


def in_regions(*ids: str) -> list[str]:
    return [f"{one}:{region}" for one in ids for region in REGIONS]


def test_every_account_of_the_organization_is_read_by_its_role() -> None:
    desk = Desk(A, B)
    run = desk.run()
    assert run.state is RunState.SUCCEEDED
    assert desk.parts(run) == in_regions(A, B)
    assert desk.case.made.readers == {one: f"arn:aws:iam::{one}:role/{ROLE}" for one in (A, B)}


def test_no_piece_of_a_large_organization_reads_the_accounts_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fan_out, "PARTS_AT_ONCE", 20)
    monkeypatch.setattr(fan_out, "PIECES_AT_ONCE", 2)
    ids = [f"{number:012}" for number in range(1, 401)]
    counted = CountedTables(MemoryTables())
    desk = Desk(*ids, tables=counted)
    desk.world.clock.advance(days=1)
    run_id, [message] = desk.world.start()
    todo, rows = deque(desk.world.runner.do_part(message)), list[int]()
    while todo:
        before = counted.rows["runs"]
        todo += desk.world.runner.do_part(todo.popleft())
        rows.append(counted.rows["runs"] - before)
    assert desk.parts(desk.world.runs.get(run_id)) == in_regions(*ids)
    # The first step keeps what the organization said. Then a page of accounts, and the part's own; at the end a count.
    _, *earlier, last = rows
    assert max(earlier) <= 100 + 10 < last
    assert desk.far.asked["accounts"] == 1


def test_the_access_key_reads_its_own_account_without_a_role() -> None:
    desk = Desk(A, B)
    desk.far.own = B
    desk.run()
    assert desk.case.made.readers == {A: f"arn:aws:iam::{A}:role/{ROLE}", B: None}


def test_a_named_account_keeps_its_own_role_and_regions() -> None:
    role = f"arn:aws:iam::{A}:role/special"
    desk = Desk(A, B, accounts=[{"account": A, "role": role, "regions": ["us-east-1"]}])
    run = desk.run()
    assert desk.parts(run) == [f"{A}:us-east-1", *in_regions(B)]
    assert desk.case.made.readers[A] == role


@pytest.mark.parametrize(
    ("patterns", "read"),
    [
        ({"accounts": [{"id": "1*"}, {"id": "33333333333?"}]}, (A, C)),
        ({"accounts": [{"name": "TEAM-[12]"}]}, ()),
        ({"accounts": [{"name": "team-*"}], "except_accounts": [{"name": "*-2"}]}, (A, C)),
        ({"accounts": [{"unit": "prod*"}]}, (A, B)),
        ({"accounts": [{"unit": "ou-ab-2"}]}, (B,)),
        ({"except_accounts": [{"unit": "Production"}]}, (C,)),
        ({"accounts": [{"tag": "stage", "value": "live*"}]}, (A,)),
        ({"accounts": [{"tag": "stage"}]}, (A, B)),
        ({"accounts": [{"tag": "Stage"}]}, ()),
        ({"accounts": [{"unit": "Production", "tag": "stage", "value": "test"}]}, (B,)),
    ],
)
def test_patterns_choose_by_id_name_unit_and_tag(patterns: Mapping[str, Any], read: Sequence[str]) -> None:
    desk = Desk(A, B, C, organization=patterns)
    desk.far.units = {A: ("ou-ab-1", "Production"), B: ("ou-ab-2", "Web", "ou-ab-1", "Production")}
    desk.far.tags = {A: {"stage": "live-1"}, B: {"stage": "test"}}
    assert desk.parts(desk.run()) == in_regions(*read)


def test_new_and_vanished_accounts_are_told_in_the_next_run_by_name_and_number() -> None:
    desk = Desk(A, B)
    first = desk.run()
    assert "2 accounts in use" in desk.told(first)
    assert "New" not in desk.told(first)
    desk.far.names[C] = "team-3"
    desk.far.suspended = {B}
    second = desk.run()
    assert desk.parts(second) == in_regions(A, C)
    assert "Left out, as they are suspended, closed or not there yet: 1." in desk.told(second)
    assert "New since" in desk.told(second)
    assert f"1 ({C} team-3)" in desk.told(second)
    assert f"No longer in use since 2026-03-02 02:00 UTC: 1 ({B} team-2)." in desk.told(second)
    assert "since" not in desk.told(desk.run())
    desk.far.suspended = set()
    assert f"1 ({B} team-2)" in desk.told(desk.run())


def test_accounts_stand_in_order_and_no_partition_has_them_all() -> None:
    asked: Counter[str] = Counter()
    now = datetime(2026, 11, 30, tzinfo=UTC)
    table = MemoryTables().table("runs")
    directory = AccountDirectory(table, lambda: now)
    ids = [f"{number * 3_316_666_661:012}" for number in range(1, 301)]
    directory.renew("acorn", OrganizationAccounts([OrganizationAccount(one, f"n{one}") for one in ids], 0))
    listing = directory.listing("acorn")
    assert listing is not None
    assert list(listing.accounts) == ids
    assert [one.id for one in directory.present("acorn", ids[123])] == ids[123:]
    for one in ids:
        known = directory.account("acorn", one)
        assert known is not None
        directory.save_empty("acorn", one, "eu-west-1")
        assert list(directory.empty_since("acorn", one, now)) == ["eu-west-1"]
    asked.update(row.partition_key for row in scan(table, []))
    assert (len(asked), max(asked.values())) == (11, 62)


def test_of_very_many_new_accounts_a_few_are_named() -> None:
    desk = Desk(A)
    desk.run()
    desk.far.names |= {f"{number:012}": "x" for number in range(500)}
    told = desk.told(desk.run())
    assert "500 (" in told
    assert "and 495 more" in told
    assert len(told) < 400


def test_assets_of_a_vanished_account_stay_as_they_are() -> None:
    desk = Desk(A, B)
    desk.run()
    before = desk.world.active()
    desk.far.suspended = {A, B}
    desk.far.names[C] = "c"
    run = desk.run()
    assert run.state is RunState.SUCCEEDED
    assert not run.counts.get("deactivate")
    assert before <= desk.world.active()


def test_an_organization_that_refuses_fails_its_part_and_named_accounts_come_in() -> None:
    desk = Desk(B, accounts=[{"account": A, "role": f"arn:aws:iam::{A}:role/x"}])
    desk.far.refusal = MisconfiguredError(Reason.AWS_ORGANIZATION_REFUSED, "No.", remedy="Ask.")
    run = desk.run()
    assert run.state is RunState.PARTLY_FAILED
    failed = [part for part in desk.world.runs.parts.all(run.id) if part.state is PartState.FAILED]
    assert [(part.name, part.reason) for part in failed] == [
        ("accounts of the organization", "aws_organization_refused")
    ]
    assert run.counts["parts_done"] == len(REGIONS)


def test_accounts_and_regions_are_asked_once_a_day_however_many_runs_there_are() -> None:
    desk = Desk(A, B, regions="all")
    for _ in range(3):
        desk.world.run()
    assert desk.far.asked["accounts"] == 1
    assert desk.far.asked["regions"] == 2
    desk.run()
    assert (desk.far.asked["accounts"], desk.far.asked["regions"]) == (1, 2)


def test_a_changed_document_asks_at_once() -> None:
    desk = Desk(A, regions="all")
    desk.world.run()
    desk.world.clock.advance(minutes=1)
    desk.set(regions="all", title="Acorn")
    desk.far.regions = ("eu-west-1", "eu-west-2", "me-south-1")
    run = desk.world.run().run
    assert desk.parts(run) == [f"{A}:{region}" for region in desk.far.regions]


def test_a_region_may_be_left_out_of_all() -> None:
    desk = Desk(A, regions="all", except_regions=["eu-west-1"])
    assert desk.parts(desk.run()) == [f"{A}:eu-west-2"]


def test_empty_regions_are_asked_each_day_unless_a_setting_says_less_often() -> None:
    desk = Desk(A)
    desk.far.empty = {"eu-west-1"}
    for _ in range(3):
        assert desk.parts(desk.run()) == in_regions(A)
    desk.set(empty_regions_every_days=3)
    assert [desk.parts(desk.run()) for _ in range(5)] == [
        in_regions(A),
        [f"{A}:eu-west-2"],
        [f"{A}:eu-west-2"],
        in_regions(A),
        [f"{A}:eu-west-2"],
    ]
    told = desk.told(desk.run(), f"regions of {A}")
    assert told == "Found empty, and asked again every 3 days: eu-west-1."
    # What came there meanwhile is found.
    desk.far.empty = set()
    desk.run()
    assert desk.parts(desk.run()) == in_regions(A)


def test_a_region_that_still_has_assets_here_is_not_taken_for_empty() -> None:
    desk = Desk(A, empty_regions_every_days=3, grace_days=1)
    desk.run()
    desk.far.empty = {"eu-west-1"}
    # Missing for its days of grace, then deactivated, then empty.
    assert [desk.parts(desk.run()) for _ in range(4)] == [in_regions(A)] * 3 + [[f"{A}:eu-west-2"]]


def test_two_tenants_do_not_share_a_region_that_one_has_by_its_organization() -> None:
    desk = Desk(A, B)
    desk.run()
    other = {**desk.world.settings.get(AwsTenantDocument, "acorn").content, "title": "Other", "organization": None}
    other |= {"accounts": [{"account": A, "role": f"arn:aws:iam::{A}:role/x"}], "regions": ["eu-west-1"]}
    desk.world.settings.put("aws-tenants", "other", {k: v for k, v in other.items() if v is not None}, by="test")
    run = desk.run()
    failed = [part for part in desk.world.runs.parts.all(run.id) if part.state is PartState.FAILED]
    assert [(part.name, part.reason) for part in failed] == [(f"{A}:eu-west-1", "aws_region_shared")]


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fan_out, "PARTS_AT_ONCE", 2)
    monkeypatch.setattr(fan_out, "PIECES_AT_ONCE", 2)


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_killed_at_any_storage_call_reads_and_tells_what_an_undisturbed_one_does(when: str) -> None:
    def history(desk: Desk) -> None:
        desk.run()
        desk.far.names[C] = "team-3"
        desk.far.suspended = {B}
        desk.world.clock.advance(days=1)

    calm = Desk(A, B, regions="all")
    history(calm)
    expected = calm.world.run().run
    assert calm.parts(expected) == in_regions(A, C)
    number, killed = 0, True
    while killed:
        desk = Desk(A, B, regions="all")
        history(desk)
        run_id, messages = desk.world.start()
        left, killed = number, False

        def kill(table: str, verb: str, moment: str) -> None:
            nonlocal left, killed
            left -= moment == when
            if left == -1 and not killed:
                killed = True
                raise KilledError

        tables = desk.world.tables
        desk.world.rebuild(WatchedTables(tables, kill))  # type: ignore[arg-type] # in memory, here
        drain(desk.world, messages)
        desk.world.rebuild(tables)
        finish(desk.world)
        run = desk.world.runs.get(run_id)
        assert (run.state, run.counts) == (RunState.SUCCEEDED, expected.counts), number
        assert desk.parts(run) == calm.parts(expected), number
        assert desk.told(run).split(" UTC. ", 1)[1] == calm.told(expected).split(" UTC. ", 1)[1], number
        number += 1
    assert number > 50, "the run made fewer storage calls than it must"


def test_a_part_costs_the_same_in_a_thousand_accounts_as_in_ten() -> None:
    costs: list[float] = []
    for accounts in (10, 1_000):
        desk = Desk(*(f"{number:012}" for number in range(accounts)), regions="all")
        tables = CountedTables(desk.world.tables)  # type: ignore[arg-type] # in memory, here
        desk.world.rebuild(tables)
        for _ in range(2):
            tables.calls.clear()
            run = desk.run()
            assert run.counts["parts_done"] == accounts * len(REGIONS)
        costs.append(sum(tables.calls.values()) / (accounts * len(REGIONS)))
        # One listing, and one question for each account, not for each of its regions.
        assert (desk.far.asked["accounts"], desk.far.asked["regions"]) == (1, accounts)
    assert costs[1] <= 1.1 * costs[0], costs
