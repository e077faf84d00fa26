"""The kinds of settings documents, by name, in the order in which they can be written: what is named comes first."""

from collections.abc import Mapping

from shared.assets.documents.asset_fields import AssetFieldDocument
from shared.assets.documents.asset_types import AssetTypeDocument
from shared.assets.documents.aws_tenants import AwsTenantDocument
from shared.errors import NotFoundError
from shared.reasons import Reason
from shared.records.documents.sites import SiteDocument
from shared.settings.base import SettingsDocument
from shared.tickets.documents import KeyVaultEvents
from shared.users.documents import AuthRocketRealmDocument
from shared.vaults.documents.credential_stores import CredentialStore
from shared.vaults.documents.credentials import Credential


def _collect(*classes: type[SettingsDocument]) -> dict[str, type[SettingsDocument]]:
    return {cls.kind: cls for cls in classes}


KINDS: Mapping[str, type[SettingsDocument]] = _collect(
    SiteDocument,
    AssetTypeDocument,
    AssetFieldDocument,
    CredentialStore,
    Credential,
    KeyVaultEvents,
    AwsTenantDocument,
    AuthRocketRealmDocument,
)


def kind_of(name: str) -> type[SettingsDocument]:
    """The document class of a kind; raises NotFoundError that lists the kinds."""
    if name not in KINDS:
        raise NotFoundError(
            Reason.NOT_FOUND, f"There is no kind of settings named {name!r}; the kinds are {', '.join(KINDS)}."
        )
    return KINDS[name]
