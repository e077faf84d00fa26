"""Where a password comes from: a credential by name, or written in place."""

from shared.settings.documents.base import Document, DocumentName, Text


class InPlaceCredential(Document):
    """A secret of a store. `secret` is a name, `name/version`, or a full secret address."""

    store: DocumentName
    secret: Text
    username_field: Text | None = None
    password_field: Text | None = None


class CredentialReference(Document):
    """Exactly one of `credential` (the name of a credential document) and `in_place`."""

    credential: DocumentName | None = None
    in_place: InPlaceCredential | None = None
