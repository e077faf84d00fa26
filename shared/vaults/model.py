"""What reading a credential gives. A value shows itself only where it is asked for by name."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from shared.vaults.documents.credential_stores import CredentialStore
from shared.vaults.documents.credentials import CredentialReference
from shared.vaults.documents.vault_addresses import SecretAddress


@dataclass(frozen=True)
class SecretValue:
    """A secret as read. `fields` holds the members of a JSON secret, and is empty for any other."""

    text: str = field(repr=False)
    fields: Mapping[str, str] = field(repr=False)
    vault_name: str
    secret_name: str
    version: str
    expires_at: datetime | None = None


@dataclass(frozen=True)
class UserPassword:
    """A pair of a user name and a password, from a JSON secret."""

    username: str = field(repr=False)
    password: str = field(repr=False)


@dataclass(frozen=True)
class CredentialUser:
    """The document that uses a credential. `host` is where it sends the secret; empty for one that it only compares
    or signs with."""

    kind: str
    name: str
    host: str = ""

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


class Credentials(Protocol):
    """Reads credentials at the moment of use, for the document that uses them."""

    def read(self, reference: CredentialReference, user: CredentialUser) -> SecretValue:
        """The secret.

        Raises MisconfiguredError with what is wrong and what to do, TryLaterError for what may pass.
        """
        ...

    def read_pair(self, reference: CredentialReference, user: CredentialUser) -> UserPassword:
        """User name and password of a JSON secret; the same errors, and one when it is not such a secret."""
        ...

    def invalidate(self, reference: CredentialReference) -> None:
        """The far side refused this value: the next `read` fetches it anew (once per fetched version)."""
        ...


class SecretFetcher(Protocol):
    """Fetches one secret through a store's identity, each time anew."""

    def fetch(self, store_name: str, store: CredentialStore, address: SecretAddress) -> SecretValue:
        """The secret; raises MisconfiguredError with what is wrong and what to do, TryLaterError."""
        ...

    def check_list(self, store_name: str, store: CredentialStore) -> None:
        """List some properties of what the vault holds, and no value. Raises as `fetch`."""
        ...


def json_fields(text: str) -> dict[str, str]:
    """The members of a JSON object as text, empty when `text` is none. Members that are null are left out."""
    try:
        members = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return {}
    if not isinstance(members, dict):
        return {}
    return {
        name: member if isinstance(member, str) else json.dumps(member, ensure_ascii=False)
        for name, member in members.items()
        if member is not None
    }
