"""The kinds of settings documents, in the order in which they can be written: what is named comes first."""

from shared.bootstrap.sources import SOURCES
from shared.records.documents.sites import CustomerDocument, SiteDocument
from shared.settings.kinds import DocumentKinds
from shared.tickets.documents import KeyVaultEvents
from shared.vaults.documents.credential_stores import CredentialStore
from shared.vaults.documents.credentials import Credential

KINDS = DocumentKinds(
    CustomerDocument,
    SiteDocument,
    CredentialStore,
    Credential,
    KeyVaultEvents,
    *(document for source in SOURCES for document in source.documents()),
)
