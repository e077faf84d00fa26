"""What imports are made of: the sources of assets and users, their records, and the runs that read them."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast

from shared import bootstrap
from shared.bootstrap.singleton import LazyProxy, singleton
from shared.bootstrap.sources import SOURCES

if TYPE_CHECKING:
    from shared.assets.accounts import AccountDirectory
    from shared.assets.aws.client import Ec2
    from shared.assets.desk import AssetDesk
    from shared.imports.part_rows import PartRows
    from shared.imports.runs.housekeeping import RunHousekeeping
    from shared.imports.runs.reports import RunReports
    from shared.imports.runs.repository import RunRepository
    from shared.imports.runs.runner import ImportRunner
    from shared.imports.runs.starter import RunStarter
    from shared.imports.runs.statuses import ImportStatuses
    from shared.records.index_rows import RecordIndex
    from shared.records.lists import RecordLists
    from shared.records.table import RecordTable
    from shared.users.desk import UserDesk
    from shared.users.grants import GrantTickets
    from shared.users.source import Realms, RealmSourceType
    from shared.users.webhook import AuthRocketWebhook
    from shared.vaults.model import Credentials


@singleton
def runs() -> "RunRepository":
    from shared.imports.runs.repository import RunRepository
    from shared.storage.names import RUNS_TABLE

    return RunRepository(bootstrap.tables().table(RUNS_TABLE))


@singleton
def assets() -> "RecordTable":
    from shared.records.table import RecordTable
    from shared.storage.names import ASSETS_TABLE

    return RecordTable(
        bootstrap.tables().table(ASSETS_TABLE), bootstrap.audit(), bootstrap.gathered_outbox(), bootstrap.index()
    )


@singleton
def asset_rows() -> "PartRows":
    from shared.imports.part_rows import PartRows
    from shared.storage.names import ASSETS_TABLE

    return PartRows(bootstrap.tables().table(ASSETS_TABLE), bootstrap.index(), bootstrap.gathered_outbox())


@singleton
def record_index() -> "RecordIndex":
    from shared.records.index_rows import RecordIndex

    return RecordIndex(bootstrap.index(), bootstrap.tables(), bootstrap.now)


@singleton
def asset_lists() -> "RecordLists":
    from shared.records.lists import RecordLists
    from shared.storage.names import ASSETS_TABLE

    return RecordLists(ASSETS_TABLE, bootstrap.assets(), bootstrap.index(), bootstrap.gathered_outbox(), bootstrap.now)


@singleton
def user_lists() -> "RecordLists":
    from shared.records.lists import RecordLists
    from shared.storage.names import USERS_TABLE

    return RecordLists(USERS_TABLE, bootstrap.users(), bootstrap.index(), bootstrap.gathered_outbox(), bootstrap.now)


def _reader(kind: str) -> "Callable[[str, str], str]":
    # The sources are built when somebody asks for a record whose document is gone.
    return lambda partition_key, likely: bootstrap.imports().source_type(kind).reader(partition_key, likely)


@singleton
def account_directory() -> "AccountDirectory":
    from shared.assets.accounts import AccountDirectory
    from shared.storage.names import RUNS_TABLE

    return AccountDirectory(bootstrap.tables().table(RUNS_TABLE), bootstrap.now)


@singleton
def identity_tokens() -> "Callable[[str, str | None], str]":
    from shared.assets.aws.web_identity import ManagedIdentityTokens

    return ManagedIdentityTokens()


def identity_token(audience: str, client_id: str | None) -> str:
    """A token of the app's managed identity for another party than Azure. Loads its client only when asked."""
    return bootstrap.identity_tokens()(audience, client_id)


@singleton
def ec2() -> "Ec2":
    from shared.assets.aws.client import Ec2

    return Ec2(bootstrap.credentials(), bootstrap.identity_token, bootstrap.now)


@singleton
def users() -> "RecordTable":
    from shared.records.table import RecordTable
    from shared.storage.names import USERS_TABLE

    return RecordTable(
        bootstrap.tables().table(USERS_TABLE), bootstrap.audit(), bootstrap.gathered_outbox(), bootstrap.index()
    )


@singleton
def user_rows() -> "PartRows":
    from shared.storage.names import USERS_TABLE
    from shared.users.grants import UserRows

    return UserRows(bootstrap.tables().table(USERS_TABLE), bootstrap.index(), bootstrap.gathered_outbox())


@singleton
def realms() -> "Realms":
    from shared.users.source import Realms

    # Lists of runs and users come by here too, and need no password.
    credentials = cast("Credentials", LazyProxy(bootstrap.credentials))
    return Realms(bootstrap.settings(), credentials, bootstrap.outbound(), hosts=bootstrap.allowed_hosts())


@singleton
def realm_source() -> "RealmSourceType":
    from shared.users.source import RealmSourceType

    return RealmSourceType(
        bootstrap.realms(),
        bootstrap.settings(),
        bootstrap.user_rows(),
        bootstrap.runs(),
        bootstrap.grant_tickets().deliver,
    )


@singleton
def grant_tickets() -> "GrantTickets":
    from shared.storage.names import USERS_TABLE
    from shared.users.grants import GrantTickets

    return GrantTickets(bootstrap.tables().table(USERS_TABLE), bootstrap.open_grant_ticket)


@singleton
def user_desk() -> "UserDesk":
    from shared.users.desk import UserDesk

    return UserDesk(
        bootstrap.users(), bootstrap.user_lists(), bootstrap.settings(), bootstrap.now, _reader("authrocket-realms")
    )


@singleton
def authrocket_webhook() -> "AuthRocketWebhook":
    from shared.storage.names import USERS_TABLE
    from shared.users.webhook import AuthRocketWebhook

    table = bootstrap.tables().table(USERS_TABLE)
    return AuthRocketWebhook(
        bootstrap.settings(),
        bootstrap.credentials(),
        bootstrap.realms(),
        bootstrap.realm_source(),
        table,
        bootstrap.runs(),
        bootstrap.now,
    )


@singleton
def imports() -> "ImportRunner":
    from shared.imports.runs.runner import ImportRunner

    sources = {source.kind: source.build(bootstrap) for source in SOURCES}
    return ImportRunner(bootstrap.runs(), sources, bootstrap.now, bootstrap.conditions())


@singleton
def run_starter() -> "RunStarter":
    from shared.imports.runs.starter import RunStarter

    return RunStarter(bootstrap.imports(), bootstrap.audit())


@singleton
def run_reports() -> "RunReports":
    from shared.imports.runs.reports import RunReports

    return RunReports(bootstrap.imports())


@singleton
def asset_desk() -> "AssetDesk":
    from shared.assets.desk import AssetDesk

    return AssetDesk(
        bootstrap.assets(), bootstrap.asset_lists(), bootstrap.settings(), bootstrap.now, _reader("aws-tenants")
    )


@singleton
def import_statuses() -> "ImportStatuses":
    from shared.imports.runs.statuses import ImportStatuses
    from shared.schedules import next_after

    timers = {source.kind: source.schedule for source in SOURCES}

    def next_run(kind: str) -> datetime | None:
        schedule = bootstrap.environment().text(timers[kind])
        return None if schedule is None else next_after(schedule, bootstrap.now())

    return ImportStatuses(bootstrap.runs(), bootstrap.imports().sources, next_run, bootstrap.now)


@singleton
def run_housekeeping() -> "RunHousekeeping":
    from shared.imports.runs.housekeeping import RunHousekeeping

    return RunHousekeeping(
        bootstrap.imports(),
        bootstrap.now,
        kept_for=timedelta(days=bootstrap.environment().number("DESKBRIDGE_RUNS_KEPT_DAYS")),
    )
