"""What imports are made of: the sources of assets and users, their records, and the runs that read them."""

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, cast

from shared import bootstrap
from shared.bootstrap.once import Late, once

if TYPE_CHECKING:
    from shared.assets.desk import AssetDesk
    from shared.assets.ec2 import Ec2
    from shared.assets.importing import Ec2Source
    from shared.imports.keeping import RunKeeper
    from shared.imports.records import RecordTable
    from shared.imports.reporting import RunReports
    from shared.imports.running import ImportRunner
    from shared.imports.sources import Source
    from shared.runs.repository import RunRepository
    from shared.users.desk import UserDesk
    from shared.users.following import Following
    from shared.users.grants import GrantTickets
    from shared.users.sourcing import Realms, RealmSource
    from shared.vaults.model import Credentials


@once
def runs() -> "RunRepository":
    from shared.runs.repository import RunRepository
    from shared.storage.names import RUNS_TABLE

    return RunRepository(bootstrap.tables().table(RUNS_TABLE))


@once
def assets() -> "RecordTable":
    from shared.imports.records import RecordTable
    from shared.storage.names import ASSETS_TABLE

    return RecordTable(bootstrap.tables().table(ASSETS_TABLE))


@once
def identity_tokens() -> "Callable[[str, str | None], str]":
    from shared.assets.web_identity import ManagedIdentityTokens

    return ManagedIdentityTokens()


def identity_token(audience: str, client_id: str | None) -> str:
    """A token of the app's managed identity for another party than Azure. Loads its client only when asked."""
    return bootstrap.identity_tokens()(audience, client_id)


@once
def ec2() -> "Ec2":
    from shared.assets.ec2 import Ec2

    return Ec2(
        bootstrap.credentials(),
        bootstrap.identity_token,
        bootstrap.now,
        plain=bootstrap.environment().flag("DESKBRIDGE_PLAIN_CLIENTS"),
    )


@once
def ec2_source() -> "Ec2Source":
    from shared.assets.importing import Ec2Source

    return Ec2Source(bootstrap.assets(), bootstrap.settings(), bootstrap.ec2)


@once
def users() -> "RecordTable":
    from shared.storage.names import USERS_TABLE
    from shared.users.grants import UserRecords

    return UserRecords(bootstrap.tables().table(USERS_TABLE))


@once
def realms() -> "Realms":
    from shared.users.sourcing import Realms

    # Lists of runs and users come by here too, and need no password.
    return Realms(bootstrap.settings(), cast("Credentials", Late(bootstrap.credentials)))


@once
def realm_source() -> "RealmSource":
    from shared.users.sourcing import RealmSource

    return RealmSource(
        bootstrap.realms(), bootstrap.settings(), bootstrap.users(), bootstrap.runs(), bootstrap.grant_tickets().deliver
    )


@once
def grant_tickets() -> "GrantTickets":
    from shared.storage.names import USERS_TABLE
    from shared.users.grants import GrantTickets

    return GrantTickets(bootstrap.tables().table(USERS_TABLE), bootstrap.open_grant_ticket)


@once
def user_desk() -> "UserDesk":
    from shared.users.desk import UserDesk

    return UserDesk(bootstrap.users(), bootstrap.settings(), bootstrap.now)


@once
def following() -> "Following":
    from shared.storage.names import USERS_TABLE
    from shared.users.following import Following

    table = bootstrap.tables().table(USERS_TABLE)
    return Following(
        bootstrap.settings(),
        bootstrap.credentials(),
        bootstrap.realms(),
        bootstrap.realm_source(),
        table,
        bootstrap.runs(),
        bootstrap.now,
    )


@once
def imports() -> "ImportRunner":
    from shared.imports.running import ImportRunner

    sources: tuple[Source, ...] = (bootstrap.ec2_source(), bootstrap.realm_source())
    return ImportRunner(bootstrap.runs(), {source.kind: source for source in sources}, bootstrap.now)


@once
def run_reports() -> "RunReports":
    from shared.imports.reporting import RunReports

    return RunReports(bootstrap.imports())


@once
def asset_desk() -> "AssetDesk":
    from shared.assets.desk import AssetDesk

    return AssetDesk(bootstrap.assets(), bootstrap.settings(), bootstrap.now)


@once
def run_keeper() -> "RunKeeper":
    from shared.imports.keeping import RunKeeper

    return RunKeeper(
        bootstrap.imports(),
        bootstrap.now,
        kept_for=timedelta(days=bootstrap.environment().number("DESKBRIDGE_RUNS_KEPT_DAYS")),
    )
