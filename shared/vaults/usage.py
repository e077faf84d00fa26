"""Where a secret is used: the imports and webhooks whose settings name it, straight or through a credential."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from shared.settings.base import SettingsDocument
from shared.settings.store import SettingsStore
from shared.settings.stored import StoredDocument
from shared.vaults.documents.credential_stores import CredentialStore
from shared.vaults.documents.credentials import Credential, CredentialReference, SecretSource


@dataclass(frozen=True)
class SecretUse:
    """One place that names a secret. `purpose` says what stops without it; `credential` is the credential's name, None
    when the secret stands in place."""

    kind: str
    name: str
    purpose: str
    path: str
    store: str
    source: SecretSource
    credential: str | None

    def __str__(self) -> str:
        return self.purpose


class SecretUses:
    """Answers from the settings as they are now."""

    def __init__(self, settings: SettingsStore) -> None:
        self._settings = settings

    def uses_of(self, vault_name: str, secret_name: str) -> list[str]:
        """Who breaks when this secret does, as `EC2 import of tenant acorn`; in order, each once.

        Names are compared without case, as Key Vault does.
        """
        stores = {stored.name: stored.document for stored in self._settings.list(CredentialStore)}
        wanted = (vault_name.casefold(), secret_name.casefold())
        return _sentences(use for use in self.all_uses() if _secret_of(use, stores) == wanted)

    def uses_of_credential(self, name: str) -> list[SecretUse]:
        """Every place that names this credential."""
        return [use for use in self.all_uses() if use.credential == name]

    def uses_of_store(self, name: str) -> list[SecretUse]:
        """Every place that reads a secret through this store."""
        return [use for use in self.all_uses() if use.store == name]

    def all_uses(self) -> Iterator[SecretUse]:
        credentials = {stored.name: stored.document for stored in self._settings.list(Credential)}
        for cls in self._settings.kinds:
            for stored in self._settings.list(cls) if cls.credential_use else ():
                yield from _uses_in(stored, credentials)


def _uses_in(stored: StoredDocument[SettingsDocument], credentials: Mapping[str, Credential]) -> Iterator[SecretUse]:
    document = stored.document
    purpose = document.credential_use.format(name=stored.name)
    for path, reference in references_in(document):
        source = reference.in_place or credentials.get(reference.credential or "")
        if source is not None:
            yield SecretUse(document.kind, stored.name, purpose, path, source.store, source, reference.credential)


def references_in(document: BaseModel) -> Iterator[tuple[str, CredentialReference]]:
    """Every credential reference of a document, at any depth, with its path."""
    return _walk(document, "")


def _walk(value: Any, path: str) -> Iterator[tuple[str, CredentialReference]]:
    if isinstance(value, CredentialReference):
        yield path, value
        return
    parts: list[tuple[str, Any]] = []
    if isinstance(value, BaseModel):
        parts = [(name, getattr(value, name)) for name in type(value).model_fields]
    elif isinstance(value, Mapping):
        parts = [(str(name), part) for name, part in value.items()]
    elif isinstance(value, Sequence | frozenset | set) and not isinstance(value, str | bytes):
        parts = [(str(index), part) for index, part in enumerate(value)]
    for name, part in parts:
        yield from _walk(part, f"{path}.{name}" if path else name)


def _secret_of(use: SecretUse, stores: Mapping[str, CredentialStore]) -> tuple[str, str] | None:
    store = stores.get(use.store)
    return None if store is None else (store.name_of_vault.casefold(), use.source.address.name.casefold())


def _sentences(uses: Iterator[SecretUse]) -> list[str]:
    return list(dict.fromkeys(str(use) for use in uses))
