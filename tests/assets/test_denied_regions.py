"""Regions that a policy denies, and regions and accounts that are not there any more: neither keeps a tenant from
succeeding, and nothing that stands there is lost."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from shared.assets.aws.keys import Caller
from shared.assets.documents.aws_tenants import AccountDocument, AwsTenantDocument
from shared.errors import MisconfiguredError
from shared.imports.runs.model import RunState, Summary
from shared.reasons import Reason
from tests.assets.test_tenant_accounts import REGIONS, A, B, Desk, FarOrganization, _Ec2
from tests.imports.worlds import Ec2Case, FakeEc2, FarSide, World

GOOD, DENIED = "eu-west-1", "eu-west-2"


class _DeniedEc2(_Ec2):
    """EC2 that denies some regions."""

    denied: frozenset[str] = frozenset()

    def read_instances(
        self, document: AwsTenantDocument, account: AccountDocument | None, region: str, **how: Any
    ) -> Iterator[list[Mapping[str, Any]]]:
        if region in self.denied:
            raise MisconfiguredError(Reason.AWS_REGION_DENIED, "A policy denies it.", remedy="Leave it out.")
        yield from super().read_instances(document, account, region, **how)


class _Case(Ec2Case):
    def ec2(self, far: FarSide) -> _DeniedEc2:
        self.made = _DeniedEc2(far, FarOrganization({}))
        return self.made


def world_of(denied: Sequence[str], regions: Any = "all", **changes: Any) -> World:
    case = _Case()
    case.regions, case.changes = [GOOD], {"regions": regions, **changes}
    world = World(case)
    world.settle()
    case.made.denied = frozenset(denied)
    return world


def deny(world: World, *regions: str) -> None:
    assert isinstance(world.case, _Case)
    world.case.made.denied = frozenset(regions)


def parts(summary: Summary) -> dict[str, tuple[str, str]]:
    return {part.name.partition(":")[2]: (str(part.state), part.reason) for part in summary.parts if ":" in part.name}


def test_of_all_regions_one_that_is_denied_is_passed_over_with_a_warning() -> None:
    # Imports, case 18
    world = world_of([DENIED])
    world.far.put("i-1", region=GOOD)
    for preview in (True, False, False):
        summary = world.run(preview=preview)
        assert summary.state is RunState.SUCCEEDED
        assert parts(summary) == {GOOD: ("done", ""), DENIED: ("done", "aws_region_denied")}
        assert (summary.counts["parts_passed_over"], summary.counts["parts_warned"]) == (1, 1)
    [told] = [part for part in summary.parts if part.reason]
    assert told.message == "A policy denies it. It has no active record, and is passed over."
    assert told.remedy == "Leave it out."
    [status] = world.statuses.all()
    assert status.status == "succeeded"
    # Left out, it is not asked.
    assert isinstance(world.case, _Case)
    world.case.changes = {"regions": "all", "except_regions": [DENIED]}
    world.settle()
    assert parts(world.run()) == {GOOD: ("done", "")}


def test_a_denied_region_where_records_stand_is_a_failed_part_and_nothing_there_changes() -> None:
    world = world_of([])
    world.far.put("i-1", region=GOOD)
    world.far.put("i-2", region=DENIED)
    world.run()
    deny(world, DENIED)
    for _ in range(3):
        world.clock.advance(days=1)
        summary = world.run()
        assert summary.state is RunState.PARTLY_FAILED
        assert parts(summary)[DENIED] == ("failed", "aws_region_denied")
    assert world.active() == {"i-1", "i-2"}


def test_a_run_all_of_whose_regions_are_denied_has_failed() -> None:
    world = world_of([GOOD, DENIED])
    summary = world.run()
    assert (summary.state, summary.run.reason) == (RunState.FAILED, "parts_not_read")


def test_a_denied_region_that_the_tenant_names_fails() -> None:
    world = world_of([DENIED], regions=[GOOD, DENIED])
    world.far.put("i-1", region=GOOD)
    summary = world.run()
    assert summary.state is RunState.PARTLY_FAILED
    assert parts(summary)[DENIED] == ("failed", "aws_region_denied")


@pytest.mark.parametrize("region", [GOOD])
def test_a_region_that_the_account_switches_off_is_named_while_records_stand_there(region: str) -> None:
    world = world_of([])
    world.far.put("i-1", region=region)
    world.far.put("i-2", region=DENIED)
    world.run()
    assert isinstance(world.case, _Case)
    world.case.made.organization.regions = (region,)
    world.clock.advance(days=1)
    world.run()
    world.clock.advance(days=1)
    summary = world.run()
    assert [part.name for part in summary.parts if part.reason] == [f"no longer read: 111122223333:{DENIED}"]


def test_an_account_that_left_the_organization_is_named_and_deactivated_where_a_setting_says_so() -> None:
    desk = Desk(A, B, deactivate_deleted=True)
    desk.run()
    del desk.far.names[B]
    desk.run()
    gone = [f"no longer read: {B}:{region}" for region in REGIONS]
    assert [part.name for part in desk.world.runs.parts.all(desk.run().id) if part.reason] == gone
    desk.set(deactivate_deleted=True, deactivate_unread=True)
    assert desk.run().counts["deactivate"] == len(REGIONS)
    desk.run()
    assert not [part.name for part in desk.world.runs.parts.all(desk.run().id) if part.reason]


def test_accounts_that_are_listed_by_the_organization_from_now_on_are_not_taken_for_unread() -> None:
    """The document names them no more, and the same run finds them again."""
    role = f"arn:aws:iam::{A}:role/deskbridge"
    desk = Desk(A)
    desk.case.changes = {
        "accounts": [{"account": A, "role": role}],
        "regions": list(REGIONS),
        "deactivate_unread": True,
    }
    desk.world.settle(match=False)
    desk.run()
    active = desk.world.active()
    assert len(active) == 1
    desk.world.clock.advance(minutes=5)
    desk.set(deactivate_unread=True)
    for _ in range(3):
        run = desk.run()
        assert not [part.name for part in desk.world.runs.parts.all(run.id) if part.reason]
        assert desk.world.active() == active


class _OwnEc2(_Ec2):
    """EC2 for a key that reads its own account."""

    own = "111122223333"

    def caller(self, document: AwsTenantDocument, account: AccountDocument | None, *, tenant: str = "") -> Caller:
        return Caller(self.own, "arn")

    def read_instances(
        self, document: AwsTenantDocument, account: AccountDocument | None, region: str, **how: Any
    ) -> Iterator[list[Mapping[str, Any]]]:
        return FakeEc2.read_instances(self, document, account, region, **how)


class _OwnCase(Ec2Case):
    def ec2(self, far: FarSide) -> _OwnEc2:
        self.made = _OwnEc2(far, FarOrganization({}))
        return self.made


def test_the_account_of_a_key_that_was_replaced_by_another_accounts_is_named() -> None:
    case = _OwnCase()
    case.changes = {"accounts": [], "regions": [GOOD]}
    world = World(case)
    world.settle(match=False)
    world.far.put("i-1")
    world.run()
    assert not [part.name for part in world.run().parts if part.reason]
    case.made.own = "444455556666"
    world.run()
    summary = world.run()
    assert [part.name for part in summary.parts if part.reason] == [f"no longer read: 111122223333:{GOOD}"]
