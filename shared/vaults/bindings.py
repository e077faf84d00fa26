"""Which document may read which secret, and to which host it may send it. Checked when written, and at every use.

A secret is a name in a vault, however it is spelled: by a credential, in place, through another store, in a version.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from shared.errors import Fault, MisconfiguredError
from shared.hosts import matches_host
from shared.reasons import Reason
from shared.settings.base import SettingsDocument
from shared.settings.planned import PlannedSettings
from shared.settings.reader import SettingsReader
from shared.vaults.documents.credential_stores import CredentialStore
from shared.vaults.documents.credentials import Credential, CredentialReference, SecretSource
from shared.vaults.documents.vault_addresses import host_and_port
from shared.vaults.model import CredentialUser
from shared.vaults.usage import references_in

D = TypeVar("D", bound=SettingsDocument)


@dataclass(frozen=True)
class SecretPlace:
    """A secret, whichever way it is named: the vault's host and port, and the name without case."""

    vault: str
    secret: str


def place_of(source: SecretSource, stores: Mapping[str, CredentialStore]) -> SecretPlace | None:
    """Which secret the source names; None while its store is not there, and so nothing can be read."""
    store = stores.get(source.store)
    if store is None:
        return None
    return SecretPlace(host_and_port(store.vault_url), source.address.name.casefold())


class SecretBindings:
    """The credentials of the settings as they bind secrets."""

    def __init__(self, credentials: Mapping[str, Credential], stores: Mapping[str, CredentialStore]) -> None:
        self._stores = stores
        self._by_place: dict[SecretPlace, list[tuple[str, Credential]]] = {}
        for name, credential in credentials.items():
            place = place_of(credential, stores)
            if place is not None:
                self._by_place.setdefault(place, []).append((name, credential))

    def of(self, source: SecretSource) -> list[tuple[str, Credential]]:
        """The credentials that name the same secret."""
        place = place_of(source, self._stores)
        return [] if place is None else self._by_place.get(place, [])

    def out_of_scope(self, source: SecretSource, user: CredentialUser) -> str | None:
        """The name of a credential whose scope leaves the user out, though it binds this secret."""
        return next((name for name, one in self.of(source) if not one.includes(user.kind, user.name)), None)

    def wrong_host(self, source: SecretSource, host: str) -> str | None:
        """The name of a credential that binds this secret to other hosts than this one."""
        if not host:
            return None
        return next((name for name, one in self.of(source) if one.hosts and not matches_host(host, one.hosts)), None)


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
    """The bindings of the settings as they are now. A document that cannot be read binds nothing."""
    credentials, stores = settings.list(Credential), settings.list(CredentialStore)
    return SecretBindings({one.name: one.document for one in credentials}, {one.name: one.document for one in stores})


def binding_faults(name: str, document: SettingsDocument, documents: PlannedSettings) -> Iterable[Fault]:
    """What is wrong with a document that is to be written: secrets that others keep, hosts that are not bound."""
    if not document.credential_use and not isinstance(document, Credential):
        return ()
    credentials, stores = _all(documents, Credential), _all(documents, CredentialStore)
    if isinstance(document, Credential):
        return _faults_of_credential(name, document, credentials, stores, documents)
    return _faults_of_user(name, document, SecretBindings(credentials, stores), credentials)


def _faults_of_credential(
    name: str,
    document: Credential,
    credentials: Mapping[str, Credential],
    stores: Mapping[str, CredentialStore],
    documents: PlannedSettings,
) -> Iterable[Fault]:
    for other, one in SecretBindings(credentials, stores).of(document):
        if other != name and not one.includes_scope(document.scope):
            yield Fault(
                "scope",
                f"is wider than that of the credential {other}, which keeps the same secret for {one.scope}: use that "
                "one, or store another secret",
            )
    own = SecretBindings({name: document}, stores)
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
