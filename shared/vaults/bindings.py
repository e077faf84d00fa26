"""Which document may read which secret, and to which host it may send it. Checked when written, and at every use.

A secret is a name in a vault, however it is spelled: by a credential, in place, through another store, in a version.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from shared.errors import Fault, MisconfiguredError
from shared.hosts import matches_host
from shared.reasons import Reason
from shared.settings.base import SettingsDocument
from shared.settings.planned import PlannedSettings
from shared.settings.reader import SettingsReader
from shared.vaults.documents.credential_stores import CredentialStore
from shared.vaults.documents.credentials import Credential, CredentialReference, SecretSource
from shared.vaults.documents.vault_addresses import host_and_port, host_of
from shared.vaults.model import CredentialUser
from shared.vaults.usage import references_in

D = TypeVar("D", bound=SettingsDocument)


@dataclass(frozen=True)
class SecretPlace:
    """A secret, whichever way it is named: the vault's host and port, and the name without case."""

    vault: str
    secret: str


def vaults_of(stores: Mapping[str, CredentialStore]) -> dict[str, str]:
    """What tells the vaults of the stores apart."""
    return {name: host_and_port(store.vault_url) for name, store in stores.items()}


class SecretBindings:
    """The credentials of the settings as they bind secrets. `vaults` says what vault each store is of.

    None is a credential that no longer passes its check: until it is mended, nobody has its secret.
    """

    def __init__(self, credentials: Mapping[str, SecretSource | None], vaults: Mapping[str, str]) -> None:
        self._vaults = vaults
        self._by_place: dict[SecretPlace, list[tuple[str, Credential | None]]] = {}
        for name, credential in credentials.items():
            if isinstance(credential, Credential):
                self._bind(name, credential, credential)

    def close(self, name: str, source: SecretSource) -> None:
        """Keep the secret from everybody."""
        self._bind(name, source, None)

    def of(self, source: SecretSource) -> list[tuple[str, Credential | None]]:
        """The credentials that name the same secret."""
        place = self._place_of(source)
        return [] if place is None else self._by_place.get(place, [])

    def out_of_scope(self, source: SecretSource, user: CredentialUser) -> str | None:
        """The name of a credential whose scope leaves the user out, though it binds this secret."""
        found = self.of(source)
        return next((name for name, one in found if one is None or not one.includes(user.kind, user.name)), None)

    def wrong_host(self, source: SecretSource, host: str) -> str | None:
        """The name of a credential that binds this secret to other hosts than this one."""
        if not host:
            return None
        bound = ((name, one.hosts) for name, one in self.of(source) if one is not None and one.hosts)
        return next((name for name, hosts in bound if not matches_host(host, hosts)), None)

    def _bind(self, name: str, source: SecretSource, credential: Credential | None) -> None:
        place = self._place_of(source)
        if place is not None:
            self._by_place.setdefault(place, []).append((name, credential))

    def _place_of(self, source: SecretSource) -> SecretPlace | None:
        """Which secret the source names; None while its store is not there, and so nothing can be read."""
        vault = self._vaults.get(source.store)
        return None if vault is None else SecretPlace(vault, source.address.name.casefold())


def check_use(bindings: SecretBindings, source: SecretSource, user: CredentialUser) -> None:
    """Raise MisconfiguredError, before the secret is read, when the user may not have it or not send it there."""
    binding = bindings.out_of_scope(source, user)
    if binding is not None:
        raise MisconfiguredError(
            Reason.CREDENTIAL_OUT_OF_SCOPE,
            f"{user} may not read the secret {source.address.name}: the credential {binding} keeps it for others.",
            remedy=f"Store a secret of its own for {user}, and a credential with that scope.",
        )
    binding = bindings.wrong_host(source, user.host)
    if binding is not None:
        raise MisconfiguredError(
            Reason.HOST_NOT_ALLOWED,
            f"Nothing was sent: the credential {binding} binds the secret {source.address.name} to other hosts than "
            f"that of {user}.",
            remedy=f"Correct the host in {user}, or make a new credential and secret for it.",
        )


def stored_bindings(settings: SettingsReader) -> SecretBindings:
    """The bindings of the settings as they are now. A document that no longer passes its check binds all the same."""
    credentials, odd_credentials = settings.list_with_unreadable(Credential)
    stores, odd_stores = settings.list_with_unreadable(CredentialStore)
    vaults = vaults_of({one.name: one.document for one in stores})
    for store in odd_stores:
        address = _text_of(store.content, "vault_url")
        if host_of(address):
            vaults[store.name] = host_and_port(address)
    bindings = SecretBindings({one.name: one.document for one in credentials}, vaults)
    for odd in odd_credentials:
        with suppress(ValueError):
            source = SecretSource(store=_text_of(odd.content, "store"), secret=_text_of(odd.content, "secret"))
            bindings.close(odd.name, source)
    return bindings


def _text_of(content: Any, member: str) -> str:
    found = content.get(member) if isinstance(content, Mapping) else None
    return found if isinstance(found, str) else ""


def binding_faults(name: str, document: SettingsDocument, documents: PlannedSettings) -> Iterable[Fault]:
    """What is wrong with a document that is to be written: secrets that others keep, hosts that are not bound."""
    if not document.credential_use and not isinstance(document, Credential):
        return ()
    credentials, vaults = _all(documents, Credential), vaults_of(_all(documents, CredentialStore))
    if isinstance(document, Credential):
        return _faults_of_credential(name, document, credentials, vaults, documents)
    return _faults_of_user(name, document, SecretBindings(credentials, vaults), credentials)


def _faults_of_credential(
    name: str,
    document: Credential,
    credentials: Mapping[str, Credential],
    vaults: Mapping[str, str],
    documents: PlannedSettings,
) -> Iterable[Fault]:
    for other, one in SecretBindings(credentials, vaults).of(document):
        if other != name and one is not None and not one.includes_scope(document.scope):
            yield Fault(
                "scope",
                f"is wider than that of the credential {other}, which keeps the same secret for {one.scope}: use that "
                "one, or store another secret",
            )
    own = SecretBindings({name: document}, vaults)
    for kind in documents.kinds:
        for user, used_by in documents.of(kind).items() if kind.credential_use else ():
            for _, reference in references_in(used_by):
                source = _source(reference, credentials)
                if source is not None and own.out_of_scope(source, CredentialUser(kind.kind, user)) is not None:
                    yield Fault("scope", f"leaves {kind.kind}/{user} out, which uses the same secret")


def _faults_of_user(
    name: str, document: SettingsDocument, bindings: SecretBindings, credentials: Mapping[str, Credential]
) -> Iterable[Fault]:
    hosts = {use.credential: use.host for use in document.host_uses() if use.credential}
    for path, reference in references_in(document):
        source = _source(reference, credentials)
        if source is None:
            continue
        binding = bindings.out_of_scope(source, CredentialUser(document.kind, name))
        if binding is not None and binding != reference.credential:
            yield Fault(path, f"names a secret that the credential {binding} keeps for others")
        binding = bindings.wrong_host(source, hosts.get(path, ""))
        if binding is not None:
            yield Fault(path, f"may not be sent to {hosts[path]}: the credential {binding} names its hosts")


def _source(reference: CredentialReference, credentials: Mapping[str, Credential]) -> SecretSource | None:
    return reference.in_place or credentials.get(reference.credential or "")


def _all(documents: PlannedSettings, cls: type[D]) -> dict[str, D]:
    return {name: one for name, one in documents.of(cls).items() if isinstance(one, cls)}
