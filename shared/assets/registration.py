"""EC2 as the composition root lists it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from shared.imports.registration import RegisteredSource

if TYPE_CHECKING:
    from shared.assets.accounts import AccountDirectory
    from shared.assets.aws.client import Ec2
    from shared.imports.part_rows import PartRows
    from shared.imports.sources import SourceType
    from shared.settings.base import SettingsDocument
    from shared.settings.store import SettingsStore


class _Services(Protocol):
    def asset_rows(self) -> "PartRows": ...
    def settings(self) -> "SettingsStore": ...
    def account_directory(self) -> "AccountDirectory": ...
    def ec2(self) -> "Ec2": ...


def _documents() -> "Sequence[type[SettingsDocument]]":
    from shared.assets.documents.asset_fields import AssetFieldDocument
    from shared.assets.documents.asset_types import AssetTypeDocument
    from shared.assets.documents.aws_tenants import AwsTenantDocument

    return (AssetTypeDocument, AssetFieldDocument, AwsTenantDocument)


def _build(services: _Services) -> "SourceType":
    from shared.assets.source import Ec2SourceType

    return Ec2SourceType(services.asset_rows(), services.settings(), services.account_directory(), services.ec2)


EC2 = RegisteredSource(
    name="ec2",
    records="assets",
    kind="aws-tenants",
    document="an AWS tenant",
    schedule="DESKBRIDGE_EC2_SCHEDULE",
    documents=_documents,
    build=_build,
)
