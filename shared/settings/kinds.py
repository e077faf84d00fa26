"""The kinds of settings documents, by name, in the order in which they can be written: what is named comes first."""

from collections.abc import Mapping

from shared.errors import NotFoundError
from shared.reasons import Reason
from shared.settings.documents.asset_fields import AssetFieldDocument
from shared.settings.documents.asset_types import AssetTypeDocument
from shared.settings.documents.authrocket_realms import AuthRocketRealmDocument
from shared.settings.documents.aws_tenants import AwsTenantDocument
from shared.settings.documents.base import SettingsDocument
from shared.settings.documents.credential_stores import CredentialStore
from shared.settings.documents.credentials import Credential
from shared.settings.documents.key_vault_events import KeyVaultEvents
from shared.settings.documents.sites import SiteDocument


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
