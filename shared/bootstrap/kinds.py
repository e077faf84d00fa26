"""The kinds of settings documents, in the order in which they can be written: what is named comes first."""

from shared.assets.documents.asset_fields import AssetFieldDocument
from shared.assets.documents.asset_types import AssetTypeDocument
from shared.assets.documents.aws_tenants import AwsTenantDocument
from shared.records.documents.sites import SiteDocument
from shared.settings.kinds import DocumentKinds
from shared.tickets.documents import KeyVaultEvents
from shared.users.documents import AuthRocketRealmDocument
from shared.vaults.documents.credential_stores import CredentialStore
from shared.vaults.documents.credentials import Credential

KINDS = DocumentKinds(
    SiteDocument,
    AssetTypeDocument,
    AssetFieldDocument,
    CredentialStore,
    Credential,
    KeyVaultEvents,
    AwsTenantDocument,
    AuthRocketRealmDocument,
)
